"""The cones' algebra against its definitions: scaling points, inverses, corrections and steps to the boundary."""

import numpy as np
import pytest

from gridmodel.ir.cones import Cones
from gridmodel_solvers.interior.cones import ConeSet

CONES = Cones(nonneg=3, soc=(1, 4, 4, 2), psd=(1, 3, 3))
SET = ConeSet.of(CONES)


def inner_point(seed: int, size: int = 5) -> np.ndarray:
    """e + something of a norm below one in every cone."""
    rng = np.random.default_rng(seed)
    step = rng.normal(size=(size, SET.rows))
    least = SET.least(step)
    return step + (0.05 - np.minimum(least, 0.0)) * SET.identity(size)


def full(vector: np.ndarray, order: int) -> np.ndarray:
    col, row = np.tril_indices(order)
    out = np.zeros((order, order))
    out[row, col] = vector * np.where(col == row, 1.0, np.sqrt(0.5))
    return out + np.triu(out, 1).T


def test_the_scaling_takes_the_multiplier_to_the_slack() -> None:
    s, z = inner_point(1), inner_point(2)
    for rows, block in SET.scaling(s, z):
        assert np.einsum("nkij,nkj->nki", block, z[:, rows]) == pytest.approx(s[:, rows], rel=1e-8, abs=1e-9)
        assert np.linalg.eigvalsh(block).min() > 0


def test_inverses() -> None:
    s = inner_point(3)
    inverse = SET.inverse(s)
    degree = SET.nonneg + SET.degree
    assert np.einsum("ni,ni->n", s, inverse) == pytest.approx(np.full(5, degree))
    for order, rows in SET.psd:
        for k in rows:
            assert full(inverse[0, k], order) @ full(s[0, k], order) == pytest.approx(np.eye(order), abs=1e-8)


def test_reach_ends_at_the_boundary() -> None:
    s, ds = inner_point(4), np.random.default_rng(5).normal(size=(5, SET.rows))
    t = SET.reach(s, ds)
    assert np.isfinite(t)
    assert SET.least(s + (t - 1e-7) * ds).min() > 0
    assert SET.least(s + (t + 1e-7) * ds).min() < 0
    assert SET.reach(s, SET.identity(5)) == np.inf
