"""One walk over an agent's expressions: a key of their structure, and the constants and parameters in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.binary_operators import DivExpression
from cvxpy.expressions.constants import Constant
from numpy.typing import NDArray

__all__ = ["Leaves", "freeze", "rebuild", "walk"]

Floats = NDArray[np.float64]
Key = tuple[Any, ...]


@dataclass
class Leaves:
    """What a walk met.

    local: {variable id: its number within the agent}. constants: values in the order met, a constant subtree once.
    parameters: the user's parameters in the order first met.
    """

    local: dict[int, int]
    constants: list[Any] = field(default_factory=list)
    parameters: list[cp.Parameter] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)


def walk(node: Any, leaves: Leaves) -> Key:
    """The structure of an expression or constraint; equal keys mean equal but for the constants' values."""
    if isinstance(node, cp.Variable):
        return ("v", leaves.local[node.id])
    if isinstance(node, cp.Parameter):
        at = leaves.seen.get(node.id)
        if at is None:
            at = leaves.seen[node.id] = len(leaves.parameters)
            leaves.parameters.append(node)
        return ("p", at, node.shape, _signs(node))
    if isinstance(node, Constant):
        return _constant(node.value, leaves)
    mark = len(leaves.constants)
    keys = tuple([walk(arg, leaves) for arg in node.args])
    if keys and all(key[0] == "c" for key in keys):
        del leaves.constants[mark:]
        return _constant(node.value, leaves)
    data = node.get_data()
    if isinstance(node, cp.Constraint) and data:
        data = data[:-1]  # the last entry is the constraint's id
    return (type(node), freeze(data) if data else None, keys)


def rebuild(node: Any, variables: dict[int, cp.Variable], parameters: dict[int, cp.Parameter], slots: list[Any]) -> Any:
    """Copies an expression with other leaves; ``slots`` gives a replacement for each constant in walk's order.

    A slot is None (keep the constant) or a Parameter. A division by such a parameter becomes a product with it, so
    its values must be reciprocals: these slots are marked by ``slot.reciprocal``.
    """
    return _rebuild(node, variables, parameters, slots, [0])


def divisors(node: Any, leaves_before: int, found: list[int]) -> int:
    """Collects the numbers of constants that stand under a division; returns the count after this node."""
    if isinstance(node, (cp.Variable, cp.Parameter)):
        return leaves_before
    if _is_constant(node):
        return leaves_before + 1
    count = leaves_before
    for i, arg in enumerate(node.args):
        if isinstance(node, DivExpression) and i == 1 and _is_constant(arg):
            found.append(count)
        count = divisors(arg, count, found)
    return count


def freeze(item: Any) -> Any:
    """A hashable stand-in for what cvxpy keeps as an atom's data."""
    if isinstance(item, (list, tuple)):
        return tuple([freeze(part) for part in item])
    if isinstance(item, slice):
        return ("slice", freeze(item.start), freeze(item.stop), freeze(item.step))
    if isinstance(item, Constant):
        return freeze(item.value)
    if sp.issparse(item):
        coo = item.tocoo()
        return ("sparse", item.shape, coo.row.tobytes(), coo.col.tobytes(), coo.data.tobytes())
    if isinstance(item, np.ndarray):
        return ("array", item.shape, item.tobytes())
    try:
        hash(item)
    except TypeError:
        return ("object", id(item))
    return item


def _constant(value: Any, leaves: Leaves) -> Key:
    leaves.constants.append(value)
    if sp.issparse(value):
        return ("c", freeze(value))
    array = np.asarray(value)
    if array.ndim == 0:
        number = float(array)
        sign = "?" if number != number else ("+" if number >= 0 else "-")
        return ("c", (), sign)
    return ("c", array.shape, _sign_of(array))


def _sign_of(array: Floats) -> str:
    if array.size == 0:
        return "+"
    low, high = array.min(), array.max()
    return "+" if low >= 0 else ("-" if high <= 0 else "?")


def _signs(parameter: cp.Parameter) -> str:
    kept = [name for name, value in parameter.attributes.items() if value is True]
    return ",".join(kept)


def _is_constant(node: Any) -> bool:
    return isinstance(node, Constant) or (
        bool(node.args) and not isinstance(node, (cp.Variable, cp.Parameter)) and all(_is_constant(a) for a in node.args)
    )


def _rebuild(node: Any, variables: Any, parameters: Any, slots: list[Any], at: list[int]) -> Any:
    if isinstance(node, cp.Variable):
        return variables[node.id]
    if isinstance(node, cp.Parameter):
        return parameters[node.id]
    if _is_constant(node):
        slot = slots[at[0]]
        at[0] += 1
        if slot is not None:
            return slot
        return node if isinstance(node, Constant) else Constant(node.value)
    if isinstance(node, DivExpression) and _is_constant(node.args[1]):
        top = _rebuild(node.args[0], variables, parameters, slots, at)
        bottom = _rebuild(node.args[1], variables, parameters, slots, at)
        return cp.multiply(top, bottom) if isinstance(bottom, cp.Parameter) else node.copy([top, bottom])
    return node.copy([_rebuild(arg, variables, parameters, slots, at) for arg in node.args])
