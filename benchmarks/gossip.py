"""What a channel costs: rounds of gradient tracking under faults, in multiples of two bare products.

minimise  sum_i 1/2 sum_k h_ik (x_k - c_ik)^2  by agents on a random geometric graph of mean degree 8

The unit is two products W @ X, of the numbers and of the trackers, with nothing around them. Blocks of rounds
alternate, so that a slow minute of the machine hits all alike; ``times`` is the median over that of the products in the
same run. Where tvopt is installed it runs its gradient tracking beside gridmodel on a smaller graph, as many rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

import cvxpy as cp
import networkx as nx
import numpy as np
from measure import arguments, report
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.ir.mixing import edge_weights
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.gradient_tracking import GradientTracking

Floats = NDArray[np.float64]

CHANNELS = ("", "drop=.3", "drop=.3,burst=5", "awake=.5", "bits=8", "delay=5", "drop=.3,awake=.5,bits=8,delay=5",
            "drop=.3,rule=skip", "drop=.3,rule=hold", "jitter=5", "noise=1e-3", "privacy=1e-3:100")  # fmt: skip


def data(size: int, d: int) -> tuple[nx.Graph[str], Floats, Floats]:
    """The graph (parts joined by an edge), h and c, shape (size, d)."""
    graph = nx.random_geometric_graph(size, float(np.sqrt(8 / np.pi / size)), seed=0)
    parts = [sorted(part) for part in nx.connected_components(graph)]
    graph.add_edges_from((a[0], b[-1]) for a, b in pairwise(parts))
    rng = np.random.default_rng(0)
    named = nx.relabel_nodes(graph, {k: f"agent[{k}]" for k in range(size)})
    return named, rng.uniform(0.5, 3, (size, d)), rng.normal(1, 1, (size, d))


def declare(size: int, d: int) -> gm.Model:
    graph, h, c = data(size, d)
    model = gm.Model("agreement")
    fleet = model.fleet("agent", size)
    x = fleet.variable("x", d)
    fleet.minimize(cp.sum(cp.multiply(h / 2, cp.square(x - c))))
    model.agree("x")
    model.connect(graph)
    return model


def blocks(runs: Mapping[str, Callable[[int], None]], rounds: int, repetitions: int) -> dict[str, float]:
    """Seconds a round of each, the median over alternating blocks; the first block of each warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(rounds)
            seconds[name].append((time.perf_counter() - start) / rounds)
    return {name: median(found[1:]) for name, found in seconds.items()}


def products(problem: Any, d: int) -> Callable[[int], None]:
    """Two products of the weights with as many numbers as agents hold."""
    links = problem.links
    weights = edge_weights(links, "metropolis")
    matrix = links.matrix(weights.copy()) + links.matrix(np.zeros(links.edges))
    X, Y = np.random.default_rng(1).normal(size=(2, links.size, d))

    def run(rounds: int) -> None:
        for _ in range(rounds):
            first, second = matrix @ X, matrix @ Y
        del first, second

    return run


def tracking(problem: Any, channel: Channel, eta: float) -> Callable[[int], None]:
    """Rounds of gradient tracking over this channel; the state goes on from block to block."""
    algorithm = GradientTracking(eta=eta, channel=channel)
    held = [algorithm.init(problem, None, 1e-6)]

    def run(rounds: int) -> None:
        for _ in range(rounds):
            held[0] = algorithm.step(held[0])

    return run


def channels(size: int, d: int, rounds: int, repetitions: int) -> list[dict[str, Any]]:
    problem = gm.compile(declare(size, d), GradientTracking(eta=1e-3)).problem
    runs: dict[str, Callable[[int], None]] = {"two W @ X": products(problem, d)}
    runs |= {str(channel): tracking(problem, channel, 1e-3) for channel in map(Channel.parse, CHANNELS)}
    seconds = blocks(runs, rounds, repetitions)
    bare = seconds["two W @ X"]
    return [
        {"agents": size, "numbers": d, "channel": name, "us a round": 1e6 * found,
         "us an agent and round": 1e6 * found / size, "times": found / bare}
        for name, found in seconds.items()
    ]  # fmt: skip


def peers(size: int, d: int, rounds: int, repetitions: int) -> list[dict[str, Any]]:
    """Gradient tracking of others on the same graph, costs, weights and step, and how far all are from the optimum."""
    _, h, c = data(size, d)
    optimum = (h * c).sum(axis=0) / h.sum(axis=0)
    problem = gm.compile(declare(size, d), GradientTracking(eta=0.05)).problem
    runs = {"gridmodel": lambda: by_gridmodel(problem, rounds)}
    try:
        runs["tvopt"] = by_tvopt(size, d, rounds)
    except ImportError:
        print("tvopt is not installed; pip install tvopt puts it beside.")
    found: dict[str, list[float]] = {name: [] for name in runs}
    answers: dict[str, Floats] = {}
    for _ in range(repetitions):
        for name, run in runs.items():
            start = time.perf_counter()
            answers[name] = run()
            found[name].append(time.perf_counter() - start)
    base = median(found["gridmodel"])
    return [
        {"agents": size, "numbers": d, "rounds": rounds, "by": name, "ms a round": 1e3 * median(taken) / rounds,
         "us an agent and round": 1e6 * median(taken) / rounds / size, "times": median(taken) / base,
         "error": float(np.abs(answers[name] - optimum).max())}
        for name, taken in found.items()
    ]  # fmt: skip


def by_gridmodel(problem: Any, rounds: int) -> Floats:
    algorithm = GradientTracking(eta=0.05)
    state = algorithm.init(problem, None, 1e-6)
    for _ in range(rounds):
        state = algorithm.step(state)
    return np.asarray(algorithm.shown(state))


def by_tvopt(size: int, d: int, rounds: int) -> Callable[[], Floats]:
    """Aug-DGM: gradient tracking that adapts, then combines, with two mixings a round as well."""
    from tvopt.costs import Quadratic, SeparableCost
    from tvopt.distributed_solvers import aug_dgm
    from tvopt.networks import Network

    graph, h, c = data(size, d)
    network = Network(nx.to_numpy_array(graph, nodelist=[f"agent[{k}]" for k in range(size)]))
    costs = SeparableCost([Quadratic(np.diag(h[k]), -(h[k] * c[k])[:, None]) for k in range(size)])
    return lambda: np.asarray(aug_dgm({"f": costs, "network": network}, 0.05, 0, rounds)[:, 0, :].T)


def main() -> None:
    parser = arguments(__doc__, repetitions=9)
    parser.add_argument("--agents", type=int, nargs="+", default=[10_000])
    parser.add_argument("--numbers", type=int, default=10, help="numbers that agents agree on; default: 10")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of a block; default: 20")
    parser.add_argument("--peers", type=int, default=100, help="agents of the run beside others, 0 for none")
    options = parser.parse_args()
    rows = [row for n in options.agents for row in channels(n, options.numbers, options.rounds, options.repetitions)]
    report(rows, "Rounds of gradient tracking over channels", options.json)
    if options.peers:
        beside = peers(options.peers, options.numbers, 1000, min(3, options.repetitions))
        report(beside, "Gradient tracking beside others", None)


if __name__ == "__main__":
    main()
