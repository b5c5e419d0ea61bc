"""What the passes make of a model has the central optimum, values and multipliers, whatever the model is made of."""

from __future__ import annotations

from collections.abc import Callable

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.fleets import lower_fleet
from tests.passes.assembled import assert_compiled_right, solve_separable
from tests.strategies import Drawn, drawn_models

Part = tuple[cp.Expression, list[cp.Constraint]]
C = np.array([1.0, -2.0, 0.5])
P = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 1.5]])
M = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]])

# Costs and constraints of one variable x of shape (3,), bounded by (-3, 3); + 0.1 |x|^2 makes the optimum unique.
ATOMS: dict[str, Callable[[cp.Variable], Part]] = {
    "square": lambda x: (cp.sum(cp.square(x - C)), []),
    "sum_squares": lambda x: (cp.sum_squares(2 * x - C) / 3, []),
    "quad_form": lambda x: (cp.quad_form(x - C, P), []),
    "quad_form twice": lambda x: (cp.quad_form(x[:2], P[:2, :2]) + cp.quad_form(x - 1, P), []),
    "quad_form in a constraint": lambda x: (C @ x, [cp.quad_form(x, P) <= 1]),
    "norm": lambda x: (cp.norm(x - C, 2), []),
    "norm1": lambda x: (cp.norm1(x - C), []),
    "norm_inf": lambda x: (cp.norm_inf(x - C), []),
    "max": lambda x: (cp.max(x) + C @ x, []),
    "maximum": lambda x: (cp.sum(cp.maximum(x, C, 0)), []),
    "minimum": lambda x: (-cp.sum(cp.minimum(x, 0.3)), []),
    "abs": lambda x: (cp.sum(cp.abs(x - C)), []),
    "pos and neg": lambda x: (cp.sum(cp.pos(x - 1) + 2 * cp.neg(x + 1)) + C @ x, []),
    "huber": lambda x: (cp.sum(cp.huber(x - 2 * C, 0.7)), []),
    "quad_over_lin": lambda x: (cp.quad_over_lin(x[:2] - 1, x[2] + 4) + x[2], []),
    "square in a constraint": lambda x: (C @ x, [cp.square(x[0]) + x[1] <= 1]),
    "exp": lambda x: (cp.sum(cp.exp(x)) - C @ x, []),
    "log": lambda x: (-cp.sum(cp.log(x + 4)) + C @ x, []),
    "log in a constraint": lambda x: (cp.sum(x), [cp.log(x[0] + 4) >= x[1] - x[2]]),
    "entr": lambda x: (-cp.sum(cp.entr(x + 4)), []),
    "logistic": lambda x: (cp.sum(cp.logistic(x - C)) - 0.3 * cp.sum(x), []),
    "log_sum_exp": lambda x: (cp.log_sum_exp(x - C), []),
    "kl_div": lambda x: (cp.sum(cp.kl_div(x + 4, 2.0)), []),
    "power 3": lambda x: (cp.sum(cp.power(x + 3, 3)) - 5 * cp.sum(x), []),
    "power 1.5": lambda x: (cp.sum(cp.power(x + 3, 1.5)) - cp.sum(x), []),
    "inv_pos": lambda x: (cp.sum(cp.inv_pos(x + 4)) + C @ x, []),
    "geo_mean": lambda x: (-cp.geo_mean(x + 4) + 0.3 * cp.sum(x), []),
    "sqrt": lambda x: (-cp.sum(cp.sqrt(x + 4)) + 0.3 * cp.sum(x), []),
    "diff": lambda x: (cp.sum(cp.abs(cp.diff(x) - 1)), [cp.diff(x) <= 1.2]),
    "cumsum": lambda x: (cp.sum_squares(cp.cumsum(x) - C), [cp.cumsum(x) >= -1]),
    "hstack": lambda x: (cp.norm(cp.hstack([x[0] - 1, x[1:] + 2])), []),
    "vstack": lambda x: (cp.sum(cp.max(cp.vstack([x, -x, C]), axis=0)), []),
    "matmul": lambda x: (cp.sum_squares(M @ x - 1), [M @ x <= 2]),
    "division": lambda x: (cp.sum(cp.square(x - 1) / 4) + cp.sum(x / np.array([1.0, 2.0, 4.0])), []),
    "cone": lambda x: (C @ x, [cp.SOC(x[0] + 1, x[1:])]),
    "cones by columns": lambda x: (C @ x, [cp.SOC(x[:2] + 2, cp.vstack([x[1:], x[:2]]), axis=0)]),
    "cones by rows": lambda x: (C @ x, [cp.SOC(x[:2] + 2, cp.vstack([x[1:], x[:2]]), axis=1)]),
    "exponential cone": lambda x: (C @ x, [cp.ExpCone(x[:2], np.ones(2), x[1:] + 2)]),
    "power cone": lambda x: (C @ x, [cp.PowCone3D(x[0] + 3, x[1] + 3, x[2] + 1, 0.3)]),
    "semidefinite": lambda x: (C @ x, [cp.bmat([[x[0] + 2, x[1]], [x[1], x[2] + 2]]) >> 0]),
    "one-sided forms": lambda x: (C @ x, [cp.constraints.NonNeg(x + 1), cp.constraints.Zero(x[0] - x[1])]),
    "two-sided": lambda x: (cp.sum_squares(x - C), [x[0] + x[1] == 1, x[1] >= x[2], x[2] <= 0.2]),
    "a common part": lambda x: (
        cp.norm(x - C) + 2 * cp.exp(cp.sum(x)),
        [cp.norm(x - C) <= 2.5, cp.exp(cp.sum(x)) <= 3],
    ),
}


