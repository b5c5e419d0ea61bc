"""Both factorisations solve quasi-definite systems as numpy does."""

import numpy as np
import pytest

from gridmodel_solvers.interior.factor import BatchedLDL, Pattern, SparseLU


@pytest.mark.parametrize("kind", [SparseLU, BatchedLDL])
def test_solves(kind: type) -> None:
    rng = np.random.default_rng(0)
    top, low, blocks = 9, 5, 7
    there = np.argwhere(rng.random((low, top)) < 0.4)
    row = np.concatenate([np.arange(top + low), top + there[:, 0], [3, 3]])
    col = np.concatenate([np.arange(top + low), there[:, 1], [1, 1]])  # the entry (3, 1) comes in two parts
    signs = np.concatenate([np.ones(top), -np.ones(low)])
    data = rng.normal(size=(blocks, len(row)))
    data[:, : top + low] = signs * rng.uniform(3.0, 6.0, (blocks, top + low))
    right = rng.normal(size=(blocks, top + low, 3))
    found = kind(Pattern(top + low, row, col, signs), data).solve(right)
    for i in range(blocks):
        dense = np.zeros((top + low, top + low))
        np.add.at(dense, (row, col), data[i])
        dense += np.tril(dense, -1).T
        assert found[i] == pytest.approx(np.linalg.solve(dense, right[i]), rel=1e-9, abs=1e-10)
