"""Advantages and the clipped objective against numbers computed by hand, gradients against torch's own."""

from __future__ import annotations

import math

import pytest
import torch

from gridmodel.runtime.perceptron import activations, columns, parameters, saturated, views
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.marl.actor import Surrogate
from gridmodel_solvers.marl.critic import Critic, Level
from gridmodel_solvers.marl.estimates import advantages, clipped

REWARD, VALUE = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.5, 1.0, 2.0])


def test_advantages_by_hand() -> None:
    # delta_2 = -1 - 2, delta_1 = 2 + .5 * 2 - 1, delta_0 = 1 + .5 * 1 - .5; each further one is halved and by .8 again.
    found = advantages(REWARD, VALUE, discount=0.5, trace=0.8)
    assert found.tolist() == pytest.approx([1.0 + 0.4 * (2.0 + 0.4 * -3.0), 2.0 + 0.4 * -3.0, -3.0])


def test_full_traces_are_returns_and_none_the_step_alone() -> None:
    whole = advantages(REWARD, VALUE, discount=1.0, trace=1.0)
    assert (whole + VALUE).tolist() == pytest.approx([2.0, 1.0, -1.0])
    alone = advantages(REWARD, VALUE, discount=1.0, trace=0.0)
    assert alone.tolist() == pytest.approx([1.0 + 1.0 - 0.5, 2.0 + 2.0 - 1.0, -1.0 - 2.0])


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.1, 2.0, 2.2, 2.2),  # inside
        (1.5, 2.0, 2.4, 0.0),  # better and likelier already: held at 1.2
        (0.5, 2.0, 1.0, 1.0),  # better, yet less likely: must come back
        (1.5, -2.0, -3.0, -3.0),  # worse, yet likelier: must come back
        (0.5, -2.0, -1.6, 0.0),  # worse and less likely already: held at .8
    ],
)
def test_the_clipped_objective_by_hand(ratio: float, advantage: float, value: float, slope: float) -> None:
    found = clipped(torch.tensor(math.log(ratio)), torch.tensor(advantage), clip=0.2)
    assert [float(x) for x in found] == pytest.approx([value, slope], abs=1e-6)


def actor(steps: int = 3, count: int = 5, days: int = 4) -> tuple[Moments, list[int], dict[str, torch.Tensor]]:
    """Agents of two actions, what they saw, and what they said at random."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    sizes = [4, 6, 2]
    flat = 0.2 * drawn(count, parameters(sizes) + 2)
    seen, noise = drawn(steps, count, days, 4), drawn(steps, count, days, 2)
    mean = saturated(activations(views(flat, sizes), columns(seen, slice(None)))[-1]).view(count, 2, steps, days)
    assert bool((mean.abs() < 1).all())  # none at an end
    said = mean.permute(2, 0, 3, 1) + flat[:, None, -2:].exp() * noise
    known = {"seen": seen, "said": said, "noise": noise, "advantage": drawn(steps, count, days)}
    return Moments(flat.clone(), torch.zeros_like(flat), torch.zeros_like(flat), 0), sizes, known


def test_updates_are_adam_on_the_clipped_objective() -> None:
    """By torch's densities, torch's gradients and torch's Adam."""
    moments, sizes, known = actor()
    flat = moments.weights.clone().requires_grad_()
    assert Surrogate(0.2, 0.01, epochs=3, parts=2)(moments, sizes, **known, rate=0.05) == 6
    own = torch.optim.Adam([flat], lr=0.05)

    def density(part: slice) -> torch.Tensor:
        mean = saturated(activations(views(flat, sizes), columns(known["seen"], slice(None), part))[-1])
        law = torch.distributions.Normal(mean, flat[:, -2:, None].exp().expand_as(mean))
        return law.log_prob(columns(known["said"], slice(None), part)).sum(dim=1)

    parts = [slice(0, 2), slice(2, 4)]
    old = [density(part).detach() for part in parts]
    held = 0.0
    for k in range(6):
        ratio = (density(parts[k % 2]) - old[k % 2]).exp()
        better = columns(known["advantage"][..., None], slice(None), parts[k % 2])[:, 0]
        held = float(((ratio - 1).abs() > 0.2).double().mean())
        gain = torch.minimum(ratio * better, ratio.clamp(0.8, 1.2) * better).mean(dim=1).sum()
        own.zero_grad()
        (-gain - 0.01 * flat[:, -2:].sum()).backward()
        own.step()
    assert held > 0.2  # the clip took part
    assert torch.allclose(moments.weights, flat, rtol=1e-8, atol=1e-9)


