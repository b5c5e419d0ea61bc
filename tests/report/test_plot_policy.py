"""What pictures of policies show is what the days under them are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.errors import DataError, ModelError
from gridmodel.ir.training import Leaf
from gridmodel.learning.certify import policies_of
from gridmodel.learning.judge import judge_days
from gridmodel.report.plot_policy import draw_histories, draw_policy
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.training import Round
from tests.learning.street import STEPS, build, policy

HISTORY = tuple(Round(10.0 - k, 0.01 * (5 - k), 0.02, k + 1) for k in range(5))


def test_voltages_actions_price_and_history(tmp_path: Path) -> None:
    learned = replace(policy(build()), history=HISTORY, seconds=(1.0, 2.0, 3.0, 4.0, 5.0))
    figure = draw_policy(learned)
    assert learned.model is not None
    assert learned.model.scenarios is not None
    held_out = learned.model.scenarios[1]
    by_title = {axes.get_title(): axes for axes in figure.axes}
    for title, own in (("without policies", None), ("with policies", policies_of(learned))):
        found = judge_days(learned.graph, own, held_out)
        axes = next(axes for name, axes in by_title.items() if name.startswith(f"{title}:"))
        assert axes.get_title() == (
            f"{title}: {100 * found.share:.3g} % of node-steps outside, worst {found.worst:.2g} pu"
        )
        assert found.over is not None
        assert learned.graph.network is not None
        out = found.over.max(axis=(0, 1)) > 1e-9
        buses = {
            name.rpartition(".")[0] for name, is_out in zip(learned.graph.network.nodes, out, strict=True) if is_out
        }
        rings = [dots for dots in axes.collections if dots.get_label() == "outside its limits"]
        assert len(rings[0].get_offsets()) == len(buses) > 0

    price = by_title["Actions of some agents on a held-out day"]
    assert np.allclose(price.patches[0].get_data().values, held_out.series["price"][0])
    env = Environment(learned.graph, torch.float64)
    with torch.no_grad():
        truth = env.rollout(policies_of(learned), env.batch(held_out, [0]), flow=False)
    actions = next(axes for axes in figure.axes if axes.get_ylabel() == "kW")
    drawn = {line.get_label(): line.get_data().values for line in actions.patches}
    assert list(drawn) == ["battery[0]", "battery[1]", "room[0]", "room[1]", "pv[0]", "pv[1]"]
    assert np.allclose(drawn["room[1]"], truth.courses[1].leaves[Leaf("action", "p")][:, 0, 1].numpy())
    assert len(drawn["room[1]"]) == STEPS
    training = by_title["Training"]
    assert training.lines[0].get_ydata()[-1] == pytest.approx(np.mean([one.cost for one in HISTORY]))
    gm.plot(learned, tmp_path / "policy.png")
    assert (tmp_path / "policy.png").stat().st_size > 10_000


def test_a_model_without_a_network_and_a_policy_without_history() -> None:
    figure = draw_policy(policy(build(grid=False)))
    assert not any("policies:" in axes.get_title() for axes in figure.axes)
    assert "no history" in [text.get_text() for axes in figure.axes for text in axes.texts]


def test_histories_share_their_axes() -> None:
    one = replace(policy(build(grid=False)), history=HISTORY, seconds=(1.0, 2.0, 3.0, 4.0, 5.0))
    figure = draw_histories({"gradmap": one, "ssl": replace(one, history=HISTORY[:1], seconds=(9.0,))})
    cost, share = figure.axes
    assert [line.get_label() for line in cost.lines] == ["gradmap", "ssl"]
    assert [line.get_xdata()[-1] for line in share.lines] == [5.0, 9.0]
    assert share.lines[1].get_ydata()[0] == pytest.approx(5.0)
    assert cost.get_ylabel() == "cost of a day [EUR]"


def test_a_policy_without_its_model_is_refused() -> None:
    with pytest.raises(ModelError, match="the policy carries no model"):
        draw_policy(replace(policy(build(grid=False)), model=None))


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.bmp'\): the ending must be one of \.png, \.pdf, \.svg, \.jpg\."):
        gm.plot(policy(build(grid=False)), tmp_path / "x.bmp")
