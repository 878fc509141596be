"""What advertising campaigns were charged; those above the cap on values are `other`, like their counts."""

from __future__ import annotations

from typing import Any

from verify.asked import ABSENT, Asked
from verify.scopes import WITH_ADS


def answer(asked: Asked) -> dict[str, Any]:
    """Flat names and what they must be."""
    if asked.kind not in WITH_ADS:
        return {"ads": ABSENT}
    return {
        f"ads.{currency}.charged_minor": asked.sums[f"ads:{currency}"] for currency in asked.currencies("ads")
    }
