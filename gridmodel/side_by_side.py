"""Every formulation of one network's optimal power flow side by side: exact, relaxed, linear."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.physics.opf import FORMULATIONS, opf
from gridmodel.physics.pieces import check_load_scale
from gridmodel.physics.relaxation import relaxation
from gridmodel.solve import solve

__all__ = ["SideBySide", "Solved", "formulations"]

_RECOVERED = ("soc", "sdp")
_KINDS = {"ac": "stationary", "soc": "lower bound", "sdp": "lower bound", "branchflow": "lower bound"}


@dataclass(frozen=True)
class Solved:
    """One formulation's answer.

    value: in the model's currency; NaN where there is none. kind: "stationary" for the exact equations, "lower bound"
    for a relaxation, "approximation" otherwise. remark: of its certificate. result: the whole.
    """

    name: str
    kind: str
    status: str
    value: float
    seconds: float
    remark: str
    result: Any


@dataclass(frozen=True)
class SideBySide:
    """The answers of several formulations of one network. refused: formulations that do not fit it, and why."""

    network: str
    currency: str
    solved: tuple[Solved, ...]
    refused: dict[str, str]

    def __getitem__(self, name: str) -> Solved:
        for one in self.solved:
            if one.name == name:
                return one
        raise KeyError(name)

    def gap(self, name: str) -> float | None:
        """How far a relaxation's bound lies below the exact equations' point, over that; None without either."""
        exact = next((one.value for one in self.solved if one.name == "ac"), np.nan)
        own = self[name]
        if own.kind != "lower bound" or not np.isfinite(exact + own.value):
            return None
        return float((exact - own.value) / (abs(exact) or 1.0))

    def __str__(self) -> str:
        lines = [f"{self.network}, values in {self.currency}"]
        lines.append(f"{'formulation':<12} {'kind':<13} {'status':<11} {'value':>14} {'gap':>9} {'seconds':>8}  remark")
        for one in self.solved:
            gap = self.gap(one.name)
            shown = "-" if gap is None else f"{100 * gap:.3f} %"
            lines.append(
                f"{one.name:<12} {one.kind:<13} {one.status:<11} {one.value:>14.8g} {shown:>9} {one.seconds:>8.2f}  "
                f"{one.remark}".rstrip()
            )
        lines += [f"{name:<12} does not fit: {why}" for name, why in self.refused.items()]
        return "\n".join(lines)


def formulations(net: Network, names: Sequence[str] | None = None, load_scale: float = 1.0) -> SideBySide:
    """Solves the optimal power flow centrally in every formulation, or in those named.

    A formulation that does not fit (LinDistFlow on a network with loops) or whose solver is not installed is refused
    with its reason; the others go on.

    Raises:
        ModelError: no balanced network, a name that no formulation has, or a load_scale that is not a number >= 0.
    """
    if not isinstance(net, Network):
        raise ModelError(f"formulations(...) expects a balanced Network, got {type(net).__name__}; see gridmodel.opf.")
    known = [one.name for one in FORMULATIONS]
    check_load_scale(load_scale)
    chosen = list(names) if names is not None else [name for name in known if name != "branchflow"]
    if not chosen:
        raise ModelError(f"formulations(...) has no name to solve; there are {', '.join(known)}.")
    for name in chosen:
        if name not in known:
            raise ModelError(f"no formulation {name!r}; there are {', '.join(known)}.")
    solved: dict[str, Solved] = {}
    refused: dict[str, str] = {}
    exact: float | None = None  # the cost of a point that fulfils the exact equations
    for name in sorted(chosen, key=lambda name: name != "ac"):
        start = time.perf_counter()
        try:
            result = solve(opf(net, name, load_scale=load_scale), "central")
        except (ModelError, NotApplicableError) as error:
            refused[name] = str(error)
            continue
        took = time.perf_counter() - start
        if name == "ac" and result.variables:
            exact = result.value
        kind = _KINDS.get(name, "approximation")
        solved[name] = Solved(
            name, kind, result.status.value, result.value, took, _remark(name, result, net, exact), result
        )
    currency = next((one.result.currency for one in solved.values()), "")
    ordered = tuple(solved[name] for name in dict.fromkeys(chosen) if name in solved)
    return SideBySide(net.name, currency, ordered, {name: refused[name] for name in chosen if name in refused})


def _remark(name: str, result: Result, net: Network, exact: float | None) -> str:
    """What there is to say beside the numbers: how exact a relaxation is, or why there is no answer."""
    if not result.variables:
        return result.message
    if name in _RECOVERED:
        return relaxation(result, net, feasible_cost=exact).sentence
    return ""
