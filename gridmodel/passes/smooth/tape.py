"""Cost and limits of one agent with exact derivatives: affine maps between elementwise laws and products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.smooth import AbstractSmooth
from gridmodel.passes.smooth.laws import Law
from gridmodel.passes.smooth.products import Pairs, Pattern, Scatter, Times, pairs, times, union

__all__ = ["Affine", "Tape", "tape"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Affine:
    """matrix e + constant; e is x followed by the results of the steps before. Shapes (m, width of e) and (m,)."""

    matrix: sp.csr_array
    constant: Floats

    def __call__(self, e: Floats) -> Floats:
        return np.asarray(self.matrix @ e[: self.matrix.shape[1]] + self.constant)


@dataclass(frozen=True)
class Step:
    """result = law(u), or u_0 * u_1 where there is no law; u affine.

    jacobians: of the inputs by x. spread: where their entries go in the Jacobian of the result.
    pairs, target: which entries of the inputs' Jacobians meet in the Hessian, and where.
    """

    law: Law | None
    inputs: tuple[Affine, ...]
    start: int
    jacobians: tuple[Times, ...]
    spread: Scatter
    pairs: Pairs

    @property
    def stop(self) -> int:
        """Behind the last column of the result."""
        return self.start + len(self.inputs[0].constant)


@dataclass(frozen=True)
class _Point:
    """Everything that one x brings: e, the inputs of every step, their Jacobians and that of e."""

    key: bytes
    e: Floats
    inputs: list[tuple[Floats, ...]]
    slopes: list[tuple[Floats, ...]]
    jacobian: Floats


class Tape(AbstractSmooth):
    """f, h and c as affine maps of x and of the results of the steps.

    The Hessian is the sum over all steps of J_a' diag(adjoint * second derivative) J_b, J the Jacobians of the inputs.
    """

    def __init__(self, columns: int, steps: Sequence[Step], pattern: Pattern, outputs: Sequence[Affine]) -> None:
        """
        Args:
            outputs: of f (one row), h and c.
            pattern: of the Jacobian of e by x.
        """
        self.columns = columns
        self.equations, self.inequalities = (len(part.constant) for part in outputs[1:])
        self._steps = steps
        self._outputs = outputs
        self._jacobians = [times(part.matrix, _head(pattern, part.matrix.shape[1])) for part in outputs]
        self._hessian, self._target = _hessian(steps, columns)
        self._last: _Point | None = None

    def cost(self, x: Floats) -> float:
        return float(self._outputs[0](self._at(x).e)[0])

    def gradient(self, x: Floats) -> Floats:
        made = self._jacobians[0]
        full = np.zeros(self.columns)
        full[made.pattern.indices] = made(self._at(x).jacobian)
        return full

    def residuals(self, x: Floats) -> tuple[Floats, Floats]:
        e = self._at(x).e
        return self._outputs[1](e), self._outputs[2](e)

    def jacobians(self, x: Floats) -> tuple[sp.csr_array, sp.csr_array]:
        data = self._at(x).jacobian
        one, two = (made.pattern.matrix(made(data)) for made in self._jacobians[1:])
        return one, two

    def hessian(self, x: Floats, nu: Floats, zeta: Floats) -> sp.csr_array:
        point = self._at(x)
        adjoint = np.zeros(len(point.e))
        for part, weight in zip(self._outputs, (np.ones(1), nu, zeta), strict=True):
            adjoint[: part.matrix.shape[1]] += part.matrix.T @ weight
        total = np.zeros(self._hessian.size)
        for step, u, slopes, target in zip(
            reversed(self._steps), reversed(point.inputs), reversed(point.slopes), reversed(self._target), strict=True
        ):
            weight = adjoint[step.start : step.stop]
            curved = weight if step.law is None else weight * step.law.second(u[0])
            met = curved[step.pairs.row] * slopes[0][step.pairs.first] * slopes[-1][step.pairs.second]
            for places in target:
                total += np.bincount(places, met, minlength=len(total))
            for part, slope in zip(step.inputs, _slopes(step, u), strict=True):
                adjoint[: part.matrix.shape[1]] += part.matrix.T @ (weight * slope)
        return self._hessian.matrix(total)

    def _at(self, x: Floats) -> _Point:
        key = x.tobytes()
        if self._last is None or self._last.key != key:
            self._last = self._forward(x, key)
        return self._last

    def _forward(self, x: Floats, key: bytes) -> _Point:
        e, jacobian = x.astype(np.float64), np.ones(self.columns)
        inputs, slopes = [], []
        for step in self._steps:
            u = tuple(part(e) for part in step.inputs)
            made = tuple(part(jacobian) for part in step.jacobians)
            data = np.zeros(step.spread.pattern.size)
            for part, slope, values, target in zip(
                step.jacobians, _slopes(step, u), made, step.spread.target, strict=True
            ):
                data += np.bincount(target, slope[part.pattern.rows] * values, minlength=len(data))
            e = np.concatenate([e, u[0] * u[1] if step.law is None else step.law.value(u[0])])
            jacobian = np.concatenate([jacobian, data])
            inputs.append(u)
            slopes.append(made)
        return _Point(key, e, inputs, slopes, jacobian)


def _slopes(step: Step, u: tuple[Floats, ...]) -> tuple[Floats, ...]:
    return (u[1], u[0]) if step.law is None else (step.law.first(u[0]),)


def tape(columns: int, steps: Sequence[tuple[Law | None, tuple[Affine, ...]]], outputs: Sequence[Affine]) -> Tape:
    """Finds all patterns once.

    Args:
        columns: of x.
        steps: law (None for a product) and inputs, in an order in which every input is known.
        outputs: f, h and c.
    """
    pattern = Pattern(np.arange(columns + 1), np.arange(columns), columns)
    made = []
    for law, inputs in steps:
        jacobians = tuple(times(part.matrix, _head(pattern, part.matrix.shape[1])) for part in inputs)
        spread = union([part.pattern for part in jacobians])
        met = pairs(jacobians[0].pattern, jacobians[-1].pattern)
        made.append(Step(law, inputs, len(pattern.indptr) - 1, jacobians, spread, met))
        own = spread.pattern
        indptr = np.concatenate([pattern.indptr, pattern.indptr[-1] + own.indptr[1:]])
        pattern = Pattern(indptr, np.concatenate([pattern.indices, own.indices]), columns)
    return Tape(columns, made, pattern, outputs)


def _head(pattern: Pattern, rows: int) -> Pattern:
    """The first rows of a pattern."""
    return Pattern(pattern.indptr[: rows + 1], pattern.indices[: pattern.indptr[rows]], pattern.columns)


def _hessian(steps: Sequence[Step], columns: int) -> tuple[Pattern, list[tuple[Ints, ...]]]:
    """The pattern of the Hessian, and for every step where its pairs go: a product's also mirrored."""
    keys = []
    for step in steps:
        one = step.jacobians[0].pattern.indices[step.pairs.first]
        two = step.jacobians[-1].pattern.indices[step.pairs.second]
        keys.append(one * columns + two)
        if step.law is None:
            keys.append(two * columns + one)
    found, target = np.unique(np.concatenate([np.empty(0, dtype=np.intp), *keys]), return_inverse=True)
    parts = iter(np.split(target, np.cumsum([len(key) for key in keys])[:-1]) if keys else [])
    places: list[tuple[Ints, ...]] = [
        (next(parts), next(parts)) if step.law is None else (next(parts),) for step in steps
    ]
    counts = np.bincount(found // max(columns, 1), minlength=columns)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    return Pattern(indptr, found % max(columns, 1), columns), places
