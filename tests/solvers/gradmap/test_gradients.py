"""Gradients by one recursion over the day: against finite differences, back-propagation through time, a closed form."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.agents import GAIN
from gridmodel.runtime.environment import Batch, Environment, Outcome
from gridmodel.runtime.perceptron import activations, backward, columns, inwards, saturated, sensitivities
from gridmodel.runtime.policies import Policies
from gridmodel_solvers.gradmap.calls import call
from tests.solvers.gradmap.days import environment

H = 1e-4  # the load flow is good to 1e-8 pu
Loss = Callable[[Outcome], torch.Tensor]


def wild(env: Environment, hidden: tuple[int, ...] = (5, 4)) -> Policies:
    """Policies whose actions are far from idle."""
    first = Policies.drawn(env, hidden, torch.Generator().manual_seed(1))
    return first.like([3.0 * x for x in first.tensors])


def loss_of(env: Environment) -> Loss:
    def loss(found: Outcome) -> torch.Tensor:
        value = found.cost.mean()
        if found.u is None:
            return value
        assert env.lower is not None
        assert env.upper is not None
        return value + 1e4 * found.over(env.lower, env.upper).sum() + 10 * found.u.square().sum()

    return loss


def by_weights(env: Environment, policies: Policies, batch: Batch, gradient: str) -> list[torch.Tensor]:
    """The gradient of all weights and offsets from that of raw actions."""
    called = call(env, policies, batch, loss_of(env), gradient)  # type: ignore[arg-type]
    own = policies.like([x.clone().requires_grad_() for x in policies.tensors])
    total = torch.zeros(())
    for k, (seen, g) in enumerate(zip(called.seen, called.gradients, strict=True)):
        for t in range(len(seen)):
            total = total + (own(k, t, seen[t]) * g[t]).sum()
    return list(torch.autograd.grad(total, own.tensors))


def taped(env: Environment, policies: Policies, batch: Batch) -> list[torch.Tensor]:
    """Back-propagation through time: the tape of the whole roll-out."""
    own = policies.like([x.clone().requires_grad_() for x in policies.tensors])
    return list(torch.autograd.grad(loss_of(env)(env.rollout(own, batch)), own.tensors))


@pytest.mark.parametrize("network", [False, True])
def test_through_is_back_propagation_through_time(network: bool) -> None:
    env, days = environment(network)
    policies, batch = wild(env), env.batch(days)
    truth = taped(env, policies, batch)
    for g, own in zip(by_weights(env, policies, batch, "through"), truth, strict=True):
        assert torch.allclose(g, own, rtol=1e-6, atol=1e-9 * float(own.abs().max()))
    open_loop = by_weights(env, policies, batch, "open-loop")
    assert any(not torch.allclose(g, own, rtol=1e-3) for g, own in zip(open_loop, truth, strict=True))


@pytest.mark.parametrize("loads", [True, False])  # days with light loads; the file's, some below their least voltage
def test_policy_gradient_is_that_of_finite_differences(loads: bool) -> None:
    env, days = environment(network=True)
    days = days if loads else gm.Scenarios(days.series)
    policies, batch, generator = wild(env), env.batch(days), torch.Generator().manual_seed(2)
    gradient = by_weights(env, policies, batch, "through")
    for _ in range(3):
        way = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in policies.tensors]
        ends = []
        for h in (H, -H):
            moved = policies.like([x + h * d for x, d in zip(policies.tensors, way, strict=True)])
            with torch.no_grad():
                ends.append(float(loss_of(env)(env.rollout(moved, batch))))
        along = sum(float((g * d).sum()) for g, d in zip(gradient, way, strict=True))
        assert along == pytest.approx((ends[0] - ends[1]) / (2 * H), rel=1e-5)


def test_replay_repeats_a_roll_out_and_its_open_loop_gradient_is_that_of_finite_differences() -> None:
    env, days = environment(network=True)
    batch = env.batch(days)
    with torch.no_grad():
        rolled = env.rollout(wild(env), batch)
        again = env.replay([course.raw for course in rolled.courses], batch)
    assert torch.allclose(again.cost, rolled.cost, rtol=1e-12)
    called = call(env, wild(env), batch, loss_of(env), "open-loop")
    for k, at in ((0, (1, 2, 0, 0)), (0, (4, 0, 1, 0)), (1, (0, 1, 2, 0)), (2, (3, 0, 0, 0))):
        ends = []
        for h in (H, -H):
            raw = [one.clone() for one in called.raw]
            raw[k][at] += h
            ends.append(float(loss_of(env)(env.replay(raw, batch))))
        assert float(called.gradients[k][at]) == pytest.approx((ends[0] - ends[1]) / (2 * H), rel=1e-5, abs=1e-7)


def test_scalar_roll_out_with_and_without_later_answers() -> None:
    """x+ = x + a, a = clip(s tanh(w (x - 1) + b), -1, 1), J = x_1^2 + x_2^2 + x_3^2: sensitivities written out."""
    model = gm.Model("scalar")
    day = model.agent("one").horizon(3, hours=1)
    a = day.action("a", bounds=(-1, 1))
    x = day.state("x", start=1.0)
    day.next("x", x[:-1] + a)
    day.minimize(x[1:] ** 2)
    day.observe(x)
    days = gm.Scenarios({"nothing": np.ones((1, 3))})
    env = Environment(training_graph(model, days), torch.float64)
    w, b = 0.7, 0.3
    weight = torch.tensor([[[0.0], [0.0], [w]]], dtype=torch.float64)
    policies = Policies((((weight, torch.tensor([[[b]]], dtype=torch.float64)),),))
    for gradient, answers in (("through", True), ("open-loop", False)):
        here, moved, truth = 1.0, np.zeros(2), np.zeros(2)
        for _ in range(3):
            out = np.tanh(w * (here - 1) + b)
            act, slope = np.clip(GAIN * out, -1, 1), GAIN * (1 - out**2) * (abs(out) < 1 / GAIN)
            moved = moved + slope * (np.array([here - 1, 1.0]) + (w * moved if answers else 0.0))
            here += act
            truth += 2 * here * moved
        found = by_weights(env, policies, env.batch(days), gradient)
        assert [float(found[0][0, 2, 0]), float(found[1])] == pytest.approx(truth, rel=1e-12)


def test_networks_by_hand_are_those_of_the_tape() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [4, 6, 5, 2]
    layers = [
        tuple(torch.randn((3, *shape), generator=generator, dtype=torch.float64) for shape in ((one, two), (1, two)))
        for one, two in pairwise(sizes)
    ]
    value = torch.randn((3, 4, 7), generator=generator, dtype=torch.float64).requires_grad_()
    g = torch.randn((3, 2, 7), generator=generator, dtype=torch.float64)
    leaves = [x.requires_grad_() for layer in layers for x in layer]
    truth = torch.autograd.grad(activations(layers, value)[-1], [*leaves, value], g)
    with torch.no_grad():
        acts = activations(layers, value)
        out = [(torch.empty_like(w), torch.empty_like(b)) for w, b in layers]
        down = backward(layers, acts, g, out, down=True)
        slopes = sensitivities(layers, value, slice(1, 3))
    found = [x for layer in out for x in layer]
    assert all(torch.allclose(one, own, rtol=1e-10) for one, own in zip([*found, down], truth, strict=True))
    said = torch.autograd.grad(saturated(activations(layers, value)[-1]), value, g)[0]
    assert torch.allclose(sum(slopes[j] * g[:, j : j + 1] for j in range(2)), said[:, 1:3], rtol=1e-10)
    assert bool((said != truth[-1]).any())  # some are beyond the ends


def test_raw_actions_at_an_end_learn_to_leave_it() -> None:
    out = torch.tensor([0.5, 0.9, 0.9, -0.9, -0.9])
    assert saturated(out).tolist() == pytest.approx([0.5 * GAIN, 1.0, 1.0, -1.0, -1.0])
    down = inwards(out, torch.tensor([-1.0, -1.0, 1.0, -1.0, 1.0]))
    assert down.tolist() == pytest.approx([-GAIN, 0.0, GAIN, -GAIN, 0.0])


def test_columns_of_agents_hold_steps_and_days() -> None:
    values = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    found = columns(values, slice(1, 3), slice(1, 3))
    assert found.shape == (2, 5, 4)
    assert float(found[1, 2, 3]) == float(values[1, 2, 2, 2])
