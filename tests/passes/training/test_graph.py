"""From declared agents to arrays: dynamics, powers and costs are the declared ones; what cannot be is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import CurvatureError, DataError, ModelError, NotApplicableError, ShapeError, UnknownNameError
from gridmodel.ir.training import Leaf, TrainingGraph
from gridmodel.language.horizon import Horizon
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment

FEEDERS = Path(__file__).parents[3] / "models" / "data" / "feeders"
STEPS = 4
ONES = np.ones((1, STEPS))
NOTHING = gm.Scenarios({"nothing": ONES})


def days(count: int = 3, steps: int = STEPS) -> gm.Scenarios:
    rng = np.random.default_rng(0)
    return gm.Scenarios({
        "price": rng.uniform(0.1, 0.4, (count, steps)), "sun": rng.uniform(0, 1, (count, 2, steps)),
    })  # fmt: skip


def battery(model: gm.Model, count: int = 2) -> Horizon:
    day = model.fleet("battery", count).horizon(STEPS, hours=0.5)
    price = day.series("price", shared=True, known=True)
    p = day.action("p", bounds=(-3, 3), unit="kW")
    e = day.state("e", start=np.linspace(4, 6, count), bounds=(0, 10), unit="kWh")
    up, down = day.parts("p")
    day.next("e", 0.99 * e[:, :-1] + 0.5 * (0.9 * up - down / 0.9))
    day.minimize(0.5 * cp.multiply(price, p) + 0.01 * cp.square(p))
    return day


def test_dynamics_are_the_declared_ones() -> None:
    model = gm.Model("day")
    battery(model)
    (kind,) = training_graph(model, days()).kinds
    (state,), (action,) = kind.states, kind.actions
    assert set(state.next.terms) == {Leaf("state", "e"), Leaf("up", "p"), Leaf("down", "p")}
    found = {leaf.sort: values for leaf, values in state.next.terms.items()}
    assert np.allclose(found["state"], 0.99)
    assert np.allclose(found["up"], 0.45)
    assert np.allclose(found["down"], -0.5 / 0.9)
    assert np.array_equal(state.start, [4, 6])
    assert state.known
    assert action.states == ("e",)
    assert np.allclose(action.lower.constant, -3)
    assert np.allclose(action.upper.constant, 3)


def test_coefficients_may_differ_by_agent_and_by_step() -> None:
    model = gm.Model("pump")
    day = model.fleet("pump", 2).horizon(STEPS)
    outdoor = day.series("price", shared=True)
    p, x = day.action("p", bounds=(0, 2)), day.state("x", start=20)
    keep, gain = np.array([[0.9], [0.8]]), np.arange(2.0 * STEPS).reshape(2, STEPS)
    day.next("x", cp.multiply(keep, x[:, :-1]) + cp.multiply(gain, p) + 0.1 * outdoor[None, :] + 1)
    (kind,) = training_graph(model, days()).kinds
    terms = kind.states[0].next.terms
    assert np.allclose(terms[Leaf("state", "x")], keep.T)
    assert np.allclose(terms[Leaf("action", "p")], gain.T)
    assert np.allclose(terms[Leaf("series", "price")], 0.1)
    assert np.allclose(kind.states[0].next.constant, 1)
    assert not kind.states[0].known


def value_by_cvxpy(expression: cp.Expression, day: Horizon, course: Any, which: int) -> Any:
    """The declared expression at what an agent did on one day."""
    for name, state in day.states.items():
        state.variable.value = course.leaves[Leaf("state", name)][:, which].T.numpy()
    for name, action in day.actions.items():
        for sort, variable in (("action", action.variable), ("up", action.up), ("down", action.down)):
            if variable is not None:
                variable.value = course.leaves[Leaf(sort, name)][:, which].T.numpy()  # type: ignore[arg-type]
    for name, series in day.known.items():
        values = course.leaves[Leaf("series", name)][:, which].T.numpy()
        series.parameter.value = values[0] if series.shared else values
    return expression.value


COSTS: list[tuple[str, Any]] = [
    ("linear", lambda d, p, e: cp.multiply(d.known["price"].parameter, p)),
    ("quadratic", lambda d, p, e: 0.3 * cp.square(p - 1) + cp.power(cp.abs(e[:, 1:] - 5), 3)),
    ("outside a band", lambda d, p, e: cp.pos(e[:, 1:] - 6) + cp.maximum(4 - e[:, :-1], 0, 0.1 * p)),
    ("sum of the day", lambda d, p, e: cp.reshape(cp.sum(cp.square(p), axis=1), (2, 1), order="F") @ ONES),
    ("ramps", lambda d, p, e: cp.hstack([cp.huber(p[:, :1], 2.0), cp.square(cp.diff(p, axis=1))])),
    ("rounded", lambda d, p, e: cp.logistic(p) - cp.log(e[:, 1:] + 5) + cp.huber(p, 0.5)),
    ("row by row", lambda d, p, e: cp.vstack([cp.square(p[0]), cp.abs(p[1])])),
    ("by agent", lambda d, p, e: cp.multiply(np.array([[1.0], [2.0]]), cp.exp(p / 3))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cost"), COSTS, ids=[name for name, _ in COSTS])
def test_costs_are_what_cvxpy_says(name: str, cost: Any) -> None:
    model = gm.Model(name)
    day = battery(model)
    expression = cost(day, day.actions["p"].variable, day.states["e"].variable)
    day.minimize(expression)
    env = Environment(training_graph(model, days()), torch.float64)
    torch.manual_seed(1)
    went = env.replay([torch.rand((STEPS, 2, 3, 1), dtype=torch.float64) * 2 - 1], env.batch(days()))
    plain = 0.5 * cp.multiply(day.known["price"].parameter, day.actions["p"].variable)
    whole = expression + plain + 0.01 * cp.square(day.actions["p"].variable)
    for which in range(3):
        expected = value_by_cvxpy(whole, day, went.courses[0], which)
        assert np.allclose(went.courses[0].cost[:, which].T, expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.floats(0.5, 1.0), st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.floats(-2, 2),
    st.floats(0, 4), st.floats(6, 10), st.booleans(),
)  # fmt: skip
def test_policies_cannot_leave_the_limits(
    seed: int, keep: float, charge: float, discharge: float, drift: float, low: float, end: float, falls: bool
) -> None:
    """Whatever is said: power and level within their limits, the level at the end of the day too, if it can be."""
    model = gm.Model("limits")
    day = model.fleet("store", 2).horizon(STEPS)
    sign = -1.0 if falls else 1.0
    p = day.action("p", bounds=(-6, 6))
    lower = np.array([low] * STEPS + [end])
    e = day.state("e", start=5, bounds=(lower, 12))
    up, down = day.parts("p")
    day.next("e", keep * e[:, :-1] + sign * (charge * up - down / discharge) + drift)
    day.minimize(cp.square(p))
    graph = training_graph(model, NOTHING)
    env = Environment(graph, torch.float64)
    raw = torch.rand((STEPS, 2, 1, 1), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    (course,) = env.replay([raw.sign() if seed % 2 else raw], env.batch(NOTHING)).courses
    level, power = (course.leaves[leaf][:, 0].numpy() for leaf in (Leaf("state", "e"), Leaf("action", "p")))
    assert (np.abs(power) <= 6 + 1e-9).all()
    stored = sign * (charge * np.maximum(power, 0) - np.maximum(-power, 0) / discharge)
    assert np.allclose(level[1:], keep * level[:-1] + stored + drift)
    if gm.solve(model, "central").status.value == "certified":  # a day that keeps them exists
        assert (level >= lower[:, None] - 1e-6).all()
        assert (level <= 12 + 1e-6).all()


def with_network(place: str) -> gm.Model:
    model = gm.Model("grid")
    day = battery(model)
    model.place(gm.read_network(FEEDERS / "13Bus" / "IEEE13Nodeckt.dss"), 0.95, 1.05)
    day.draw(day.actions["p"].variable, at=["671.1", place], q=0.2 * day.actions["p"].variable)
    return model


def test_the_network_sees_what_devices_draw() -> None:
    model = with_network("684.1")
    graph: TrainingGraph = training_graph(model, days())
    assert graph.network is not None
    assert graph.network.ports == ("devices at 671.1", "devices at 684.1")
    env = Environment(graph, torch.float64)
    went = env.replay([torch.ones((STEPS, 2, 3, 1), dtype=torch.float64)], env.batch(days()))
    p = went.courses[0].leaves[Leaf("action", "p")][0, 0].numpy()
    feeder = model.network
    loads = {load.name: load.s for load in feeder.loads}
    whole = graph.network.feeder.load_flow(loads, {  # type: ignore[attr-defined]
        f"devices at {place}": -1e3 * (1 + 0.2j) * kw for place, kw in zip(("671.1", "684.1"), p, strict=True)
    })  # fmt: skip
    expected = [abs(whole[node]) for node in graph.network.nodes]
    assert went.u is not None
    assert np.allclose(went.u[0, 0], expected, atol=1e-8)


@pytest.mark.parametrize(
    ("place", "kind", "said"),
    [
        (
            "99.1",
            UnknownNameError,
            r"battery\[1\] \(draw at test_graph.py:\d+\) draws .* has no bus '99'",
        ),
        ("684.2", UnknownNameError, "bus 684 has phases 1, 3"),
        ("684.a", ModelError, 'write "60", "60.1", or "60.1-2"'),
    ],
)
def test_places_that_are_not_there_are_named(place: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        training_graph(with_network(place), days())


def on_lines(place: str | tuple[str, str], droop: gm.VoltVar | None = None) -> gm.Model:
    """IEEE 37 has no ground: all its loads stand between lines."""
    model = gm.Model("lines")
    day = battery(model)
    model.place(gm.read_network(FEEDERS / "37Bus" / "ieee37.dss"), 0.95, 1.05)
    day.draw(day.actions["p"].variable, at=place, rating=4, droop=droop)
    return model


def test_devices_stand_between_lines_where_nothing_is_grounded() -> None:
    with pytest.raises(
        NotApplicableError, match=r'battery\[0\].*draws power at \'742.2\'.*write "742.1-2" or "742.1-3"'
    ):
        training_graph(on_lines("742.2"), days())
    network = training_graph(on_lines(("742", "742.1-2")), days()).network
    assert network is not None
    own = network.feeder.generators  # type: ignore[attr-defined]
    assert [(unit.connection, unit.phases, unit.terminal.nodes) for unit in own] == [
        ("delta", 3, (1, 2, 3)), ("delta", 1, (1, 2)),
    ]  # fmt: skip
    # A balanced device of three phases lowers all three voltages of its bus by nearly as much.
    none, some = (network.exact(np.array([[p, 0.0]]), None, None).u[0] for p in (0.0, 60.0))
    fall = [none[k] - some[k] for k, name in enumerate(network.nodes) if name.startswith("742.")]
    assert min(fall) > 1e-4
    assert max(fall) < 1.5 * min(fall)


def test_a_droop_is_a_law() -> None:
    with pytest.raises(ModelError, match=r"battery\[0\] .*: droop is 0.05, expected a law such as gm.VoltVar"):
        training_graph(on_lines("742", droop=0.05), days())  # type: ignore[arg-type]


def test_loads_are_those_of_the_feeder() -> None:
    rows = gm.Scenarios(days().series, np.ones((3, STEPS, 2), dtype=np.complex128))
    with pytest.raises(ShapeError, match=r"shape \(3, 4, 2\), and ieee13nodeckt has 15 loads: expected \(3, 4, 15\)"):
        training_graph(with_network("684.1"), rows)


def test_who_draws_from_no_place_is_told() -> None:
    model = with_network("684.1")
    day = model.agent("boiler").horizon(STEPS, 0.5)
    day.minimize(day.action("heat", bounds=(0, 1)))
    with pytest.warns(UserWarning, match=r"boiler: no power is drawn from ieee13nodeckt; .* day.draw\(p, at="):
        training_graph(model, days())


def no_horizon(model: gm.Model) -> Any:
    model.agent("idle").variable("x")


def coupled(model: gm.Model) -> Any:
    model.couple(cp.sum(model["battery"]["p"], axis=0) <= 1, name="limit")


def no_next(model: gm.Model) -> Any:
    model.agent("b").horizon(STEPS, 0.5).state("x", start=0)


def not_causal(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    u, x = day.action("u", bounds=(0, 1)), day.state("x", start=0)
    day.next("x", x[:-1] + cp.hstack([u[1:], u[0]]))


def not_affine(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    x = day.state("x", start=0)
    day.next("x", cp.pos(x[:-1]))


def own_limit(model: gm.Model) -> Any:
    p = model["battery"]["p"]
    model["battery"].subject_to(cp.abs(cp.diff(p, axis=1)) <= 1, name="ramp")


def two_masters(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    x, u, v = day.state("x", start=0), day.action("u", bounds=(0, 1)), day.action("v", bounds=(0, 1))
    day.next("x", x[:-1] + u - v)


def two_ways(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    day.action("u", bounds=(-1, 1))
    x, (up, down) = day.state("x", start=0), day.parts("u")
    day.next("x", x[:-1] + up + down)


def unknown_series(model: gm.Model) -> Any:
    model.agent("b").horizon(STEPS, 0.5).series("wind")


def another_step(model: gm.Model) -> Any:
    model.agent("b").horizon(STEPS, 1.0)


def cost_of_the_day(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    model["b"].minimize(cp.max(day.action("u", bounds=(0, 1))))


def strange_cost(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    day.minimize(cp.log_sum_exp(day.action("u", bounds=(0, 1))) * np.ones(STEPS))


def other_agents(model: gm.Model) -> Any:
    model.fleet("b", 3).horizon(STEPS, 0.5).series("sun")


def network_without_draw(model: gm.Model) -> Any:
    model.place(gm.read_network(FEEDERS / "13Bus" / "IEEE13Nodeckt.dss"), 0.95, 1.05)


def draw_without_network(model: gm.Model) -> Any:
    day = model.agent("b").horizon(STEPS, 0.5)
    day.draw(day.action("u", bounds=(0, 1)), at="1.1")


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        (no_horizon, NotApplicableError, r"idle \(declared at test_graph.py:\d+\) has no horizon"),
        (network_without_draw, NotApplicableError, "'wrong' is on ieee13nodeckt and no agent draws power from it"),
        (own_limit, NotApplicableError, r"battery: ramp at test_graph.py:\d+ is no bound of a state or an action"),
        (coupled, NotApplicableError, "has coupling 'limit': policies without messages meet through the network only"),
        (no_next, ModelError, "what comes next of the state 'x' .* is not said"),
        (not_causal, ModelError, "not causal: in step 0 it holds action 'u' of step 1"),
        (not_affine, CurvatureError, "b: what comes next of 'x' at .* is not affine"),
        (two_masters, NotApplicableError, "'x' is moved by 'u' and by 'v'"),
        (two_ways, NotApplicableError, "'u' moves 'x' in one direction when it rises"),
        (unknown_series, DataError, "b declares the series 'wind', and the scenarios hold price, sun"),
        (another_step, ModelError, "all horizons must be alike"),
        (cost_of_the_day, NotApplicableError, "is no cost of steps; declare it with day.minimize"),
        (strange_cost, NotApplicableError, "has the atom log_sum_exp"),
        (other_agents, ShapeError, r"'sun' of the scenarios has shape \(3, 2, 4\), expected \(3, 4\) or \(3, 3, 4\)"),
        (draw_without_network, ModelError, "b .* draws power and model 'wrong' has no network"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_trained_are_refused(wrong: Any, kind: type[Exception], said: str) -> None:
    model = gm.Model("wrong")
    battery(model)
    wrong(model)
    with pytest.raises(kind, match=said):
        training_graph(model, days())


def test_the_fingerprint_tells_models_apart() -> None:
    def print_of(start: float) -> str:
        model = gm.Model("x")
        day = model.fleet("b", 2).horizon(STEPS)
        day.next("e", day.state("e", start=start)[:, :-1] + day.action("p", bounds=(0, 1)))
        return training_graph(model, days()).fingerprint

    assert print_of(1.0) == print_of(1.0)
    assert print_of(1.0) != print_of(2.0)
