"""IPPO and MAPPO: what a run comes to, what agents are paid, what goes on after a break, what is refused."""

from __future__ import annotations

from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.learning.train import trainers
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.training import Round
from gridmodel_solvers.marl.actor import Exploring
from gridmodel_solvers.marl.ippo import IPPO
from gridmodel_solvers.marl.mappo import MAPPO
from gridmodel_solvers.marl.ppo import AbstractPPO
from tests.solvers.gradmap.days import environment, model, on_wire, resumed, scenarios

SMALL = {"hidden": (6, 5), "days": 4}
TRAINERS: list[AbstractPPO] = [IPPO(**SMALL), MAPPO(**SMALL)]  # type: ignore[arg-type]
each = pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer.name)


def test_they_go_by_their_names() -> None:
    assert trainers()["ippo"] is IPPO
    assert trainers()["mappo"] is MAPPO


@each
def test_a_run_goes_on_from_what_torch_saved_to_the_same_numbers(trainer: AbstractPPO) -> None:
    env, straight, again = resumed(trainer)
    for part in ("actors", "critics"):
        for a, b in zip(straight[part], again[part], strict=True):
            assert a["updates"] == b["updates"] == 4 * trainer.epochs * trainer.parts
            assert all(torch.equal(a[name], b[name]) for name in ("weights", "first", "second"))
    first = trainer.policies(trainer.init(env, 3), env).tensors
    assert any(not torch.equal(a, b) for a, b in zip(trainer.policies(again, env).tensors, first, strict=True))


@each
def test_a_round_leaves_the_state_before_it_as_it_was(trainer: AbstractPPO) -> None:
    env, days = environment(network=True)
    before, same = trainer.init(env, 0), trainer.init(env, 0)
    trainer.step(before, env, days, 0.0)
    for part in ("actors", "critics"):
        for a, b in zip(before[part], same[part], strict=True):
            assert all(torch.equal(a[name], b[name]) for name in ("weights", "first", "second"))


def trading(unit: float = 1.0) -> tuple[gm.Model, gm.Scenarios]:
    """A battery that buys and sells on one known day, in a currency of that many units."""
    made, values = gm.Model("trading"), 0.2 + 0.1 * np.sin(np.arange(12))
    day = made.agent("battery").horizon(12, hours=1)
    price = day.series("price", value=values, known=True)
    p = day.action("p", bounds=(-3, 3))
    e = day.state("e", start=5, bounds=(0, 10))
    day.next("e", e[:-1] + p)
    day.minimize(unit * cp.multiply(price, p) + unit * 0.01 * p**2)
    day.observe(e, price)
    return made, gm.Scenarios({"price": np.repeat(values[None], 32, axis=0)})


def test_rewards_alone_bring_an_agent_near_the_central_optimum() -> None:
    made, days = trading()
    trainer, rounds = IPPO(hidden=(16, 16), days=32, rate=1e-2, spread=0.3, discount=1.0), 200
    optimum = float(gm.solve(made, "central").value)
    env = Environment(training_graph(made, days))
    state = trainer.init(env, 0)
    for k in range(rounds):
        state, seen = trainer.step(state, env, days, k / rounds)
    with torch.no_grad():
        cost = float(env.rollout(trainer.policies(state, env), env.batch(days)).cost.mean())
        idle = float(env.baseline(env.batch(days)).cost.mean())
    assert optimum < idle == 0
    assert 0.97 * optimum >= cost >= optimum * (1 + 1e-5)
    assert seen.cost > cost  # what explores pays for it


@each
def test_a_currency_changes_nothing(trainer: AbstractPPO) -> None:
    found = []
    for unit in (1.0, 1024.0):
        made, days = trading(unit)
        env = Environment(training_graph(made, days), torch.float64)
        state = trainer.init(env, 0)
        for k in range(3):
            state, seen = trainer.step(state, env, days, k / 3)
        found.append((seen.cost / unit, trainer.policies(state, env).tensors))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    assert all(torch.allclose(a, b, rtol=1e-7, atol=1e-9) for a, b in zip(found[0][1], found[1][1], strict=True))


def test_training_by_name_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    made, days = trading()
    made.days(days, days.take(slice(0, 2)))
    first = gm.train(made, "mappo", rounds=3)
    kept = tmp_path / "run.pt"
    stopped = gm.train(made, "mappo", rounds=3, checkpoint=kept, progress=_break_off)
    assert stopped.status == "interrupted"
    again = gm.train(made, "mappo", rounds=3, checkpoint=kept, resume=True)
    assert again.history == first.history
    assert all(np.array_equal(again.weights[name], values) for name, values in first.weights.items())


