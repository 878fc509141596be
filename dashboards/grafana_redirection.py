"""Redirection: what each rule brought, whether its arms can be believed, and whether to stop one."""

from __future__ import annotations

from dashboards.grafana_panels import CONTRACT, COUNT, GREEN, RATIO, RED, Board, Kind, Panel, Query, Row
from dashboards.grafana_parts import MARKS, SHOPS, TRUST
from dashboards.grafana_queries import each
from dashboards.promql import Expr
from dashboards.uids import REDIRECTION

_MORE = f"{CONTRACT}#redirection"
_RULE = "{{rule}}"


def _lines(title: str, means: str, shown: Expr, unit: str) -> Panel:
    return Panel(
        kind=Kind.LINES,
        title=title,
        means=means,
        more=_MORE,
        unit=unit,
        queries=(Query(shown, _RULE),),
    )


_RULES = Panel(
    kind=Kind.TABLE,
    title="Rules now",
    means="The newest rules. What a redirection itself brought is told by the arm that was held out, from "
    "day 30 on; before against after may be the season. Where the arms are off believe no uplift; where it "
    "says stop, /api/v1/redirections/RULE says why.",
    more=_MORE,
    unit=COUNT,
    queries=(
        Query(each("redirection_pre_mau", "rule"), "Users a month before"),
        Query(each("redirection_post_mau", "rule"), "Users a month now"),
        Query(each("redirection_uplift_percent", "rule") / 100, "Rise", RATIO),
        Query(each("redirection_uplift_against_held_out_percent", "rule") / 100, "Against held out", RATIO),
        Query(each("redirection_uplift_against_held_out_low_percent", "rule") / 100, "At least", RATIO),
        Query(each("redirection_uplift_against_held_out_high_percent", "rule") / 100, "At most", RATIO),
        Query(each("redirection_sample_ratio_is_off", "rule"), "Arms off", "bool_yes_no"),
        Query(each("redirection_stop", "rule"), "Stop", "bool_yes_no"),
    ),
    columns={"rule": "Rule"},
    width=24,
)
_STOP = Panel(
    kind=Kind.LINES,
    title="Stop signal",
    means="1 where refunds, ratings or the creator's earnings of a rule's target are worse than in the "
    "thirty days before it began, beyond chance. Little evidence never stops a rule.",
    more=_MORE,
    unit=COUNT,
    queries=(Query(each("redirection_stop", "rule"), _RULE),),
    steps=(GREEN, (1, RED)),
    low=0,
    high=1,
)

BOARD = Board(
    uid=REDIRECTION,
    title="Shop Pulse: redirection",
    means="What each rule brought, whether its arms can be believed, and whether to stop one.",
    since="now-30d",
    variables=SHOPS,
    rows=(
        Row("Can I trust this?", TRUST),
        Row("Rules", (_RULES,)),
        Row(
            "Day by day",
            (
                _lines(
                    "Users a month of the target",
                    "Distinct users of the app that the rule leads to, over the last 30 days that were over. "
                    "An estimate (standard error 0.81 %); it moves once a day.",
                    each("redirection_post_mau", "rule"),
                    COUNT,
                ),
                _lines(
                    "Uplift against held out",
                    "Active per assigned user of the treated arm over the held-out one. Nothing before day "
                    "30, and nothing where nobody held out is active.",
                    each("redirection_uplift_against_held_out_percent", "rule") / 100,
                    RATIO,
                ),
                _STOP,
            ),
        ),
    ),
    marks=MARKS,
)
