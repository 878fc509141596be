"""What misleads in a figure, for the reference: only those figures that have misled people.

It stands beside the catalogue's declarations, which say what a figure is; this says what it is not.
"""

from __future__ import annotations

from types import MappingProxyType

_EVENTS_MOVE_APART = "Events of the same minutes, not of the same shoppers: it falls whenever traffic rises."
_SESSIONS_RIPEN = "Sessions of the last 24 h may still go on; only cohorts of equal age can be compared."
_RETURNS = "Of whole UTC days; of (mini-program, user) pairs: in `all` one user of two programs counts twice."
_ESTIMATED = "An estimate; over whole panes of sketches, which can be wider than the asked range."

PITFALLS = MappingProxyType(
    {
        "events.view": "Counts events: one shopper can view often. For people see `users.view`.",
        "orders": "Orders of products, lives or creators overlap: they do not add up to `all`.",
        "events.purchase": "Orders of products, lives or creators overlap: they do not add up to `all`.",
        "items": "Units, not lines and not orders.",
        "money.*.gmv_paid_minor": "Not revenue: before refunds and platform discounts, no tax, no shipping.",
        "money.*.buyer_paid_minor": "Holds tax, and shipping in order-level scopes only.",
        "money.*.refunds_minor": "By time of refund, so of orders of other days.",
        "money.*.refunds_of_purchases_minor": "By time of purchase: it still grows, for 90 days.",
        "money.*.gmv_net_minor": "Falls later: refunds of these purchases are still to come.",
        "money.*.commission_minor": "An estimate until the order can't be returned any more.",
        "money.*.unattributed_refunds_minor": "Also in `refunds_minor`; above 0, orders are missing.",
        "money.*.aov_minor": "Over the scope's own orders; one large order moves it.",
        "money.*.gmv_per_1000_view_events_minor": _EVENTS_MOVE_APART,
        "money.*.gmv_per_buyer_minor": _ESTIMATED,
        "ratios.tag_taps_per_view_events": _EVENTS_MOVE_APART,
        "ratios.orders_per_tag_tap": _EVENTS_MOVE_APART,
        "ratios.purchases_per_view_sessions": _SESSIONS_RIPEN,
        "ratios.tag_taps_per_view_sessions": _SESSIONS_RIPEN,
        "ratios.add_to_carts_per_tag_tap_sessions": _SESSIONS_RIPEN,
        "ratios.purchases_per_add_to_cart_sessions": _SESSIONS_RIPEN,
        "ratios.cart_abandonment_per_add_to_cart_sessions": _SESSIONS_RIPEN,
        "ratios.checkout_abandonment_per_begin_checkout_sessions": _SESSIONS_RIPEN,
        "ratios.repeat_buyers_per_buyers": "A buyer of more than 400 days ago counts as new.",
        "users.view": _ESTIMATED,
        "users.tag_tap": _ESTIMATED,
        "users.add_to_cart": _ESTIMATED,
        "users.purchase": _ESTIMATED,
        "viewers.peak": "Of heartbeats: a peak between two of them is not seen.",
        "viewers.average": "Over the time that heartbeats cover, not over the range.",
        "time_to_convert.p50_seconds": "Of those who bought: sessions that are not over yet are left out.",
        "time_to_convert.p90_seconds": "Of those who bought: sessions that are not over yet are left out.",
        "payments.attempts": "One order can have several attempts.",
        "payments.declined": "By issuers mostly: a bad day of one bank is no outage of the gateway.",
        "payments.pending": "The last two minutes are always in it: most of them will be authorised.",
        "payments.success_rate": "What is pending is in it: the newest two minutes look worse than they are.",
        "entries.shared_link": "What opened the program, not who: who shared is in `virality`.",
        "mini_program.actions_per_open": _EVENTS_MOVE_APART,
        "mini_program.product_views_per_open": _EVENTS_MOVE_APART,
        "mini_program.orders_per_product_view": _EVENTS_MOVE_APART,
        "mini_program.orders_per_open": _EVENTS_MOVE_APART,
        "mini_program.shares_per_order": "Shares of all users, not of buyers.",
        "returns.opened": _RETURNS,
        "returns.next_day": "Null until the day after the range is over by as-of.",
        "returns.next_day_per_opened": "Null until the day after the range is over by as-of.",
        "returns.day_7": "Day 7 exactly, not within 7 days; null until it is over by as-of.",
        "returns.day_7_per_opened": "Day 7 exactly, not within 7 days; null until it is over by as-of.",
        "virality.active_users": _ESTIMATED,
        "virality.sharers": _ESTIMATED,
        "virality.new_users": "By time of arrival, so of shares of other days, too.",
        "virality.new_users_per_sharer": "Sharers of the range; the new users may be of shares before it.",
        "virality.k_factor": "Too low for the newest range (see `maturity`); longer ranges give more.",
        "virality.cycle_p50_seconds": "Of those who shared: who has not yet, or never will, is not in it.",
        "quality.late": "Their money is in `late_gmv_last_hour_minor`, not here.",
        "quality.duplicates": "Producers that retry make them; they are dropped, not an error.",
    }
)