def _break_off(number: int, total: int, seen: Round) -> None:
    if number == 2:
        raise KeyboardInterrupt


def test_an_agent_learns_what_its_neighbours_voltage_costs() -> None:
    """A consumer that is paid for every kWh, on a wire whose voltage it alone pulls below the limit."""
    made = gm.Model("thirst")
    day = made.agent("consumer").horizon(2, hours=1)
    p = day.action("p", bounds=(0, 100))
    day.minimize(-p)
    days = gm.Scenarios({"nothing": np.ones((16, 2))})
    env = Environment(on_wire(training_graph(made, days), most=1e9, lower=0.996), torch.float64)  # at most 40 kW
    trainer = MAPPO(hidden=(8,), days=16, margin=0.0, penalty=400.0, rate=1e-2)
    state = trainer.init(env, 0)
    assert float(env.rollout(trainer.policies(state, env), env.batch(days)).courses[0].p[0].mean()) > 49
    for k in range(60):
        state, _ = trainer.step(state, env, days, k / 60)
    drawn = env.rollout(trainer.policies(state, env), env.batch(days)).courses[0].p[0]
    assert 30 < float(drawn.min()) <= float(drawn.max()) < 41


def test_steps_without_a_load_flow_cost_as_much_as_the_worst_and_are_counted() -> None:
    days = scenarios(4)
    graph = training_graph(model(), days)
    broken = Environment(on_wire(graph, most=-1e9, lower=0.999), torch.float64)
    for trainer in TRAINERS:
        with pytest.warns(UserWarning, match="100% of this round's load flows have no solution"):
            found, seen = trainer.step(trainer.init(broken, 0), broken, days, 0.0)
        assert (found["failed"], seen.share, seen.worst) == (24, 0.0, 0.0)
        assert all(torch.isfinite(x).all() for x in trainer.policies(found, broken).tensors)
    some = Environment(on_wire(graph, most=20.0, lower=0.9999), torch.float64)
    policies = TRAINERS[0].policies(TRAINERS[0].init(some, 0), some)
    with torch.no_grad():
        out = some.rollout(policies, some.batch(days))
    assert out.solved is not None
    assert 0 < int(out.solved.sum()) < out.solved.numel()
    paid = TRAINERS[0]._violation(some, out)
    assert (paid[~out.solved] == paid[out.solved].max()).all()
    assert float(paid.max()) > 0


def test_exploring_agents_say_the_mean_and_noise_and_act_within_limits() -> None:
    env, days = environment(network=False)
    policies = IPPO(**SMALL).policies(IPPO(**SMALL).init(env, 0), env)  # type: ignore[arg-type]
    noise = [torch.randn((env.graph.steps, k.size, len(days), len(k.actions))).double() for k in env.graph.kinds]
    spread = [torch.full((k.size, 1, len(k.actions)), 2.0).double() for k in env.graph.kinds]
    exploring = Exploring(policies, spread, noise)
    with torch.no_grad():
        found = env.rollout(exploring, env.batch(days))
        for k, course in enumerate(found.courses):
            mean = torch.stack([policies(k, t, course.seen[t]) for t in range(env.graph.steps)])
            assert torch.allclose(exploring.said[k], mean + 2.0 * noise[k], atol=1e-12)
            assert torch.equal(course.raw, exploring.said[k].clamp(-1, 1))
            assert float(exploring.said[k].abs().max()) > 1


def test_value_networks_of_mappo_see_kinds_and_the_voltages_of_the_step_before() -> None:
    env, days = environment(network=True)
    trainer = MAPPO(**SMALL)  # type: ignore[arg-type]
    with torch.no_grad():
        found = env.rollout(trainer.policies(trainer.init(env, 0), env), env.batch(days))
    common = trainer.common(env, found)
    assert common.shape == (env.graph.steps, len(days), trainer.common_width(env))
    means = torch.cat([course.seen.mean(dim=1) for course in found.courses], dim=-1)
    assert torch.equal(common[..., :-3], means)
    assert found.u is not None
    middle, half = 1.015, 0.025  # limits .99 and 1.04
    assert (common[0, :, -3:] == 0).all()
    assert torch.allclose(common[1:, :, -3], (found.u[:-1].amin(dim=-1) - middle) / half)
    assert torch.allclose(common[1:, :, -1], (found.u[:-1].amax(dim=-1) - middle) / half)
    assert IPPO(**SMALL).common(env, found).shape[-1] == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"days": 0}, "days=0"), ({"hidden": ()}, "hidden"), ({"clip": 0.0}, "clip=0"),
        ({"discount": 1.5}, "discount=1.5"), ({"entropy": -1.0}, "entropy=-1"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        IPPO(**options)  # type: ignore[arg-type]