def agent_of(model: Model, name: str, atom: str, shift: float = 0.0) -> AbstractParty:
    agent = model.agent(name)
    x = agent.variable("x", 3, bounds=(-3, 3))
    cost, limits = ATOMS[atom](x)
    agent.minimize(cost + 0.1 * cp.sum_squares(x - shift))
    agent.subject_to(*limits)
    return agent


@pytest.mark.parametrize("atom", ATOMS)
def test_single_agents(atom):
    """Two agents of one structure and a third of another, coupled by equations and inequalities."""
    model = Model()
    x, y = (agent_of(model, name, atom, shift)["x"] for name, shift in (("a", 0.0), ("b", 0.3)))
    other = model.agent("other")
    z = other.variable("z", 3)
    other.minimize(cp.sum_squares(z - 0.2))
    model.couple(x + y == z, name="balance")
    model.couple(cp.sum(x) - cp.sum(y) <= 0.1, name="share")
    assert_compiled_right(model)


# Costs (a scalar, or one entry an agent) and constraints of a fleet's x of shape (N, 3) and s of shape (N,).
FLEETS: dict[str, Callable[[cp.Variable, cp.Variable, int], Part]] = {
    "square": lambda x, s, n: (cp.sum(cp.square(x - across(n, 3))), [s <= cp.sum(x, axis=1) + across(n)]),
    "weights": lambda x, s, n: (cp.multiply(1 + across(n), cp.square(s - across(n))), [s == x[:, 0]]),
    "weighted sum": lambda x, s, n: ((1 + across(n)) @ cp.sum(cp.square(x - C), axis=1), [s >= x[:, 1]]),
    "sum_squares": lambda x, s, n: (cp.sum_squares(x - s[:, None]) / 2 - cp.sum(s) * 0.3, []),
    "norm by rows": lambda x, s, n: (cp.norm(x - across(n, 3), 2, axis=1), [cp.norm(x, 1, axis=1) <= 3 + across(n)]),
    "norm1": lambda x, s, n: (cp.norm1(x - across(n, 3)) + cp.sum(s), [cp.norm_inf(x) <= 2]),
    "max by rows": lambda x, s, n: (cp.sum(cp.max(x, axis=1)) + cp.sum(x @ C), [cp.min(x, axis=1) >= s - 2]),
    "max of all": lambda x, s, n: (cp.sum(x @ C), [cp.max(x) <= 1.2, cp.max(s) <= 1]),
    "keepdims": lambda x, s, n: (cp.sum(x - cp.sum(x, axis=1, keepdims=True)), [cp.max(x, axis=1, keepdims=True) <= 2]),
    "diff": lambda x, s, n: (cp.sum(cp.abs(cp.diff(x, axis=1) - 1)), [cp.diff(x, axis=1) <= 1 + across(n, 2)]),
    "cumsum": lambda x, s, n: (cp.sum_squares(cp.cumsum(x, axis=1) - C), [cp.cumsum(x, axis=1) >= -1]),
    "slices": lambda x, s, n: (cp.sum(x[:, 1:]) - 2 * cp.sum(x[..., :1]), [x[:, 1:] >= 0.5 * x[:, :-1] - 1]),
    "some columns": lambda x, s, n: (cp.sum(cp.abs(x[:, [0, 2]] - 1)), [x[:, 1] + s <= 1, x[:n, 0] >= s]),
    "matmul": lambda x, s, n: (cp.sum(cp.abs(x @ M.T - 1)), [x @ np.ones(3) <= 2 + across(n)]),
    "transposed": lambda x, s, n: (cp.sum(cp.square(M @ x.T - 1)), [C @ x.T <= 1, (x.T)[1:, :] <= 2 * x.T[:2, :] + 1]),
    "broadcast": lambda x, s, n: (
        cp.sum(cp.multiply(x, C) - cp.multiply(across(n, 1), x)), [x <= s[:, None] + across(1, 3)],
    ),
    "negative": lambda x, s, n: (-cp.sum(cp.log(x + 4)) + cp.sum(x), [-s <= -across(n)]),
    "pos and neg": lambda x, s, n: (
        cp.sum(cp.pos(x - 1)) + cp.sum(cp.neg(x - across(n, 1))), [cp.maximum(s, 0.1) <= 2],
    ),
    "inv_pos": lambda x, s, n: (cp.sum(cp.inv_pos(x + 4)), [cp.minimum(s, across(n)) >= -0.5]),
    "huber": lambda x, s, n: (cp.sum(cp.huber(x - 2 * C, 0.7)), []),
    "exp": lambda x, s, n: (cp.sum(cp.exp(x)) - cp.sum(x @ np.array([1.0, 2.0, 3.0])), [cp.exp(s) <= 1 + across(n)]),
    "cones by rows": lambda x, s, n: (cp.sum(x @ C), [cp.SOC(s + 2, x, axis=1)]),
    "cones by columns": lambda x, s, n: (cp.sum(x @ C), [cp.SOC(s + 2, cp.vstack([x[:, 0], x[:, 1] - across(n)]))]),
    "cones of constants": lambda x, s, n: (cp.sum(x @ C), [cp.SOC(1 + across(n), x, axis=1)]),
    "exponential cones": lambda x, s, n: (cp.sum(s), [cp.ExpCone(s, np.ones(n), x[:, 0] + across(n))]),
    "hstack": lambda x, s, n: (cp.norm(cp.hstack([x - C, s[:, None], across(n, 1)]), 2, axis=1), []),
    "concatenate": lambda x, s, n: (cp.max(cp.concatenate([x, -x, 0.1 * np.ones((n, 1))], axis=1), axis=1), [s >= 0]),
    "vstack": lambda x, s, n: (cp.sum(cp.max(cp.vstack([x[:, 0], s, across(n)]), axis=0)), [s >= -1]),
    "division": lambda x, s, n: (cp.sum(cp.square(s - 1) / (1 + across(n))) + cp.sum(x / (1 + across(n, 1))), []),
    "scaled and shifted": lambda x, s, n: (
        cp.sum(cp.multiply(1 + across(n, 3), cp.square((x - across(n, 3)) / (2 + across(n, 1))))), [],
    ),
    "constants": lambda x, s, n: (cp.sum(x @ C) + 7 + cp.sum(np.ones(n)), [s == across(n)]),
    "logistic": lambda x, s, n: (cp.sum(cp.logistic(x)) - 0.3 * cp.sum(x), [cp.sum(cp.square(x), axis=1) <= 3]),
    "one variable rows": lambda x, s, n: (
        cp.sum(x), [cp.multiply(across(n) - across(n)[0], s) <= 1, 2 * x >= across(n, 3)],
    ),
    # No row rule: canonicalised as a whole.
    "row by row": lambda x, s, n: (sum(cp.norm(x[i] - C) for i in range(n)), [x[i, 0] <= s[i] for i in range(n)]),
    "reshape": lambda x, s, n: (cp.sum(cp.abs(cp.reshape(x, (3 * n,), order="F") - 1)), [cp.vec(x, order="C") <= 1.5]),
    "diagonal form": lambda x, s, n: (cp.quad_form(s - 1, np.diag(1 + across(n))), [x[0, 0] <= 0.5]),
    "linear in sums": lambda x, s, n: (
        C @ cp.sum(x, axis=0) + cp.trace(np.ones((3, n)) @ x), [cp.stack([s, x[:, 0]]) <= 1],
    ),
    "flat hstack": lambda x, s, n: (cp.sum(cp.exp(cp.hstack([s, x[:, 1]]))) - cp.sum(s), []),
    "some rows": lambda x, s, n: (cp.sum(x[1:] @ C) + cp.square(s[0] - 2), [s[:-1] >= 0.5, x[n - 1] >= 0]),
}  # fmt: skip
WHOLE = ("row by row", "reshape", "diagonal form", "linear in sums", "flat hstack", "some rows")


