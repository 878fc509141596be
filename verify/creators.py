"""Creators by whole days: who sold, went live, earned and stopped.

The read service reads creators' days now and then, and says up to which record of each partition it had.
So it is asked before the log is read, and compared with what the log amounts to up to there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.answers import half_even
from verify.api import Service
from verify.compare import Report
from verify.model import PartitionExpected
from verify.rules import DAY_MS, MINUTE_MS, Rules
from verify.totals import Totals

DAYS = (7, 30)
# They are read every 5 min, which may take a while itself.
READ_WITHIN_MS = 10 * MINUTE_MS
ASKED_TIMES = 3
NOT_YET = "no day is known to be read to its end"
"""What the service says in its first moments; it looks again every 10 s."""
# Of partitions without records it is known only after 30 s of quiet.
PATIENCE = 60
TOP = 10
STOPPED_SHOWN = 100
TOPICS = ("purchases", "livestreams", "tag-taps")
"""What creators' days are made of."""
Work = Mapping[str, Counter[str]]
LogReader = Callable[[int, Mapping[str, int]], Awaitable[PartitionExpected]]
"""What the log of a partition number amounts to, of these topics up to these offsets."""


@dataclass(frozen=True)
class Told:
    """The answers of one reading, by platform (None: of all) and days, and the clock when they were given."""

    answers: Mapping[tuple[str | None, int], Any]
    now_ms: int

    @property
    def has_figures(self) -> bool:
        """Whether none of the answers is a refusal."""
        return all(isinstance(each, dict) for each in self.answers.values())

    def offsets(self, partition: int) -> dict[str, int] | None:
        """By topic the next record that the reading had not counted; None where there is no such moment."""
        first = next(iter(self.answers.values()))
        said = first.get("read_offsets") if isinstance(first, dict) else None
        found: dict[str, int] = {}
        for topic in TOPICS:
            of_topic = said.get(topic) if isinstance(said, dict) else None
            if not isinstance(of_topic, list) or len(of_topic) <= partition or of_topic[partition] is None:
                return None
            found[topic] = int(of_topic[partition])
        return found


def ask_creators(service: Service, rules: Rules) -> Told:
    """All platforms and lengths, of one reading if it can be had: between two it may be read anew."""
    platforms = (None, *sorted({*rules.platforms, "other"}))
    answers: dict[tuple[str | None, int], Any] = {}
    for times in range(1, PATIENCE + 1):
        for platform in platforms:
            for days in DAYS:
                asked = {"days": str(days)} | ({} if platform is None else {"platform": platform})
                answers[platform, days] = service.ask("/api/v1/creators", asked)
        if any(is_not_yet(each) for each in answers.values()):
            time.sleep(service.pause)
            continue
        readings = {each.get("read_ms") if isinstance(each, dict) else None for each in answers.values()}
        if len(readings) == 1 or times >= ASKED_TIMES:
            break
    return Told(answers, service.clock_ms())


def is_not_yet(answer: object) -> bool:
    """Whether the service refused because it has not read anything yet."""
    return isinstance(answer, str) and NOT_YET in answer


async def compare_as_told(
    report: Report, totals: Totals, told: Told, counted: Mapping[int, Mapping[str, int]], log: LogReader
) -> list[str]:
    """Against the log up to where the reading was; `counted` are the offsets that `totals` reach.

    What came behind the reading seldom is about days that are over: the log is read again only if the totals
    differ. Returns notes on what could not be compared.
    """
    if any(is_not_yet(each) for each in told.answers.values()):
        return ["creators were not compared: the service knows of no day that is read to its end yet"]
    found = compare_told(totals, told)
    read = {p: told.offsets(p) for p in counted}
    behind = any(
        of is not None and any(of[topic] != counted[p][topic] for topic in TOPICS) for p, of in read.items()
    )
    unknown = [str(p) for p, of in read.items() if of is None]
    if found.differences and unknown and told.has_figures:
        return [
            "creators were not compared: while they were read, days of theirs changed in partition "
            f"{' '.join(unknown)}; try again"
        ]
    if found.differences and behind:
        as_read = Totals(totals.newest_ms, totals.rules)
        for p, of in read.items():
            as_read.add(await log(p, of or {}))
        found = compare_told(as_read, told)
    report.compared += found.compared
    report.differences += found.differences
    return []


