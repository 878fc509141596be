"""The uids of our dashboards: alerts link to them, dashboards to each other.

They stand before both, so that neither has to know the other.
"""

from __future__ import annotations

OVERVIEW = "shop-pulse-overview"
LIVES = "shop-pulse-lives"
PAYMENTS = "shop-pulse-payments"
REDIRECTION = "shop-pulse-redirection"
STAKEHOLDERS = "shop-pulse-stakeholders"
PIPELINE = "shop-pulse-pipeline"
