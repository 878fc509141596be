"""One redirection rule whole: users of its target before and after, its arms, and whether to stop it.

It stands between the records and counts of a rule in the store and `/api/v1/redirections`. Everything is told
over whole UTC days that are over by the watermark, with the days themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec.msgpack import Decoder

from schemas.events import Active
from streams.answer import capped_cells
from streams.answer_body import USERS_STANDARD_ERROR
from streams.catalogue import EVENT_COUNTS
from streams.details import DetailsPlan, listing
from streams.figures.apps import ACTIVE_STEP, ASSIGNED, CONTRADICTED, MONTH_DAYS
from streams.read_model import ReadModel
from streams.reading import Moment, View, complete_up_to_ms
from streams.redirects import ALL_RULES, ASSIGNED_DAYS, SAID, RuleNames, RuleRecord
from streams.requests import CellsRequest, RecordRequest, Request, SketchRequest, cells, distinct, packed
from streams.scopes import APP, APP_RULE_ARM, RULE_ARM, app_arm_value, pair_value
from streams.stops import Stops
from streams.uplift import SAMPLE_RATIO_P_MIN, Arm, against_held_out, rise_percent, sample_ratio_p
from streams.users_range import UsersRange, complete_days
from streams.window import DAY_MS, Pane

ARMS = ("treated", "held_out")
_ACTIVITY = EVENT_COUNTS[Active].name
_TOPICS = ("redirects", "purchases", "engagement")
_PRODUCTS = ("from_product_id", "to_product_id")
_NAMES = RecordRequest("rulenames", (ALL_RULES,))
_RULE, _RULE_NAMES = Decoder(RuleRecord), Decoder(RuleNames)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as its redirects tell of it, over all partition numbers.

    Attributes:
        rule_id: of it.
        first_ms: event time of the first redirect.
        said: by field of `redirects.SAID`, what the earliest redirect that has it says.
    """

    rule_id: str
    first_ms: int
    said: dict[str, str]

    @property
    def first_day_ms(self) -> int:
        """Start of the UTC day of the first redirect, which is neither before nor after."""
        return self.first_ms - self.first_ms % DAY_MS


def merged(rule_id: str, records: Iterable[RuleRecord]) -> Rule | None:
    """A rule from what each partition number knows; None where none does."""
    known = list(records)
    if not known:
        return None
    said: dict[str, str] = {}
    for name in SAID:
        # Of two at one time and offset, that of the lower partition number.
        words = [record.said[name] for record in known if name in record.said]
        if words:
            said[name] = min(words, key=lambda word: word[:2])[2]
    return Rule(rule_id, min(record.first_ms for record in known), said)


async def read_names(model: ReadModel) -> list[str]:
    """The rules that are known, sorted. Raises StoreUnavailableError."""
    view, _ = await model.view(lambda _moment: _Asked((_NAMES,)))
    names = set[str]()
    for record in view.records(_NAMES, ALL_RULES):
        names.update(_RULE_NAMES.decode(packed(record)).rules)
    return sorted(names)


async def read_rule(model: ReadModel, rule_id: str) -> dict[str, object] | None:
    """The answer about a rule; None where no redirect told of it. Raises StoreUnavailableError."""
    answers = await _answers(model, [rule_id], 1)
    return answers[0] if answers else None


async def read_newest(model: ReadModel, limit: int) -> list[dict[str, object]]:
    """The answers about the rules that began last. Raises StoreUnavailableError."""
    return await _answers(model, await read_names(model), limit)


async def _answers(model: ReadModel, rule_ids: Sequence[str], limit: int) -> list[dict[str, object]]:
    """About those of the rules that are known and began last."""
    if not rule_ids:
        return []  # An empty list of fields would mean all of them.
    wanted = RecordRequest("rules", tuple(rule_ids))
    view, _ = await model.view(lambda _moment: _Asked((wanted,)))
    known = (merged(of, (_RULE.decode(packed(each)) for each in view.records(wanted, of))) for of in rule_ids)
    rules = sorted((rule for rule in known if rule is not None), key=lambda rule: -rule.first_ms)
    as_of_ms = complete_up_to_ms(view.metas, _TOPICS)
    answers: list[dict[str, object]] = []
    for rule in rules[:limit]:
        view, sheet = await model.view(partial(RuleSheet, model, rule, as_of_ms))
        answers.append(sheet.answer(view))
    return answers


@dataclass(frozen=True, slots=True)
class _Asked:
    requests: Sequence[Request]


