"""The oracle of blocks that pay for the length of their columns: closed forms, optimality, agreement with Clarabel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.group import Group, _parted_once
from gridmodel_solvers.oracles.interface import LocalProblem
from tests.solvers.build import stack


def length_stack(seed: int, followed: bool = False) -> Stack:
    """Blocks of k columns x, a length t, and where asked columns y = F x; the curvature is on x, or on x and y."""
    rng = np.random.default_rng(seed)
    size, k = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    extra = k if followed else 0
    n = k + 1 + extra
    P = np.zeros((size, n, n))
    root = rng.normal(size=(size, k, k))
    P[:, :k, :k] = root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(k)
    P[:, k + 1 :, k + 1 :] = np.eye(extra)
    q = rng.normal(size=(size, n))
    q[:, k] = rng.uniform(0.0, 2.0, size)
    height, entry = rng.uniform(0.5, 2.0, 2)
    G = np.zeros((k + 1, n))
    G[0, k] = height
    G[1 + np.arange(k), rng.permutation(k)] = entry * rng.choice([-1.0, 1.0], k)
    A = b = None
    if followed:
        A = np.hstack([rng.normal(size=(k, k)), np.zeros((k, 1)), -np.eye(k)])
        b = np.zeros(k)
    return stack(P, q, np.eye(1, n), [0], A=A, b=b, G=G, h=np.zeros(k + 1), cones=Cones(soc=(k + 1,)))


def test_unit_curvature_is_the_soft_threshold() -> None:
    rng = np.random.default_rng(3)
    v, lam = rng.normal(size=(50, 3)), rng.uniform(0, 3, 50)
    q = np.hstack([-v, lam[:, None]])
    # row 0 of the cone is the last column, the length
    s = stack([1.0, 1.0, 1.0, 0.0], q, np.eye(1, 4), [0], G=np.eye(4)[[3, 0, 1, 2]], h=np.zeros(4),
              cones=Cones(soc=(4,)))  # fmt: skip
    x = Group(s).solve(q).x
    size = np.linalg.norm(v, axis=1)
    truth = np.maximum(0.0, 1.0 - lam / size)[:, None] * v
    np.testing.assert_allclose(x[:, :3], truth, atol=1e-14)
    np.testing.assert_allclose(x[:, 3], np.linalg.norm(truth, axis=1), atol=1e-14)
    assert (np.linalg.norm(truth, axis=1) == 0).sum() > 5


@pytest.mark.parametrize("followed", [False, True], ids=["plain", "equations"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_optimality_conditions(followed: bool, seed: int) -> None:
    s = length_stack(seed, followed)
    oracle = Group(s)
    for q in (s.q, 0.2 * s.q, 10 * s.q):
        answer = oracle.solve(q)
        gradient = s.P.dot(answer.x) + q + s.A.tdot(answer.nu) - s.G.tdot(answer.zeta)
        size = np.abs(q).max()
        assert np.abs(gradient).max() < 1e-9 * size
        slack, zeta = s.G.dot(answer.x), answer.zeta
        assert (np.linalg.norm(slack[:, 1:], axis=1) <= slack[:, 0] + 1e-9 * size).all()
        assert (np.linalg.norm(zeta[:, 1:], axis=1) <= zeta[:, 0] + 1e-9 * size).all()
        assert np.abs((slack * zeta).sum(axis=1)).max() < 1e-8 * size**2
        assert np.abs(s.A.dot(answer.x)).max(initial=0.0) < 1e-9 * size


@given(seed=st.integers(0, 10**6), followed=st.booleans())
@settings(max_examples=25, deadline=None)
def test_agrees_with_clarabel(seed: int, followed: bool) -> None:
    s = length_stack(seed, followed)
    ours, theirs = Group(s).solve(s.q).x, ClarabelBlocks(s, 1e-10).solve(s.q).x
    assert (s.cost(ours) <= s.cost(theirs) + 1e-7).all()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_without_a_length_it_solves_the_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 5, 5))
    P = root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(5)
    A, b, q = rng.normal(size=(4, 2, 5)), rng.normal(size=(4, 2)), rng.normal(size=(4, 5))
    s = stack(P, q, np.eye(1, 5), [0], A=A, b=b)
    answer = Group(s).solve(q)
    for i in range(4):
        kkt = np.block([[P[i], A[i].T], [A[i], np.zeros((2, 2))]])
        truth = np.linalg.solve(kkt, np.concatenate([-q[i], b[i]]))
        np.testing.assert_allclose(np.concatenate([answer.x[i], answer.nu[i]]), truth, atol=1e-9)


def test_choice() -> None:
    s = length_stack(1, followed=True)
    assert isinstance(choose(s, 1e-6), Group)
    flat = stack([0.0, 0.0], [[1.0, 1.0]], np.eye(1, 2), [0], G=np.eye(2), h=np.zeros(2), cones=Cones(soc=(2,)))
    assert not Group.fits(flat)
    shifted = stack([1.0, 0.0], [[1.0, 1.0]], np.eye(1, 2), [0], G=np.eye(2)[::-1], h=[0.0, 1.0], cones=Cones(soc=(2,)))
    assert not Group.fits(shifted)


def test_bounds_are_kept() -> None:
    q = np.array([[-5.0, 1.0], [-0.5, 0.2]])
    s = stack([1.0, 0.0], q, np.eye(1, 2), [0], [-2.0, -np.inf], [2.0, np.inf], G=np.eye(2)[::-1], h=np.zeros(2),
              cones=Cones(soc=(2,)))  # fmt: skip
    np.testing.assert_allclose(Group(s).solve(q).x[:, 0], [2.0, 0.3], atol=1e-7)


def test_a_rewarded_length_is_unbounded() -> None:
    s = length_stack(4)
    q = s.q.copy()
    q[-1, s.columns - 1] = -1.0
    with pytest.raises(LocalProblem) as caught:
        Group(s).solve(q)
    assert (caught.value.kind, caught.value.label) == ("unbounded", s.labels[-1])


def test_equations_are_taken_apart_once_for_all_curvatures() -> None:
    rng = np.random.default_rng(11)
    A, b = rng.normal(size=(2, 5)), rng.normal(size=2)
    _parted_once.cache_clear()
    for weight in (1.0, 3.0, 9.0):
        s = stack(weight * np.arange(1.0, 6.0), rng.normal(size=(1, 5)), np.eye(1, 5), [0], A=A, b=b)
        assert Group.fits(s)
        x, P = Group(s).solve(s.q).x[0], s.P.dense()
        kkt = np.block([[P, A.T], [A, np.zeros((2, 2))]])
        np.testing.assert_allclose(x, np.linalg.solve(kkt, np.concatenate([-s.q[0], b]))[:5], atol=1e-10)
    assert _parted_once.cache_info().misses == 1
