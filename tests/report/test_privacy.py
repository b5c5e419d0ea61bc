"""What agents revealed, against what the algorithm sends."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from models.economic_dispatch import build


def test_each_agent_shows_its_price_to_its_neighbours_only():
    result = gm.solve(build(), "tan-yang-xu")
    report = gm.privacy(result)
    whom = {(r.agent, r.what): r.whom for r in report.revealed}
    assert {agent for agent, _ in whom} == {"g1", "g2", "g3"}
    assert all(whom[key] == {"g1": ("g2",), "g2": ("g1", "g3"), "g3": ("g2",)}[key[0]] for key in whom)
    assert any("price" in what for _, what in whom)
    assert not any("cost" in what for _, what in whom)
    # g2 sends two packets a round, each with the price.
    assert next(r.packets for r in report.revealed if r.agent == "g2") == 2 * result.rounds
    assert "Nothing hides it" in str(report)


def test_a_coordinator_hears_all():
    result = gm.solve(build(), "dual")
    report = gm.privacy(result)
    assert report.revealed
    assert all(r.whom == ("coordinator",) for r in report.revealed)


def test_noise_has_its_epsilon():
    noise = gm.Gaussian(sigma=0.5, sensitivity=4.0)
    result = gm.solve(build(), "relaxed-dual-consensus", channel=gm.Channel(privacy=noise), max_rounds=40)
    text = str(gm.privacy(result))
    # On the path g2 sends each of its two neighbours a number of its own, under noise of its own.
    assert result.releases == 80
    assert "differentially private after 80 releases" in text
    assert f"({noise.epsilon(80, 1e-5):.3g}, 1e-05)" in text


def test_what_agents_send_is_counted_and_not_what_a_coordinator_sends():
    channel = gm.Channel(privacy=gm.Gaussian(sigma=0.5, sensitivity=4.0))
    model = build()
    model.connect(model.topology.graph)
    assert gm.solve(model, "dual", channel=channel, max_rounds=40).releases == 40
    assert gm.solve(model, "dual", max_rounds=40).releases == 0


def test_the_central_solver_sees_everything():
    with pytest.raises(gm.ModelError, match="nothing stays private"):
        gm.privacy(gm.solve(build(), "central"))


def test_many_agents_are_shortened():
    model = gm.Model()
    fleet = model.fleet("a", 40)
    theta = fleet.variable("theta")
    fleet.minimize((theta - 1) ** 2)
    model.agree("theta")
    model.connect(nx.relabel_nodes(nx.cycle_graph(40), {k: f"a[{k}]" for k in range(40)}))
    report = gm.privacy(gm.solve(model, "edge-admm"))
    assert len({r.agent for r in report.revealed}) == 40
    assert "more" in str(report)


@pytest.mark.parametrize("method", ["averaging", "gradient-tracking", "push-pull", "push-diging", "edge-admm"])
def test_masks_hide_the_start_and_leave_the_result_exact(method):
    model = gm.Model()
    for k in range(6):
        theta = model.agent(f"a{k}").variable("theta")
        model[f"a{k}"].minimize((1 + 0.1 * k) * (theta - k) ** 2)
    model.agree("theta")
    model.connect(nx.cycle_graph([f"a{k}" for k in range(6)]))
    best = sum((1 + 0.1 * k) * k for k in range(6)) / sum(1 + 0.1 * k for k in range(6))
    plain = gm.solve(model, method, tolerance=1e-8)
    masked = gm.solve(model, method, tolerance=1e-8, channel=gm.Channel(mask=5.0, drop=0.2))
    assert masked.status is gm.Status.CERTIFIED
    assert float(masked["a0"]["theta"]) == pytest.approx(best, abs=1e-6)
    assert masked.messages > 12 * masked.rounds  # the shares were sent in advance
    assert np.abs(masked.trace.states[1] - plain.trace.states[1]).max() > 1e-2
    assert "random shares of size 5" in str(gm.privacy(masked))


def test_a_masked_mismatch_leaves_the_price_right():
    masked = gm.solve(build(), "tan-yang-xu", tolerance=1e-8, channel=gm.Channel(mask=3.0, drop=0.2))
    assert masked.status is gm.Status.CERTIFIED
    assert masked.price["balance"] == pytest.approx(1.02, abs=1e-6)


def test_a_coordinator_learns_sums_only():
    plain = gm.solve(build(), "dual", tolerance=1e-8)
    masked = gm.solve(build(), "dual", tolerance=1e-8, channel=gm.Channel(mask=50.0))
    assert masked.status is gm.Status.CERTIFIED
    assert masked.value == pytest.approx(plain.value, rel=1e-8)
    assert masked.messages == 6 * masked.rounds + 3
    assert "What each agent reports is hidden" in str(gm.privacy(masked))
    with pytest.raises(gm.ModelError, match="drop keeps some from it"):
        gm.solve(build(), "dual", channel=gm.Channel(mask=50.0, drop=0.1))
    with pytest.raises(gm.ModelError, match="no sum in which"):
        gm.solve(build(), "admm", channel=gm.Channel(mask=50.0))


def test_masks_are_refused_where_they_would_hide_nothing():
    with pytest.raises(gm.ModelError, match="no sum in which random shares could hide"):
        gm.solve(build(), "relaxed-dual-consensus", channel=gm.Channel(mask=5.0))
