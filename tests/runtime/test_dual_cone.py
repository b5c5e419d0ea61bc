"""Projected multipliers lie in the dual cone: nonnegative against every point of the cone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.ir.cones import Cones
from gridmodel.runtime.dual_cone import project_dual
from tests.solvers.build import Floats
from tests.strategies import EXAMPLES

CONES = [
    Cones(nonneg=3), Cones(soc=(1,)), Cones(soc=(4, 2)), Cones(psd=(1, 3)), Cones(exp=2), Cones(pow3d=(0.5,)),
    Cones(pow3d=(0.1, 0.8)), Cones(nonneg=2, soc=(3,), psd=(2,), exp=1, pow3d=(0.3,)),
]  # fmt: skip


def members(cones: Cones, rng: np.random.Generator, count: int) -> Floats:
    """Points of the cone, half of them on its boundary, shape (count, rows)."""
    parts = [np.abs(rng.normal(size=(count, cones.nonneg))) * (rng.random((count, cones.nonneg)) < 0.5)]
    edge = rng.random(count) < 0.5
    room = np.where(edge, 0.0, rng.exponential(size=count))
    for size in cones.soc:
        x = rng.normal(size=(count, size - 1))
        parts.append(np.column_stack([np.linalg.norm(x, axis=1) + room, x]))
    for order in cones.psd:
        rank = 1 if rng.random() < 0.5 else order
        root = rng.normal(size=(count, order, rank))
        full = root @ root.transpose(0, 2, 1)
        triangle = [(i, j) for j in range(order) for i in range(j + 1)]
        parts.append(np.stack([full[:, i, j] * (1 if i == j else np.sqrt(2)) for i, j in triangle], axis=1))
    for _ in range(cones.exp):
        y = rng.exponential(size=count)
        x = y * rng.choice([1.0, 10.0], count) * rng.normal(size=count)
        closure = rng.random(count) < 0.2  # y = 0, x <= 0, z >= 0
        z = np.where(closure, room, y * np.exp(x / y) + room)
        parts.append(np.column_stack([np.where(closure, -np.abs(x), x), np.where(closure, 0.0, y), z]))
    for alpha in cones.pow3d:
        x, y = rng.exponential(size=(2, count))
        z = x**alpha * y ** (1 - alpha) * np.where(edge, rng.choice([-1, 1], count), rng.uniform(-1, 1, count))
        parts.append(np.column_stack([x, y, z]))
    return np.concatenate(parts, axis=1)


def duals(cones: Cones, rng: np.random.Generator, count: int) -> Floats:
    """Points of the dual cone by its definition."""
    start = Cones(cones.nonneg, cones.soc, cones.psd)
    parts = [members(start, rng, count)]
    for _ in range(cones.exp):
        u, v = -rng.exponential(size=count), rng.normal(size=count)
        parts.append(np.column_stack([u, v, -u * np.exp(v / u - 1) * rng.uniform(1, 2, count)]))
    for alpha in cones.pow3d:
        u, v = rng.exponential(size=(2, count))
        limit = (u / alpha) ** alpha * (v / (1 - alpha)) ** (1 - alpha)
        parts.append(np.column_stack([u, v, limit * rng.uniform(-1, 1, count)]))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("cones", CONES, ids=str)
def test_inner_products_with_the_cone_are_not_negative(cones):
    @settings(EXAMPLES, max_examples=40)
    @given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]))
    def run(seed: int, size: float) -> None:
        rng = np.random.default_rng(seed)
        zeta = size * rng.normal(size=(20, cones.rows)) * rng.choice([0.0, 1e-3, 1.0, 1.0], (20, cones.rows))
        found, points = project_dual(cones, zeta), members(cones, rng, 200)
        product, weight = found @ points.T, np.abs(found) @ np.abs(points).T
        assert (product >= -1e-12 * weight).all()

    run()


@pytest.mark.parametrize("cones", CONES, ids=str)
def test_members_of_the_dual_cone_stay_where_they_are(cones):
    inside = duals(cones, np.random.default_rng(1), 200)
    kept = inside.copy()
    np.testing.assert_allclose(project_dual(cones, inside), inside, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(inside, kept)  # the argument is not changed


@pytest.mark.parametrize("cones", CONES, ids=str)
def test_projecting_twice_is_projecting_once(cones):
    once = project_dual(cones, np.random.default_rng(2).normal(size=(200, cones.rows)))
    np.testing.assert_allclose(project_dual(cones, once), once, rtol=1e-9, atol=1e-12)


def test_exponential_parts_fulfil_the_definition_however_steep():
    """-u exp(v / u) <= e w, in logarithms: log(-u) + v / u - 1 <= log w."""
    rng = np.random.default_rng(4)
    zeta = rng.normal(size=(2000, 3)) * 10.0 ** rng.integers(-8, 9, (2000, 3))
    u, v, w = project_dual(Cones(exp=1), zeta).T
    assert np.isfinite([u, v, w]).all()
    low = u < 0
    assert 500 < low.sum() < 1500
    assert (np.log(-u[low]) + v[low] / u[low] - 1 <= np.log(w[low]) + 1e-9 * (1 + np.abs(v[low] / u[low]))).all()
    assert (v[~low] >= 0).all()
    assert (w[~low] >= 0).all()


def test_a_semidefinite_part_is_projected_exactly():
    """[[1, 2], [2, 1]] has eigenvalues 3 and -1: what is left is 3 v v' = [[1.5, 1.5], [1.5, 1.5]]."""
    found = project_dual(Cones(psd=(2,)), np.array([[1.0, 2 * np.sqrt(2), 1.0]]))
    np.testing.assert_allclose(found, [[1.5, 1.5 * np.sqrt(2), 1.5]], atol=1e-12)


def test_an_epigraph_that_nearly_holds_keeps_its_height():
    found = project_dual(Cones(soc=(3,)), np.array([[1.0, 0.6, 0.80001], [1.0, 3.0, 4.0]]))
    assert found[0, 0] == 1.0
    np.testing.assert_allclose(found[1], [3.0, 1.8, 2.4])  # the Euclidean projection
