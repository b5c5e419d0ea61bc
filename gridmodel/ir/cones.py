"""Which cone each row of a block's conic part belongs to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cones"]


@dataclass(frozen=True)
class Cones:
    """The product of cones that G x + h lies in, rows in this order.

    nonneg: number of nonnegative rows.
    soc: dimensions of second-order cones, each with its rows (t, x1, ..., xk), t >= |x|.
    psd: orders k of semidefinite cones, each with k(k+1)/2 rows: the upper triangle by columns,
        off-diagonal entries times sqrt(2).
    exp: number of exponential cones, rows (x, y, z) with y exp(x/y) <= z.
    pow3d: exponents a of power cones, rows (x, y, z) with x^a y^(1-a) >= |z|.
    """

    nonneg: int = 0
    soc: tuple[int, ...] = ()
    psd: tuple[int, ...] = ()
    exp: int = 0
    pow3d: tuple[float, ...] = ()

    @property
    def rows(self) -> int:
        """Total number of rows."""
        triangles = sum(k * (k + 1) // 2 for k in self.psd)
        return self.nonneg + sum(self.soc) + triangles + 3 * self.exp + 3 * len(self.pow3d)

    def __bool__(self) -> bool:
        return self.rows > 0

    def __str__(self) -> str:
        parts = [
            f"{self.nonneg} inequalities" if self.nonneg else "",
            f"{len(self.soc)} second-order cones" if self.soc else "",
            f"{len(self.psd)} semidefinite cones" if self.psd else "",
            f"{self.exp} exponential cones" if self.exp else "",
            f"{len(self.pow3d)} power cones" if self.pow3d else "",
        ]
        return ", ".join(part for part in parts if part) or "none"