def across(*shape: int) -> np.ndarray:
    """Different numbers between 0.1 and 0.9."""
    return 0.1 + 0.8 * np.modf(np.arange(1, 1 + int(np.prod(shape))) * 0.6180339887)[0].reshape(shape)


def fleet_of(model: Model, atom: str, size: int) -> AbstractParty:
    fleet = model.fleet("fleet", size)
    x = fleet.variable("x", 3, bounds=(-3, 3))
    s = fleet.variable("s", bounds=(-2, 2))
    cost, limits = FLEETS[atom](x, s, size)
    fleet.minimize(cost)
    fleet.minimize(0.1 * cp.sum_squares(x - 0.2) + 0.1 * cp.sum_squares(s))
    fleet.subject_to(*limits)
    return fleet


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("atom", FLEETS)
def test_fleets(atom, size):
    """Three is also the number of columns, where shapes alone would not tell agents from columns."""
    model = Model()
    fleet = fleet_of(model, atom, size)
    one = agent_of(model, "one", "square")
    model.couple(cp.sum(fleet["x"], axis=0) == one["x"] - 1, name="balance")
    model.couple(cp.sum(fleet["s"]) <= 0.6 * size, name="limit")
    lowered = assert_compiled_right(model)
    assert (lower_fleet(fleet) is None) == (atom in WHOLE)
    if atom not in WHOLE:
        assert [stack.size for stack in lowered.separable.stacks].count(size) == 1


