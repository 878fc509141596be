"""What answers tell of the stories: figures of their own kinds, and sums that add up."""

from __future__ import annotations

from streams.answer import Totals
from streams.answer_body import body
from tests.test_answer import ALL_FIGURES


def test_commission_adds_up_and_take_is_its_parts() -> None:
    """Earned = reversed + estimated + final; take = fees + commission + ads; each per currency."""
    own = {"commission:EUR": 60, "clawed_back:EUR": 10, "reversed:EUR": 30, "final:EUR": 45}
    own |= {"fees:EUR": 7, "ads:EUR": 5, "claw_backs:EUR": 4}
    answer = body("all", Totals(own), {}, ("EUR",), ALL_FIGURES)
    assert answer["commission"] == {
        "EUR": {
            "earned_minor": 100, "reversed_minor": 30, "estimated_minor": 25, "final_minor": 45,
            "clawed_back_minor": 10, "claw_backs_minor": 4,
        }
    }  # fmt: skip
    assert answer["take"] == {
        "EUR": {"fees_minor": 7, "commission_minor": 60, "ads_minor": 5, "total_minor": 72}
    }
