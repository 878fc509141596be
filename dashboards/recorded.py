"""What Prometheus works out from the gauges before any rule compares: bounds, low windows, trust.

It stands between `/metrics` and the alert rules and panels. The read service counts and knows what is usual;
the statistics are here, in rules that promtool tests, with the constants of `streams.cohorts`. Names are
`level:metric:operation`; every rule keeps `env` and `shop`, which the scrape configuration gives, and takes
the highest of what several read services tell alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.promql import TIME, Aggregation, Binary, Call, Expr, Metric, highest, total
from streams.cohorts import DROP_TO, REACHED_Z, STEPS, Z
from streams.gateways import (
    ATTEMPTS_MIN,
    FAILING_MORE,
    FAILING_TIMES,
    FAILING_Z,
    HOLDING_MORE,
    HOLDING_TIMES,
    UNKNOWN_RATIO,
)

SHOP = ("env", "shop")
SCOPE = (*SHOP, "scope_kind", "scope")
SCOPE_STEP = (*SCOPE, "step")
WINDOWED = (*SCOPE_STEP, "window")
GATEWAY = (*SHOP, "platform", "gateway")
GATEWAY_WINDOW = (*GATEWAY, "window")
PLATFORM = (*SHOP, "platform")

# Figures older than this are no ground for a business page.
CURRENT_S = 120
# How long everything has to be well again before business rules speak.
TRUSTED_FOR = "5m"
# Silence of these changes no figure that a business rule reads.
NOT_WATCHED_TOPICS = ("engagement", "redirects", "ads")
WATCHED = {"topic": f"!~{'|'.join(NOT_WATCHED_TOPICS)}"}

VIEW_STEPS = tuple(step.name for step in STEPS if step.whole == STEPS[0].whole)


# Currencies whose minor unit is not a hundredth, by decimals (ISO 4217).
HUNDREDTHS = 2
DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
    3: "BHD IQD JOD KWD LYD OMR TND".split(),
    4: "CLF UYW".split(),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording rule."""

    name: str
    expr: Expr

    @property
    def series(self) -> Metric:
        """What it records."""
        return Metric(self.name)


def gauge(name: str, **labels: str) -> Metric:
    """A gauge of the read service, by its name without the prefix."""
    return Metric(f"shop_pulse_{name}", labels)


def _bound(n: Expr, k: Expr, z: float) -> Expr:
    """Wilson's bound of k / n, as `streams.cohorts` has it, multiplied out; z < 0 gives the lower one."""
    spread = Call("sqrt", (k * (n - k) / n + z * z / 4,))
    middle = k + z * z / 2
    return (middle + spread * z) / (n + z * z)


def _windowed(name: str) -> Recorded:
    """A gauge of cohorts, told once."""
    return Recorded(
        f"scope_step_window:shop_pulse_cohort_{name}:max", highest(gauge(f"cohort_{name}"), *WINDOWED)
    )


def in_units(name: str) -> Expr:
    """A gauge of minor units, in units of its currency."""
    odd = "|".join(currency for currencies in DIGITS.values() for currency in currencies)
    amounts: Expr = gauge(name, currency=f"!~{odd}") / 10**HUNDREDTHS
    for digits, currencies in DIGITS.items():
        amounts = amounts.otherwise(gauge(name, currency=f"~{'|'.join(currencies)}") / 10**digits)
    return amounts


_REDIS = Aggregation("min", SHOP, gauge("redis_up"))
_AS_OF = highest(gauge("as_of_timestamp_seconds"), *SHOP)

