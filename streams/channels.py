"""Virality channel by channel: which way of sharing brings new users.

It stands beside the read model, and asks it: the whole and each channel over the same whole minutes, those of
the sketches of users, so that a channel's part of the K-factor adds up with the others'.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.answer import QuestionError, Scope, is_named
from streams.ranking import Ranking
from streams.read_model import Answer, Question, ReadModel
from streams.scopes import ALL, CHANNEL, MINI_PROGRAM_CHANNEL, UNKNOWN, pair_value
from streams.window import NAMED_WINDOWS

CHANNELS_MAX = 20
WINDOWS = tuple(NAMED_WINDOWS)
_COPIED = ("scope", "from_ms", "to_ms", "as_of_ms", "completeness", "state", "capped", "virality")
_FIGURES = (
    *("shares", "opens", "new_users", "sharers", "new_users_per_sharer"),
    *("cycle_p50_seconds", "maturity"),
)


async def read_virality(model: ReadModel, ranking: Ranking, scope_text: str, window: str) -> Answer:
    """The virality of the whole shop or of a mini-program, and of its channels with most shares and opens.

    Raises QuestionError for another scope or window, WindowError for a range that is not kept.
    """
    if window not in WINDOWS:
        raise QuestionError(f"window is one of {' '.join(WINDOWS)} here")
    scope = model.check(Question(scope_text, window))
    if scope.kind not in (ALL.name, "mini_program") or CHANNEL.name not in model.kinds:
        raise QuestionError("channels are kept for scope=all and scope=mini_program:ID")
    users = await model.kpis(scope_text, window)
    from_ms, to_ms = users["users_from_ms"], users["users_to_ms"]
    assert isinstance(from_ms, int)
    assert isinstance(to_ms, int)
    # The panes of the users' range: of a day these are hours, of which a list of names is soon read.
    _, asked = await model.over(lambda _moment: (from_ms, to_ms))
    tally = await ranking.tally(CHANNEL.name, asked.panes)
    names = tally.order(CHANNELS_MAX)
    if scope.kind == ALL.name and UNKNOWN not in names:
        names.append(UNKNOWN)  # New users of no known channel: nothing was shared there.
    scopes = {name: _scope_of(scope, name) for name in names}
    # What a cap left over has one name for all pairs: no channel's part of it is known.
    scopes = {name: each for name, each in scopes.items() if is_named(each, model.kinds)}
    whole, *answers = await model.kpis_many(
        [Question(str(each), from_ms=from_ms, to_ms=to_ms) for each in (scope, *scopes.values())]
    )
    if isinstance(whole, Exception):
        raise whole
    told = {key: whole[key] for key in _COPIED}
    channels = [
        {"channel": name, **_figures(answer, whole)}
        for name, answer in zip(scopes, answers, strict=True)
        if not isinstance(answer, Exception)
    ]
    return {**told, "channels": channels}


def _scope_of(scope: Scope, channel: str) -> Scope:
    if scope.kind == ALL.name:
        return Scope(CHANNEL.name, channel)
    return Scope(MINI_PROGRAM_CHANNEL.name, pair_value(scope.value, channel))


def _figures(answer: Answer, whole: Answer) -> Mapping[str, object]:
    """What is known of a channel, and its part of the K-factor of the whole, null where it is not known."""
    virality, of_all = answer["virality"], whole["virality"]
    assert isinstance(virality, dict)
    assert isinstance(of_all, dict)
    active, new_users = of_all.get("active_users"), virality["new_users"]
    is_known = active and virality["shares"] and not answer["capped"] and not whole["capped"]
    return {
        **{name: virality[name] for name in _FIGURES if name in virality},
        "k_factor": new_users / active if is_known else None,
    }
