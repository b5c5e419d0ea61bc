"""Policies trained by every method on one model, one budget and the same seeds, judged on held-out days.

The table has a row a method (mean over seeds, and their spread): cost of a day, share of node-steps outside the
limits, the worst and the 95th percentile of the excursions, savings over what perfect foresight without the network
would save; and rows to read them by: agents without policies, policies trained without the grid, the same with droops
at run time, policies trained with droops that are then switched off.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from measure import report

import gridmodel as gm
from gridmodel.learning.certify import policies_of
from gridmodel.learning.judge import Judged, judge_days
from gridmodel.learning.policy import Policy
from gridmodel.learning.train import trainers
from gridmodel.passes.training.graph import training_days, training_graph
from models.grid_edge import build


def model_of(options: argparse.Namespace, **changes: Any) -> gm.Model:
    """The model of a row."""
    given = {
        "agents": options.agents,
        "seed": options.model_seed,
        "days": options.days,
        "held_out": options.held_out,
        "droop": options.droop,
    }
    return build(**(given | changes))


def judged(policy: Policy | None, model: gm.Model) -> Judged:
    """A policy on the held-out days of a model with the same agents, though perhaps another network."""
    learn, held_out = training_days(model)
    graph = training_graph(model, learn)
    if policy is None:
        return judge_days(graph, None, held_out)
    # What is seen is scaled as in training.
    kinds = tuple(replace(k, observed=o.observed) for k, o in zip(graph.kinds, policy.graph.kinds, strict=True))
    return judge_days(replace(graph, kinds=kinds), policies_of(policy), held_out)


def row(name: str, found: Sequence[Judged], room: tuple[float, float], seconds: Sequence[float], calls: float) -> Any:
    """One row: means over seeds, the spread of savings."""
    idle, best = room
    saved = [(idle - one.cost.mean()) / (idle - best) for one in found]
    return {
        "method": name, "seeds": len(found), "cost": float(np.mean([one.cost.mean() for one in found])),
        "savings %": 100 * float(np.mean(saved)), "spread": 100 * float(np.ptp(saved)),
        "outside %": 100 * float(np.mean([one.share for one in found])),
        "worst pu": float(np.max([one.worst for one in found])), "mean worst": float(np.mean([o.worst for o in found])),
        "p95 pu": float(np.mean([one.p95 for one in found])), "seconds": float(np.mean(seconds)) if seconds else 0.0,
        "calls": calls,
    }  # fmt: skip


def methods_table(options: argparse.Namespace, trained: dict[tuple[str, int], Policy]) -> list[Any]:
    """Every method, and the rows beside."""
    model = model_of(options)
    idle = judged(None, model)
    best = float(gm.foresight(model, training_days(model)[1]).mean())
    room = (float(idle.cost.mean()), best)
    rows = [row("without policies", [idle], room, [], 0)]

    def add(name: str, on: gm.Model, made: Callable[[int], Policy]) -> None:
        policies = [made(seed) for seed in range(options.seeds)]
        found = [judged(policy, on) for policy in policies]
        seconds = [policy.seconds[-1] for policy in policies]
        rows.append(row(name, found, room, seconds, float(np.mean([p.history[-1].calls for p in policies]))))

    for method in options.methods:
        add(method, model, lambda seed, method=method: fit(options, trained, method, model, seed))
    plain, off = model_of(options, droop="none"), model_of(options, v_min=0.5, v_max=1.5)
    first = options.methods[0]
    blind = [fit(options, trained, first, off, seed, "blind") for seed in range(options.seeds)]
    add(f"{first}, grid-unaware", plain, blind.__getitem__)
    if options.droop != "none":
        rows.append(row("without policies, droop off", [judged(None, plain)], room, [], 0))
        add(f"{first}, grid-unaware + droop", model, blind.__getitem__)
        add(f"{first}, droop off", plain, lambda seed: trained[first, seed])
    rows.append({"method": "perfect foresight, no network", "seeds": 1, "cost": best, "savings %": 100.0})
    return rows


def fit(
    options: argparse.Namespace, trained: dict[tuple[str, int], Policy], method: str, model: gm.Model, seed: int,
    label: str = "",
) -> Policy:  # fmt: skip
    """A policy, the budget is the same for all."""
    key = (label + method, seed)
    if key not in trained:
        start = time.perf_counter()
        trained[key] = gm.train(model, method, seed=seed, minutes=options.seconds / 60.0)
        print(f"{label} {method} seed {seed}: {time.perf_counter() - start:.1f} s, {len(trained[key].history)} rounds")
    return trained[key]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of the model, of every training and of the table."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--days", type=int, default=512, help="to learn from (default: 512)")
    parser.add_argument("--held-out", type=int, default=64)
    parser.add_argument("--model-seed", type=int, default=0, help="of days, sizes and places (default: 0)")
    parser.add_argument("--droop", choices=["devices", "all", "none"], default="devices")
    parser.add_argument("--seconds", type=float, default=30.0, help="of every training (default: 30)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    return parser


def main() -> None:
    """Reads the options and prints the table."""
    parser = arguments(__doc__)
    known = sorted(trainers(), key=lambda name: name != "gradmap")
    parser.add_argument("--methods", nargs="+", default=known, help="the first trains without grid too (default: all)")
    parser.add_argument("--plot", metavar="FILE", help="cost and violation against time for all methods")
    options = parser.parse_args()
    trained: dict[tuple[str, int], Policy] = {}
    title = f"{options.agents} agents, droop {options.droop}, {options.seconds:g} s of training, held-out days"
    report(methods_table(options, trained), title, options.json)
    if options.plot:
        gm.plot({name: trained[name, 0] for name in options.methods}, options.plot)


if __name__ == "__main__":
    main()