def test_what_went_better_becomes_likelier_and_what_went_worse_less_likely() -> None:
    for sign in (1.0, -1.0):
        moments, sizes, known = actor(steps=1, days=1)
        before = moments.weights.clone()
        known["advantage"] = torch.full_like(known["advantage"], sign)
        Surrogate(0.2, 0.0, epochs=1, parts=1)(moments, sizes, **known, rate=1e-3)
        likelier = []
        for flat in (before, moments.weights):
            mean = saturated(activations(views(flat, sizes), columns(known["seen"], slice(None)))[-1])
            law = torch.distributions.Normal(mean, flat[:, -2:, None].exp())
            likelier.append(law.log_prob(columns(known["said"], slice(None))).sum(dim=(1, 2)))
        assert ((likelier[1] - likelier[0]) * sign > 0).all()


def test_value_networks_are_adam_on_scaled_returns() -> None:
    generator = torch.Generator().manual_seed(0)
    steps, count, days, sizes = 3, 5, 4, [4 + 2, 6, 1]
    seen = torch.randn((steps, count, days, 4), generator=generator, dtype=torch.float64)
    common = torch.randn((steps, days, 2), generator=generator, dtype=torch.float64)
    returns = 50 + 7 * torch.randn((steps, count, days), generator=generator, dtype=torch.float64)
    level = Level(torch.zeros(count).double(), torch.zeros(count).double(), 0.0).after(returns)
    flat = 0.3 * torch.randn((count, parameters(sizes)), generator=generator, dtype=torch.float64)
    moments, critic = Moments(flat.clone(), torch.zeros_like(flat), torch.zeros_like(flat), 0), Critic(2, 2)
    assert critic(moments, sizes, seen, common, returns, level, 0.01) == 4
    flat.requires_grad_()
    own = torch.optim.Adam([flat], lr=0.01)
    mean, spread = returns.mean(dim=(0, 2)), returns.std(dim=(0, 2), correction=0)

    def expected(weights: torch.Tensor) -> torch.Tensor:
        """One agent, one step and one day at a time; shape (N, T, B)."""
        agents = []
        for i in range(count):
            (w1, b1), (w2, b2) = [(w[i], b[i, 0]) for w, b in views(weights, sizes)]
            both = torch.cat([seen[:, i], common], dim=-1)
            agents.append((torch.tanh(both @ w1 + b1) @ w2 + b2)[..., 0])
        return torch.stack(agents)

    for k in range(4):
        part = slice(0, 2) if k % 2 == 0 else slice(2, 4)
        goal = ((returns.transpose(0, 1) - mean[:, None, None]) / spread[:, None, None])[..., part]
        own.zero_grad()
        (expected(flat)[..., part] - goal).square().mean(dim=(1, 2)).sum().backward()
        own.step()
    assert torch.allclose(moments.weights, flat, rtol=1e-8, atol=1e-9)
    truth = expected(flat.detach()) * spread[:, None, None] + mean[:, None, None]
    assert torch.allclose(critic.values(moments.weights, sizes, seen, common, level).transpose(0, 1), truth, rtol=1e-8)


def test_the_level_of_returns_that_never_differ_is_of_size_one() -> None:
    zero = torch.zeros(2)
    assert Level(zero, zero, 0.0).size.tolist() == [[1.0], [1.0]]
    same = Level(zero, zero, 0.0).after(torch.full((3, 2, 4), 1e6))
    assert same.center.flatten().tolist() == pytest.approx([1e6, 1e6])
    assert same.size.tolist() == [[1.0], [1.0]]
