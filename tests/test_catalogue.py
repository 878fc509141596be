"""The catalogue agrees with itself, with the event types and with the contract's answer."""

from __future__ import annotations

import dataclasses

import pytest

from schemas.codec import Reason
from schemas.events import EVENT_TYPES, SourceHeartbeat, event_type
from streams import catalogue, figures, kpis, scopes
from streams.kpi import Level, measures_of

# CONTRACT §4, the example answer.
REASONS = (scopes.PAYMENT_REASON, scopes.REFUND_REASON)
CONTRACT_PATHS = {
    *(
        f"events.{step}"
        for step in ("view", "product_impression", "tag_tap", "add_to_cart", "begin_checkout")
    ),
    "events.purchase",
    "orders",
    "items",
    *(f"money.*.{name}_minor" for name in ("gmv_paid", "buyer_paid", "refunds", "refunds_of_purchases")),
    *(f"money.*.{name}_minor" for name in ("gmv_net", "commission", "aov", "gmv_per_1000_view_events")),
    "ratios.tag_taps_per_view_events",
    *(
        f"payments.{name}"
        for name in ("attempts", "authorised", "declined", "errors", "pending", "success_rate")
    ),
}


def test_every_figure_of_the_contract_is_declared() -> None:
    """The answer's keys of CONTRACT §4 that this release keeps all come from the catalogue."""
    assert {kpi.path for kpi in kpis.KPIS} >= CONTRACT_PATHS
    wanted = ["accepted", "duplicates", "late", "dead_letters", "excluded", "sessions_expired"]
    wanted.append("misplaced")
    assert [kpi.path for kpi in kpis.QUALITY] == [f"quality.{name}" for name in wanted]


def test_every_event_type_but_the_heartbeat_is_counted() -> None:
    """No event type is forgotten: each has a count, and each count its place among events_by_type."""
    names = {event_type(cls) for cls in EVENT_TYPES if cls is not SourceHeartbeat}
    assert {measure.name for measure in catalogue.EVENT_COUNTS.values()} == {
        f"events.{name}" for name in names
    }
    by_type = {kpi.path for kpi in kpis.KPIS if kpi.path.startswith("events_by_type.")}
    assert by_type == {f"events_by_type.{name}" for name in names}


def test_every_reason_of_rejection_is_counted() -> None:
    """Each reason of the closed list has its counter; `late` has one of its own."""
    assert set(catalogue.DEAD_LETTERS) == set(Reason) - {Reason.LATE}


def test_no_stored_name_contains_a_separator() -> None:
    """Fields are ``measure|value`` and amounts ``measure:CUR``: neither sign may be part of a name."""
    assert [m.name for m in figures.MEASURES if {"|", ":", " "} & set(m.name)] == []
    kinds = (
        *scopes.SCOPES.values(),
        scopes.PIPELINE,
        scopes.PRODUCT_SKU,
        *REASONS,
        scopes.ROOM,
        scopes.RULE_ARM,
    )
    for kind in kinds:
        parts = kind.name.split(",")
        assert all(part.replace("_", "").isalpha() for part in parts)
        # A comma joins the two names of a pair, and stands nowhere else.
        assert len(parts) == 1 or len(parts) == len(kind.fields) == 2


@pytest.mark.parametrize(
    "pair", [("", ""), ("a", "b"), ("1:", "2:"), ("L1,product:p", "q|r"), ("é\u200d", "x")]
)
def test_a_pair_comes_back_as_it_was_stored(pair: tuple[str, str]) -> None:
    """Ids may hold any sign: the stored length keeps two of them apart."""
    assert scopes.split_pair(scopes.pair_value(*pair)) == pair


def test_what_is_no_pair_is_refused() -> None:
    """A stored value that `pair_value` did not make raises, it never becomes another pair."""
    for text in ("9:ab", "ab", ":ab", "0", "-1:ab", "+1:ab", "01:ab", " 1:ab", "1_0:abcdefghij", "\u0661:ab"):
        with pytest.raises(ValueError, match=r"pair|invalid literal"):
            scopes.split_pair(text)


