"""Policies trained by every method on one model, one budget and the same seeds, judged on held-out days.

The first table has a row a method (mean over seeds, and their spread): cost of a day, share of node-steps outside the
limits, the worst and the 95th percentile of the excursions, savings over what perfect foresight without the network
would save; and rows to read them by: agents without policies, policies trained without the grid, the same with droops
at run time, policies trained with droops that are then switched off.
The second table takes two methods to one pair of cost and violation, met by the running mean over eight rounds of
training: seconds and calls of the environment, their ratio for every seed, and how many settings were tried for each.
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
from gridmodel.learning.judge import Judged, judge_days, require_days
from gridmodel.learning.policy import Policy
from gridmodel.learning.train import trainers
from gridmodel.passes.training.graph import training_graph
from models.grid_edge import build

_WINDOW = 8


def model_of(options: argparse.Namespace, **changes: Any) -> gm.Model:
    """The model of a row."""
    given = {"agents": options.agents, "days": options.days, "held_out": options.held_out, "droop": options.droop}
    return build(**(given | changes))


def judged(policy: Policy | None, model: gm.Model) -> Judged:
    """A policy on the held-out days of a model with the same agents, though perhaps another network."""
    learn, held_out = require_days(model.scenarios, model.name)
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
    best = float(gm.foresight(model, require_days(model.scenarios, model.name)[1]).mean())
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
    """A policy, kept for the second table; the budget is the same for all."""
    key = (label + method, seed)
    if key not in trained:
        start = time.perf_counter()
        trained[key] = gm.train(model, method, seed=seed, minutes=options.seconds / 60.0)
        print(f"{label} {method} seed {seed}: {time.perf_counter() - start:.1f} s, {len(trained[key].history)} rounds")
    return trained[key]


def reached(policy: Policy, cost: float, share: float) -> tuple[float, float] | None:
    """Seconds and calls until the running means of cost and share are both met."""
    ends = range(_WINDOW, len(policy.history) + 1)
    for k in ends:
        last = policy.history[k - _WINDOW : k]
        if np.mean([r.cost for r in last]) <= cost and np.mean([r.share for r in last]) <= share:
            return policy.seconds[k - 1], float(last[-1].calls)
    return None


def race(options: argparse.Namespace, trained: dict[tuple[str, int], Policy]) -> list[Any]:
    """Two methods to pairs of cost and violation at which the second one ends: its worst, middle and best seed."""
    one, two = options.race
    ends = [trained[two, seed].history[-_WINDOW:] for seed in range(options.seeds)]
    costs, shares = ([float(np.mean([getattr(r, name) for r in e])) for e in ends] for name in ("cost", "share"))
    share = max(shares) if options.share is None else options.share
    pairs = sorted({max(costs), float(np.median(costs)), min(costs)}, reverse=True)
    rows = []
    for cost in pairs if options.cost is None else options.cost:
        found = [[reached(trained[name, seed], cost, share) for seed in range(options.seeds)] for name in (one, two)]
        both = [(a, b) for a, b in zip(*found, strict=True) if a and b]
        ratios = np.array([[b[k] / a[k] for k in (0, 1)] for a, b in both]).reshape(-1, 2)
        mean = [[float(np.mean([x[k] for x in ends if x])) if any(ends) else None for k in (0, 1)] for ends in found]
        rows.append({
            "cost": f"{cost:.1f}", "outside %": 100 * share,
            f"{one} reach": f"{sum(map(bool, found[0]))}/{options.seeds}",
            f"{two} reach": f"{sum(map(bool, found[1]))}/{options.seeds}",
            f"{one} s": mean[0][0], f"{two} s": mean[1][0], f"{one} calls": mean[0][1], f"{two} calls": mean[1][1],
            "seconds ratio": float(ratios[:, 0].mean()) if len(both) else None,
            "least": float(ratios[:, 0].min()) if len(both) else None,
            "most": float(ratios[:, 0].max()) if len(both) else None,
            "calls ratio": float(ratios[:, 1].mean()) if len(both) else None,
        })  # fmt: skip
    return rows


def main() -> None:
    """Reads the options and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--days", type=int, default=512, help="to learn from (default: 512)")
    parser.add_argument("--held-out", type=int, default=64)
    parser.add_argument("--droop", choices=["devices", "all", "none"], default="devices")
    parser.add_argument("--methods", nargs="+", default=list(trainers()), help="default: all that are installed")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training, for every method (default: 30)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--race", nargs=2, default=["gradmap", "ssl"], help="default: gradmap ssl")
    parser.add_argument("--race-only", action="store_true", help="without the table of all methods")
    parser.add_argument("--cost", type=float, nargs="+", help="of the race (default: where its second method ends)")
    parser.add_argument("--share", type=float, help="of node-steps outside limits in the race, likewise")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="cost and violation against time for all methods")
    options = parser.parse_args()
    trained: dict[tuple[str, int], Policy] = {}
    title = f"{options.agents} agents, droop {options.droop}, {options.seconds:g} s of training, held-out days"
    if options.race_only:
        model, options.methods = model_of(options), options.race
        for seed in range(options.seeds):
            for method in options.race:  # side by side, so that a slow minute hits both
                fit(options, trained, method, model, seed)
    else:
        report(methods_table(options, trained), title, options.json)
    if options.plot:
        gm.plot({name: trained[name, 0] for name in options.methods}, options.plot)
    if set(options.race) <= set(options.methods):
        file = options.json and options.json.replace(".json", ".race.json")
        report(race(options, trained), f"{options.race[0]} and {options.race[1]} to one cost and violation", file)


if __name__ == "__main__":
    main()
