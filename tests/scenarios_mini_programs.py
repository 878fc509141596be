"""Scenarios: how mini-programs are opened, and who comes back to them."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import DAY, MINUTE, MONDAY, NOON, Scenario, Sent, Sum, cell, event


def _open(event_id: str, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    own = {"mini_program_id": "m1", "entry": "explore"} | more
    return Sent(topic="views", value=event("mini_program_open", event_id, at, **own), at=ts or at)


def _cohort(day: int, opened: int, next_day: int = 0, day_7: int = 0, program: str = "m1") -> list[Sum]:
    """One day's cohort of one mini-program."""
    amounts = (("opened", opened), ("next_day", next_day), ("day_7", day_7))
    return [
        cell(f"returns.{name}", amount, f"mini_program:{program}", start=MONDAY + day * DAY)
        for name, amount in amounts
        if amount
    ]


MIDNIGHT = MONDAY + DAY

MINI_PROGRAMS = (
    Scenario(
        name="opens_by_entry_and_code",
        fact="An open counts under its entry in every scope, and by its code if it names one.",
        records=(
            _open("e1", NOON),
            _open("e2", NOON, entry="qr_code", qr_id="q1"),
            _open("e3", NOON, entry="qr_code", qr_id="q1", mini_program_id="m2"),
            _open("e4", NOON, entry="qr_code", qr_id="q2", traffic="test"),
            # Another type may say what it likes: it has no code.
            Sent(topic="views", value=event("view", "e5", NOON, qr_id="q1"), at=NOON),
        ),
        kinds=("mini_program", "qr"),
        measures=("entries.", "events."),
        cells=dict(
            [
                cell("events.mini_program_open", 2, "mini_program:m1"),
                cell("entries.explore", 1, "mini_program:m1"),
                cell("entries.qr_code", 1, "mini_program:m1"),
                cell("events.mini_program_open", 1, "mini_program:m2"),
                cell("entries.qr_code", 1, "mini_program:m2"),
                cell("events.mini_program_open", 2, "qr:q1"),
            ]
        ),
    ),
    Scenario(
        name="codes_have_a_cap",
        fact="Beyond the cap codes are counted under `other`, in the order in which they come first.",
        records=tuple(
            _open(f"e{n}", NOON, entry="qr_code", qr_id=code)
            for n, code in enumerate(("q1", "q2", "q1", "q3"))
        ),
        kinds=("qr",),
        measures=("events.", "capped"),
        cells=dict(
            [
                cell("events.mini_program_open", 2, "qr:q1"),
                cell("events.mini_program_open", 2, "qr:other"),
                cell("capped", 2, "qr:views"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
    Scenario(
        name="returns_on_the_next_and_the_seventh_day",
        fact="A day's users count once each; coming back on day 1 and 7 is counted on the day of the cohort.",
        records=(
            _open("e1", NOON),
            _open("e2", NOON + MINUTE),
            _open("e3", NOON, user_id="u2"),
            _open("e4", NOON + DAY),
            _open("e5", NOON + DAY, user_id="u2", mini_program_id="m2"),
            _open("e6", NOON + 7 * DAY, user_id="u2"),
            _open("e7", NOON + 8 * DAY),
        ),
        kinds=("mini_program",),
        sizes=("10s", "1m", "1h", "1d"),
        measures=("returns.",),
        cells=dict(
            [
                *_cohort(0, 2, next_day=1, day_7=1),
                *_cohort(1, 1, day_7=1),
                *_cohort(1, 1, program="m2"),
                *_cohort(7, 1),
                *_cohort(8, 1),
            ]
        ),
    ),
    Scenario(
        name="a_late_open_is_of_its_own_day",
        fact="An open that comes after one of the next day belongs to the day before: its user came back.",
        records=(
            _open("e1", MIDNIGHT + MINUTE),
            _open("e2", MIDNIGHT - MINUTE, ts=MIDNIGHT + MINUTE),
            _open("e3", MIDNIGHT - MINUTE, ts=MIDNIGHT + MINUTE, user_id="u2"),
        ),
        kinds=("all",),
        measures=("returns.",),
        cells=dict(
            [
                cell("returns.opened", 2),
                cell("returns.next_day", 1),
                cell("returns.opened", 1, start=MIDNIGHT),
            ]
        ),
    ),
    Scenario(
        name="returns_to_capped_programs",
        fact="A cohort stands where its day counts the mini-program, whatever the day of the return does.",
        records=(
            _open("e1", NOON),
            _open("e2", NOON, mini_program_id="m2"),
            _open("e3", NOON + DAY, mini_program_id="m2"),
            _open("e4", NOON + DAY),
        ),
        kinds=("mini_program",),
        measures=("returns.",),
        cells=dict(
            [
                *_cohort(0, 1, next_day=1),
                *_cohort(0, 1, next_day=1, program="other"),
                *_cohort(1, 1, program="m2"),
                *_cohort(1, 1, program="other"),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
)