@pytest.mark.parametrize("atom", [atom for atom in FLEETS if atom != "some rows"])
def test_a_fleet_of_one(atom):
    model = Model()
    fleet = fleet_of(model, atom, 1)
    one = agent_of(model, "one", "square")
    model.couple(cp.sum(fleet["x"], axis=0) == one["x"] - 1, name="balance")
    assert_compiled_right(model)


@pytest.mark.parametrize("atom", [atom for atom in FLEETS if atom not in (*WHOLE, "norm1", "max of all")])
def test_the_row_gives_what_the_whole_fleet_gives(atom, monkeypatch):
    """The same program, whether one row is canonicalised or all are: as many columns, the same optimum and prices."""
    model = Model()
    fleet = fleet_of(model, atom, 4)
    model.couple(cp.sum(fleet["x"], axis=0) == 1.5, name="balance")
    rows = assert_compiled_right(model)
    monkeypatch.setattr("gridmodel.passes.lower.lower_fleet", lambda fleet: None)
    whole = assert_compiled_right(model)
    assert rows.separable.blocks == whole.separable.blocks == 4
    one, other = solve_separable(rows.separable), solve_separable(whole.separable)
    assert one.value == pytest.approx(other.value, abs=1e-6)
    np.testing.assert_allclose(one.mu, other.mu, atol=1e-4)


def community(split: bool) -> Model:
    """Four homes with a battery, as one fleet or declared one by one."""
    homes, hours = 4, 4
    load, price, capacity = 1 + across(homes, hours), across(hours), 2 + across(homes)
    model = Model()
    total: cp.Expression = cp.Constant(np.zeros(hours))
    for owner, i in (
        [(model.agent(f"home{i}"), i) for i in range(homes)] if split else [(model.fleet("home", homes), None)]
    ):
        at = slice(None) if i is None else i
        grid = owner.variable("grid", hours, bounds=(-4, 4))
        charge = owner.variable("charge", hours, bounds=(-1, 1))
        low, high = np.zeros((homes, hours)), np.tile(capacity[:, None], (1, hours))
        soc = owner.variable("soc", hours, bounds=(low[at], high[at]))
        owner.subject_to(grid == load[at] + charge, name="balance")
        owner.subject_to(soc == 1 + cp.cumsum(charge, axis=charge.ndim - 1), soc[..., -1] >= 1)
        owner.minimize(cp.sum(grid @ price) + 0.05 * cp.sum_squares(grid) + 0.01 * cp.sum_squares(charge))
        total = total + (grid if split else cp.sum(grid, axis=0))
    model.couple(total <= 7.4, name="transformer")
    return model