AS_OF_AGE = Recorded("shop:shop_pulse_as_of:age_seconds", TIME - _AS_OF)
TRUSTED = Recorded(
    "shop_pulse:trusted",
    # Where a gauge is absent its factor is 0: what nobody tells of is not trusted.
    _REDIS
    * (TIME - _AS_OF).is_below(CURRENT_S).otherwise(_REDIS * 0)
    * highest(gauge("source_silent", **WATCHED), *SHOP).is_equal(0).otherwise(_REDIS * 0),
)
SIZE = _windowed("size")
REACHED = _windowed("reached")
USUAL_RATIO = _windowed("baseline_ratio")
USUAL_REACHED = _windowed("usual_reached")
RATIO = Recorded("scope_step_window:shop_pulse_cohort:ratio", REACHED.series / SIZE.series)
UPPER = Recorded("scope_step_window:shop_pulse_cohort:upper_bound", _bound(SIZE.series, REACHED.series, Z))
LOW = Recorded("scope_step_window:shop_pulse_cohort:low", UPPER.series.is_below(USUAL_RATIO.series * DROP_TO))
_OF_VIEWS = Metric(REACHED.name, {"step": f"~{'|'.join(VIEW_STEPS)}"})
DILUTED = Recorded(
    # Of steps from a view: as many as usual may have reached the step (the upper bound of a Poisson count),
    # so it is the views that are too many (bots).
    "scope_step_window:shop_pulse_cohort:diluted",
    (_OF_VIEWS + REACHED_Z**2 / 2 + Call("sqrt", (_OF_VIEWS + REACHED_Z**2 / 4,)) * REACHED_Z).is_at_least(
        USUAL_REACHED.series * DROP_TO
    ),
)
LOW_COUNT = Recorded("scope_step:shop_pulse_cohort_low:count", total(LOW.series, *SCOPE_STEP))
FELL_COUNT = Recorded(
    "scope_step:shop_pulse_cohort_fell:count",
    total(LOW.series.unless(DILUTED.series.equal(1), *WINDOWED), *SCOPE_STEP),
)
FIRST_LOW = Recorded(
    # The smallest cohort that is low is that of the shortest window: what the text of a page tells of.
    "scope_step_window:shop_pulse_cohort_low:first_size",
    Aggregation("bottomk", SCOPE_STEP, SIZE.series.where(LOW.series.equal(1), *WINDOWED), 1),
)

ATTEMPTS = Recorded(
    "gateway_window:shop_pulse_gateway_attempts:max",
    highest(gauge("gateway_attempts"), *GATEWAY_WINDOW).above(0),
)
FAILURES = Recorded(
    "gateway_window:shop_pulse_gateway_technical_failures:max",
    highest(gauge("gateway_technical_failures"), *GATEWAY_WINDOW),
)
USUAL_FAILURES = Recorded(
    "gateway_window:shop_pulse_gateway_baseline_ratio:max",
    highest(gauge("gateway_baseline_ratio"), *GATEWAY_WINDOW),
)
FAILURE_RATIO = Recorded(
    "gateway_window:shop_pulse_gateway_failures:ratio", FAILURES.series / ATTEMPTS.series
)
FAILURE_LOWER = Recorded(
    "gateway_window:shop_pulse_gateway_failures:lower_bound",
    _bound(ATTEMPTS.series, FAILURES.series, -FAILING_Z),
)
_COMPARED = USUAL_FAILURES.series.otherwise(ATTEMPTS.series * 0 + UNKNOWN_RATIO)
_ENOUGH = ATTEMPTS.series.at_least(ATTEMPTS_MIN)
HOLDS_FROM = Recorded(
    # Windows lie within each other: the fewest attempts that hold are those of the shortest window that does.
    "gateway:shop_pulse_gateway_holding:fewest_attempts",
    Aggregation(
        "min",
        GATEWAY,
        _ENOUGH.where(FAILURE_RATIO.series.below(_COMPARED * HOLDING_TIMES + HOLDING_MORE), *GATEWAY_WINDOW),
    ),
)
_ON_GATEWAY = f"on ({', '.join(GATEWAY)}) group_left ()"
_NO_SHORTER_HOLDS = Binary(ATTEMPTS.series, f"< bool {_ON_GATEWAY}", HOLDS_FROM.series)
WINDOW_FAILING = Recorded(
    # A window in which surely too much fails, and within which no shorter one holds: that would mean it is
    # over.
    "gateway_window:shop_pulse_gateway:failing",
    FAILURE_LOWER.series.is_above(_COMPARED * FAILING_TIMES)
    * FAILURE_LOWER.series.is_above(_COMPARED + FAILING_MORE)
    * ATTEMPTS.series.is_at_least(ATTEMPTS_MIN)
    * _NO_SHORTER_HOLDS.otherwise(ATTEMPTS.series * 0 + 1),
)
FAILING = Recorded("gateway:shop_pulse_gateway:failing", highest(WINDOW_FAILING.series, *GATEWAY))
FIRST_FAILING = Recorded(
    # The fewest attempts that show it are those of the shortest window: what the text of a page tells of.
    "gateway_window:shop_pulse_gateway_failing:first_attempts",
    Aggregation(
        "bottomk", GATEWAY, ATTEMPTS.series.where(WINDOW_FAILING.series.equal(1), *GATEWAY_WINDOW), 1
    ),
)
_NEWEST = Aggregation("min", GATEWAY, _ENOUGH)
HOLDING = Recorded(
    # Of the newest attempts, as soon as they are enough; absent where they never are: then nothing is known.
    "gateway:shop_pulse_gateway:holding",
    _NEWEST.is_equal(HOLDS_FROM.series).otherwise(_NEWEST * 0),
)

