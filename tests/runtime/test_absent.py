"""The model of those who are there: equal to the model declared without the others."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.runtime.absent import without
from gridmodel.verify.central import solve_central
from gridmodel.verify.whole import solve_whole


def resource(present: list[int], extra: bool = True) -> gm.Model:
    """Generators of a fleet with limits and cones of their own, and one agent, meet a demand and a limit."""
    rng = np.random.default_rng(4)
    cost, cap = rng.uniform(1, 3, 6), rng.uniform(1, 2, 6)
    model = gm.Model("resource")
    fleet = model.fleet("gen", len(present))
    p = fleet.variable("p", 3, bounds=(0, cap[present, None]))
    fleet.minimize(cp.multiply(cost[present], cp.sum_squares(p, axis=1)) + cp.norm(p, 2, axis=1))
    fleet.subject_to(cp.sum(p, axis=1) >= 0.3)
    total = cp.sum(p, axis=0)
    if extra:
        agent = model.agent("hydro")
        h = agent.variable("p", 3, bounds=(0.1, 4))
        agent.minimize(2 * cp.sum_squares(h))
        agent.subject_to(cp.sum(h) <= 2)
        total = total + h
    model.couple(total == np.array([2.0, 1.5, 2.5]), name="balance")
    return model


def agreement(present: list[int]) -> gm.Model:
    """A number agreed on under bounds and absolute costs."""
    rng = np.random.default_rng(5)
    centre = rng.normal(size=(6, 2))
    model = gm.Model("agreement")
    fleet = model.fleet("home", len(present))
    theta = fleet.variable("theta", 2, bounds=(-3, 3))
    fleet.minimize(cp.sum_squares(theta - centre[present], axis=1) + cp.norm(theta, 1, axis=1))
    if len(present) > 1:
        model.agree("theta")
    return model


@pytest.mark.parametrize(
    ("build", "kept", "gone"),
    [
        (lambda every: resource(every), [0, 2, 3, 4], ["gen[1]", "gen[5]"]),
        (lambda every: resource(every, extra=len(every) == 6), [0, 1, 2, 3, 5], ["gen[4]", "hydro"]),
        (agreement, [0, 1, 4], ["home[2]", "home[3]", "home[5]"]),
        (agreement, [1, 2, 3, 4], ["home[0]", "home[5]"]),
    ],
)
def test_absent_agents_cost_nothing_and_offer_nothing(build, kept, gone):
    every = compile_model(build(list(range(6)))).lowered.separable
    status, value, x, _ = solve_whole(without(every, gone))
    central = solve_central(build(kept))
    assert status == "Solved"
    assert value == pytest.approx(central.value, rel=1e-7)
    if every.links is None and any(name.startswith("gen") for name in gone):
        labels = [label for stack in every.stacks for label in stack.labels]
        columns = every.split(x)
        out = [row for part, stack in zip(columns, every.stacks, strict=True) for row, label in
               zip(part, stack.labels, strict=True) if label in gone]  # fmt: skip
        assert len(labels) == 7
        assert np.abs(np.concatenate(out)).max() < 1e-7


def test_nothing_changes_for_those_who_are_there():
    problem = compile_model(resource(list(range(6)))).lowered.separable
    changed = without(problem, ["gen[1]"])
    for before, after in zip(problem.stacks, changed.stacks, strict=True):
        for i, label in enumerate(before.labels):
            if label != "gen[1]":
                assert np.array_equal(before.P.dense(i), after.P.dense(i))
                assert np.array_equal(before.q[i], after.q[i])
                assert np.array_equal(before.G.dense(i), after.G.dense(i))
                assert np.array_equal(before.upper[i], after.upper[i])
