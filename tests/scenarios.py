"""Hand-computed scenarios, each one fact of docs/contract.md: for the pipeline and for `verify` alike."""

from __future__ import annotations

from tests.scenario_kit import Scenario
from tests.scenarios_money import PURCHASES
from tests.scenarios_panes import PANES
from tests.scenarios_payments import PAYMENTS
from tests.scenarios_refunds import REFUNDS
from tests.scenarios_verdicts import VERDICTS

SCENARIOS: tuple[Scenario, ...] = (*VERDICTS, *PANES, *PURCHASES, *REFUNDS, *PAYMENTS)
