"""Everything that the read service answers beside single scopes, by its own clock: asked for and compared."""

from __future__ import annotations

from verify.api import Service
from verify.compare import Report
from verify.past_lives import compare_lives
from verify.shortages import compare_stock_lists
from verify.totals import Totals
from verify.virality_answers import compare_returns, compare_virality


def compare_lists(report: Report, totals: Totals, service: Service, all_lives: bool) -> list[str]:
    """Stock, lives against past ones, virality, returns; returns notes on what could not be compared."""
    notes = compare_stock_lists(report, totals, service)
    compare_lives(report, totals, service, all_lives)
    compare_virality(report, totals, service)
    compare_returns(report, totals, service)
    return notes
