"""The read service's answers against the recomputation."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from verify import VerifyError
from verify.answers import expected_answer
from verify.asked import ABSENT, Near, OneOf
from verify.compare import Report, scope_text
from verify.model import Scope
from verify.totals import Range, Totals

ATTEMPTS = 6
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 20.0
TOP = 20

Ask = Callable[[Scope, Range], Any]


class ReadService:
    """Asks one read service. Raises VerifyError when it can't be reached or refuses the token."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def kpis(self, scope: Scope, span: Range) -> Any:
        """The figures of a scope over a range."""
        asked = {"scope": scope_text(*scope), "from_ms": str(span.from_ms), "to_ms": str(span.to_ms)}
        return self.get("kpis", asked)

    def get(self, name: str, asked: Mapping[str, str]) -> Any:
        """What ``/api/v1/NAME`` answers, as read from JSON, or the text of a 400."""
        query = urllib.parse.urlencode(asked)
        request = urllib.request.Request(f"{self._base_url}/api/v1/{name}?{query}", headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise VerifyError(
                    f"the read service at {self._base_url} refuses the token; set SHOP_PULSE_TOKEN"
                ) from error
            return f"HTTP {error.code}: {error.read(200).decode(errors='replace')}"
        except (OSError, ValueError) as error:
            raise VerifyError(
                f"the read service at {self._base_url} can't be asked ({error}); "
                "start it (`shop-pulse serve`) or name another with --api"
            ) from error


def questions(totals: Totals, all_scopes: bool) -> Iterator[tuple[Scope, Range]]:
    """Each day of `all`; of every chosen scope all days together and the last hours, minutes, seconds."""
    for day in totals.days():
        yield ("all", ""), day
    whole = totals.whole()
    ranges = ([] if whole is None else [whole]) + totals.recent()
    for scope in totals.scopes(None if all_scopes else TOP):
        for span in ranges:
            yield scope, span


def compare_answers(
    report: Report, totals: Totals, asked: list[tuple[Scope, Range]], ask: Ask, pause: float = PAUSE_SECONDS
) -> None:
    """Asks until the answers agree: the read service may be a moment behind Redis. The last time counts."""
    left = asked
    for attempt in range(ATTEMPTS):
        again = []
        for scope, span in left:
            single = Report()
            answer = ask(scope, span)
            compare_answer(single, totals, scope, span, answer, now_ms=round(time.time() * 1_000))
            if single.differences and attempt < ATTEMPTS - 1:
                again.append((scope, span))
            else:
                report.compared += single.compared
                report.differences += single.differences
        if not again:
            return
        left = again
        time.sleep(pause)


def compare_answer(
    report: Report, totals: Totals, scope: Scope, span: Range, answer: Any, *, now_ms: int
) -> None:
    """One answer, figure by figure; `now_ms` is the clock when it was given."""
    where = f"api {scope_text(*scope)} [{span.from_ms}, {span.to_ms})"
    if not isinstance(answer, dict):
        report.check("answer", where, "figures", answer)
        return
    flat = dict(_flat("", answer))
    for name, want in expected_answer(totals, scope, span, answer, now_ms).items():
        have = flat.get(name, ABSENT)
        if isinstance(want, Near):
            report.check_near(name, where, want.exact, have)
        elif isinstance(want, OneOf):
            report.check(name, where, have if have in want.values else sorted(map(str, want.values)), have)
        elif isinstance(want, float) and isinstance(have, (int, float)) and abs(want - have) <= 1e-6:
            report.check(name, where, want, want)
        else:
            report.check(name, where, want, have)


def _flat(head: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(f"{head}{name}.", inner)
        elif isinstance(inner, list):
            # Pinned products are told apart by their id.
            named = {
                each["product_id"]: each for each in inner if isinstance(each, dict) and "product_id" in each
            }
            yield from _flat(f"{head}{name}.", named)
        else:
            yield f"{head}{name}", inner
