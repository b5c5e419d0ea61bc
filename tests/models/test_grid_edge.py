from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.ir.training import Leaf
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment, Outcome
from models.grid_edge import SIZES, build, load_sites


@cache
def small(agents: int = 20, droop: str = "none") -> gm.Model:
    return build(agents=agents, days=24, held_out=8, droop=droop)


@cache
def environment(agents: int = 20, droop: str = "none") -> Environment:
    model = small(agents, droop)
    assert model.scenarios is not None
    return Environment(training_graph(model, model.scenarios[0]), torch.float64)


def days(agents: int = 20, droop: str = "none") -> Any:
    model = small(agents, droop)
    assert model.scenarios is not None
    return environment(agents, droop).batch(model.scenarios[0])


def outside(outcome: Outcome, env: Environment) -> Any:
    assert env.lower is not None
    assert env.upper is not None
    return outcome.over(env.lower, env.upper)


def test_voltages_leave_the_limits_without_policies_and_less_with_droop() -> None:
    share, worst = {}, {}
    for droop in ("none", "devices", "all"):
        env = environment(droop=droop)
        with torch.no_grad():
            found = env.baseline(days(droop=droop))
        assert found.solved is not None
        assert found.solved.all()
        over = outside(found, env)
        share[droop], worst[droop] = float((over > 1e-9).double().mean()), float(over.max())
    assert 0.005 < share["none"] < 0.06
    assert 0.01 < worst["none"] < 0.04
    assert share["none"] > 4 * share["devices"] >= 4 * share["all"]
    assert worst["none"] > worst["devices"] > worst["all"] - 1e-12


def test_ten_times_the_agents_are_a_tenth_as_large_and_cost_the_same() -> None:
    few, many = small(20), small(200)
    for name, action, power in (
        ("battery", "battery", SIZES.batteries),
        ("heat_pump", "heating", SIZES.heat_pumps),
        ("generator", "generation", SIZES.generators),
    ):
        for model in (few, many):
            day = model[name].day
            assert day is not None
            sizes = np.abs(np.stack([day.actions[action].lower.value, day.actions[action].upper.value])).max(axis=0)
            assert sizes[:, 0].sum() == pytest.approx(power)
        assert model[name].size == 10 * (few[name].size or 0)
    with torch.no_grad():
        costs = [environment(n).baseline(days(n), flow=False).cost.mean().item() for n in (20, 200)]
    assert costs[1] == pytest.approx(costs[0], rel=0.01)


@pytest.mark.parametrize("raw", [-1.0, 0.3, 1.0])
def test_any_policy_keeps_comfort_and_charge(raw: float) -> None:
    env = environment()
    with torch.no_grad():
        found = env.rollout(lambda kind, step, seen: torch.full((*seen.shape[:2], 1), raw).to(seen), days(), flow=False)
    by_name = dict(zip((kind.name for kind in env.graph.kinds), found.courses, strict=True))
    room = by_name["heat_pump"].leaves[Leaf("state", "room")]
    assert room.min() > 19.5 - 1e-9
    assert room.max() < 22.0 + 1e-9
    stored = by_name["battery"].leaves[Leaf("state", "stored")]
    assert stored.min() > -1e-9
    assert (stored[-1] >= stored[0] - 1e-9).all()


def test_foresight_saves_what_the_baseline_pays_and_more() -> None:
    model = small()
    assert model.scenarios is not None
    today, env = model.scenarios[1].take(0), environment()
    with torch.no_grad():
        idle = env.baseline(env.batch(today), flow=False).cost.item()
    best = gm.solve(model, "central")
    assert best.status is gm.Status.CERTIFIED
    assert best.value is not None
    assert 1000.0 < idle - best.value < 8000.0


def test_policies_see_their_own_and_what_is_known() -> None:
    names = [(seen.leaf.name, seen.ahead) for seen in environment().graph.kinds[0].observed]
    prices = [("price", k) for k in (1, 2, 4, 8, 12, 16, 24)]
    assert names == [("stored", 0), ("price", 0), *prices, ("temperature", 0), ("sun", 0), ("load", 0)]
    blind = training_graph(blinded := build(agents=5, days=2, held_out=1, local_load=False), blinded.scenarios[0])  # type: ignore[index]
    assert "load" not in blind.kinds[0].series


def test_every_load_is_a_place() -> None:
    feeder = small().network
    sites = load_sites(feeder)
    assert len({place for place, _ in sites}) == len(sites) == 95
    assert dict(sites)["35.1-2"] == [load.name for load in feeder.loads].index("s35a")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"agents": 2}, "agents is a whole number of at least 3"),
        ({"days": 0}, "days is a whole number"),
        ({"droop": "some"}, "droop='some', expected"),
        ({"load_scale": float("nan")}, "load_scale is a number of at least 0"),
        ({"v_min": 1.1}, "0 < v_min < v_max"),
    ],
)
def test_refuses_options_that_make_no_model(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(gm.ModelError, match=text):
        build(**({"days": 2, "held_out": 1} | wrong))
