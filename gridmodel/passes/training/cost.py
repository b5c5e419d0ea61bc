"""Costs of steps, declared in cvxpy, as functions of torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.broadcast_to import broadcast_to
from cvxpy.atoms.affine.hstack import Hstack
from cvxpy.atoms.affine.index import index, special_index
from cvxpy.atoms.affine.promote import Promote
from cvxpy.atoms.affine.reshape import reshape
from cvxpy.atoms.affine.sum import Sum
from cvxpy.atoms.affine.transpose import transpose
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.affine.vstack import Vstack
from cvxpy.atoms.elementwise.power import Power, PowerApprox

from gridmodel.errors import NotApplicableError
from gridmodel.ir.training import AbstractCost, Leaf
from gridmodel.language.timed import Said
from gridmodel.passes.training.step_map import Leaves

__all__ = ["StageCost"]


@final
@dataclass(frozen=True)
class StageCost(AbstractCost):
    """The sum of declared costs of steps, evaluated by their cvxpy trees, all days at once.

    Raises:
        NotApplicableError: an atom without a translation.
    """

    said: tuple[Said, ...]
    leaves: Leaves

    def __post_init__(self) -> None:
        for one in self.said:
            self._check(one.expression, f"{self.leaves.day.party.name}: the cost at {one.place}")

    def __call__(self, leaves: Mapping[Leaf, Any]) -> Any:
        """Cost of every agent in every step, shape (T, B, N), from leaves of this shape."""
        import torch

        some = next(iter(leaves.values()))
        steps, count = self.leaves.day.steps, self.leaves.day.party.size or 1
        total = torch.zeros((steps, some.shape[1], count), dtype=some.dtype, device=some.device)
        names = [leaf for leaf in self.leaves.variables if leaf in leaves]
        shared = {leaf for leaf in names if len(self.leaves.variables[leaf].shape) == 1}

        def one_day(*values: Any) -> Any:
            own = dict(zip(names, values, strict=True))
            return sum((self._value(one.expression, own, some) for one in self.said), some.new_zeros(()))

        # cvxpy's shapes: agents first, days apart.
        given = [leaves[leaf][:, :, 0].T if leaf in shared else leaves[leaf].permute(1, 2, 0) for leaf in names]
        if not self.said:
            return total
        found = torch.vmap(one_day)(*given)
        return total + found.reshape(-1, count, steps).permute(2, 0, 1)

    def _value(self, node: Any, own: Mapping[Leaf, Any], like: Any) -> Any:
        import torch

        if isinstance(node, (cp.Variable, cp.Parameter)):
            return own[self.leaves.of[node.id]]
        if not (node.variables() or node.parameters()):
            dense = node.value.toarray() if hasattr(node.value, "toarray") else np.asarray(node.value)
            return torch.as_tensor(dense, dtype=like.dtype, device=like.device)
        return _ATOMS[type(node)](node, [self._value(arg, own, like) for arg in node.args])

    def _check(self, node: Any, where: str) -> None:
        if not node.args or not (node.variables() or node.parameters()):
            if isinstance(node, (cp.Variable, cp.Parameter)) and node.id not in self.leaves.of:
                raise NotApplicableError(f"{where} holds {node.name()}, which does not belong to its horizon.")
            return
        if type(node) not in _ATOMS:
            known = ", ".join(sorted(kind.__name__ for kind in _ATOMS if hasattr(cp, kind.__name__)))
            raise NotApplicableError(
                f"{where} has the atom {type(node).__name__}; training knows +, -, *, /, @, sum, square, power, pos, "
                f"neg, hstack, vstack, x[...], {known}. Write the cost with these."
            )
        for arg in node.args:
            self._check(arg, where)


def _power(node: Any, values: list[Any]) -> Any:
    exponent = float(np.asarray(getattr(node.p, "value", node.p)))
    return values[0] * values[0] if exponent == 2.0 else values[0] ** exponent


def _sum(node: Any, values: list[Any]) -> Any:
    if node.axis is None:
        return values[0].sum()
    return values[0].sum(dim=node.axis, keepdim=bool(node.keepdims))


def _reshape(node: Any, values: list[Any]) -> Any:
    x = values[0]
    if node.order == "C":
        return x.reshape(node.shape)
    turned = x.permute(*reversed(range(x.dim()))) if x.dim() > 1 else x
    back = turned.reshape(tuple(reversed(node.shape)))
    return back.permute(*reversed(range(back.dim()))) if len(node.shape) > 1 else back


def _index(node: Any, values: list[Any]) -> Any:
    key = tuple(slice(k.start, k.stop, k.step) if isinstance(k, slice) else k for k in node.key)
    return values[0][key].reshape(node.shape)


def _huber(node: Any, values: list[Any]) -> Any:
    edge, size = float(node.M.value), values[0].abs()
    return (size <= edge) * size.square() + (size > edge) * (2 * edge * size - edge * edge)


def _softplus(x: Any) -> Any:
    import torch

    return torch.logaddexp(x, torch.zeros_like(x))


def _joined(parts: list[Any]) -> Any:
    """Side by side: vectors one after the other, matrices by their columns."""
    import torch

    return torch.cat([part.reshape(1) if part.dim() == 0 else part for part in parts], dim=-1)


def _stacked(parts: list[Any]) -> Any:
    """One below the other."""
    import torch

    return torch.cat([part.reshape(1, -1) if part.dim() < 2 else part for part in parts], dim=0)


def _largest(node: Any, values: list[Any]) -> Any:
    import torch

    del node
    found = values[0]
    for other in values[1:]:
        found = torch.maximum(found, other)
    return found


def _smallest(node: Any, values: list[Any]) -> Any:
    return -_largest(node, [-x for x in values])


_ATOMS: dict[type, Callable[[Any, list[Any]], Any]] = {
    AddExpression: lambda _, x: sum(x[1:], x[0]),
    NegExpression: lambda _, x: -x[0],
    MulExpression: lambda _, x: x[0] @ x[1] if x[0].dim() and x[1].dim() else x[0] * x[1],
    multiply: lambda _, x: x[0] * x[1],
    DivExpression: lambda _, x: x[0] / x[1],
    Promote: lambda node, x: x[0].reshape(()).expand(node.shape),
    broadcast_to: lambda node, x: x[0].expand(node.shape),
    index: _index,
    special_index: lambda node, x: x[0][node.key].reshape(node.shape),
    reshape: _reshape,
    transpose: lambda node, x: x[0].permute(*(node.axes or reversed(range(x[0].dim())))),
    Sum: _sum,
    Power: _power,
    PowerApprox: _power,
    cp.abs: lambda _, x: x[0].abs(),
    cp.maximum: _largest,
    cp.minimum: _smallest,
    cp.exp: lambda _, x: x[0].exp(),
    cp.log: lambda _, x: x[0].log(),
    cp.logistic: lambda _, x: _softplus(x[0]),
    cp.huber: _huber,
    Hstack: lambda _, x: _joined(x),
    Vstack: lambda _, x: _stacked(x),
}
