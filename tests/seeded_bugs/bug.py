"""What a bug on purpose is: some texts of the project's files, each replaced by another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StaleBugError(Exception):
    """The project changed, and a bug no longer fits; the text says which, and where."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`old`, which stands exactly once in `file`, becomes `new`.

    Attributes:
        file: path from the project's root.
    """

    file: str
    old: str
    new: str

    def applied_to(self, text: str) -> str:
        """The file's text with the edit. Raises StaleBugError unless `old` stands in it exactly once."""
        if (count := text.count(self.old)) != 1:
            raise StaleBugError(f"{self.file} holds {count} times, not once: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug and who should notice it.

    Attributes:
        name: one word, for the command line.
        what: what it is, in plain words.
        edits: all of them together are the bug.
        asked: test files, the quickest first; the first of their tests that fails has caught the bug.
    """

    name: str
    what: str
    edits: tuple[Edit, ...]
    asked: tuple[str, ...]

    def plant(self, root: Path) -> None:
        """Puts the bug into the project at `root`. Raises StaleBugError if it does not fit."""
        for edit in self.edits:
            path = root / edit.file
            path.write_text(edit.applied_to(path.read_text(encoding="utf-8")), encoding="utf-8")


def bug(name: str, what: str, file: str, old: str, new: str, *asked: str) -> Bug:
    """A bug of one edit."""
    return Bug(name, what, (Edit(file, old, new),), asked)
