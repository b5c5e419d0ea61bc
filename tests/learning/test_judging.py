"""What policies are worth: exact load flows, bounds and certificates against what is computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.training import Leaf
from gridmodel.learning.certify import certify, policies_of
from gridmodel.learning.foresight import foresight
from gridmodel.learning.judge import judge_days
from gridmodel.learning.network_optimum import foresight_on_network
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel_solvers.gradmap.gradmap import GradMAP
from tests.learning.street import FEEDER, STEPS, build, policy


@pytest.fixture(scope="module")
def model() -> gm.Model:
    return build()


def test_voltages_are_those_of_the_load_flow_at_what_devices_draw(model: gm.Model) -> None:
    assert model.scenarios is not None
    graph, days = training_graph(model, model.scenarios[0]), model.scenarios[1]
    found = judge_days(graph, None, days)
    env = Environment(graph, torch.float64)
    went = env.baseline(env.batch(days), flow=False)
    drawn: dict[str, complex] = {}
    for kind, course in zip(graph.kinds, went.courses, strict=True):
        for k, draw in enumerate(kind.draws):
            for i, port in enumerate(draw.port):
                assert graph.network is not None
                q = course.q[k]
                s = complex(course.p[k][7, 2, i], 0.0 if q is None else q[7, 2, i])
                drawn[graph.network.ports[port]] = drawn.get(graph.network.ports[port], 0.0) - 1e3 * s
    feeder: Any = graph.network.feeder  # type: ignore[union-attr]
    flow = feeder.load_flow(generation=drawn)
    assert found.u is not None
    assert graph.network is not None
    assert np.allclose(found.u[2, 7], [abs(flow[node]) for node in graph.network.nodes], atol=1e-8)
    over = np.maximum(np.maximum(0.92 - found.u, found.u - 1.05), 0)
    assert found.worst == pytest.approx(over.max())
    assert found.share == pytest.approx((over > 1e-9).mean())
    assert found.p95 == pytest.approx(np.quantile(over[over > 1e-9], 0.95) if (over > 1e-9).any() else 0.0)


def test_the_bound_is_the_sum_of_what_each_agent_could_do_alone() -> None:
    """Every agent's own program written out anew, without the language."""
    model = build(houses=1, grid=False, days=2)
    assert model.scenarios is not None
    days = model.scenarios[1]
    found = foresight(model, days)
    for d in range(2):
        price, outside, sun, burns = (days.series[name][d] for name in ("price", "outside", "sun", "burns"))
        up, down, e = cp.Variable(STEPS, nonneg=True), cp.Variable(STEPS, nonneg=True), cp.Variable(STEPS + 1)
        p = up - down
        limits = [e[0] == 5, e[1:] == 0.99 * e[:-1] + 2 * (0.95 * up - down / 0.95), e >= 0, e <= 10, e[-1] >= 5]
        battery = cp.Problem(cp.Minimize(2 * price @ p + 0.01 * cp.sum_squares(p)), [*limits, p >= -3, p <= 0.8])
        heat, x = cp.Variable(STEPS), cp.Variable(STEPS + 1)
        warm = [x[0] == 20, x[1:] == 0.8 * x[:-1] + 0.2 * outside + 0.9 * heat, x >= 18, x <= 23, heat >= 0, heat <= 6]
        room = cp.Problem(cp.Minimize(cp.sum(0.3 * heat + cp.abs(x[1:] - 21))), warm)
        whole = battery.solve(solver=cp.CLARABEL) + 2 * room.solve(solver=cp.CLARABEL) - 0.1 * 200 * sun.sum()
        assert found[d] == pytest.approx(whole + 0.2 * burns.sum(), rel=1e-5)


def test_no_policy_beats_the_bound_and_series_come_back(model: gm.Model) -> None:
    assert model.scenarios is not None
    parameter: Any = model["battery"]["price"]
    parameter.value = np.full(STEPS, 0.5)
    certificate = certify(policy(model))
    assert np.array_equal(parameter.value, np.full(STEPS, 0.5))
    assert certificate.cost_optimum is not None
    assert certificate.cost_optimum < min(certificate.cost, certificate.cost_idle)
    assert certificate.savings_share == pytest.approx(
        (certificate.cost_idle - certificate.cost) / (certificate.cost_idle - certificate.cost_optimum)
    )
    found = judge_days(training_graph(model, model.scenarios[0]), policies_of(policy(model)), model.scenarios[1])
    assert certificate.violation_worst_pu == found.worst
    assert certificate.cost == pytest.approx(found.cost.mean())
    assert f"policies{certificate.cost:21.6g}  {100 * found.share:10.4f}  {found.worst:10.5f}" in str(certificate)


