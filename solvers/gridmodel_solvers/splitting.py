"""The iteration that exchange and consensus ADMM share: local proximal steps, then a projection of what they report."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.stack import Stack
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.anderson import Anderson, accelerate
from gridmodel_solvers.oracles.augment import Augmented, augment
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer

__all__ = [
    "CouplingSet", "Setup", "SplittingState", "advance", "imbalance", "may_adapt", "observe", "setup", "start",
]  # fmt: skip

Floats = NDArray[np.float64]

_ADAPT_EVERY = 10
_ADAPT_UNTIL = 100


class CouplingSet(abc.ABC):
    """The set that the reported numbers of all agents together must lie in."""

    @abc.abstractmethod
    def project(self, v: Floats) -> Floats:
        """The nearest point of the set to v of shape (slots,), in the norm of the penalties."""

    @abc.abstractmethod
    def multipliers(self, dual: Floats) -> Floats:
        """Multipliers mu of the coupling rows from those of w = z, shape (slots,): Lagrangian f + dual'(w - z)."""


@dataclass(frozen=True)
class Setup:
    """What stays fixed while the penalties do.

    stacks: blocks; C picks what each reports. rho: penalty of each slot; unit: how far a slot moves. Both (slots,).
    energy: size of costs, below which marginal costs times ``unit`` count as zero.
    """

    stacks: tuple[Stack, ...]
    coupling: CouplingSet
    rho: Floats
    unit: Floats
    energy: float
    relaxation: float
    adaptive: bool
    accuracy: float
    kind: str
    proximal: tuple[Augmented, ...]
    oracles: tuple[Oracle, ...]

    def split(self, slots: Floats) -> list[Floats]:
        """Values of all slots as arrays of shape (N, k), one a stack."""
        ends = np.cumsum([stack.rows.size for stack in self.stacks])[:-1]
        return [part.reshape(stack.rows.shape) for stack, part in zip(self.stacks, np.split(slots, ends), strict=True)]


@dataclass(frozen=True)
class SplittingState:
    """A round's end: v carries the iteration, z = project(v), rho (v - z) are the multipliers of w = z."""

    setup: Setup
    v: Floats
    z: Floats
    dual: Floats
    answers: tuple[OracleAnswer, ...]
    dual_residual: float
    rounds: int
    memory: Anderson | None


def setup(
    stacks: Sequence[Stack],
    coupling: CouplingSet,
    rho: Floats,
    unit: Floats,
    energy: float,
    relaxation: float,
    adaptive: bool,
    accuracy: float,
    kind: str,
) -> Setup:
    """Proximal stacks and their oracles for given penalties; the fields of ``Setup``."""
    empty = Setup(
        tuple(stacks), coupling, rho, unit, energy, relaxation, adaptive, accuracy, kind, proximal=(), oracles=()
    )
    proximal = tuple(augment(stack, weight) for stack, weight in zip(stacks, empty.split(rho), strict=True))
    oracles = tuple(choose(made.stack, accuracy, kind) for made in proximal)
    return replace(empty, proximal=proximal, oracles=oracles)


def start(
    made: Setup, x: Sequence[Floats], dual: Floats, iterate: Iterate | None, memory: Anderson | None
) -> SplittingState:
    """The state at columns x and multipliers ``dual`` of what is reported, shape (slots,)."""
    w = _reported(made.stacks, x)
    z = made.coupling.project(w)
    answers = tuple(
        OracleAnswer(part, np.zeros(stack.b.shape), np.zeros(stack.h.shape))
        for stack, part in zip(made.stacks, x, strict=True)
    )
    if iterate is not None:
        parts = zip(iterate.x, iterate.nu, iterate.zeta, strict=True)
        answers = tuple(OracleAnswer(*part) for part in parts)
    v = z + dual / made.rho
    return SplittingState(made, v, made.coupling.project(v), dual, answers, np.inf, 0, memory)


