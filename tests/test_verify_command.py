"""verify.command and verify.log: where addresses come from, what is printed, whose a dead letter is."""

from __future__ import annotations

from pathlib import Path

import pytest

from verify import VerifyError
from verify.command import Addresses, Run, read_up, summary, take_answers, text
from verify.compare import Difference, Report
from verify.log import output_id
from verify.model import PartitionExpected
from verify.rules import Rules

NOWHERE = Addresses(kafka="", redis="", api="", token="", topic_prefix="shop.", redis_prefix="sp")
HEADERS = [
    ("topic", b"views"),
    ("partition", b"3"),
    ("offset", b"17"),
    ("reason", b"not_json"),
]


def test_up_json(tmp_path: Path) -> None:
    """Addresses are those of the running pulse; without one there are none."""
    assert read_up(tmp_path) == {}
    (tmp_path / "up.json").write_text('{"kafka": "127.0.0.1:1", "pids": {"kafka": 1}}')
    assert read_up(tmp_path)["kafka"] == "127.0.0.1:1"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_broken_up_json(tmp_path: Path, content: str) -> None:
    """A file that is no JSON object is one line that says what to do."""
    (tmp_path / "up.json").write_text(content)
    with pytest.raises(VerifyError, match="name the addresses with --kafka --redis"):
        read_up(tmp_path)


def test_first_differences_are_printed() -> None:
    """Text shows 20 differences, how many more there are, and the sum."""
    run = Run(NOWHERE, Rules())
    run.report.compared = 100
    run.report.differences = [Difference("orders:USD", f"p={n} all 1d:0", "1", "2") for n in range(25)]
    lines = text(run).splitlines()
    assert lines[0] == "orders:USD at p=0 all 1d:0: expected 1, found 2"
    assert lines[20] == "… and 5 more"
    assert lines[-1] == "compared 100 figures: 25 mismatches, 0 panes not compared"


def test_summary_adds_partitions() -> None:
    """Amounts per currency and verdicts are added over the partitions."""
    run = Run(NOWHERE, Rules())
    run.parts = [
        PartitionExpected(
            partition=0, records=2, orders=1, gmv_paid_minor={"USD": 5}, verdicts={"accepted": 2}
        ),
        PartitionExpected(partition=1, records=3, orders=2, gmv_paid_minor={"USD": 7, "EUR": 1}),
    ]
    figures = summary(run)
    assert (figures["records"], figures["orders"]) == (5, 3)
    assert figures["gmv_paid_minor"] == {"EUR": 1, "USD": 12}
    assert figures["verdicts"] == {"accepted": 2}


@pytest.mark.parametrize("moved", [True, False])
def test_answers_while_the_worker_goes_on(*, moved: bool) -> None:
    """What differs may be newer than the log that was read: it is named, and neither right nor wrong; what
    agrees is compared all the same."""
    run, wrong = Run(NOWHERE, Rules()), [Difference("orders", f"api live:L{n}", "1", "2") for n in range(9)]
    take_answers(run, Report(compared=50, differences=list(wrong)), moved=moved)
    if moved:
        assert (run.report.compared, run.report.differences) == (41, [])
        [note] = run.notes
        assert note.startswith("9 figures of answers could not be compared (api live:L0, ")
        assert "L4, …)" in note
    else:
        assert (run.report.compared, run.report.differences, run.notes) == (50, wrong, [])


def test_id_of_a_dead_letter() -> None:
    """Headers name the record; the topic may stand there with or without prefix."""
    assert output_id([*HEADERS, ("traceparent", b"\xff")], "shop.") == ("views", 3, 17, "not_json")
    assert output_id([("topic", b"shop.views"), *HEADERS[1:]], "shop.")[0] == "views"


@pytest.mark.parametrize("missing", range(4))
def test_dead_letter_without_header(missing: int) -> None:
    """A row that does not say whose it is can't be compared."""
    with pytest.raises(VerifyError, match="lacks a readable header"):
        output_id(HEADERS[:missing] + HEADERS[missing + 1 :], "shop.")