def compare_told(totals: Totals, told: Told) -> Report:
    """Every answer."""
    report = Report()
    for asked, answer in told.answers.items():
        compare_creators(report, totals, asked, answer, told.now_ms)
    return report


def compare_creators(
    report: Report, totals: Totals, asked: tuple[str | None, int], answer: Any, now_ms: int
) -> None:
    """Who sold, went live, earned and stopped in the days that the answer names: the last whole ones."""
    platform, days = asked
    where = f"api creators {platform or 'all'} {days}"
    if not isinstance(answer, dict):
        report.check("answer", where, "creators", answer)
        return
    read_ms, to_ms = answer["read_ms"], answer["to_ms"]
    report.check("read lately", where, True, now_ms - READ_WITHIN_MS <= read_ms <= now_ms + MINUTE_MS)
    known_ms = min(read_ms, read_ms if answer["as_of_ms"] is None else answer["as_of_ms"])
    report.check("to_ms", where, known_ms - known_ms % DAY_MS, to_ms)
    from_ms, before_ms = to_ms - days * DAY_MS, to_ms - 2 * days * DAY_MS
    report.check("range", where, (from_ms, before_ms), (answer["from_ms"], answer["before_from_ms"]))
    now, before = (totals.creators(*span, platform) for span in ((from_ms, to_ms), (before_ms, from_ms)))
    for name, does in (("sale", _sales), ("live", _lives)):
        active, were = ({of for of, sums in work.items() if does(sums) > 0} for work in (now, before))
        report.check(f"with_a_{name}", where, len(active), answer[f"with_a_{name}"])
        report.check(f"with_a_{name}_before", where, len(were), answer[f"with_a_{name}_before"])
        stopped = answer["stopped_selling" if name == "sale" else "stopped_going_live"]
        gone = were - active
        report.check(f"stopped ({name})", where, len(gone), stopped["count"])
        share = len(gone) / len(were) if were else None
        report.check(f"stopped ({name}), share", where, share, stopped[f"per_creator_with_a_{name}_before"])
        most = sorted(gone, key=lambda of, does=does: (-does(before[of]), of))  # type: ignore[misc]
        report.check(f"stopped ({name}), named", where, most[:STOPPED_SHOWN], _named(stopped["creators"]))
    sold_in = {
        name.partition(":")[2] for sums in now.values() for name, n in sums.items() if n and ":" in name
    }
    for currency in sorted(sold_in | answer["earnings"].keys()):
        found = answer["earnings"].get(currency)
        for name, amount in earnings(now, currency).items():
            report.check(name, f"{where} {currency}", amount, found and _plain(found.get(name)))


def earnings(work: Work, currency: str) -> dict[str, Any]:
    """Commission of who sold in the currency: how many, all of it, quarters, and the ten with most."""
    earned = {
        of: sums[f"commission:{currency}"] for of, sums in work.items() if sums[f"orders:{currency}"] > 0
    }
    ascending = sorted(earned.values())
    best = sorted(earned, key=lambda of: (-earned[of], -work[of][f"gmv_paid:{currency}"], of))[:TOP]
    quarters = [_quarter(ascending, number) for number in (1, 2, 3)]
    return {
        "creators": len(earned),
        "total_minor": sum(ascending),
        **dict(zip(("p25_minor", "median_minor", "p75_minor"), quarters, strict=True)),
        "top": [(of, earned[of]) for of in best],
    }


def _quarter(ascending: list[int], number: int) -> int | None:
    """So many quarters up: between two ranks in proportion, halves to even."""
    if not ascending:
        return None
    at, rest = divmod((len(ascending) - 1) * number, 4)
    above = ascending[min(at + 1, len(ascending) - 1)]
    return half_even(ascending[at] * (4 - rest) + above * rest, 4)


def _sales(sums: Mapping[str, int]) -> int:
    return sum(n for measure, n in sums.items() if measure.startswith("orders:"))


def _lives(sums: Mapping[str, int]) -> int:
    return sums.get("live_starts", 0)


def _named(creators: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["creator_id"] for each in creators]


def _plain(found: Any) -> Any:
    """Of a list of creators who and how much."""
    if isinstance(found, Iterable) and not isinstance(found, str):
        return [(each["creator_id"], each["commission_minor"]) for each in found]
    return found
