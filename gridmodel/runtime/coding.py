"""Numbers as they are sent: whole, rounded to fixed levels, or as rounded differences."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.channel import Channel

__all__ = ["Coder"]

Floats = NDArray[np.float64]


@final
class Coder:
    """Rounds what one stream sends, row by row (a row is a node's or an edge's packet).

    fixed: the nearest of 2^bits levels on [-span, span].
    difference: both ends keep the sum of what was sent; sent is the rest, in 2^bits levels of its largest entry.
    """

    def __init__(self, channel: Channel) -> None:
        self._bits = channel.bits
        self._difference = channel.coding == "difference"
        self._span = channel.span
        self._replica: Floats | None = None

    @property
    def exact(self) -> bool:
        """Whether numbers are sent whole."""
        return self._bits is None

    @property
    def bits_of_number(self) -> int:
        """Bits a number takes."""
        return 64 if self._bits is None else int(self._bits)

    @property
    def bits_of_scale(self) -> int:
        """Bits that a quantity takes besides its numbers: the scale of its levels."""
        return 64 if self._bits is not None and self._difference else 0

    def __call__(self, values: Floats) -> Floats:
        """What the receiver reads, shape as ``values`` (rows, numbers)."""
        if self._bits is None:
            return values
        if not self._difference:
            return _rounded(values, self._span, self._bits)
        if self._replica is None:
            self._replica = np.zeros_like(values)
        rest = values - self._replica
        scale = np.abs(rest).max(axis=1, keepdims=True, initial=0.0)
        self._replica = self._replica + _rounded(rest, np.where(scale > 0, scale, 1.0), self._bits) * (scale > 0)
        return self._replica


def _rounded(values: Floats, span: Floats | float, bits: int) -> Floats:
    step = 2 * span / (2**bits - 1)
    out = values + span
    out /= step
    np.rint(out, out=out)
    np.clip(out, 0, 2**bits - 1, out=out)
    out *= step
    out -= span
    return out
