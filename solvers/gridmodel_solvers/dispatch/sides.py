"""Coupling rows as conditions of one side each, for algorithms that follow the price up and down."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.separable import Separable
from gridmodel.runtime.network import Network
from gridmodel_solvers.dispatch.offers import Offers

__all__ = ["Sides", "conditions", "neighbours_mean"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Sides:
    """Every equation and every finite side of a coupling row as a condition with a multiplier nu of its own.

    sum_i C_i x_i = b (nu free),   sum_i C_i x_i <= upper (nu >= 0),   lower <= sum_i C_i x_i (nu <= 0),
    mu of a row is the sum of its nu: one, or two where both sides are finite and differ.

    row: row of each condition, shape (k,). above: whether it is an upper side, shape (k,). split: whether its row has
    two conditions, shape (k,). All arrays over agents have shape (N, k).
    """

    def __init__(self, offers: Offers) -> None:
        y = offers.problem.couplings
        self.offers = offers
        top, bottom = np.isfinite(y.upper), np.isfinite(y.lower) & ~y.equality
        rows = np.concatenate([np.flatnonzero(top), np.flatnonzero(bottom)])
        order = np.argsort(rows, kind="stable")
        self.row: Ints = rows[order]
        self.above: Flags = (np.arange(len(rows)) < np.count_nonzero(top))[order]
        self.split: Flags = (top & bottom)[self.row]
        free = y.equality[self.row]
        self.least: Floats = np.where(free | ~self.above, -np.inf, 0.0)
        self.most: Floats = np.where(free | self.above, np.inf, 0.0)
        self._free = bool(free.all())
        self._same = len(self.row) == offers.m and bool((self.row == np.arange(offers.m)).all())
        ones = (np.ones(len(self.row)), (self.row, np.arange(len(self.row))))
        self._sum = sp.csr_array(ones, shape=(offers.m, len(self.row)))

    @property
    def count(self) -> int:
        """k, how many conditions there are."""
        return len(self.row)

    @property
    def share(self) -> Floats:
        """Each agent's share of the sides, shape (N, k)."""
        o = self.offers
        return np.where(self.above, o.share_upper[:, self.row], o.share_lower[:, self.row])

    def allowed(self, nu: Floats) -> Floats:
        """The nearest multipliers with the right signs."""
        return nu if self._free else np.clip(nu, self.least, self.most)

    def joined(self, nu: Floats) -> Floats:
        """The rows' multipliers mu, shape (N, m)."""
        return nu if self._same else np.asarray((self._sum @ nu.T).T)

    def parted(self, mu: Floats) -> Floats:
        """Multipliers nu whose sum is mu, from shape (..., m) to (..., k)."""
        return self.allowed(mu[..., self.row])

    def respond(self, nu: Floats) -> Floats:
        """C_i x_i at each agent's own multipliers, by conditions."""
        report = self.offers.respond(self.joined(nu))
        return report if self._same else report[:, self.row]


def conditions(problem: Separable) -> int:
    """How many conditions of one side the coupling rows are."""
    y = problem.couplings
    return int(np.isfinite(y.upper).sum() + (np.isfinite(y.lower) & ~y.equality).sum())


def neighbours_mean(network: Network, values: Floats, node: int) -> Floats:
    """The mean row of the present nodes that ``node`` hears; its own where there are none."""
    links, there = network.links, network.fates.present
    heard = links.sender[links.receiver == node]
    heard = heard[there[heard] & (heard != node)]
    return np.asarray(values[heard].mean(axis=0) if len(heard) else values[node])
