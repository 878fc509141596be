"""What pieces of the backtest add up to, and how it is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from backtest.drops import DURATIONS, Drop
from backtest.plot import draw
from backtest.prometheus import Rules, _levels, firing
from backtest.report import DOCS, PAGE, as_json, as_lines, filled, parts
from backtest.rivals import FIXED_PARTS
from backtest.runs import Found, Outcome, Piece, episodes
from backtest.score import OURS, quantiles, scored, targets
from streams.errors import PulseError

ABOUT = {"seed": 1, "seconds": 2, "cores": 3, "kernel": "k", "python": "p", "prometheus": "2"}
HALF_HOUR = DURATIONS[1]
RIVALS = (
    "adaptive band",
    "week over week",
    "z-score",
    f"fixed 5 min {FIXED_PARTS[0]:.2f}",
    "fixed 60 min 0.50",
)


def _found(ours: int | None, bound: int | None = 20, size: float = 0.5) -> Found:
    drop = Drop(size, HALF_HOUR, 2, 0)
    return Found(100.0, drop, bound, ours, (), {name: 30 for name in RIVALS})


def _outcomes(pages: int = 0, found: tuple[Found, ...] = (), outage_pages: int = 0) -> list[Outcome]:
    quiet = Outcome(Piece("quiet", 100.0, 0, 60, 1), days=60, pages=pages, by_alert={"A": pages})
    quiet.rival_pages = dict.fromkeys(RIVALS, 5) | {"fixed 60 min 0.50": 1}
    drops = Outcome(Piece("drops", 100.0, 0, 4, 1), found=list(found))
    outages = Outcome(Piece("outages", 100.0, 0, 1, 1), outages=9, pages=outage_pages)
    return [quiet, drops, outages]


def test_pages_that_come_and_go_are_one() -> None:
    """Spans within half an hour of each other are an episode; later ones are another."""
    assert episodes([]) == 0
    assert episodes([(100, 110), (0, 5), (140, 141)]) == 2
    assert episodes([(0, 100), (10, 20), (130, 131), (162, 170)]) == 2


def test_an_alert_fires_after_its_for() -> None:
    """Prometheus fires at the first evaluation at which the expression has held for so long, without a
    gap."""
    assert list(firing([1, 2, 3, 7, 8, 20], 1)) == [(2, 3), (8, 8)]
    assert list(firing([1, 2, 3, 4, 9], 3)) == [(4, 4)]
    assert list(firing([5], 0)) == [(5, 5)] and list(firing([], 2)) == []


def test_recording_rules_come_after_those_that_they_read() -> None:
    """Only rules that an alert needs are recorded, level by level."""
    recorded = {"a:b:c": "metric", "d:e:f": "sum(a:b:c) + a:b:c", "x:y:z": "metric"}
    assert _levels(recorded, ["d:e:f > 1"]) == ((("a:b:c", "metric"),), (("d:e:f", "sum(a:b:c) + a:b:c"),))
    assert Rules((), ()).levels == ()


def test_quantiles_are_values_that_occurred() -> None:
    """The 95th percentile is the smallest value that 95 % do not exceed."""
    assert quantiles([]) is None
    assert quantiles([3.0, 1.0, 2.0]) == (2.0, 3.0)
    assert quantiles([float(at) for at in range(1, 101)]) == (50.0, 95.0)


def test_a_cell_counts_what_was_found_of_what_can_be() -> None:
    """Not findable ones count in recall only; too late is found, but not within the times of the bound."""
    found = (_found(22), _found(40), _found(None), _found(30, bound=None), _found(None, bound=None))
    (cell,) = scored(_outcomes(found=found)).cells
    assert (cell.drops, cell.findable, cell.lasting, cell.found) == (5, 3, 3, 3)
    assert (cell.found_lasting, cell.within) == (2, 1)
    assert cell.recall == 0.6 and cell.recall_lasting == pytest.approx(2 / 3)
    assert cell.minutes == (30.0, 40.0) and cell.times_bound == (1.1, 2.0)


def test_a_drop_that_ends_before_the_promised_time_does_not_count_against_it() -> None:
    """Half an hour and the horizon are 45 minutes: 1.3 × 34 fits, 1.3 × 35 does not."""
    (cell,) = scored(_outcomes(found=(_found(None, bound=34), _found(None, bound=35)))).cells
    assert (cell.findable, cell.lasting) == (2, 1)


def test_precision_is_of_one_drop_a_month() -> None:
    """With half of the drops found and one false page a month, a third of the pages are true."""
    (cell,) = scored(_outcomes(pages=2, found=(_found(20), _found(None)))).cells
    assert cell.precision == pytest.approx(0.5 / 1.5)


def test_the_best_fixed_threshold_is_chosen_with_hindsight() -> None:
    """Of those with at most one false page a month the one with the best recall; the others are not shown."""
    score = scored(_outcomes(found=(_found(20),)))
    assert score.chosen == {100.0: "fixed 60 min 0.50"}
    assert set(score.rivals) == {"adaptive band", "week over week", "z-score", "fixed threshold"}
    assert score.quiet[0].false_a_month("z-score") == 2.5 and score.quiet[0].false_a_month(OURS) == 0


@pytest.mark.parametrize(
    ("outcomes", "held"),
    [
        (_outcomes(found=(_found(20),)), [True, True, True, True]),
        (_outcomes(pages=3, found=(_found(20),)), [False, True, True, True]),
        (_outcomes(found=(_found(None),)), [True, False, False, True]),
        (_outcomes(found=(_found(27),)), [True, True, False, True]),
        (_outcomes(found=(_found(20),), outage_pages=1), [True, True, True, False]),
    ],
)
def test_a_promise_holds_or_does_not(outcomes: list[Outcome], held: list[bool]) -> None:
    """Each promise is judged by itself."""
    assert [target.held for target in targets(scored(outcomes))] == held


def test_what_is_told_is_the_same_for_people_and_programs() -> None:
    """Lines name every promise and cell; JSON is plain."""
    score = scored(_outcomes(found=(_found(20),)))
    assert len(as_lines(score)) == 4 + 1
    told = json.loads(json.dumps(as_json(score, ABOUT)))
    assert told["cells"][0]["found"] == 1 and told["outages"]["played"] == 9
    assert [each["held"] for each in told["targets"]] == [True] * 4


def test_the_page_has_a_place_for_every_part() -> None:
    """Each part stands between its markers, once; another fill replaces it; what people wrote stays."""
    found = parts(scored(_outcomes(found=(_found(20),))), ABOUT)
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- (\w+): written", page)) == set(found)
    once = filled(page, found)
    assert filled(once, found) == once
    assert once.startswith(page[: page.index("<!--")])
    with pytest.raises(PulseError, match="no place for the part 'other'"):
        filled(page, {"other": ""})


def test_the_plot_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    """No date and no random id stands in it: a plot changes only with its figures."""
    score = scored(_outcomes(found=(_found(20), _found(20, size=1.0))))
    files = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for file in files:
        draw(score, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"sessions a minute" in files[0].read_bytes()
