"""The cones' algebra against its definitions: scaling points, inverses, corrections and steps to the boundary."""

import numpy as np
import pytest

from gridmodel.ir.cones import Cones
from gridmodel_solvers.interior.cones import ConeSet
from gridmodel_solvers.interior.scaling import Scaling

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


def groups() -> list[np.ndarray]:
    return [rows for _, rows in (*SET.soc, *SET.psd)]


def test_the_scaling_takes_the_multiplier_to_the_slack() -> None:
    s, z = inner_point(1), inner_point(2)
    scaling = Scaling(SET, s, z)
    for k, rows in enumerate(groups()):
        every = np.ones(len(rows), dtype=bool)
        square = scaling.squares(k, every)
        assert np.einsum("nkij,nkj->nki", square, z[:, rows]) == pytest.approx(s[:, rows], rel=1e-8, abs=1e-9)
        assert np.linalg.eigvalsh(square).min() > 0
        middle = scaling.shrunk(k, every, s[:, rows, None])
        assert (middle**2).sum(axis=(2, 3)) == pytest.approx((s * z)[:, rows].sum(axis=2), rel=1e-8)
        back = scaling.shrunk(k, every, middle, transposed=True)[..., 0]
        assert back == pytest.approx(z[:, rows], rel=1e-7, abs=1e-8)


def test_the_product_of_slack_and_multiplier_bends_by_the_slack_itself() -> None:
    s, z = inner_point(6), inner_point(7)
    assert Scaling(SET, s, z).bend(s, z) == pytest.approx(s, rel=1e-7, abs=1e-8)


def test_between_two_centres_the_bend_is_what_newtons_step_misses() -> None:
    """From one point with z = gamma s^-1 to another ds + W^2 dz is of second order, and with the bend nothing."""
    s, gamma = inner_point(8), 0.7
    z = gamma * SET.inverse(s)
    other = s + 0.05 * np.random.default_rng(9).uniform(-1.0, 1.0, s.shape) * SET.least(s)
    scaling, ds, dz = Scaling(SET, s, z), other - s, gamma * SET.inverse(other) - z
    missed = ds + s / z * dz
    for k, rows in enumerate(groups()):
        square = scaling.squares(k, np.ones(len(rows), dtype=bool))
        missed[:, rows] = ds[:, rows] + np.einsum("nkij,nkj->nki", square, dz[:, rows])
        assert np.abs(missed[:, rows]).max() > 1e-7
    assert missed + scaling.bend(ds, dz) == pytest.approx(np.zeros_like(s), abs=1e-11)


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
