"""Dispatch without a leader: time of a round for every agent, and rounds until all agree on the price.

minimise  sum_i (p_i - alpha_i)^2 / (2 beta_i)   s.t.  sum_i p_i == demand,  0 <= p_i <= cap_i

Generators sit on a random geometric graph of mean degree 8 and talk to their neighbours only; every algorithm without a
coordinator that applies runs on the same compiled model, ideal and with losses. The clock counts rounds alone (the
median of blocks of them), not the compile, which is shown beside.
"""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import Any

import cvxpy as cp
import networkx as nx
import numpy as np
from measure import arguments, report

import gridmodel as gm
from gridmodel.methods import methods
from gridmodel.runtime.networked import AbstractNetworked


def declare(size: int) -> gm.Model:
    """The dispatch, its topology the largest connected part joined to the rest."""
    rng = np.random.default_rng(0)
    alpha, beta, cap = rng.uniform(-2, 0, size), rng.uniform(1, 4, size), rng.uniform(1, 5, size)
    model = gm.Model("dispatch")
    fleet = model.fleet("generator", size)
    p = fleet.variable("p", bounds=(0, cap), unit="kW")
    fleet.minimize(cp.multiply(0.5 / beta, cp.square(p - alpha)))
    model.couple(cp.sum(p) == 0.5 * float(cap.sum()), name="balance")
    graph = nx.random_geometric_graph(size, float(np.sqrt(8 / np.pi / size)), seed=0)
    parts = [sorted(part) for part in nx.connected_components(graph)]
    graph.add_edges_from((a[0], b[-1]) for a, b in pairwise(parts))
    model.connect(nx.relabel_nodes(graph, {k: f"generator[{k}]" for k in range(size)}), coordinator=False)
    return model


def per_round(algorithm: AbstractNetworked, problem: Any, repetitions: int) -> float:
    """Microseconds for an agent and round: the median over blocks of 50 rounds, after a first one."""
    state = algorithm.init(problem, None, 1e-6)
    blocks = []
    for _ in range(repetitions + 1):
        start = time.perf_counter()
        for _ in range(50):
            state = algorithm.step(state)
        blocks.append((time.perf_counter() - start) / 50)
    return 1e6 * median(blocks[1:]) / problem.links.size


def rows(size: int, repetitions: int, drop: float, max_rounds: int) -> list[dict[str, Any]]:
    start = time.perf_counter()
    model = declare(size)
    plan = gm.compile(model, "relaxed-dual-consensus")
    compiled = time.perf_counter() - start
    problem = plan.problem
    found = []
    for name, algorithm in methods().items():
        if not isinstance(algorithm, AbstractNetworked) or not algorithm.verdict(plan.properties).applies:
            continue
        settled = algorithm.settled(plan.properties)
        assert isinstance(settled, AbstractNetworked)
        result = gm.solve(model, settled, tolerance=1e-6, max_rounds=max_rounds)
        found.append(
            {
                "generators": size,
                "by": name,
                "us": per_round(settled, problem, repetitions),
                "us, losses": per_round(settled.over(gm.Channel(drop=drop)), problem, repetitions),
                "rounds": result.rounds,
                "status": result.status.value,
                "gap": np.nan if result.certificate is None else result.certificate.gap,
                "seconds": result.seconds.solve,
                "compile": compiled,
            }
        )
    return found


def main() -> None:
    parser = arguments(__doc__, repetitions=7)
    parser.add_argument("--generators", type=int, nargs="+", default=[1_000])
    parser.add_argument("--drop", type=float, default=0.3)
    parser.add_argument("--max-rounds", type=int, default=20_000)
    options = parser.parse_args()
    table = [r for n in options.generators for r in rows(n, options.repetitions, options.drop, options.max_rounds)]
    report(table, "Microseconds for an agent and round, and a run to 1e-6", options.json)


if __name__ == "__main__":
    main()