def test_a_fleet_is_as_many_agents():
    fleet, apart = (assert_compiled_right(community(split), duals=not split) for split in (False, True))
    assert [s.size for s in fleet.separable.stacks] == [s.size for s in apart.separable.stacks] == [4]
    one, other = fleet.separable.stacks[0], apart.separable.stacks[0]
    for name in ("q", "offset", "b", "lower", "upper", "rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("P", "A", "C"):
        np.testing.assert_array_equal(getattr(one, name).dense(), getattr(other, name).dense())


Couple = Callable[[Model, cp.Variable, cp.Variable, cp.Variable], None]
# Couplings of x (3,) of one agent, y (4, 3) and s (4,) of a fleet.
COUPLINGS: dict[str, Couple] = {
    "equation": lambda m, x, y, s: m.couple(x + cp.sum(y, axis=0) == C, name="c"),
    "scalar": lambda m, x, y, s: m.couple(cp.sum(x) + cp.sum(s) == 0.3, name="c"),
    "at most": lambda m, x, y, s: m.couple(x + cp.sum(y, axis=0) <= -0.3, name="c"),
    "at least": lambda m, x, y, s: m.couple(cp.sum(x) + cp.sum(y) >= 1.5, name="c"),
    "variables on both sides": lambda m, x, y, s: m.couple(cp.sum(y, axis=0) <= x - 1, name="c"),
    "matrix": lambda m, x, y, s: m.couple(y - cp.broadcast_to(x, (4, 3)) <= across(4, 3) - 0.6, name="c"),
    "matrix equation": lambda m, x, y, s: m.couple(y[:2] == 0.5 * cp.vstack([x, x + 0.1]), name="c"),
    "per agent": lambda m, x, y, s: m.couple(s - cp.sum(x) <= across(4) - 1, name="c"),
    "weighted": lambda m, x, y, s: m.couple(across(4) @ s + across(4) @ y @ C == cp.sum(x) + 0.2, name="c"),
    "one-sided": lambda m, x, y, s: m.couple(cp.constraints.NonNeg(x - cp.sum(y, axis=0) - 1), name="c"),
    "neighbours": lambda m, x, y, s: m.couple(s[0] - s[3] == 0.7, name="c"),
    "one agent only": lambda m, x, y, s: m.couple(cp.sum(x) == 1.1, name="c"),
    "a fleet only": lambda m, x, y, s: m.couple(s <= 0.1, name="c"),
    "absolute": lambda m, x, y, s: m.couple(cp.abs(cp.sum(x) + cp.sum(s) - 2) <= 0.2, name="c"),
    "squares": lambda m, x, y, s: m.couple(cp.sum_squares(x) + cp.sum_squares(s) <= 0.5, name="c"),
    "squares by column": lambda m, x, y, s: m.couple(cp.sum(cp.square(y), axis=0) + x <= 0.5, name="c"),
    "norm": lambda m, x, y, s: m.couple(cp.norm(cp.hstack([x, s])) <= 0.8, name="c"),
    "maximum": lambda m, x, y, s: m.couple(cp.max(s) + cp.max(x) <= 0.4, name="c"),
    "exponentials": lambda m, x, y, s: m.couple(cp.sum(cp.exp(s)) + cp.exp(x[0] + s[1]) <= 5.2, name="c"),
    "cone": lambda m, x, y, s: m.couple(cp.SOC(x[0] + 1, s), name="c"),
    "semidefinite": lambda m, x, y, s: m.couple(cp.bmat([[x[0] + 1, s[0]], [s[0], s[1] + 1]]) >> 0, name="c"),
    "tracking": lambda m, x, y, s: m.minimize(cp.square(cp.sum(x) + cp.sum(s) - 2)),
    "tracking of a vector": lambda m, x, y, s: m.minimize(cp.sum_squares(x + cp.sum(y, axis=0) - C)),
    "peak": lambda m, x, y, s: m.minimize(cp.max(x + cp.sum(y, axis=0))),
    "cross terms": lambda m, x, y, s: m.minimize(cp.quad_form(s, np.eye(4) + 0.5 * np.ones((4, 4)))),
    "cross terms across": lambda m, x, y, s: m.minimize(cp.quad_form(cp.hstack([x, s]) - 1, np.eye(7) + 1)),
    "norm of all": lambda m, x, y, s: m.minimize(2 * cp.norm(cp.hstack([x, s]))),
    "linear cost": lambda m, x, y, s: m.minimize(0.3 * cp.sum(x) - 0.2 * cp.sum(s) + 5),
    "a constant cost": lambda m, x, y, s: m.minimize(5),
    "local costs": lambda m, x, y, s: m.minimize(cp.sum(cp.exp(x)) + cp.sum(cp.square(s - 1))),
    "agreement": lambda m, x, y, s: m.agree(x, y[0], y[2]),
    "agreement of all": lambda m, x, y, s: m.agree("s"),
    "nothing": lambda m, x, y, s: None,
}  # fmt: skip


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_couplings(coupling):
    model = Model()
    agent = model.agent("agent")
    x = agent.variable("x", 3, bounds=(-2, 2))
    agent.minimize(cp.sum_squares(x - C) + 0.1 * cp.sum(cp.huber(x)))
    fleet = model.fleet("fleet", 4)
    y, s = fleet.variable("y", 3, bounds=(-2, 2)), fleet.variable("s", bounds=(-2, 2))
    fleet.minimize(cp.multiply(1 + across(4), cp.sum(cp.square(y - 0.2), axis=1)) + cp.square(s - across(4)))
    fleet.subject_to(cp.sum(y, axis=1) + s <= 2)
    COUPLINGS[coupling](model, x, y, s)
    lowered = assert_compiled_right(model)
    operator = [stack for stack in lowered.separable.stacks if "operator" in stack.labels]
    assert len(operator) == (coupling in WITH_OPERATOR)
    nonlinear = coupling in ("cone", "semidefinite")
    assert [len(info.rows) > 0 for info in lowered.separable.couplings.infos] == [not nonlinear] * len(model.couplings)


WITH_OPERATOR = (
    "squares", "absolute", "norm", "maximum", "exponentials", "cone", "semidefinite", "tracking",
    "tracking of a vector", "peak", "cross terms", "cross terms across", "norm of all",
)  # fmt: skip


def test_couplings_together():
    """Several couplings, of which some share an expression."""
    model = Model()
    agents = [agent_of(model, f"a{k}", "square", 0.2 * k) for k in range(4)]
    total = sum(agent["x"] for agent in agents)
    model.couple(cp.norm(total) <= 2, name="reach")
    model.couple(cp.norm(total) + total[0] <= 2.5, name="reach and more")
    model.couple(total[1] == -0.5, name="fixed")
    model.minimize(0.1 * cp.norm(total))
    assert_compiled_right(model, duals=False)


@pytest.mark.parametrize("kind", ["symmetric", "PSD", "NSD", "only coupled"])
def test_matrix_variables(kind):
    model = Model()
    cost = np.array([[1.0, 0.5], [0.5, -1.0]])
    for k in range(2):
        agent = model.agent(f"a{k}")
        X = agent.variable("X", (2, 2), **{"PSD" if kind == "only coupled" else kind: True})
        p = agent.variable("p", bounds=(-1, 5))
        agent.minimize(cp.square(p - k))
        if kind != "only coupled":
            agent.minimize(cp.trace((1 + 0.3 * k) * cost @ X) + cp.sum_squares(X))
    total = model["a0"]["X"] + model["a1"]["X"]
    model.couple(cp.trace(total) <= model["a0"]["p"] + 1, name="trace")
    if kind == "only coupled":
        model.couple(total == np.array([[1.0, 0.9], [0.9, 1.0]]), name="sum")
    assert_compiled_right(model, values=kind != "only coupled", duals=kind != "only coupled")


def test_agents_without_a_cost_a_variable_or_a_constraint():
    model = Model()
    model.agent("nothing")
    model.agent("a cost").minimize(3)
    idle = model.agent("idle")
    idle.variable("x", (2, 2), bounds=(-1, 2))
    fleet = model.fleet("fleet", 3)
    s = fleet.variable("s", bounds=(-1, 1))
    fleet.minimize(7)
    fleet.minimize(across(3))
    model.couple(cp.sum(s) >= -5)
    model.fleet("empty", 2)
    assert_compiled_right(model, values=False)


QUIET = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUIET
@given(drawn_models())
def test_random_models(drawn: Drawn):
    """Optima of random models need not be unique, so their values are judged by cost and feasibility."""
    assert_compiled_right(drawn.model, values=False, duals=False)
