"""What a load flow is asked for: the powers of loads and generators in every scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridmodel.errors import DataError, ShapeError, UnknownNameError
from gridmodel.grid.elements import Generator, Load
from gridmodel.grid.feeder import Feeder

__all__ = ["Powers", "scenario_powers"]

Powers: TypeAlias = ArrayLike | Mapping[str, ArrayLike] | None


def scenario_powers(feeder: Feeder, loads: Powers, generation: Powers) -> tuple[NDArray[np.complex128], bool]:
    """What loads draw and, negative, generators inject, shape (scenarios, loads + generators), VA; and whether the
    question holds scenarios at all or is about one case.

    Raises:
        UnknownNameError, ShapeError, DataError: a name that is none, a wrong shape, a number that is not finite.
    """
    drawn, many_loads = _powers(feeder.name, "loads", feeder.loads, loads)
    given, many_generators = _powers(feeder.name, "generation", feeder.generators, generation)
    counts = {len(drawn), len(given)} - {1}
    if len(counts) > 1:
        raise ShapeError(f"loads hold {len(drawn)} scenarios and generation {len(given)}; give both as many, or one.")
    count = counts.pop() if counts else 1
    both = [np.broadcast_to(x, (count, x.shape[1])) for x in (drawn, -given)]
    return np.concatenate(both, axis=1), many_loads or many_generators


def _powers(feeder: str, what: str, owners: Sequence[Load | Generator], given: Powers) -> tuple[NDArray[Any], bool]:
    """Powers of shape (scenarios or 1, owners) in VA, and whether scenarios were given."""
    nominal = np.array([owner.s for owner in owners], dtype=np.complex128)
    if given is None:
        return nominal[None], False
    if isinstance(given, Mapping):
        return _named(feeder, what, [owner.name for owner in owners], nominal, given)
    x = _numbers(what, given)
    factors = not np.iscomplexobj(x)
    if x.ndim == 0 and factors:
        return (x * nominal)[None], False
    if x.ndim == 1 and factors:
        return x[:, None] * nominal, True
    if (x.ndim in (1, 2) and x.shape[-1] == nominal.size) or (x.ndim == 2 and factors and x.shape[1] == 1):
        return np.atleast_2d(x * nominal if factors else x), x.ndim == 2
    raise ShapeError(
        f"{what}: an array of shape {x.shape} and type {x.dtype}; expected complex powers in VA of shape (scenarios, "
        f"{nominal.size}) or ({nominal.size},) in the order of feeder.{'loads' if what == 'loads' else 'generators'}, "
        f"or real multiples of the file's powers of shape (scenarios,) or (scenarios, {nominal.size})."
    )


def _named(
    feeder: str, what: str, names: list[str], nominal: NDArray[np.complex128], given: Mapping[str, ArrayLike]
) -> tuple[NDArray[np.complex128], bool]:
    """The nominal powers, with those that are named replaced."""
    position = {name: k for k, name in enumerate(names)}
    unknown = [name for name in given if name not in position]
    if unknown:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise UnknownNameError(
            f"{what}: {feeder} has none of the name {unknown[0]!r}; it has {shown or 'none at all'}."
        )
    values = {name: _numbers(f"{what}[{name!r}]", value).astype(np.complex128) for name, value in given.items()}
    shapes = {value.shape for value in values.values() if value.ndim}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
        raise ShapeError(f"{what}: arrays of shapes {sorted(shapes)}; expected numbers in VA, or arrays of one length.")
    count = shapes.pop()[0] if shapes else 1
    out = np.repeat(nominal[None], count, axis=0)
    for name, value in values.items():
        out[:, position[name]] = value
    return out, any(value.ndim for value in values.values())


def _numbers(what: str, given: ArrayLike) -> NDArray[Any]:
    """A finite array of numbers."""
    x = np.asarray(given)
    if x.dtype.kind not in "iufc":
        raise DataError(f"{what}: got values of type {x.dtype}, expected numbers.")
    if not np.isfinite(x).all():
        at = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        raise DataError(f"{what}: the number at {list(at)} is {x[at]}; every power must be finite.")
    return x