def test_each_kpi_is_explained() -> None:
    """Every figure has a sentence, a unit of the closed list and a source: the reference shows them."""
    for kpi in (*kpis.KPIS, *kpis.QUALITY):
        assert kpi.help.endswith("."), kpi.path
        assert kpi.source, kpi.path
        assert kpi.unit in {"count", "minor", "seconds", "ratio"}, kpi.path
        assert kpi.path.endswith("_minor") is (kpi.unit == "minor"), kpi.path
        assert kpi.kinds, kpi.path


def test_every_measure_is_read_or_written_for_a_kind_that_exists() -> None:
    """No measure is kept for a kind of scope that no reader can name, and each business measure is shown."""
    inner = (scopes.PIPELINE, scopes.PRODUCT_SKU, scopes.PLATFORM_CREATOR, scopes.RULE_ARM, *REASONS)
    known = {*scopes.SCOPES, *(kind.name for kind in inner)}
    assert [m.name for m in figures.MEASURES if not m.kinds <= known] == []
    shown = {m.name for kpi in kpis.KPIS for m in measures_of(kpi.formula)}
    business = {m.name for m in figures.MEASURES if scopes.PIPELINE.name not in m.kinds}
    # `capped` is the answer's own key. Prompt steps are for alerts; reasons have an address of their own.
    prompt = {measure.name for measure in catalogue.PROMPT_STEPS}
    by_reason = {m.name for m in figures.MEASURES if m.kinds & {kind.name for kind in REASONS}}
    # Assignments are told by `/api/v1/redirections`, lives begun by `/api/v1/creators`.
    told_elsewhere = {"assigned", "contradicted", "live_starts"}
    assert business - shown == {"capped", *prompt, *by_reason, *told_elsewhere}


def test_payments_belong_to_order_level_scopes_only() -> None:
    """A payment is of a whole order: no line-level scope shows payments."""
    line_level = {kind.name for kind in scopes.LINE_SCOPES}
    assert {kind.level for kind in scopes.LINE_SCOPES} == {Level.LINE}
    for kpi in kpis.KPIS:
        if kpi.path.startswith("payments."):
            assert not kpi.kinds & line_level


def test_the_bench_set_is_part_of_the_whole_set() -> None:
    """`funnel-gmv` keeps nothing that `all` does not, and the pipeline's own counts in both."""
    everything, bench = kpis.FIGURE_SETS["all"], kpis.FIGURE_SETS["funnel-gmv"]
    assert bench.measures < everything.measures
    assert bench.sizes < everything.sizes
    assert set(bench.kinds) < set(everything.kinds)
    assert scopes.PIPELINE in bench.kinds


def test_a_figure_declared_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second declaration of a path fails at import, not in an answer."""
    monkeypatch.setattr(kpis, "KPIS", (*kpis.KPIS, kpis.KPIS[0]))
    with pytest.raises(ValueError, match=r"declared twice: \['events.view'\]"):
        kpis.check()


def test_a_figure_over_an_unlisted_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KPI that reads what no worker keeps fails at import."""
    ghost = dataclasses.replace(catalogue.ITEMS, name="ghosts")
    kpi = dataclasses.replace(kpis.KPIS[0], path="ghosts", formula=ghost)
    monkeypatch.setattr(kpis, "KPIS", (*kpis.KPIS, kpi))
    with pytest.raises(ValueError, match=r"ghosts reads measures that are not listed"):
        kpis.check()


def test_money_outside_money_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure per currency stands under money.*: elsewhere currencies would overwrite each other."""
    kpi = dataclasses.replace(kpis.KPIS[0], path="gmv", formula=catalogue.GMV_PAID)
    monkeypatch.setattr(kpis, "KPIS", (*kpis.KPIS, kpi))
    with pytest.raises(ValueError, match="stand under money"):
        kpis.check()


def test_events_names_its_types() -> None:
    """A sum of event counts over a type that does not exist is a KeyError, not an empty sum."""
    with pytest.raises(KeyError):
        catalogue.events("veiw")