def test_verify_completes_a_policy(model: gm.Model) -> None:
    trained = policy(model)
    assert gm.verify(trained) is trained.certificate
    with pytest.raises(ModelError, match="carries no model; load it"):
        gm.verify(replace(trained, model=None))


def sunny(limit: float) -> gm.Model:
    """Two large solar plants, of which the voltage lets one part through."""
    model = gm.Model("sunny")
    day = model.fleet("pv", 2).horizon(2)
    sun = day.series("sun", shared=True)
    p = day.action("p", bounds=(-2500 * sun, 0), unit="kW")
    day.minimize(p + 1e-5 * cp.square(p))
    model.place(gm.read_network(str(FEEDER)), 0.85, limit)
    day.draw(p, at=["675.1", "611.3"])
    days = gm.Scenarios({"sun": np.array([[1.0, 0.2]])})
    model.days(days, days)
    return model


def test_the_optimum_on_the_network_keeps_the_exact_limits_and_gives_up_no_more_than_it_must() -> None:
    model = sunny(1.06)
    assert model.scenarios is not None
    free = foresight(model, model.scenarios[0])[0]
    held = foresight_on_network(model, model.scenarios[0], 0)
    assert not model.couplings
    assert held.worst <= 1e-5
    assert held.passes > 1
    assert held.cost > free + 100
    # A kilowatt more of either plant would leave the limits: by the load flow, no linear model.
    p = held.result["pv"]["p"]
    graph = training_graph(model, model.scenarios[0])
    assert graph.network is not None
    for k in range(2):
        more = p.T.copy()
        more[0, k] -= 20.0
        u = graph.network.exact(more, None, None).u[0]
        assert np.max(u - graph.network.upper) > 1e-6


def test_limits_that_cannot_be_kept_are_named() -> None:
    model = sunny(1.06)
    assert model.network is not None
    model.place(model.network, 0.85, 0.9)
    with pytest.raises(ModelError, match="day 0: the devices cannot keep the voltages' limits"):
        foresight_on_network(model, model.scenarios[0], 0)  # type: ignore[index]
    plain = build(grid=False)
    with pytest.raises(NotApplicableError, match="has no network"):
        foresight_on_network(plain, plain.scenarios[0], 0)  # type: ignore[index]


def test_agents_without_a_policy_keep_their_thermostat(model: gm.Model) -> None:
    assert model.scenarios is not None
    env = Environment(training_graph(model, model.scenarios[0]), torch.float64)
    with torch.no_grad():
        battery, room, *_ = env.baseline(env.batch(model.scenarios[1]), flow=False).courses
    x, p = room.leaves[Leaf("state", "x")], room.leaves[Leaf("action", "p")]
    wanted = torch.clamp(21 - x[:-1], 0, 6)
    inside = (x[1:] > 18 + 1e-9) & (x[1:] < 23 - 1e-9) & (wanted == 21 - x[:-1])
    assert bool(inside.any())
    assert torch.allclose(p[inside], wanted[inside])
    assert torch.allclose(battery.leaves[Leaf("action", "p")][:6], torch.zeros((), dtype=torch.float64))


def test_training_needs_days_and_says_so() -> None:
    model = build(grid=False)
    model.scenarios = None
    with pytest.raises(NotApplicableError, match=r"no days to learn from: model.days\(train, held_out\)"):
        gm.train(model, rounds=1)


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_lack_of_memory_keeps_what_was_learned(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    model = build(grid=False)
    whole, calls = GradMAP.step, []

    def breaks(self: GradMAP, *given: Any) -> Any:
        calls.append(None)
        if len(calls) > 2:
            raise error
        return whole(self, *given)

    monkeypatch.setattr(GradMAP, "step", breaks)
    found = gm.train(model, GradMAP(days=2), rounds=5)
    assert (found.status, len(found.history)) == ("stopped", 2)
    assert "out of memory with 7 agents; take fewer days a round, e.g. GradMAP(days=4); these are" in found.message
    calls += [None] * 2
    with pytest.raises(ModelError, match="training: out of memory"):
        gm.train(model, GradMAP(days=2), rounds=5)
