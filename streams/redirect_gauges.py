"""Gauges of redirection rules: users before and after, uplift, and whether something is wrong.

It stands between the read model and the exporter. What is told moves on once a day, so rules are read at most
every REFRESH_MS; the newest ones by their first redirect are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from streams.read_model import ReadModel
from streams.redirection import read_newest
from streams.samples import Remembered, Samples
from streams.scopes import RULE_ARM
from streams.window import MINUTE_MS

REFRESH_MS = MINUTE_MS
# Key of the answer, and what it says.
TOLD = {
    "pre_mau": "Monthly active users of a rule's target before its first redirect, estimated.",
    "post_mau": "Monthly active users of a rule's target in the last 30 complete days, estimated.",
    "uplift_percent": "Rise of monthly active users of a rule's target, in percent.",
    "uplift_against_held_out_percent": "Rise of active per assigned users over those held out, in percent.",
    "sample_ratio_is_off": "Whether a rule's arms are not of the sizes they were meant to be.",
    "stop": "Whether refunds, ratings or earnings of a rule's target are worse than before.",
}
INTERVAL = {
    "uplift_against_held_out_low_percent": "Lower end of the 95 % interval of that rise, in percent.",
    "uplift_against_held_out_high_percent": "Upper end of the 95 % interval of that rise, in percent.",
}


class RedirectGauges:
    """What is told of the newest rules."""

    def __init__(self, model: ReadModel, top_k: int) -> None:
        """`top_k`: how many rules are named."""
        self._enabled = RULE_ARM in model.figures.kinds
        self._answers = Remembered(model.clock, REFRESH_MS, partial(read_newest, model, top_k))

    async def families(self) -> tuple[Samples, ...]:
        """Every family, read again if the last reading is REFRESH_MS old.

        Raises StoreUnavailableError.
        """
        answers = await self._answers.get() if self._enabled else ()
        return tuple(
            Samples(
                f"redirection_{name}",
                help_text,
                ("rule",),
                {
                    (str(answer["rule_id"]),): float(figure)
                    for answer in answers
                    if isinstance(figure := _figure(answer, name), int | float)
                },
            )
            for name, help_text in {**TOLD, **INTERVAL}.items()
        )


def _figure(answer: Mapping[str, object], name: str) -> object:
    """What is not known has no sample."""
    if name in TOLD:
        return answer[name]
    interval = answer["interval_percent"]
    return interval[list(INTERVAL).index(name)] if isinstance(interval, list) else None
