"""The bracket of prices that every agent keeps, and the price it tries next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.dispatch.sides import Sides

__all__ = ["Bracket"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Bracket:
    """Multipliers low <= mu <= high and the one that is tried, of every agent and row, shape (N, m).

    open_low, open_high: whether an end is a guess that the optimum may lie beyond; such an end is tried first, and
    where it does not hold, the bracket goes on from there at twice its width.
    """

    low: Floats
    high: Floats
    tried: Floats
    open_low: Flags
    open_high: Flags

    @classmethod
    def empty(cls, offers: Offers) -> Bracket:
        """All prices zero, before anything is known."""
        zero = np.zeros((offers.size, offers.m))
        return cls(zero, zero, zero, zero > 0, zero > 0)

    @classmethod
    def of(cls, offers: Offers, low: Floats, high: Floats, guessed: Flags) -> Bracket:
        """A first bracket: inequalities try the price 0 first, equations the middle or a guessed end.

        Args:
            offers: the rows. low, high: shape (N, m); low > high where nobody reacts. guessed: shape (N, m).
        """
        idle, zero = low > high, ~offers.problem.couplings.equality
        low, high = (offers.allowed(np.where(idle, 0.0, end)) for end in (low, high))
        low, high = np.where(zero, np.minimum(low, 0.0), low), np.where(zero, np.maximum(high, 0.0), high)
        # An end at zero is one that the sign of the multiplier sets.
        open_low, open_high = guessed & (low < 0), guessed & (high > 0)
        made = cls(low, high, low, open_low, open_high)
        return replace(made, tried=np.where(zero, 0.0, made._next()))

    def narrowed(self, sides: Sides, sign: Floats) -> Bracket:
        """The bracket after the price tried was found to bring too much, too little, or neither.

        Args:
            sign: of the sum of reports less the side, by conditions, as each agent finds it, shape (N, k).
        """
        m = self.low.shape[1]
        above, below = np.full((len(sign), m), -1.0), np.full((len(sign), m), 1.0)
        above[:, sides.row[sides.above]] = sign[:, sides.above]
        lower = ~sides.above | np.isneginf(sides.least) & np.isposinf(sides.most)
        below[:, sides.row[lower]] = sign[:, lower]
        mu = self.tried
        rise = np.where(mu < 0, below, above) > 0
        fall = np.where(mu > 0, above, below) < 0
        accept = ~rise & ~fall
        low, high = np.where(rise | accept, mu, self.low), np.where(fall | accept, mu, self.high)
        up, down = rise & self.open_high & (mu == self.high), fall & self.open_low & (mu == self.low)
        high = np.where(up, mu + 2.0 * (mu - self.low), high)
        low = np.where(down, mu - 2.0 * (self.high - mu), low)
        made = Bracket(low, high, mu, self.open_low & ~rise & ~accept, self.open_high & ~fall & ~accept)
        return replace(made, tried=made._next())

    def _next(self) -> Floats:
        middle = self.low + 0.5 * (self.high - self.low)
        return np.where(self.open_high, self.high, np.where(self.open_low, self.low, middle))
