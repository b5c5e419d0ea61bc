"""KKT matrices with cones eliminated and with cones kept, against the dense matrix written out."""

import numpy as np
import pytest

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.interior.cones import ConeSet
from gridmodel_solvers.interior.kkt import Kkt
from gridmodel_solvers.interior.scaling import Scaling

CONES = Cones(nonneg=2, soc=(3, 3), psd=(3, 2, 2))
COLUMNS, EQUATIONS, DELTA, EPS = 9, 2, 1e-3, 1e-6


def stack(size: int, alike: bool) -> Stack:
    """The first cone of every kind touches all nine columns, which are more than twice its rows or not."""
    rng = np.random.default_rng(size)
    rows = sum((CONES.nonneg, *CONES.soc, *(k * (k + 1) // 2 for k in CONES.psd)))
    there = rng.random((rows, COLUMNS)) < 0.25
    there[2:5] = there[14:17] = True
    many = 1 if alike else size

    def batch(mask: np.ndarray) -> Batch:
        row, col = np.nonzero(mask)
        return Batch.build(mask.shape, row, col, rng.normal(size=(many, len(row))), size)

    diagonal = np.arange(COLUMNS)
    P = Batch.build((COLUMNS, COLUMNS), diagonal, diagonal, rng.uniform(1.0, 2.0, (many, COLUMNS)), size)
    free = np.full((size, COLUMNS), np.inf)
    return Stack(
        [str(i) for i in range(size)], P, np.zeros((size, COLUMNS)), np.zeros(size),
        batch(np.ones((EQUATIONS, COLUMNS), dtype=bool)), np.zeros((size, EQUATIONS)), -free, free,
        batch(there), np.zeros((size, rows)), CONES, Batch.empty(0, COLUMNS, size),
        np.empty((size, 0), dtype=np.intp), np.arange(COLUMNS),
    )  # fmt: skip


@pytest.mark.parametrize(("size", "alike"), [(1, True), (3, False), (7, True), (7, False)])
def test_solves(size: int, alike: bool) -> None:
    given, cones = stack(size, alike), ConeSet.of(CONES)
    rng = np.random.default_rng(5)
    s, z = (cones.identity(size) + 0.2 * rng.uniform(-1, 1, (size, cones.rows)) for _ in range(2))
    ratio = rng.uniform(0.1, 1.0, (size, COLUMNS))
    kkt = Kkt(given, np.zeros((size, COLUMNS), dtype=bool), DELTA, EPS)
    assert COLUMNS + EQUATIONS + CONES.nonneg < len(kkt.kept) < kkt.size
    right = rng.normal(size=(size, kkt.size, 2))
    found = kkt.factored(ratio, s, z).solve(right)
    scaling, cut = Scaling(cones, s, z), COLUMNS + EQUATIONS
    for i in range(size):
        K = np.zeros((kkt.size, kkt.size))
        K[:COLUMNS, :COLUMNS] = given.P.dense(i) + np.diag(ratio[i] + DELTA)
        K[COLUMNS:cut, :COLUMNS], K[cut:, :COLUMNS] = given.A.dense(i), -given.G.dense(i)
        K[:COLUMNS, COLUMNS:] = K[COLUMNS:, :COLUMNS].T
        K[cut : cut + 2, cut : cut + 2] = -np.diag(s[i, :2] / z[i, :2])
        for k, (_, rows) in enumerate((*cones.soc, *cones.psd)):
            for own, square in zip(cut + rows, scaling.squares(k, np.ones(len(rows), dtype=bool))[i], strict=True):
                K[np.ix_(own, own)] = -square
        assert found[i] == pytest.approx(np.linalg.solve(K, right[i]), rel=1e-8, abs=1e-8)
