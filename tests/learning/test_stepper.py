"""A day step by step in numpy is the day that the differentiable environment rolls out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridmodel.errors import DataError, ShapeError
from gridmodel.learning.certify import policies_of
from gridmodel.runtime.agents import DayOfAgents
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.stepper import Stepper
from tests.learning.street import STEPS, build, policy


@pytest.mark.parametrize("day", [0, 2])
def test_steps_add_up_to_the_rollout(day: int) -> None:
    model = build()
    learned = policy(model)
    graph, said = learned.graph, policies_of(learned)
    assert model.scenarios is not None
    env = Environment(graph, torch.float64)
    whole = env.rollout(said, env.batch(model.scenarios[0]))
    assert env.lower is not None
    assert env.upper is not None
    over = whole.over(env.lower, env.upper)[:, day].numpy()
    assert over.max() > 1e-3  # else the comparison of violations would be of zeros

    stepper = Stepper(graph)
    seen, cost = stepper.begin(model.scenarios[0], day), 0.0
    for t in range(STEPS):
        raw = []
        for k, kind in enumerate(graph.kinds):
            if kind.actions:
                assert np.allclose(seen[k], whole.courses[k].seen[t, :, day].numpy(), atol=1e-12)
            raw.append(said(k, t, torch.as_tensor(seen[k])[:, None])[:, 0].numpy() if kind.actions else None)
        stepped = stepper.step(raw)
        assert stepped.solved
        assert np.allclose(stepped.over, over[t], atol=1e-7)
        for paid, course in zip(stepped.cost, whole.courses, strict=True):
            assert np.allclose(paid, course.cost[t, day].numpy(), atol=1e-9)
        cost, seen = cost + sum(paid.sum() for paid in stepped.cost), stepper.seen()
    assert stepper.over
    assert cost == pytest.approx(whole.cost[day].item(), rel=1e-12)
    with pytest.raises(ShapeError, match="the day is over"):
        stepper.step(raw)


def test_agents_without_a_word_do_what_they_do_otherwise() -> None:
    model = build()
    graph = policy(model).graph
    assert model.scenarios is not None
    env = Environment(graph, torch.float64)
    whole = env.baseline(env.batch(model.scenarios[0]), flow=False)
    stepper = Stepper(graph)
    stepper.begin(model.scenarios[0], 1)
    silent = [np.full((kind.size, len(kind.actions)), np.nan) for kind in graph.kinds]
    cost = sum(sum(one.sum() for one in stepper.step(silent).cost) for _ in range(STEPS))
    assert cost == pytest.approx(whole.cost[1].item(), rel=1e-12)


def test_a_load_flow_that_fails_is_said_and_counts_as_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    graph = policy(model).graph
    assert model.scenarios is not None
    assert graph.network is not None
    stepper = Stepper(graph)
    stepper.begin(model.scenarios[0], 0)
    stepper.agents[-1].series[next(iter(stepper.agents[-1].series))][:] = 1e9  # a lamp of a terawatt
    stepped = stepper.step([None] * len(graph.kinds))
    assert not stepped.solved
    assert not stepped.over.any()


def test_what_is_missing_or_misshapen_is_named() -> None:
    model = build()
    graph = policy(model).graph
    assert model.scenarios is not None
    stepper = Stepper(graph)
    stepper.begin(model.scenarios[0], 0)
    with pytest.raises(ShapeError, match=r"battery: actions have shape \(2, 2\), expected \(2, 1\)"):
        stepper.step([np.zeros((2, 2)), None, None, None])
    with pytest.raises(DataError, match="battery needs the series 'price'; got none"):
        DayOfAgents(graph.kinds[0], STEPS, {})
