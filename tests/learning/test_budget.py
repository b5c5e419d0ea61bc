"""A budget of time is kept, whatever the first rounds take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

import gridmodel as gm
from gridmodel.ir.scenarios import Scenarios
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.training import Round
from gridmodel_solvers.gradmap.ssl import SSL
from tests.learning.street import build


@dataclass(frozen=True)
class Slow(SSL):
    """SSL on a clock that moves in its rounds only: the first one takes long, the next three happen to be quick."""

    def step(
        self, state: dict[str, Any], env: Environment, days: Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        count = state["calls"]
        Clock.now += 3.0 if count == 0 else 0.5 if count < 4 else 1.0
        return super().step(state, env, days, progress)


class Clock:
    now = 0.0


def test_the_length_of_a_run_is_found_from_its_first_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock.now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: Clock.now)
    policy = gm.train(build(), Slow(hidden=(4,), days=2), minutes=100 / 60)
    assert policy.seconds[-1] == pytest.approx(100.0, rel=0.2)
    assert policy.seconds[-1] == 4.5 + len(policy.history) - 4
