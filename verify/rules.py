"""The numbers that the rules depend on, and their own small reader of the environment.

Before everything else in verify: all modules take a `Rules`. It reads the same SHOP_PULSE_* names as the
pipeline, apart from it, so that a pipeline that misreads a setting is found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verify import VerifyError

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
FUTURE_MS = 300_000
TAP_HOLDS_MS = DAY_MS
"""How long after a tap a purchase may be given to whom the tap names."""
DUE_MARGIN_DAYS = 30

TOPICS = (
    "views",
    "tag-taps",
    "carts",
    "purchases",
    "livestreams",
    "engagement",
    "catalogue",
    "redirects",
    "ads",
)
PURCHASES = "purchases"
DEAD_LETTERS = "dead-letters"
LATE = "late"

SIZE_MS: Mapping[str, int] = {"10s": 10 * SECOND_MS, "1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
FINEST_MS = SIZE_MS["10s"]
SKETCH_KEPT_MS: Mapping[str, int] = {"1m": 2 * HOUR_MS, "1h": 35 * DAY_MS, "1d": 400 * DAY_MS}
"""Sizes of pane for which distinct users are kept, and how long."""

PLATFORMS = frozenset({"tiktok", "douyin", "kuaishou", "wechat", "taobao", "instagram", "youtube", "other"})
FIGURE_SETS = ("all", "funnel-gmv")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a figure depends on besides the log. Times are milliseconds."""

    partitions: int = 4
    platforms: frozenset[str] = PLATFORMS
    figures: str = "all"
    traffic_lateness_ms: int = 300_000
    purchase_lateness_ms: int = 604_800_000
    retention_10s_ms: int = 3_600_000
    retention_1m_ms: int = 93_600_000
    retention_1h_ms: int = 3_024_000_000
    retention_1d_ms: int = 69_120_000_000
    order_horizon_days: int = 90
    unknown_order_wait_ms: int = 604_800_000
    commission_final_after_delivery_days: int = 15
    commission_final_after_purchase_days: int = 45
    scope_values_max: int = 20_000
    cohort_horizon_ms: int = 900_000
    on_time_days: int = 7

    @property
    def due_kept_ms(self) -> int:
        """How long after a pane it is kept by which hour its commission becomes final."""
        return (self._final_after_days + DUE_MARGIN_DAYS) * DAY_MS

    @property
    def all_final_ms(self) -> int:
        """How long after a pane all of its commission is called final without looking at each hour."""
        return (self._final_after_days + 1) * DAY_MS

    @property
    def _final_after_days(self) -> int:
        return self.commission_final_after_delivery_days + self.commission_final_after_purchase_days

    def lateness_ms(self, topic: str) -> int:
        """How far an event of this topic may lie behind the topic-partition's ingest time."""
        return self.purchase_lateness_ms if topic == PURCHASES else self.traffic_lateness_ms

    def retention_ms(self, size: str) -> int:
        """How long panes of this size are kept, in event time."""
        return {
            "10s": self.retention_10s_ms,
            "1m": self.retention_1m_ms,
            "1h": self.retention_1h_ms,
            "1d": self.retention_1d_ms,
        }[size]


def rules_from(environ: Mapping[str, str]) -> Rules:
    """Rules with the defaults of the contract, changed by SHOP_PULSE_* names of `environ`.

    Raises VerifyError when a number is not a whole number or the figure set is unknown.
    """
    default = Rules()
    figures = environ.get("SHOP_PULSE_FIGURES", default.figures)
    if figures not in FIGURE_SETS:
        raise VerifyError(
            f"SHOP_PULSE_FIGURES={figures!r} is not a figure set; use {' or '.join(FIGURE_SETS)}"
        )
    platforms = environ.get("SHOP_PULSE_PLATFORMS")
    listed = (
        frozenset(name.strip() for name in platforms.split(",") if name.strip()) if platforms else PLATFORMS
    )
    return Rules(
        partitions=_whole(environ, "partitions", default.partitions),
        platforms=listed,
        figures=figures,
        traffic_lateness_ms=_whole(environ, "traffic_lateness_ms", default.traffic_lateness_ms),
        purchase_lateness_ms=_whole(environ, "purchase_lateness_ms", default.purchase_lateness_ms),
        retention_10s_ms=_whole(environ, "retention_10s_ms", default.retention_10s_ms),
        retention_1m_ms=_whole(environ, "retention_1m_ms", default.retention_1m_ms),
        retention_1h_ms=_whole(environ, "retention_1h_ms", default.retention_1h_ms),
        retention_1d_ms=_whole(environ, "retention_1d_ms", default.retention_1d_ms),
        order_horizon_days=_whole(environ, "order_horizon_days", default.order_horizon_days),
        unknown_order_wait_ms=_whole(environ, "unknown_order_wait_ms", default.unknown_order_wait_ms),
        commission_final_after_delivery_days=_whole(
            environ, "commission_final_after_delivery_days", default.commission_final_after_delivery_days
        ),
        commission_final_after_purchase_days=_whole(
            environ, "commission_final_after_purchase_days", default.commission_final_after_purchase_days
        ),
        scope_values_max=_whole(environ, "scope_values_max", default.scope_values_max),
        cohort_horizon_ms=_whole(environ, "cohort_horizon_ms", default.cohort_horizon_ms),
        on_time_days=_whole(environ, "on_time_days", default.on_time_days),
    )


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    variable = f"SHOP_PULSE_{name.upper()}"
    text = environ.get(variable)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise VerifyError(f"{variable}={text!r} is not a whole number; correct or unset it")
    return int(text)