MONEY = (*SCOPE, "currency")
LOST_MONEY = Recorded(
    "scope_step_currency:shop_pulse_drop_lost_per_minute:units",
    highest(in_units("drop_lost_minor_per_minute"), *SCOPE_STEP, "currency"),
)
GMV_NOW = Recorded(
    "scope_currency:shop_pulse_gmv_last_hour:units", highest(in_units("gmv_last_hour_minor"), *MONEY)
)
GMV_USUAL = Recorded(
    "scope_currency:shop_pulse_gmv_baseline:units", highest(in_units("gmv_baseline_minor"), *MONEY)
)
GMV_RATIO = Recorded(
    "scope_currency:shop_pulse_gmv:ratio_of_baseline", GMV_NOW.series / GMV_USUAL.series.above(0)
)
LAG = Recorded(
    "shop:shop_pulse_lag_records:sum",
    total(highest(gauge("lag_records"), *SHOP, "topic", "partition"), *SHOP),
)
TOPIC_VERDICTS = Recorded(
    "shop_topic_verdict:shop_pulse_records_last_hour:sum",
    total(
        highest(gauge("records_last_hour"), *SHOP, "topic", "verdict", "reason"), *SHOP, "topic", "verdict"
    ),
)
VERDICTS = Recorded(
    "shop_verdict:shop_pulse_records_last_hour:sum", total(TOPIC_VERDICTS.series, *SHOP, "verdict")
)

# In this order: a rule reads what those before it recorded at the same time.
RECORDED = (
    AS_OF_AGE,
    TRUSTED,
    SIZE,
    REACHED,
    USUAL_RATIO,
    USUAL_REACHED,
    RATIO,
    UPPER,
    LOW,
    DILUTED,
    LOW_COUNT,
    FELL_COUNT,
    FIRST_LOW,
    ATTEMPTS,
    FAILURES,
    USUAL_FAILURES,
    FAILURE_RATIO,
    FAILURE_LOWER,
    HOLDS_FROM,
    WINDOW_FAILING,
    FAILING,
    FIRST_FAILING,
    HOLDING,
    LOST_MONEY,
    GMV_NOW,
    GMV_USUAL,
    GMV_RATIO,
    LAG,
    TOPIC_VERDICTS,
    VERDICTS,
)


def trusted_only(expr: Expr) -> Expr:
    """The guard of every business rule: only while figures have been current and whole for a while."""
    return expr.where(TRUSTED.series.over("min_over_time", TRUSTED_FOR).equal(1), *SHOP)