def advance(state: SplittingState) -> SplittingState:
    """One round.

    z = project(v);  x_i = argmin f_i + 1/2 |C_i x - 2 z_i + v_i|^2_rho;  v += relaxation (C x - z)
    """
    made = state.setup
    target = 2 * state.z - state.v
    answers = []
    for oracle, proximal, pull in zip(made.oracles, made.proximal, made.split(target), strict=True):
        answers.append(proximal.cut(oracle.solve(proximal.linear(np.zeros_like(pull), pull))))
    w = _reported(made.stacks, [answer.x for answer in answers])
    mapped = state.v + made.relaxation * (w - state.z)
    z = made.coupling.project(mapped)
    dual = made.rho * (mapped - z)
    marginal = made.rho * (w - target)
    # Where no coupling binds, prices are noise: they count against a small share of the costs.
    scale = max(float(np.abs(marginal * made.unit).max(initial=0)), 1e-2 * made.energy, np.finfo(float).tiny)
    residual = float(np.abs((marginal - dual) * made.unit).max(initial=0)) / scale
    done = replace(state, v=mapped, z=z, dual=dual, answers=tuple(answers), dual_residual=residual,
                   rounds=state.rounds + 1)  # fmt: skip
    if made.adaptive and may_adapt(done.rounds):
        factor = imbalance(made.rho, w, state.z, z, dual)
        if factor is not None:
            return _reweighted(done, factor)
    return _accelerated(done, state.v)


def may_adapt(rounds: int) -> bool:
    """Often at first, then at 200, 400, 800, ...: ever rarer, so that the iteration settles in between."""
    if rounds <= _ADAPT_UNTIL:
        return rounds % _ADAPT_EVERY == 0
    share, rest = divmod(rounds, _ADAPT_UNTIL)
    return rest == 0 and share & (share - 1) == 0


def observe(state: SplittingState) -> Iterate:
    """The answer as it stands."""
    answers = state.answers
    return Iterate(
        x=[answer.x for answer in answers],
        mu=state.setup.coupling.multipliers(state.dual),
        nu=[answer.nu for answer in answers],
        zeta=[answer.zeta for answer in answers],
        dual_residual=state.dual_residual,
    )


def _reported(stacks: Sequence[Stack], x: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *(stack.C.dot(part).ravel() for stack, part in zip(stacks, x, strict=True))])


def imbalance(rho: Floats, w: Floats, z_last: Floats, z: Floats, dual: Floats) -> float | None:
    """How far the primal residual is ahead of the dual one, each over its size; None while both go together."""
    root = np.sqrt(rho)
    size = max(float(np.linalg.norm(root * w)), float(np.linalg.norm(root * z)))
    force = float(np.linalg.norm(dual / root))
    primal, move = float(np.linalg.norm(root * (w - z_last))), float(np.linalg.norm(root * (z - z_last)))
    if min(size, force, primal, move) <= 0:
        return None
    factor = float(np.clip(np.sqrt((primal / size) / (move / force)), 0.2, 5.0))
    return None if 0.5 < factor < 2.0 else factor


def _reweighted(state: SplittingState, factor: float) -> SplittingState:
    """The same point and multipliers under penalties times ``factor``."""
    old = state.setup
    rho = old.rho * factor
    made = setup(
        old.stacks, old.coupling, rho, old.unit, old.energy, old.relaxation, old.adaptive, old.accuracy, old.kind
    )
    v = state.z + state.dual / rho
    memory = state.memory.forget() if state.memory else None
    return replace(state, setup=made, v=v, z=made.coupling.project(v), memory=memory)


def _accelerated(state: SplittingState, v_last: Floats) -> SplittingState:
    if state.memory is None:
        return state
    root = np.sqrt(state.setup.rho)
    v, memory = accelerate(state.memory, root * v_last, root * state.v)
    return replace(state, v=v / root, z=state.setup.coupling.project(v / root), memory=memory)
