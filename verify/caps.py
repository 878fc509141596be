"""The cap on distinct values in traffic: what is above it is counted under `other`.

Per topic, pane and kind of scope the first values in the topic's offset order have cells of their own. Money
has no cap. A value that is `other` itself has its cell anyway: it takes no place and is never moved.
"""

from __future__ import annotations

from collections.abc import Iterable

from verify.model import Scope, Traffic
from verify.rules import Rules
from verify.scopes import NEVER_CAPPED, OTHER


class Admission:
    """Which values are admitted in the traffic of one partition.

    `events` are all of it, in offset order per topic; afterwards it is asked for each of them, in the same
    order.
    """

    def __init__(self, events: Iterable[Traffic], rules: Rules) -> None:
        self._most = rules.scope_values_max
        self._seen: dict[tuple[str, str, str, int], set[str]] = {}
        # Only where the whole log has more values than a pane may have, panes have to be looked at.
        values: dict[tuple[str, str], set[str]] = {}
        for event in events:
            for kind, value in event.scopes:
                if kind not in NEVER_CAPPED and value != OTHER:
                    values.setdefault((event.topic, kind), set()).add(value)
        self._crowded = {place for place, found in values.items() if len(found) > self._most}

    def scopes(self, event: Traffic, size: str, start_ms: int) -> tuple[Scope, ...]:
        """The event's scopes in one of its panes, with `other` for each value that is not admitted."""
        if not self._crowded:
            return event.scopes
        return tuple(
            scope if self._admits(event.topic, scope, size, start_ms) else (scope[0], OTHER)
            for scope in event.scopes
        )

    def _admits(self, topic: str, scope: Scope, size: str, start_ms: int) -> bool:
        kind, value = scope
        if (topic, kind) not in self._crowded or value == OTHER:
            return True
        seen = self._seen.setdefault((topic, kind, size, start_ms), set())
        if value not in seen and len(seen) < self._most:
            seen.add(value)
        return value in seen
