"""Facts found from the matrices, against what the model says in words."""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest

from gridmodel.compile import compile_model
from gridmodel.errors import ModelError
from gridmodel.ir.properties import Properties
from gridmodel.language.model import Model


def facts(cost, *limits, connect=None, couple=lambda a, b, c: a + b + c == 1) -> Properties:
    """Three agents with x of shape (2,) in (-1, 1) and a coupling."""
    model = Model()
    for name in "abc":
        agent = model.agent(name)
        x = agent.variable("x", 2, bounds=(-1, 1), unit="kW")
        agent.minimize(cost(x))
        agent.subject_to(*(limit(x) for limit in limits))
    model.couple(couple(*(agent["x"] for agent in model.agents)), name="c")
    if connect is not None:
        model.connect(*connect)
    return compile_model(model).properties


KINDS = {
    "box": (lambda x: cp.sum_squares(x - 3), [], "box", (2.0, 2.0)),
    "LP": (lambda x: cp.sum(x), [lambda x: x[0] <= x[1]], "LP", (0.0, 0.0)),
    "QP": (lambda x: 3 * cp.square(x[0]) + x[1], [lambda x: cp.sum(x) == 0], "QP", (0.0, 6.0)),
    "conic": (lambda x: cp.norm(x), [], "conic", (0.0, 0.0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_blocks(kind):
    cost, limits, word, curvature = KINDS[kind]
    found = facts(cost, *limits)
    (block,) = found.blocks
    assert (block.kind, block.agents, block.example, block.equal) == (word, 3, "a", True)
    assert block.curvature == pytest.approx(curvature)
    assert found.is_qp == (kind != "conic")
    assert found.is_lp == (kind == "LP")
    assert (found.step_norm is None) == (kind in ("LP", "conic"))
    assert (found.agents, found.coupling_rows, found.copies) == (3, 2, 0)


ROWS = {
    "resource": (lambda a, b, c: a + b + c <= 1, "<=", 3, False),
    "neighbour": (lambda a, b, c: a + 2 * b == 1, "==", 2, False),
    "agreement": (lambda a, b, c: a == c, "==", 2, True),
}


@pytest.mark.parametrize("kind", ROWS)
def test_kinds_of_couplings(kind):
    couple, sense, count, agreement = ROWS[kind]
    found = facts(lambda x: cp.sum_squares(x), couple=couple)
    (row,) = found.couplings
    assert (row.name, row.kind, row.sense, row.rows, row.participants) == ("c", kind, sense, 2, (count, count))
    assert row.unit == "kW"
    assert found.all_agreement == agreement
    assert found.most_participants == count


def test_copies_of_the_operator_are_counted():
    found = facts(lambda x: cp.sum_squares(x), couple=lambda a, b, c: cp.norm(a + b + c) <= 1)
    assert (found.copies, found.coupling_rows, found.agents) == (2, 3, 4)


def test_the_topology():
    path = nx.path_graph(["a", "b", "c"])
    found = facts(lambda x: cp.sum_squares(x), connect=(path, False), couple=lambda a, b, c: a == c)
    assert (found.coordinator, found.components, found.strangers) == (False, 1, (("a", "c"),))
    pair = nx.Graph([("a", "c")])
    pair.add_node("b")
    found = facts(lambda x: cp.sum_squares(x), connect=(pair,), couple=lambda a, b, c: a == c)
    assert (found.coordinator, found.components, found.strangers) == (True, 2, ())


def test_a_model_without_variables_is_refused():
    with pytest.raises(ModelError, match="no variable"):
        compile_model(Model("empty"))


def test_refreshing_reads_parameters_without_canonicalising_again():
    model = Model()
    x = model.agent("a").variable("x", bounds=(0, 1))
    p = model["a"].parameter("p", value=1.0)
    model["a"].minimize(cp.square(x - p))
    compiled = compile_model(model)
    p.value = 0.25
    again = compiled.refreshed()
    assert again.lowering is compiled.lowering
    np.testing.assert_allclose([c.lowered.separable.stacks[0].q[0, 0] for c in (compiled, again)], [-2.0, -0.5])
