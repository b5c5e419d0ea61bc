"""Push-pull where agents have limits, private variables and costs without gradients, over one-way edges."""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import pytest

import gridmodel as gm
from gridmodel.runtime.channel import Channel
from tests.solvers.agreement.convex_models import convex_model

CERTIFIED = [1, 4, 6, 8, 9, 11, 12]


def one_way(model: gm.Model) -> None:
    """A directed ring and one edge across it."""
    names = [party.name for party in model.agents]
    graph = nx.DiGraph(list(zip(names, [*names[1:], names[0]], strict=True)))
    graph.add_edge(names[0], names[2])
    model.connect(graph)


@pytest.mark.parametrize("seed", CERTIFIED)
def test_convex_agents_reach_the_central_optimum(seed):
    model = convex_model(seed)
    one_way(model)
    result = gm.solve(model, "push-pull", tolerance=1e-5)
    assert result.status is gm.Status.CERTIFIED
    assert gm.verify(result).holds


def test_boxes_and_losses():
    model = gm.Model()
    for k, (low, high) in enumerate([(-1, 2), (0, 1.5), (-3, 3), (0.5, 4)]):
        theta = model.agent(f"a{k}").variable("theta", bounds=(low, high))
        model[f"a{k}"].minimize((1 + k) * cp.square(theta - k) + cp.abs(theta))
    model.agree("theta")
    one_way(model)
    result = gm.solve(model, "push-pull", tolerance=1e-6, channel=Channel(drop=0.2, seed=3))
    # sum (1 + k) (theta - k)^2 + 4 theta on [.5, 1.5]: 20 theta - 40 + 4 = 0 at 1.8, so the bound of a1 holds.
    assert result.status is gm.Status.CERTIFIED
    assert float(result["a0"]["theta"]) == pytest.approx(1.5, abs=1e-4)


def test_explain_says_that_it_is_not_proven():
    model = convex_model(4)
    one_way(model)
    text = str(gm.explain(model))
    assert "convergence is proven for smooth costs only" in text
    assert "or push-pull" in text  # push-diging refuses
