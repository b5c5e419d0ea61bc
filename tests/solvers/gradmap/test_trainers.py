"""GradMAP, GradMA and SSL: what a round does, what a run comes to, what is refused."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.agents import GAIN
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.perceptron import activations, columns, parameters, saturated, views
from gridmodel.runtime.training import AbstractTrainer
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.calls import Gradient
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.gradmap import GradMA, GradMAP
from gridmodel_solvers.gradmap.limits import Tightened
from gridmodel_solvers.gradmap.ssl import SSL
from gridmodel_solvers.gradmap.updates import Proximal, descend
from tests.solvers.gradmap.days import environment, model, on_wire, resumed, scenarios

SMALL = {"hidden": (6, 5), "days": 4}
TRAINERS: list[AbstractTrainer] = [GradMAP(**SMALL), GradMA(**SMALL), SSL(**SMALL)]  # type: ignore[arg-type]


def adam(weights: torch.Tensor, sizes: list[int], losses: list[tuple[torch.Tensor, torch.Tensor]], rate: float) -> None:
    """torch's own Adam on the squared distance of actions to goals, one agent's by itself."""
    weights.requires_grad_()
    own = torch.optim.Adam([weights], lr=rate)
    for inputs, goal in losses:
        own.zero_grad()
        (saturated(activations(views(weights, sizes), inputs)[-1]) - goal).square().mean(dim=2).sum().backward()
        own.step()


def test_the_regression_is_adam_on_the_distance_to_clipped_actions() -> None:
    generator = torch.Generator().manual_seed(0)
    steps, count, days, sizes = 3, 5, 4, [4, 6, 1]
    seen = torch.randn((steps, count, days, 4), generator=generator, dtype=torch.float64)
    raw = torch.rand((steps, count, days, 1), generator=generator, dtype=torch.float64) * 2 - 1
    g = torch.randn((steps, count, days, 1), generator=generator, dtype=torch.float64)
    flat = 0.3 * torch.randn((count, parameters(sizes)), generator=generator, dtype=torch.float64)
    moments = Moments(flat.clone(), torch.zeros_like(flat), torch.zeros_like(flat), 0)
    assert Proximal(0.2, 1.5, epochs=2, parts=2)(moments, sizes, raw, seen, g, 0.01) == 4
    size = g.abs().mean(dim=(0, 2), keepdim=True)
    wanted = (raw - (0.2 * g / size).clamp(-0.3, 0.3)).clamp(-1, 1)
    assert float((wanted - raw).abs().max()) <= 0.3 + 1e-12
    whole = slice(None)
    halves = [(columns(seen, whole, part), columns(wanted, whole, part)) for part in (slice(0, 2), slice(2, 4))]
    adam(flat, sizes, halves * 2, 0.01)
    assert torch.allclose(moments.weights, flat, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("wanted", "moves"), [(1.0, False), (-1.0, True)])
def test_an_output_past_an_end_is_drawn_back_by_nothing_but_the_gradient(wanted: float, moves: bool) -> None:
    sizes = [1, 1]
    far = torch.tensor([[0.0, 2.0]], dtype=torch.float64)  # the weight, and an offset whose tanh is past the end
    moments = Moments(far.clone(), torch.zeros_like(far), torch.zeros_like(far), 0)
    seen = torch.ones((1, 1, 2, 1), dtype=torch.float64)
    assert bool((activations(views(far, sizes), columns(seen, slice(None)))[-1] > 1 / GAIN).all())
    Proximal(0.3, 2.0, epochs=1, parts=1)(moments, sizes, torch.ones_like(seen), seen, -wanted * seen, 0.01)
    assert torch.equal(moments.weights, far) is not moves


def test_one_step_down_the_gradient_is_adams() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [4, 6, 1]
    seen = torch.randn((3, 5, 4, 4), generator=generator, dtype=torch.float64)
    g = torch.randn((3, 5, 4, 1), generator=generator, dtype=torch.float64)
    flat = 0.2 * torch.randn((5, parameters(sizes)), generator=generator, dtype=torch.float64)
    moments = Moments(flat.clone(), torch.zeros_like(flat), torch.zeros_like(flat), 0)
    assert descend(moments, sizes, seen, g, 0.01) == 1
    flat.requires_grad_()
    own = torch.optim.Adam([flat], lr=0.01)
    out = activations(views(flat, sizes), columns(seen, slice(None)))[-1]
    assert bool((out.abs() < 1 / GAIN).all())  # none at an end
    (saturated(out) * columns(g, slice(None))).sum().backward()
    own.step()
    assert torch.allclose(moments.weights, flat, rtol=1e-9, atol=1e-10)


def test_policies_are_means_of_the_weights_of_more_and_more_rounds() -> None:
    trainer, (env, days) = GradMAP(hidden=(6, 5), days=4, average=3), environment(network=False)
    state = trainer.init(env, 0)
    mean = state["kinds"][0]["weights"]
    for progress, rounds in ((0.0, 1.0), (0.5, 2.0), (1.0, 3.0)):
        state, _ = trainer.step(state, env, days, progress)
        mean = mean + (state["kinds"][0]["weights"] - mean) / rounds
        given = torch.cat([x.flatten(1) for layer in trainer.policies(state, env).layers[0] for x in layer], dim=1)
        assert torch.allclose(given, mean, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(given, state["kinds"][0]["weights"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: trainer.name)
def test_a_run_goes_on_from_what_torch_saved_to_the_same_numbers(trainer: AbstractTrainer) -> None:
    env, straight, again = resumed(trainer)
    own, other = (trainer.policies(state, env).tensors for state in (straight, again))
    assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))
    first = trainer.policies(trainer.init(env, 3), env).tensors
    assert any(not torch.equal(a, b) for a, b in zip(own, first, strict=True))


def test_a_round_leaves_the_state_before_it_as_it_was() -> None:
    env, days = environment(network=False)
    before = TRAINERS[0].init(env, 0)
    kept = [x.clone() for x in TRAINERS[0].policies(before, env).tensors]
    TRAINERS[0].step(before, env, days, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(kept, TRAINERS[0].policies(before, env).tensors, strict=True))


def trading() -> gm.Model:
    """A battery that buys and sells on one known day."""
    made = gm.Model("trading")
    day = made.agent("battery").horizon(12, hours=1)
    price = day.series("price", value=0.2 + 0.1 * np.sin(np.arange(12)), known=True)
    p = day.action("p", bounds=(-3, 3))
    e = day.state("e", start=5, bounds=(0, 10))
    day.next("e", e[:-1] + p)
    day.minimize(cp.multiply(price, p) + 0.01 * p**2)
    day.observe(e, price)
    return made


@pytest.mark.parametrize("gradient", ["open-loop", "through"])
def test_a_learned_policy_comes_near_the_central_optimum(gradient: Gradient) -> None:
    made, rounds = trading(), 250
    trainer = GradMAP(hidden=(16, 16), days=4, parts=2, gradient=gradient)
    optimum = float(gm.solve(made, "central").value)
    days = gm.Scenarios({"price": np.repeat(0.2 + 0.1 * np.sin(np.arange(12))[None], 4, axis=0)})
    env = Environment(training_graph(made, days))
    state = trainer.init(env, 0)
    for k in range(rounds):
        state, _ = trainer.step(state, env, days, k / rounds)
    with torch.no_grad():
        cost = float(env.rollout(trainer.policies(state, env), env.batch(days)).cost.mean())
    assert optimum < 0  # idle costs nothing
    assert 0.97 * optimum >= cost >= optimum * (1 + 1e-5)


def test_steps_without_a_load_flow_teach_nothing_and_are_counted() -> None:
    days = scenarios(4)
    graph = training_graph(model(), days)
    trainer = GradMAP(**SMALL)  # type: ignore[arg-type]
    env = Environment(on_wire(graph, most=1e9, lower=0.999), torch.float64)
    state, sound = trainer.step(trainer.init(env, 0), env, days, 0.0)
    assert state["failed"] == 0
    assert sound.share > 0.3
    broken = Environment(on_wire(graph, most=-1e9, lower=0.999), torch.float64)
    with pytest.warns(UserWarning, match="100% of this round's load flows have no solution"):
        found, seen = trainer.step(trainer.init(broken, 0), broken, days, 0.0)
    assert (found["failed"], seen.share, seen.worst) == (24, 0.0, 0.0)
    # Without any voltage, what is learned is what a model without a network teaches.
    alone = Environment(replace(graph, network=None), torch.float64)
    plain, _ = trainer.step(trainer.init(alone, 0), alone, days, 0.0)
    for a, b in zip(trainer.policies(found, broken).tensors, trainer.policies(plain, alone).tensors, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_penalty_counts_the_worst_day_most() -> None:
    over = torch.tensor([[[0.0, 0.001]], [[0.004, 0.0]]], dtype=torch.float64).transpose(0, 1)
    even = float(Tightened(10.0, 0.0, 1e6)(over, None))
    assert even == pytest.approx(10 * (0.001 + 0.004) / 2, rel=1e-6)
    shares = np.exp([0.5, 2.0]) / np.exp([0.5, 2.0]).sum()
    assert float(Tightened(10.0, 0.0, 0.002)(over, None)) == pytest.approx(10 * shares @ [0.001, 0.004])
    raised = float(Tightened(10.0, 0.0, 1e6)(over, torch.tensor([5.0, 0.0], dtype=torch.float64)))
    assert raised == pytest.approx(even + 5 * 0.004 / 2, rel=1e-6)


def test_multipliers_rise_above_the_slack_on_their_own_clock_and_fall_below_it() -> None:
    duals = Duals(step=0.5, slack=1e-3, clock=2, most=0.8)
    state = duals.first(torch.zeros(2))
    over = torch.tensor([4e-3, 0.0]).expand(3, 2, 2)
    seen = []
    for _ in range(4):
        state = duals.after(state, over, weight=10.0)
        seen.append(state["multipliers"].tolist())
    assert np.allclose(seen, [[0, 0], [5, 0], [5, 0], [8, 0]])
    for _ in range(2):
        state = duals.after(state, torch.zeros_like(over), weight=10.0)
    assert state["multipliers"].tolist() == pytest.approx([3, 0])


@pytest.mark.parametrize(
    ("options", "text"),
    [({"days": 0}, "days=0"), ({"hidden": ()}, "hidden"), ({"delta": 0.0}, "delta=0"), ({"gradient": "x"}, "'x'")],
)
def test_options_out_of_range_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        GradMAP(**options)  # type: ignore[arg-type]