@dataclass(slots=True)
class RuleSheet:
    """What is read of a rule at a moment, and the answer made of it."""

    model: ReadModel
    rule: Rule
    as_of_ms: int | None
    moment: Moment
    pre: UsersRange | None = None
    post: UsersRange | None = None
    requests: list[Request] = field(default_factory=list)
    # Of `requests`, those of the target's users, pre and post, and of the arms' active users, in order.
    _users: list[SketchRequest | None] = field(default_factory=list)
    _arms: SketchRequest | None = None
    _assigned: CellsRequest | None = None
    _days: list[CellsRequest] = field(default_factory=list)
    _caps: CellsRequest | None = None
    _stops: Stops | None = None
    _products: DetailsPlan = field(default_factory=DetailsPlan)

    def __post_init__(self) -> None:
        newest_ms = max(self.moment.now_ms, self.moment.high_ms)
        self.pre = complete_days(MONTH_DAYS, self.rule.first_day_ms, newest_ms)
        if self.as_of_ms is not None:
            self.post = complete_days(MONTH_DAYS, self.as_of_ms, newest_ms)
        app = self.rule.said.get("to_app")
        if app is not None:
            self._ask_users(app)
        if self.post is not None:
            self._ask_assigned(self.post.to_ms)
        end_ms = None if self.post is None else self.post.to_ms
        self._stops = Stops(self.model, self.rule, end_ms, self.moment)
        self.requests += self._stops.requests
        products = [self.rule.said[name] for name in _PRODUCTS if name in self.rule.said]
        self._products = DetailsPlan(products=tuple(dict.fromkeys(products)))
        self.requests += self._products.requests

    def _day_panes(self, from_ms: int, to_ms: int) -> list[Pane]:
        size = self.model.sizes[-1]
        return [Pane(size, start_ms) for start_ms in range(size.start_of(from_ms), to_ms, size.size_ms)]

    def _ask_users(self, app: str) -> None:
        spans = [self.pre, self.post]
        self._users = [
            None if span is None else distinct([ACTIVE_STEP], APP.name, app, span.panes) for span in spans
        ]
        self.requests += [request for request in self._users if request is not None]
        panes = [
            pane for span in spans if span is not None for pane in self._day_panes(span.from_ms, span.to_ms)
        ]
        if panes and (capped := capped_cells(APP.name, self.model.figures)):
            self._caps = cells(APP.name, panes, capped)
            self.requests.append(self._caps)
        if self.pre is not None:
            days = self._day_panes(self.pre.from_ms, self.pre.to_ms)
            self._days = [cells(APP.name, [pane], [f"{_ACTIVITY}|{app}"]) for pane in days]
            self.requests += self._days
        if self.post is not None:
            values = [app_arm_value(app, self.rule.rule_id, arm) for arm in ARMS]
            unions = [distinct([ACTIVE_STEP], APP_RULE_ARM, of, self.post.panes).unions[0] for of in values]
            self._arms = SketchRequest(tuple(unions))
            self.requests.append(self._arms)

    def _ask_assigned(self, to_ms: int) -> None:
        """Those whose assignment held at some time of *post*, as it does of everybody who is active there."""
        from_ms = max(self.rule.first_day_ms, to_ms - (MONTH_DAYS + ASSIGNED_DAYS) * DAY_MS)
        panes = self._day_panes(from_ms, to_ms)
        if panes:
            fields = [
                f"{measure.name}|{pair_value(self.rule.rule_id, arm)}"
                for measure in (ASSIGNED, CONTRADICTED)
                for arm in ARMS
            ]
            self._assigned = cells(RULE_ARM.name, panes, fields)
            self.requests.append(self._assigned)

    @property
    def days_to_come(self) -> int | None:
        """Whole days still to come until all of the last 30 lie after the first redirect's."""
        if self.as_of_ms is None:
            return None
        first_end_ms = self.rule.first_day_ms + (1 + MONTH_DAYS) * DAY_MS
        return max(0, -((self.as_of_ms - first_end_ms) // DAY_MS))

    def answer(self, view: View) -> dict[str, object]:
        """All that is known of the rule."""
        users = [None if request is None else view.counts(request)[0] for request in self._users]
        pre, post = users or (None, None)
        is_capped = self._caps is not None and any(view.sums(self._caps).values())
        stops = self._stops.answer(view) if self._stops is not None else {}
        known = self._products.read(view).products
        return {
            "rule_id": self.rule.rule_id,
            "first_redirect_ms": self.rule.first_ms,
            **{name: self.rule.said.get(name) for name in SAID},
            "products": [{"product_id": of, **listing(known.get(of))} for of in self._products.products],
            "as_of_ms": self.as_of_ms,
            "pre_mau": pre,
            "pre_from_ms": self.pre and self.pre.from_ms,
            "pre_to_ms": self.pre and self.pre.to_ms,
            "pre_days_with_activity": sum(any(view.sums(day).values()) for day in self._days)
            if self._days
            else None,
            "post_mau": post,
            "post_from_ms": self.post and self.post.from_ms,
            "post_to_ms": self.post and self.post.to_ms,
            "users_standard_error": USERS_STANDARD_ERROR,
            "capped": is_capped,
            "uplift_percent": None if is_capped else rise_percent(pre, post),
            "days_to_come": self.days_to_come,
            **self._against(view),
            **stops,
        }

    def _against(self, view: View) -> dict[str, object]:
        """One arm against the other."""
        sums = {} if self._assigned is None else view.sums(self._assigned)
        active = [None, None] if self._arms is None else view.counts(self._arms)
        told: dict[str, dict[str, object]] = {}
        arms: list[Arm] = []
        for arm, n in zip(ARMS, active, strict=True):
            value = pair_value(self.rule.rule_id, arm)
            of = Arm(sums.get(f"{ASSIGNED.name}|{value}", 0), n or 0)
            arms.append(of)
            told[arm] = {
                "assigned": of.assigned,
                "contradicted": sums.get(f"{CONTRADICTED.name}|{value}", 0),
                "active": n,
                "active_per_assigned": None if n is None else of.share,
            }
        treated, held_out = arms
        is_ripe = self.days_to_come == 0 and self._arms is not None
        uplift, interval = against_held_out(treated, held_out) if is_ripe else (None, None)
        expected = self.model.settings.held_out_percent
        p = sample_ratio_p(treated.assigned, held_out.assigned, expected)
        return {
            "arms": told,
            "uplift_against_held_out_percent": uplift,
            "interval_percent": interval,
            "sample_ratio_expected_held_out_percent": expected,
            "sample_ratio_p": p,
            "sample_ratio_is_off": None if p is None else p < SAMPLE_RATIO_P_MIN,
        }
