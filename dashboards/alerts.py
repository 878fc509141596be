"""Every alert, declared once: the rules of Prometheus and of Grafana and their tests follow from it."""

from __future__ import annotations

from dashboards.alerts_business import BUSINESS
from dashboards.alerts_pipeline import PIPELINE_ALERTS

ALERTS = (*BUSINESS, *PIPELINE_ALERTS)
