"""The dispatch against its closed form: p_i = clip(beta_i price + alpha_i, 0, cap_i), prices found by bisection."""

import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from models.economic_dispatch import GENERATORS, LOADS, build


def _closed_form(demand: float) -> tuple[float, np.ndarray, float]:
    alpha, beta, cap = np.array(list(GENERATORS.values())).T
    low, high = 0.0, 10.0
    for _ in range(100):
        price = (low + high) / 2
        p = np.clip(beta * price + alpha, 0, cap)
        low, high = (price, high) if p.sum() < demand else (low, price)
    return price, p, float(((p - alpha) ** 2 / (2 * beta)).sum())


def test_the_closed_form_gives_the_published_numbers() -> None:
    price, p, cost = _closed_form(4.1)
    assert price == pytest.approx(1.02, abs=1e-12)
    assert p == pytest.approx([2.06, 1.0, 1.04], abs=1e-12)
    assert cost == pytest.approx(3.601, abs=1e-12)
    assert sum(LOADS.values()) == pytest.approx(4.1, abs=1e-12)


LEADERLESS = ["tan-yang-xu", "bisection", "dual-consensus", "relaxed-dual-consensus"]


@pytest.mark.parametrize("algorithm", ["central", "admm", "admm:exchange", "dual", *LEADERLESS])
@pytest.mark.parametrize(("demand", "loads"), [(4.1, False), (4.1, True), (4.6, False), (2.0, True)])
def test_every_algorithm_finds_it(algorithm: str, demand: float, loads: bool) -> None:
    price, p, cost = _closed_form(demand)
    result = gm.solve(build(demand=demand, loads=loads), algorithm, tolerance=1e-7)
    assert result.status.value == "certified"
    assert result.value == pytest.approx(cost, rel=1e-6)
    assert [result[name]["p"] for name in GENERATORS] == pytest.approx(list(p), abs=1e-5)
    assert result.price["balance"] == pytest.approx(price, abs=1e-5)
    assert result.dual["balance"] == pytest.approx(-price, abs=1e-5)


@pytest.mark.parametrize("algorithm", ["central", "dual", *LEADERLESS])
@pytest.mark.parametrize("fall", [0.0, 0.2])
def test_elastic_loads_maximise_welfare(algorithm: str, fall: float) -> None:
    """Cheaper generation (alpha up by ``fall``): the price at which supply meets what loads then want, by halving."""
    model = build(elastic=0.3)
    if fall:
        for name, (_, beta, _) in GENERATORS.items():
            model[name].minimize(-fall / beta * model[name]["p"])  # the derivative of the cost with alpha raised
    alpha, beta, cap = np.array(list(GENERATORS.values())).T
    usual = np.array(list(LOADS.values()))
    low, high = 0.0, 10.0
    for _ in range(100):
        price = (low + high) / 2
        p = np.clip(beta * price + alpha + fall, 0, cap)
        d = np.clip(usual + 0.3 * (1.02 - price), 0, 2 * usual)
        low, high = (price, high) if p.sum() < d.sum() else (low, price)
    result = gm.solve(model, algorithm, tolerance=1e-7)
    assert result.status.value == "certified"
    assert result.price["balance"] == pytest.approx(price, abs=1e-5)
    assert [result[name]["p"] for name in GENERATORS] == pytest.approx(list(p), abs=1e-5)
    assert [result[name]["p"] for name in LOADS] == pytest.approx(list(d), abs=1e-5)
    if not fall:
        assert price == pytest.approx(1.02)


def test_elastic_is_checked() -> None:
    with pytest.raises(gm.ModelError, match="elastic must be a number of at least 0"):
        build(elastic=-1.0)


def test_the_topology_joins_all_agents() -> None:
    for loads in (False, True):
        model = build(loads=loads)
        assert model.topology is not None
        assert set(model.topology.graph) == {agent.name for agent in model.agents}
        assert nx.is_connected(model.topology.graph)
    assert model.topology.graph.number_of_edges() == 12
