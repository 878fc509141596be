"""Hand-computed scenarios, each one fact of docs/contract.md: for the pipeline and for `verify` alike."""

from __future__ import annotations

from tests.scenario_kit import Scenario
from tests.scenarios_after_purchase import AFTER_PURCHASE
from tests.scenarios_attribution import ATTRIBUTION
from tests.scenarios_caps import CAPS
from tests.scenarios_commission import COMMISSION
from tests.scenarios_funnels import FUNNELS
from tests.scenarios_mini_programs import MINI_PROGRAMS
from tests.scenarios_money import PURCHASES
from tests.scenarios_pairs import PAIRS
from tests.scenarios_panes import PANES
from tests.scenarios_payments import PAYMENTS
from tests.scenarios_reasons import REASONS
from tests.scenarios_redirects import REDIRECTS
from tests.scenarios_refunds import REFUNDS
from tests.scenarios_reviews import REVIEWS
from tests.scenarios_rooms import ROOMS
from tests.scenarios_sellers import SELLERS
from tests.scenarios_sessions import SESSIONS
from tests.scenarios_users import USERS
from tests.scenarios_verdicts import VERDICTS
from tests.scenarios_virality import VIRALITY

SCENARIOS: tuple[Scenario, ...] = (
    *(*VERDICTS, *PANES, *PURCHASES, *REFUNDS, *PAYMENTS),
    *(*PAIRS, *SESSIONS, *FUNNELS, *USERS, *ROOMS, *CAPS, *REVIEWS, *ATTRIBUTION, *COMMISSION),
    *(*AFTER_PURCHASE, *REASONS, *REDIRECTS, *SELLERS, *MINI_PROGRAMS, *VIRALITY),
)
