"""Plain data as YAML that people can read, for the generated files of rules and provisioning.

It stands behind everything that renders. Only what these files need: mappings, lists, text, numbers, truth.
Text stands in double quotes as JSON has it, which is YAML too; text of several lines as a literal block.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Data = Mapping[str, "Data"] | Sequence["Data"] | str | int | float | bool

# Words that no reader of YAML takes for a number, a truth value or anything but text.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[A-Za-z0-9_/.:-]*[A-Za-z0-9_])?")
_NOT_TEXT = frozenset("y n yes no on off true false null inf nan".split())


def dump(data: Data, heading: str = "") -> str:
    """The document; lines of `heading` go before it as comments."""
    comments = "".join(f"# {line}\n" for line in heading.splitlines())
    return comments + "\n".join(_lines(data)) + "\n"


def _lines(data: Data) -> list[str]:
    """A mapping or list, line by line, without indentation of its own."""
    lines: list[str] = []
    if isinstance(data, Mapping):
        for key, value in data.items():
            lines += _entry(f"{_text(key)}:", value)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        for value in data:
            if value and isinstance(value, Mapping):
                first, *rest = _lines(value)
                lines += [f"- {first}", *(f"  {line}" if line else line for line in rest)]
            else:
                lines += _entry("-", value)
    else:
        raise TypeError(f"a document is a mapping or a list, not {data!r}")
    return lines


def _entry(lead: str, value: Data) -> list[str]:
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        return [f"{lead} |-", *(f"  {line}" if line else "" for line in value.rstrip("\n").split("\n"))]
    if isinstance(value, str | bool | int | float):
        return [f"{lead} {_scalar(value)}"]
    if not value:
        return [f"{lead} {'{}' if isinstance(value, Mapping) else '[]'}"]
    return [lead, *(f"  {line}" if line else line for line in _lines(value))]


def _scalar(value: str | float) -> str:
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT and ": " not in value:
        return value
    # In single quotes nothing has to be escaped but they themselves.
    return f"'{value}'" if '"' in value and "'" not in value else json.dumps(value, ensure_ascii=False)
