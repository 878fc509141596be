"""Numbers on the command line: what Python takes for one, and no command can use, is refused.

It stands in front of the commands. To `float` "nan" and "inf" are numbers, and nan lies within every range.
"""

from __future__ import annotations

import math

import click


class Number(click.FloatRange):
    """A finite number within a range."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises click.BadParameter, which becomes one line."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number; give one like 20 or 0.5.", param, ctx)
        return number
