"""Three generators share a demand at least cost: the economic dispatch problem.

minimise    sum_i (p_i - alpha_i)^2 / (2 beta_i)
subject to  sum_i p_i == demand,   0 <= p_i <= cap_i

With the default demand of 4.1 kW: p = (2.06, 1, 1.04) kW, price 1.02 a kW, cost 3.601.

With elastic loads the welfare is maximised: cost of generation less utility of consumption, sum_j U_j(d_j) with
U_j'(d) = 1.02 + (load_j - d) / elastic, so that the optimum stays the same at the default demand.

Source: Wentzel's project report on distributed economic dispatch. Its table of loads (1, 1.4, 1.1, 0.9, 0.2) adds
up to 4.6 where its results need 4.1; here node 6 takes 0.6 in place of 1.1. Its graph is not printed; ours is below.
"""

from __future__ import annotations

import cvxpy as cp
import networkx as nx

import gridmodel as gm

GENERATORS = {"g1": (-1.0, 3.0, 2.1), "g2": (-1.0, 2.0, 1.0), "g3": (-1.0, 2.0, 5.0)}
"""alpha in kW, beta in kW^2 per unit of cost, cap in kW."""

LOADS = {"d4": 1.0, "d5": 1.4, "d6": 0.6, "d7": 0.9, "d8": 0.2}
"""Loads of nodes 4 to 8 in kW."""

EDGES = [(1, 2), (2, 3), (1, 4), (1, 5), (1, 6), (2, 5), (2, 6), (3, 7), (3, 8), (4, 5), (7, 8), (6, 7)]
"""The topology over all eight nodes."""


PRICE = 1.02
"""The price at which elastic loads take what the table says."""


def build(demand: float = 4.1, loads: bool = False, elastic: float = 0.0) -> gm.Model:
    """The dispatch as a model.

    Args:
        demand: total demand in kW.
        loads: whether the five load nodes are agents too, each with a fixed consumption, on the topology of
            eight nodes; else the generators alone, on a path, meet the demand as a number.
        elastic: kW that each load takes more for every unit that the price falls; above 0 loads are agents with a
            utility, 0 fixes their consumption.
    """
    if not 0 <= elastic < float("inf"):
        raise gm.ModelError(f"economic_dispatch: elastic must be a number of at least 0, got {elastic}.")
    model = gm.Model("economic dispatch")
    for name, (alpha, beta, cap) in GENERATORS.items():
        generator = model.agent(name)
        p = generator.variable("p", bounds=(0, cap), unit="kW")
        generator.minimize(cp.square(p - alpha) / (2 * beta))
    supply = sum(model[name]["p"] for name in GENERATORS)

    if not loads and not elastic:
        model.couple(supply == demand, name="balance")
        model.connect(nx.path_graph(list(GENERATORS)))
        return model

    share = demand / sum(LOADS.values())
    for name, load in LOADS.items():
        agent = model.agent(name)
        usual = load * share
        bounds = (0, 2 * usual) if elastic else (usual, usual)
        d = agent.variable("p", bounds=bounds, unit="kW")
        if elastic:  # minus the utility
            agent.minimize(cp.square(d - usual) / (2 * elastic) - PRICE * d)
    model.couple(supply - sum(model[name]["p"] for name in LOADS) == 0, name="balance")
    model.connect(nx.relabel_nodes(nx.Graph(EDGES), dict(enumerate([*GENERATORS, *LOADS], start=1))))
    return model
