"""Which oracle suits a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gridmodel.errors import NotApplicableError
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.batched_qp import BatchedQP
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.closed_form import ClosedForm
from gridmodel_solvers.oracles.group import Group
from gridmodel_solvers.oracles.interface import Oracle
from gridmodel_solvers.oracles.osqp_blocks import OsqpBlocks

__all__ = ["accuracy_for", "choose"]

# From this many equal blocks on, sweeps over arrays are cheaper than one call a block.
_MANY = 8


def accuracy_for(tolerance: float, asked: float | None = None) -> float:
    """The accuracy of local problems that suits a run's tolerance, unless one is asked for."""
    return min(1e-6, 1e-2 * tolerance) if asked is None else asked


def choose(stack: Stack, accuracy: float, kind: str = "auto") -> Oracle:
    """Closed form where columns do not touch, linear algebra where they are free, with one length at most; Clarabel
    for other cones, a batch for many blocks, else OSQP a block.

    Args:
        stack: the blocks.
        accuracy: relative accuracy of columns and marginal costs.
        kind: "auto", or "closed", "group", "batched", "osqp" or "clarabel" to ask for one.

    Raises:
        NotApplicableError: the oracle asked for cannot solve these blocks.
    """
    if kind == "auto":
        kind = _best(stack)
    elif kind not in _FITS or not _FITS[kind](stack):
        fitting = [name for name, fits in _FITS.items() if fits(stack)]
        raise NotApplicableError(
            f"oracle={kind!r} cannot solve the local problem of {stack.labels[0]} (cones: {stack.cones}); "
            f"use oracle='auto' or one of {', '.join(map(repr, fitting))}."
        )
    if kind == "closed":
        return ClosedForm(stack)
    if kind == "group":
        return Group(stack)
    if kind == "batched":
        return BatchedQP(stack, accuracy)
    if kind == "clarabel":
        return ClarabelBlocks(stack, accuracy)
    return OsqpBlocks(stack, min(accuracy, 1e-9))


_FITS: Mapping[str, Callable[[Stack], bool]] = {
    "closed": ClosedForm.fits,
    "group": Group.fits,
    "batched": BatchedQP.fits,
    "osqp": lambda stack: not stack.cones,
    "clarabel": lambda stack: True,
}


def _best(stack: Stack) -> str:
    if ClosedForm.fits(stack):
        return "closed"
    if Group.fits(stack):
        return "group"
    if stack.cones:
        return "clarabel"
    return "batched" if stack.size >= _MANY and BatchedQP.fits(stack) else "osqp"
