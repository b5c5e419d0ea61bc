"""The table of claims, reproduced: every algorithm that talks to neighbours, under every fault, on 100 agents.

Faults: packets lost with .3; losses in bursts of mean length 5; packets 5 rounds late; one agent out for 100 rounds;
normal noise of 1e-3 on every number; 8 bits on [-8, 8]; every agent awake in half of the rounds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from gridmodel.compile import compile_model
from gridmodel.ir.claim import FAULTS, Claim
from gridmodel.methods import methods
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.networked import AbstractNetworked
from models.economic_dispatch import build
from tests.solvers import reference

CHANNELS = {
    "ideal": Channel(),
    "drop": Channel(drop=0.3),
    "burst": Channel(drop=0.3, burst=5),
    "delay": Channel(delay=5),
    "outage": Channel(outages={"n3": (200, 300)}),
    "noise": Channel(noise=1e-3),
    "bits": Channel(bits=8),
    "async": Channel(awake=0.5),
}

DIRECTED = ("push-sum", "push-diging", "push-pull", "tan-yang-xu")
DISPATCH = ("bisection", "dual-consensus", "innovations:constant", "relaxed-dual-consensus", "tan-yang-xu")
AGREEMENT = (
    "averaging", "dgd", "diffusion", "edge-admm", "exact-diffusion", "extra", "gradient-tracking", "push-diging",
    "push-pull", "push-sum", "relaxed-admm",
)  # fmt: skip
COORDINATOR = ("dual", "admm")

OPTIONS: dict[str, dict[str, Any]] = {
    "dgd": {"eta": 0.05},
    "diffusion": {"eta": 0.05},
    "innovations:constant": {"alpha": 0.005, "beta": 0.05},
    "push-sum": {"eta": 0.05},
}
"""Steps of the biased methods, whose error is of the size of the step."""

PENALTIES: dict[str, dict[str, Any]] = {"edge-admm": {"rho": 0.1}, "relaxed-admm": {"rho": 0.1}}
"""Penalties at which the errors under noise and rounding are claimed."""

SETTLED = 1e-6
"""An error at which the run of an exact method ends: far below those at which wrong rules rest, 3e-3 and more."""

ROUNDS: dict[str, dict[str, int]] = {
    "averaging": {"delay": 8_000},
    "bisection": {"": 60_000, "async": 120_000, "delay": 200_000},
    "gradient-tracking": {"": 8_000, "delay": 20_000},
    "innovations:constant": {"": 12_000, "bits": 4_000, "delay": 24_000, "async": 24_000},
    "push-diging": {"": 8_000, "delay": 30_000},
    "push-pull": {"": 8_000, "delay": 30_000},
    "tan-yang-xu": {"": 12_000, "delay": 30_000, "async": 20_000},
}
"""Where the usual 4,000 do not do: for the named fault, or for all others under ""."""


@cache
def problem(name: str) -> tuple[Any, Any]:
    made = reference.agreement if name in AGREEMENT else reference.dispatch
    return made(0, directed=name in DIRECTED)


def algorithm(name: str, channel: Channel) -> AbstractNetworked:
    made = methods()[name]
    options = OPTIONS.get(name, {}) | (PENALTIES.get(name, {}) if channel.noise or channel.bits else {})
    if options:
        made = replace(made, **options)  # type: ignore[type-var]
    over = made.over(channel)
    assert isinstance(over, AbstractNetworked)
    return over


@np.errstate(over="ignore", invalid="ignore")
def errors(made: AbstractNetworked, name: str, rounds: int, enough: float = 0.0) -> tuple[float, float]:
    """The largest error in a fortieth of the rounds, before half of them and before their end.

    Ends early, after an eighth, a quarter or half of the rounds, where the last fortieth of all was below ``enough``.
    """
    separable, best = problem(name)
    tail = max(1, rounds // 40)
    ends = [rounds // 8, rounds // 4, rounds // 2, rounds]
    state, worst = made.init(separable, None, 1e-8), dict.fromkeys(ends, 0.0)
    for k in range(1, rounds + 1):
        state = made.step(state)
        end = next(end for end in ends if k <= end)
        if k > end - tail:
            x = np.concatenate(list(made.observe(state).x))
            worst[end] = max(worst[end], float(np.nan_to_num(np.abs(x - best), nan=np.inf).max()))
        if k == end and worst[end] < enough:
            return worst[end], worst[end]
    return worst[rounds // 2], worst[rounds]


def is_met(claim: Claim, first: float, last: float) -> bool:
    """Whether the errors at half of the rounds and at the end are what is claimed."""
    low, high = claim.error or (0.0, np.inf)
    return {
        "exact": last < SETTLED or (last < 0.1 * first and last < 1e-3),
        "biased": 0.4 * low <= last <= 2.5 * high and last > 0.3 * first,
        "ball": last <= 2.5 * high and last <= 2 * first,
        "drift": 0.1 * low <= last <= 2.5 * high,
        "diverges": last > 10 * max(1.0, first) or last > 1.0,
        "open": True,
    }[claim.outcome]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [*AGREEMENT, *DISPATCH, *COORDINATOR])
def test_claim(name, fault):
    made = algorithm(name, CHANNELS[fault] if name not in COORDINATOR or fault != "ideal" else Channel(drop=1e-12))
    claim = made.claims[fault]
    own = ROUNDS.get(name, {})
    rounds = own.get(fault, own.get("", 4_000))
    first, last = errors(made, name, rounds, SETTLED if claim.outcome == "exact" else 0.0)
    assert is_met(claim, first, last), f"claimed {claim}, found {first:.2g} after half of {rounds} rounds, {last:.2g}"


NAIVE = [
    ("gradient-tracking", "skip", 3e-3),
    ("gradient-tracking", "hold", 5e-2),
    ("extra", "skip", 1e-2),
    ("extra", "hold", 0.1),
    ("exact-diffusion", "skip", 1e-2),
    ("exact-diffusion", "hold", 0.1),
    ("push-pull", "lose", 0.2),
    ("tan-yang-xu", "lose", 0.2),
]


@pytest.mark.parametrize(("name", "rule", "least"), NAIVE)
def test_naive_rules_come_to_rest_at_a_wrong_point(name, rule, least):
    made = algorithm(name, Channel(drop=0.3, rule=rule))
    first, last = errors(made, name, 4_000)
    assert last > least
    assert last > 0.3 * first


@pytest.mark.parametrize("name", ["gradient-tracking", "extra", "exact-diffusion", "edge-admm", "dual-consensus"])
def test_drift_is_a_random_walk_of_the_conserved_sum(name):
    """Noise that only one end of an edge reads adds up: the sum is off by more, with the root of the rounds."""
    off: dict[int, list[float]] = {100: [], 3_200: []}
    for seed in range(6):
        made = algorithm(name, Channel(noise=1e-3, seed=seed))
        state = made.init(problem(name)[0], None, 1e-8)
        for k in range(1, 3_201):
            state = made.step(state)
            if k in off:
                kept = made.conserved(state)
                assert kept is not None
                off[k].append(float(np.square(kept.off).mean()))
    growth = np.sqrt(np.mean(off[3_200]) / np.mean(off[100]))
    assert 2.1 < growth < 14.0  # 5.7 is the root law


TWO = {
    "drop and delay": Channel(drop=0.3, delay=5),
    "drop and jitter": Channel(drop=0.3, delay=1, jitter=4),
    "burst and async": Channel(drop=0.3, burst=5, awake=0.5),
    "delay and async": Channel(delay=5, awake=0.5),
    "drop and outage": Channel(drop=0.3, outages={"n3": (200, 300)}),
    "delay and outage": Channel(delay=5, outages={"n3": (200, 300)}),
}


@pytest.mark.parametrize("faults", list(TWO))
@pytest.mark.parametrize("name", ["relaxed-admm", "relaxed-dual-consensus"])
def test_relaxed_forms_stand_two_faults_at_once(name, faults):
    assert errors(algorithm(name, TWO[faults]), name, 12_000, enough=1e-12)[1] < 1e-12


@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "delay", "outage", "async"])
def test_decaying_gains_go_on_to_the_optimum_slowly(fault):
    """On three agents: with four times the rounds the error is at most two thirds, sleep and delays included."""
    separable = compile_model(build()).lowered.separable
    optimum = {"g1": 2.06, "g2": 1.0, "g3": 1.04}
    best = np.array([[optimum[label]] for part in separable.stacks for label in part.labels])
    channel = Channel(outages={"g3": (200, 300)}) if fault == "outage" else CHANNELS[fault]
    made = methods()["innovations:decaying"].over(channel)
    assert made.claims[fault].exact
    state, seen = made.init(separable, None, 1e-8), []
    for k in range(1, 20_001):
        state = made.step(state)
        if k in (1_250, 5_000, 20_000):
            seen.append(float(np.abs(np.concatenate(list(made.observe(state).x)) - best).max()))
    assert seen[1] < 0.67 * seen[0]
    assert seen[2] < 0.67 * seen[1]
    assert seen[2] < 0.05
