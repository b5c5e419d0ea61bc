"""Answers to prices that agents hold themselves, against the same answers one agent at a time."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.dispatch.gains import mixing, reaction
from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.dispatch.sides import Sides, conditions
from tests.solvers.build import separable, stack
from tests.solvers.dispatch.common import linked, path
from tests.solvers.reference import graph, links_of
from tests.solvers.runs import random_model

Floats = NDArray[np.float64]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200))
def test_reports_equal_those_of_every_agent_alone(seed: int) -> None:
    problem = random_model(seed)
    offers = Offers(problem)
    mu = np.random.default_rng(seed).normal(size=(offers.size, offers.m))
    report = offers.respond(mu)
    agent = 0
    for s in problem.stacks:
        for i in range(s.size):
            C = s.C.dense(i)
            x = _alone(s, i, s.q[i] + C.T @ mu[agent, s.rows[i]])
            alone = np.zeros(offers.m)
            alone[s.rows[i]] = C @ x
            np.testing.assert_allclose(report[agent], alone, atol=1e-5)
            agent += 1
    assert (report[~offers.touches] == 0).all()


def _alone(s: Stack, i: int, q: Floats) -> Floats:
    """The optimum of block i for linear costs q."""
    P, A = s.P.dense(i), s.A.dense(i)
    solve: Any = minimize  # its stubs do not take plain functions
    limits: Any = {"ftol": 1e-14, "maxiter": 500}
    equations: Any = {"type": "eq", "fun": lambda x: A @ x - s.b[i]}
    found = solve(
        lambda x: 0.5 * x @ P @ x + q @ x,
        s.lower[i] + 1,
        jac=lambda x: P @ x + q,
        method="SLSQP",
        bounds=list(zip(s.lower[i], s.upper[i], strict=True)),
        constraints=equations,
        options=limits,
    )
    return np.asarray(found.x)


def test_shares_are_dealt_to_those_present_and_handed_over() -> None:
    offers = Offers(path())
    offers.deal(np.array([True, False, True]))
    np.testing.assert_allclose(offers.share_upper.ravel(), [2.05, 0, 2.05])
    offers.hand_over(0, 2)
    np.testing.assert_allclose(offers.share_lower.ravel(), [0, 0, 4.1])


def test_sides_have_one_sign_each_and_ranges_two() -> None:
    made = stack([[1.0] * 4] * 2, [[0.0] * 4] * 2, np.eye(4), np.arange(4))
    inf = np.inf
    offers = Offers(separable([made], [1.0, -inf, 0.0, -1.0], [1.0, 2.0, inf, 3.0]))
    sides = Sides(offers)
    assert conditions(offers.problem) == sides.count == 5
    np.testing.assert_array_equal(sides.row, [0, 1, 2, 3, 3])
    np.testing.assert_array_equal(sides.split, [False, False, False, True, True])
    np.testing.assert_allclose(sides.share[0], [0.5, 1.0, 0.0, 1.5, -0.5])
    np.testing.assert_array_equal(sides.allowed(np.full((1, 5), -1.0))[0], [-1, 0, -1, 0, -1])
    np.testing.assert_array_equal(sides.allowed(np.full((1, 5), 1.0))[0], [1, 1, 0, 1, 0])
    np.testing.assert_array_equal(sides.joined(np.array([[1.0, 2, 3, 4, 5]]))[0], [1, 2, 3, 9])
    for value in (-2.0, 2.0):
        mu = np.array([value, abs(value), -abs(value), value])
        np.testing.assert_array_equal(sides.joined(sides.parted(mu)[None])[0], mu)
    np.testing.assert_allclose(sides.respond(np.array([[1.0, 2, 3, 4, 5]] * 2)), -np.array([[1.0, 2, 3, 9, 9]] * 2))


def test_the_strongest_reaction_and_the_unit_of_steps() -> None:
    problem = path()
    found = reaction(problem, Sides(Offers(problem)), "x")
    assert found.most == pytest.approx(3.0)
    np.testing.assert_allclose(found.unit, [1 / 7])
    assert found.all == pytest.approx(1.0)
    assert found.one == pytest.approx(3 / 7)
    assert problem.links is not None
    made = mixing(problem.links, None, Channel())
    assert found.step(3, made)[0] == pytest.approx(0.5 * 0.5 / 3)  # the path agrees fast: the bound decides
    scaled = reaction(_scaled(10.0), Sides(Offers(_scaled(10.0))), "x")
    assert scaled.step(3, made)[0] == pytest.approx(found.step(3, made)[0] / 10.0)


def _scaled(unit: float) -> Separable:
    """The dispatch with the row in another unit and prices that fit."""
    beta = np.array([3.0, 2.0, 2.0])
    made = stack((1 / beta)[:, None] / unit, (1 / beta)[:, None], [[1.0]], [0], 0.0, [[21.0], [10.0], [50.0]])
    return linked(separable([made], 41.0, 41.0), nx.path_graph(3))


def test_weights_are_damped_to_eigenvalues_that_are_not_negative() -> None:
    for made, delay in ((graph(), 0), (nx.complete_bipartite_graph(4, 4), 0), (nx.star_graph(6), 2)):
        links = links_of(made)
        found = mixing(links, None, Channel(delay=delay))
        W = links.matrix(found.weights).toarray()
        W += np.diag(1 - W.sum(axis=1))
        least = np.linalg.eigvalsh(W)
        assert least[0] >= -1e-12
        assert found.ratio == pytest.approx((1 + least[0]) ** 2 / 2)
        assert found.gap == pytest.approx(1 - least[-2])
        if delay:
            assert W.diagonal().min() >= 0.5 - 1e-12
        assert found.proven == (delay == 0)


def test_the_bound_is_the_least_real_part_of_the_loop() -> None:
    z = np.exp(1j * np.linspace(1e-3, np.pi, 4000))[:, None]
    lam = np.linspace(0.0, 1.0, 101)
    for least in (0.0, 0.3):
        inside = lam[lam >= least]
        smallest = ((z - 1) / (z - inside) ** 2).real.min()
        assert -1 / smallest == pytest.approx((1 + least) ** 2 / 2, rel=1e-6)
