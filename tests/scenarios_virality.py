"""Scenarios: shares, who comes by them, and by which channel."""

from __future__ import annotations

from typing import Any

from tests.scenario_kit import DAY, MINUTE, NOON, SECOND, Scenario, Sent, cell, event, pair

CHANNEL = ("channel", "mini_program,channel")


def _sent(kind: str, event_id: str, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    value = event(kind, event_id, at, **{"share_id": "h1"} | more)
    return Sent(topic="engagement", value=value, at=ts or at)


def _share(event_id: str, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    return _sent("share", event_id, at, ts=ts, **more)


def _open(event_id: str, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    return _sent("share_open", event_id, at, ts=ts, **more)


def _convert(event_id: str, at: int, *, ts: int | None = None, **more: Any) -> Sent:
    return _sent("share_convert", event_id, at, ts=ts, **more)


VIRALITY = (
    Scenario(
        name="new_users_by_channel",
        fact="A new user comes through the channel of the own open of that share, else an unknown one.",
        records=(
            _share("e1", NOON, channel="chat", mini_program_id="m1"),
            _open("e2", NOON, user_id="u2", channel="chat", mini_program_id="m1"),
            _open("e3", NOON + SECOND, user_id="u3", channel="link"),
            # Neither another share nor another user says how one came; a convert itself says no channel.
            _open("e4", NOON, user_id="u2", share_id="h2", channel="story"),
            _convert("e5", NOON + MINUTE, user_id="u2", mini_program_id="m1", channel="x"),
            _convert("e6", NOON + MINUTE, user_id="u4"),
        ),
        kinds=("all", "mini_program", *CHANNEL),
        measures=("new_users", "events."),
        cells=dict(
            [
                cell("events.share", 1),
                cell("events.share_open", 3),
                cell("events.share_convert", 2),
                cell("new_users", 2),
                cell("events.share", 1, "mini_program:m1"),
                cell("events.share_open", 1, "mini_program:m1"),
                cell("events.share_convert", 1, "mini_program:m1"),
                cell("new_users", 1, "mini_program:m1"),
                cell("events.share", 1, "channel:chat"),
                cell("events.share_open", 1, "channel:chat"),
                cell("new_users", 1, "channel:chat"),
                cell("events.share_open", 1, "channel:link"),
                cell("events.share_open", 1, "channel:story"),
                cell("new_users", 1, "channel:unknown"),
                cell("events.share", 1, pair("mini_program,channel", "m1", "chat")),
                cell("events.share_open", 1, pair("mini_program,channel", "m1", "chat")),
                cell("new_users", 1, pair("mini_program,channel", "m1", "chat")),
            ]
        ),
        users=dict(
            [
                cell("share", 1),
                cell("share", 1, "mini_program:m1"),
                cell("share", 1, "channel:chat"),
            ]
        ),
    ),
    Scenario(
        name="an_open_that_comes_late",
        fact="The earliest open with a channel holds, also one sent late; none that happened after it.",
        records=(
            _convert("e1", NOON, ts=NOON + MINUTE),
            _open("e2", NOON + 1, ts=NOON + MINUTE, channel="link"),
            _open("e3", NOON - 1, ts=NOON + MINUTE, channel="story"),
            _open("e4", NOON - MINUTE, ts=NOON + MINUTE, channel="chat"),
            _open("e5", NOON - 2 * MINUTE, ts=NOON + MINUTE),
        ),
        kinds=("channel",),
        measures=("new_users",),
        cells=dict([cell("new_users", 1, "channel:chat")]),
    ),
    Scenario(
        name="a_share_of_last_week",
        fact="After seven days a share is seen anew: who was led then is not asked any more.",
        records=(
            _open("e1", NOON, channel="chat"),
            _convert("e2", NOON + 7 * DAY),
            _convert("e3", NOON + 8 * DAY),
        ),
        kinds=("channel",),
        measures=("new_users",),
        cells=dict(
            [
                cell("new_users", 1, "channel:chat", start=NOON - NOON % DAY + 7 * DAY),
                cell("new_users", 1, "channel:unknown", start=NOON - NOON % DAY + 8 * DAY),
            ]
        ),
    ),
    Scenario(
        name="eight_new_users_a_share_and_user",
        fact="Of one user and share the first eight converts take a channel, however late the open comes.",
        records=(
            *(_convert(f"e{n}", NOON) for n in range(10)),
            _open("o1", NOON, channel="chat"),
        ),
        kinds=("channel",),
        measures=("new_users",),
        cells=dict([cell("new_users", 8, "channel:chat"), cell("new_users", 2, "channel:unknown")]),
    ),
    Scenario(
        name="channels_have_a_cap",
        fact="A new user is `other` where the open was, and counts as moved in its own panes, too.",
        records=(
            _open("e1", NOON, channel="chat"),
            _open("e2", NOON, channel="link", share_id="h2"),
            _convert("e3", NOON + MINUTE, share_id="h2"),
            _convert("e4", NOON + MINUTE),
        ),
        kinds=("channel",),
        sizes=("1m",),
        measures=("new_users", "capped"),
        cells=dict(
            [
                cell("capped", 1, "channel:engagement", "1m", NOON),
                cell("new_users", 1, "channel:other", "1m", NOON + MINUTE),
                cell("capped", 1, "channel:engagement", "1m", NOON + MINUTE),
                cell("new_users", 1, "channel:chat", "1m", NOON + MINUTE),
            ]
        ),
        settings={"scope_values_max": 1},
    ),
    Scenario(
        name="the_cycle_of_a_new_user",
        fact="From the convert to the user's next share in the log, once, where and when that share is.",
        records=(
            _share("e1", NOON, channel="chat"),
            _convert("e2", NOON),
            # Sent before, though later in the log.
            _share("e3", NOON - 1, ts=NOON),
            _convert("e4", NOON + MINUTE, share_id="h2"),
            _share("e5", NOON + 2 * MINUTE, channel="link"),
            _share("e6", NOON + 3 * MINUTE),
            # After a week one is new again; what comes later than a week after that is no first share of it.
            _convert("e7", NOON + 8 * DAY),
            _share("e8", NOON + 15 * DAY + 1),
        ),
        kinds=("all", "channel"),
        sizes=("1m",),
        measures=("cycles.",),
        cells=dict(
            [
                cell("cycles.120", 1, "all", "1m", NOON + 2 * MINUTE),
                cell("cycles.120", 1, "channel:link", "1m", NOON + 2 * MINUTE),
            ]
        ),
        settings={"retention_1m_ms": 40 * DAY},
    ),
)
