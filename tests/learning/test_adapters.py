"""The model's days as environments of Gymnasium and PettingZoo keep these libraries' rules and the model's costs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

from gridmodel.errors import DataError, ModelError
from gridmodel.learning.adapters import gymnasium_env, pettingzoo_env
from gridmodel.learning.certify import policies_of
from gridmodel.runtime.environment import Environment
from tests.learning.street import STEPS, build, policy

DAY = {"day": 1}


def test_gymnasium_accepts_the_fleet_and_one_agent() -> None:
    model = build(grid=False)
    check_env(gymnasium_env(model), skip_render_check=True)
    check_env(gymnasium_env(model, "room[1]"), skip_render_check=True)


def test_pettingzoo_accepts_it() -> None:
    parallel_api_test(pettingzoo_env(build(grid=False)), num_cycles=3 * STEPS)


def test_rewards_of_the_fleet_add_up_to_the_rollout() -> None:
    model = build()
    learned = policy(model)
    said, graph = policies_of(learned), learned.graph
    env = gymnasium_env(model, penalty=50.0)
    assert model.scenarios is not None
    rolled = Environment(graph, torch.float64)
    whole = rolled.rollout(said, rolled.batch(model.scenarios[0], [1]))
    assert rolled.lower is not None
    assert rolled.upper is not None
    over = whole.over(rolled.lower, rolled.upper).sum().item()
    assert over > 1e-2
    acting = [k for k, kind in enumerate(graph.kinds) if kind.actions]
    env.reset(options=DAY)
    total, over_now, steps = 0.0, False, 0
    while not over_now:
        actions = [whole.courses[k].raw[steps, :, 0].numpy().ravel() for k in acting]
        seen, reward, over_now, cut, about = env.step(np.concatenate(actions).astype(np.float32))
        assert not cut
        assert about["solved"]
        assert env.observation_space.contains(seen)
        total, steps = total + reward, steps + 1
    assert steps == STEPS
    assert total == pytest.approx(-(whole.cost.item() + 50.0 * over), rel=1e-5)


def test_an_agent_alone_sees_and_earns_what_it_does_among_all() -> None:
    model = build()
    learned = policy(model)
    together, alone = pettingzoo_env(model), gymnasium_env(model, "battery[1]", others=learned)
    said = policies_of(learned)
    seen, _ = together.reset(options=DAY)
    one, _ = alone.reset(options=DAY)
    kinds = {label: (k, i) for k, kind in enumerate(learned.graph.kinds) for i, label in enumerate(kind.labels)}
    while together.agents:
        assert np.array_equal(one, seen["battery[1]"])
        raw = {}
        for k, kind in enumerate(learned.graph.kinds):
            if kind.actions:
                wide = torch.tensor(np.stack([seen[label] for label in kind.labels]), dtype=torch.float64)[:, None]
                raw |= dict(zip(kind.labels, said(k, 0, wide)[:, 0].numpy(), strict=True))
        assert set(raw) == set(together.possible_agents) <= set(kinds)
        seen, rewards, _, _, infos = together.step(raw)
        one, reward, over, _, about = alone.step(raw["battery[1]"])
        assert reward == pytest.approx(rewards["battery[1]"], abs=1e-3)
        assert about["cost"] == pytest.approx(infos["pv[0]"]["cost"], abs=1e-5)
        hinge = 1000.0 * infos["pv[0]"]["violation_pu"]
        lamp = about["cost"] + sum(value + hinge for value in rewards.values())
        assert lamp > 0  # what the lamp pays is nobody's reward
    assert over


def test_a_seed_draws_the_same_days_and_a_day_can_be_named() -> None:
    env = gymnasium_env(build(grid=False, days=50))
    drawn = []
    for _ in range(2):
        env.reset(seed=3)
        drawn.append([env.reset()[1]["day"] for _ in range(5)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1
    assert env.reset(options={"day": 7})[1] == {"day": 7}
    with pytest.raises(DataError, match="there are days 0 to 49"):
        env.reset(options={"day": 50})


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="belongs to another model than 'street'"):
        gymnasium_env(build(grid=False), "pv[0]", others=policy(build(grid=False, capacity=12.0)))
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    for make in (gymnasium_env, pettingzoo_env):
        with pytest.raises(ModelError, match=r"pip install 'gridmodel\[learn,rl\]'"):
            make(build(grid=False))
