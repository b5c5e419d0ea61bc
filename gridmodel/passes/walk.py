"""One walk over an agent's expressions: a key of their structure, and what is free of variables in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.binary_operators import DivExpression
from cvxpy.expressions.constants import Constant

from gridmodel.passes.data import has_zero, is_sparse

__all__ = ["Leaves", "Slots", "freeze", "rebuild", "walk"]

Key = tuple[Any, ...]
_FREE = {"c", "p"}
Slots = Callable[[int, bool], cp.Expression | None]
"""Gives the replacement of a leaf by its number, or of its reciprocal; None keeps the leaf."""


@dataclass
class Leaves:
    """What a walk met.

    local: {variable id: its number within the agent}.
    free: the largest subtrees without variables in the order met: a constant's value, or an expression of parameters.
    divides_by_zero: whether a constant that divides has a zero.
    """

    local: dict[int, int]
    free: list[Any] = field(default_factory=list)
    divides_by_zero: bool = False

    def signs(self) -> Key:
        """The signs of all free subtrees, on which it may rest whether a statement is convex."""
        return tuple([_sign(leaf) for leaf in self.free])


def walk(item: cp.Expression | cp.Constraint, leaves: Leaves) -> Key:
    """The structure of an expression or constraint; equal keys mean equal but for the values of free subtrees."""
    if not isinstance(item, cp.Constraint):
        return _walk(item, leaves)
    data = item.get_data()
    keys = tuple([_walk(arg, leaves) for arg in item.args])
    return (type(item), freeze(data[:-1]) if data[1:] else None, keys)  # the last entry is the constraint's id


def _walk(node: Any, leaves: Leaves) -> Key:
    if not node.args:
        if type(node) is Constant:
            return _constant(node.value, leaves)
        if isinstance(node, cp.Parameter):
            return _parametric(node, leaves)
        return ("v", leaves.local[node.id])
    mark = len(leaves.free)
    keys = tuple([_walk(arg, leaves) for arg in node.args])
    kinds = {key[0] for key in keys}
    if kinds <= _FREE:
        del leaves.free[mark:]
        return _parametric(node, leaves) if "p" in kinds else _constant(node.value, leaves)
    kind = type(node)
    if kind is DivExpression and keys[1][0] == "c" and has_zero(leaves.free[-1]):
        leaves.divides_by_zero = True
    data = node.get_data()
    return (kind, freeze(data) if data else None, keys)


def rebuild(node: Any, variables: dict[int, cp.Variable], slots: Slots, at: list[int]) -> Any:
    """Copies an expression or constraint with other leaves.

    A division by a replaced leaf becomes a product with its reciprocal.

    Args:
        node: what ``walk`` saw. variables: {id: its replacement}.
        slots: replacements of free subtrees. at: [number of the next free subtree], counted on.

    Raises:
        ValueError: an atom refuses the replacement, or would not keep its shape.
    """
    if isinstance(node, cp.Variable):
        return variables[node.id]
    if _is_free(node):
        at[0] += 1
        slot = slots(at[0] - 1, False)
        return node if slot is None else slot
    if isinstance(node, DivExpression) and _is_free(node.args[1]):
        top = rebuild(node.args[0], variables, slots, at)
        at[0] += 1
        slot = slots(at[0] - 1, True)
        copy = node.copy([top, node.args[1]]) if slot is None else cp.multiply(top, slot)
    else:
        copy = node.copy([rebuild(arg, variables, slots, at) for arg in node.args])
    if copy.shape != node.shape:
        raise ValueError(f"{type(node).__name__} did not keep its shape")
    return copy


def freeze(item: Any) -> Any:
    """A hashable stand-in for what cvxpy keeps as an atom's data."""
    if isinstance(item, (list, tuple)):
        return tuple([freeze(part) for part in item])
    if isinstance(item, slice):
        return ("slice", freeze(item.start), freeze(item.stop), freeze(item.step))
    if isinstance(item, Constant):
        return freeze(item.value)
    if isinstance(item, cp.Expression):
        return ("object", id(item))
    if is_sparse(item):
        coo = item.tocoo()
        return ("sparse", item.shape, coo.row.tobytes(), coo.col.tobytes(), coo.data.tobytes())
    if isinstance(item, np.ndarray):
        return ("array", item.shape, item.dtype.str, item.tobytes())
    try:
        hash(item)
    except TypeError:
        return ("object", id(item))
    return item


def _parametric(node: Any, leaves: Leaves) -> Key:
    leaves.free.append(node)
    return ("p", node.shape)


def _constant(value: Any, leaves: Leaves) -> Key:
    leaves.free.append(value)
    return ("c", freeze(value) if is_sparse(value) else np.shape(value))


def _sign(leaf: Any) -> Key | str:
    if isinstance(leaf, cp.Expression):
        return (leaf.is_nonneg(), leaf.is_nonpos())
    if is_sparse(leaf) or not np.size(leaf):
        return "?"
    low, high = np.min(leaf), np.max(leaf)
    return "+" if low >= 0 else "-" if high <= 0 else "?"


def _is_free(node: Any) -> bool:
    if isinstance(node, (cp.Variable, cp.Constraint)):
        return False
    return isinstance(node, (Constant, cp.Parameter)) or (bool(node.args) and all(map(_is_free, node.args)))
