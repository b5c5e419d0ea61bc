"""When an iteration over many columns in torch is at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["Convergence"]


class Convergence:
    """Whether the columns of an iteration have converged.

    With changes that shrink by r a step, change r / (1 - r) is what is left.

    done: those that have, shape (columns,). like: of the precision and device. scale: size of each column's numbers,
    to which the tolerance applies; None takes 1. A rate that is all rounding is not taken for one.
    """

    def __init__(self, columns: int, tolerance: float, like: torch.Tensor, scale: torch.Tensor | None = None) -> None:
        import torch

        one = torch.ones(columns, dtype=like.dtype, device=like.device)
        scale = one if scale is None else scale
        eps = torch.finfo(like.dtype).eps
        self.goal, self.rounding, self.much = tolerance * scale, eps * scale, 1e6 * scale
        self.before, self.rate = one * torch.inf, torch.zeros_like(one)
        self.done = torch.zeros_like(one, dtype=torch.bool)

    def over(self, new: torch.Tensor, old: torch.Tensor, space: torch.Tensor) -> bool:
        """Whether every column has converged, ``done``, or is beyond all bounds."""
        import torch

        if not new.shape[0]:
            self.done = torch.ones_like(self.done)
            return True
        change = torch.sub(new, old, out=space).abs_().amax(dim=0)
        rate = change / self.before
        self.rate = torch.where((self.before > 16.0 * self.rounding) | (self.rate == 0.0), rate, self.rate)
        certain = (self.rate > 0.0) & (self.rate < 1.0)
        left = change * self.rate / (1.0 - self.rate)
        self.done = (certain & (left <= self.goal)) | (change <= self.rounding)
        self.before = change
        return bool((self.done | ~(change < self.much)).all())
