"""The read service's answers against the recomputation."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from verify import VerifyError, reason_answers
from verify.answers import expected_answer
from verify.asked import ABSENT, Near, OneOf
from verify.compare import Report, scope_text
from verify.model import Scope
from verify.redirect_answers import RuleAsked, rules_of, with_names
from verify.totals import Range, Totals

ATTEMPTS = 6
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 20.0
TOP = 20

Ask = Callable[[Scope, Range], Any]
Q = TypeVar("Q")


class ReadService:
    """Asks one read service. Raises VerifyError when it can't be reached or refuses the token."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def kpis(self, scope: Scope, span: Range) -> Any:
        """The answer as read from JSON, or the text of a 400."""
        return self.ask_about("kpis", scope, span)

    def ask_about(self, address: str, scope: Scope, span: Range) -> Any:
        """What an address says of a scope over a range."""
        query = {"scope": scope_text(*scope), "from_ms": str(span.from_ms), "to_ms": str(span.to_ms)}
        return self.ask(f"/api/v1/{address}", query)

    def redirection(self, rule_id: str) -> Any:
        """The answer about a rule, likewise; of an empty one which rules there are."""
        rule = f"/{urllib.parse.quote(rule_id, safe='')}" if rule_id else ""
        return self.ask(f"/api/v1/redirections{rule}", {})

    def ask(self, path: str, query: Mapping[str, str]) -> Any:
        """The answer as read from JSON, or the text of a 400."""
        address = f"{self._base_url}{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers=self._headers)
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


@dataclass(frozen=True)
class Service:
    """How a read service is asked, and by which clock (Unix milliseconds); `pause`: seconds until it is asked
    again where it disagrees."""

    ask: Callable[[str, Mapping[str, str]], Any]
    clock_ms: Callable[[], int] = lambda: round(time.time() * 1_000)
    pause: float = PAUSE_SECONDS


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
    report: Report,
    totals: Totals,
    asked: list[tuple[Scope, Range]],
    ask: Ask,
    pause: float = PAUSE_SECONDS,
) -> None:
    """Every answer to these questions."""

    def compare(single: Report, question: tuple[Scope, Range]) -> None:
        answer = ask(*question)
        compare_answer(single, totals, *question, answer, now_ms=round(time.time() * 1_000))

    compare_until_agreed(report, asked, compare, pause)


def compare_reason_answers(
    report: Report, totals: Totals, of: str, ask: Ask, pause: float = PAUSE_SECONDS
) -> None:
    """Every answer about the reasons of `payments` or `refunds`."""

    def compare(single: Report, question: tuple[Scope, Range]) -> None:
        reason_answers.compare_reasons(single, totals, *question, ask(*question), of=of)

    compare_until_agreed(report, list(reason_answers.questions(totals, of)), compare, pause)


def compare_redirections(
    report: Report, totals: Totals, ask: Callable[[str], Any], pause: float = PAUSE_SECONDS
) -> None:
    """Which redirection rules are named (`ask("")`), and what is said of each."""
    rules = rules_of(totals)

    def compare(single: Report, rule_id: str) -> None:
        where, answer = f"api redirection {rule_id}", ask(rule_id)
        if not rule_id:
            single.check("rules", "api redirections", {"rules": sorted(rules)}, answer)
            return
        if not isinstance(answer, dict):
            single.check("answer", where, "figures", answer)
            return
        now_ms = round(time.time() * 1_000)
        asked = RuleAsked(totals, rule_id, rules[rule_id], answer=answer, now_ms=now_ms)
        check_flat(single, where, asked.expected(), with_names(answer))

    compare_until_agreed(report, ["", *sorted(filter(is_path_part, rules))], compare, pause)


def is_path_part(text: str) -> bool:
    """Whether an address can hold the text as one part; of dots alone everybody makes another address."""
    return text not in (".", "..")


def compare_until_agreed(
    report: Report, asked: Sequence[Q], compare: Callable[[Report, Q], None], pause: float
) -> None:
    """Asks until the answers agree: the read service may be a moment behind Redis. The last time counts."""
    left = list(asked)
    for attempt in range(ATTEMPTS):
        again = []
        for question in left:
            single = Report()
            compare(single, question)
            if single.differences and attempt < ATTEMPTS - 1:
                again.append(question)
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
    check_flat(report, where, expected_answer(totals, scope, span, answer, now_ms), answer)


def check_flat(report: Report, where: str, expected: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """An answer against flat names and what they must be."""
    flat = dict(_flat("", answer))
    for name, want in expected.items():
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
