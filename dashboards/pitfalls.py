"""What misleads in a figure, for the reference: only those figures that have misled people.

It stands beside the catalogue's declarations, which say what a figure is; this says what it is not.
"""

from __future__ import annotations

from types import MappingProxyType

_EVENTS_MOVE_APART = "Events of the same minutes, not of the same shoppers: it falls whenever traffic rises."
_SESSIONS_RIPEN = "Sessions of the last 24 h may still go on; only cohorts of equal age can be compared."
_STILL_ON_THE_WAY = "By time of purchase: it grows while parcels are on their way."
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
        "money.*.gmv_direct_minor": "Moves to another live when a later tap comes in; part of `gmv_paid`.",
        "money.*.gmv_unattributed_minor": "The last tap named nobody, or none came within 24 h.",
        "money.*.gmv_own_per_buyer_minor": _ESTIMATED,
        "attribution.direct_orders": "An order with lines of several kinds counts in each of them.",
        "money.*.commission_minor": "An estimate until the order can't be returned any more.",
        "commission.*.estimated_minor": "By time of purchase: falls with refunds, and as it becomes final.",
        "commission.*.final_minor": "Keeps what was clawed back: to be paid is this less claw-backs.",
        "commission.*.clawed_back_minor": "By time of purchase; `claw_backs_minor` is by time of refund.",
        "commission.*.claw_backs_minor": "Of purchases of other days, mostly: in no sum with the others.",
        "take.*.fees_minor": "Falls later: refunds of these purchases are still to come.",
        "take.*.total_minor": "Ads by time of charge, the rest by time of purchase.",
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
        "ratios.product_views_per_product_impression": _EVENTS_MOVE_APART,
        "ratios.tag_taps_per_product_impression": _EVENTS_MOVE_APART,
        "ratios.add_to_carts_per_product_view": _EVENTS_MOVE_APART,
        "ratios.orders_per_product_view": _EVENTS_MOVE_APART,
        "recommendations.orders_per_tag_tap": _EVENTS_MOVE_APART,
        "recommendations.orders_per_tag_tap_of_the_rest": "Holds surfaces without taps: not a fair rival.",
        "in_stream.orders_per_order": "By the order's own surface, not by the live that a line names.",
        "users.view": _ESTIMATED,
        "users.tag_tap": _ESTIMATED,
        "users.add_to_cart": _ESTIMATED,
        "users.purchase": _ESTIMATED,
        "active_users.day": "The last day that is over, not today; whatever range is asked.",
        "active_users.month": "Of 30 days that are over: a user of one day counts as one of every day.",
        "viewers.peak": "Of heartbeats: a peak between two of them is not seen.",
        "viewers.average": "Over the time that heartbeats cover, not over the range.",
        "time_to_convert.p50_seconds": "Of those who bought: sessions that are not over yet are left out.",
        "time_to_convert.p90_seconds": "Of those who bought: sessions that are not over yet are left out.",
        "payments.attempts": "One order can have several attempts.",
        "payments.declined": "By issuers mostly: a bad day of one bank is no outage of the gateway.",
        "payments.pending": "The last two minutes are always in it: most of them will be authorised.",
        "payments.success_rate": "What is pending is in it: the newest two minutes look worse than they are.",
        "payments.pending_past_120s": "Told 60 to 70 s later than that; `null` in a `stale` answer.",
        "payments.failure_rate": "The newest three minutes can't have failed by waiting, and are in it.",
        "payments.orders": "By the gateway of the order's first attempt.",
        "payments.success_rate_per_order": "By the gateway of the first attempt, also if another saved it.",
        "reach.users": "Of whole days, also where minutes are asked for.",
        "after_purchase.shipped": _STILL_ON_THE_WAY,
        "after_purchase.delivered": _STILL_ON_THE_WAY,
        "after_purchase.completed": _STILL_ON_THE_WAY,
        "after_purchase.cancelled": "By time of purchase; money moves only with the refund.",
        "after_purchase.delivery_p50_seconds": "Of what was delivered so far: slow parcels come later.",
        "after_purchase.delivery_p90_seconds": "Of what was delivered so far: slow parcels come later.",
        "ratios.delivered_per_orders": _STILL_ON_THE_WAY,
        "ratios.on_time_per_delivered_orders": "What never arrives is not in it: `delivered_per_orders`.",
        "ratios.reviewed_per_delivered_orders": "Orders, not products; it grows for 60 days.",
        "money.*.refunds_of_purchases_per_gmv_paid": "Grows with the age of the cohort: see its maturity.",
        "ratios.orders_past_30_days_per_orders": "In whole hours; 0 for every window of a day and less.",
        "quality.late": "Their money is in `late_gmv_last_hour_minor`, not here.",
        "quality.duplicates": "Producers that retry make them; they are dropped, not an error.",
    }
)
