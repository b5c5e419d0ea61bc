"""Two methods of training race to pairs of cost and violation, each tuned first with the same budget.

A pair is savings on all held-out days together of so much, of what perfect foresight without the network would save,
with no more than so many node-steps outside the limits. Policies are set aside on the way and judged afterwards, so
that judging costs neither of them time; a pair counts from the first policies that meet it.

Tuning (``--settings N``) takes place on days, sizes and places of another seed: the method's defaults and N - 1
settings drawn from the ranges of ``RANGES``, the same ones of the options that both methods have, each trained for the
same time as in the race. The setting that meets the pair of ``--tune-to`` first is raced; where none does, the one that
saves most by the end among those that keep the share.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from measure import report
from training import arguments, judged, model_of

import gridmodel as gm
from gridmodel.learning.train import trainers
from gridmodel.passes.training.graph import training_days
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies
from gridmodel.runtime.training import AbstractTrainer, Round

RANGES: Mapping[str, Sequence[Any] | tuple[float, float]] = {
    "rate": (4e-3, 4e-2), "penalty": (0.5, 8.0), "delta": (0.05, 0.6), "reach": (2.0, 12.0),
    "margin": [3e-3, 4e-3, 5e-3, 6e-3, 8e-3], "days": [8, 16, 32], "hidden": [(24, 24), (32, 32), (48, 48)],
    "epochs": [1, 2, 3], "parts": [2, 4, 8], "squared": [False, True],
    "gradient": ["open-loop", "open-loop", "through"],
}  # fmt: skip
"""Of options: from and to, drawn evenly by logarithm, or a list."""


@dataclass(frozen=True)
class Kept:
    """Policies set aside: seconds and calls of the environment so far, cost of a day, share outside the limits."""

    seconds: float
    calls: float
    cost: float
    share: float


class Watched(AbstractTrainer):
    """A trainer whose policies are set aside every few rounds."""

    def __init__(self, inner: AbstractTrainer, every: int) -> None:
        self.name, self.inner, self.every = inner.name, inner, every  # type: ignore[misc]
        self.kept: list[tuple[int, Policies]] = []
        self.rounds = 0

    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """As the trainer's."""
        return self.inner.init(env, seed)

    def step(
        self, state: dict[str, Any], env: Environment, days: gm.Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """As the trainer's."""
        new, seen = self.inner.step(state, env, days, progress)
        self.rounds += 1
        if self.rounds % self.every == 0:
            own = self.inner.policies(new, env)
            self.kept.append((self.rounds, own.like([x.clone() for x in own.tensors])))
        return new, seen

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """As the trainer's."""
        return self.inner.policies(state, env)


@dataclass(frozen=True)
class Course:
    """A model, and what its held-out days cost without policies and with perfect foresight."""

    model: gm.Model
    held_out: gm.Scenarios
    idle: float
    best: float

    @classmethod
    def of(cls, model: gm.Model) -> Course:
        held_out = training_days(model)[1]
        return cls(model, held_out, float(judged(None, model).cost.mean()), float(gm.foresight(model, held_out).mean()))

    def saved(self, kept: Kept) -> float:
        """Savings, %."""
        return 100.0 * (self.idle - kept.cost) / (self.idle - self.best)

    def run(self, trainer: AbstractTrainer, seed: int, options: argparse.Namespace) -> list[Kept]:
        """The policies set aside, on the held-out days by the training's load flow."""
        watched = Watched(trainer, options.every)
        policy = gm.train(self.model, watched, seed=seed, minutes=options.seconds / 60.0)
        env = Environment(policy.graph)
        batch = env.batch(self.held_out)
        found = []
        with torch.no_grad():
            for k, own in watched.kept:
                went = env.rollout(own, batch)
                share = 0.0 if env.lower is None else float((went.over(env.lower, env.upper) > 0).double().mean())
                calls = float(policy.history[k - 1].calls)
                found.append(Kept(policy.seconds[k - 1], calls, float(went.cost.mean()), share))
        last = found[-1]
        print(f"{trainer.name} seed {seed}, {len(policy.history)} rounds, {last.seconds:.1f} s: saves "
              f"{self.saved(last):.1f} %, {100 * last.share:.4f} % outside", flush=True)  # fmt: skip
        return found

    def first(self, run: Sequence[Kept], saved: float, share: float) -> Kept | None:
        """The first policies that meet a pair."""
        return next((one for one in run if self.saved(one) >= saved and one.share <= share), None)


def drawn(method: type[AbstractTrainer], count: int, seed: int) -> list[dict[str, Any]]:
    """The defaults, and settings from the ranges; of options that methods share, the same ones for each method."""
    own = {one.name for one in fields(method)}  # type: ignore[arg-type]
    rng, found = np.random.default_rng(seed), []
    for _ in range(count - 1):
        one = {}
        for name, among in RANGES.items():
            if isinstance(among, tuple):
                one[name] = float(np.exp(rng.uniform(*np.log(among))))
            else:
                one[name] = among[rng.integers(len(among))]
        found.append({name: value for name, value in one.items() if name in own})
    return [{}, *found]


def tuned(method: str, options: argparse.Namespace) -> dict[str, Any]:
    """The best of some settings on days, sizes and places of another seed."""
    if options.settings < 2:
        return {}
    course = Course.of(model_of(options, seed=options.model_seed + 1000))
    made, scores = drawn(trainers()[method], options.settings, options.model_seed), []
    for k, setting in enumerate(made):
        print(f"tuning {k + 1}/{len(made)}: {setting or 'defaults'}")
        run = course.run(trainers()[method](**setting), 0, options)
        met = course.first(run, options.tune_to, options.share)
        scores.append(
            (0.0, met.seconds) if met else (1.0, -course.saved(run[-1]) if run[-1].share <= options.share else 0)
        )
        print(
            f"  meets {options.tune_to:g} % after {met.seconds:.1f} s" if met else "  does not meet the pair",
            flush=True,
        )
    best = made[min(range(len(made)), key=scores.__getitem__)]
    print(f"{method}: {best or 'defaults'}")
    return best


def race(options: argparse.Namespace) -> list[Any]:
    """Two methods, seed by seed and side by side, to savings with hardly a voltage outside its limits."""
    settings = {method: tuned(method, options) for method in options.methods}
    course = Course.of(model_of(options))
    runs = {
        (method, seed): course.run(trainers()[method](**settings[method]), seed, options)
        for seed in range(options.seeds)
        for method in options.methods
    }
    rows = []
    for saved in options.savings:
        first = {key: course.first(run, saved, options.share) for key, run in runs.items()}
        row: dict[str, Any] = {"savings %": saved, "outside % at most": 100 * options.share}
        for method in options.methods:
            met = [one for seed in range(options.seeds) if (one := first[method, seed]) is not None]
            row |= {f"{method} met": f"{len(met)}/{options.seeds}"}
            for what in ("seconds", "calls"):
                row[f"{method} {what}"] = float(np.mean([getattr(one, what) for one in met])) if met else "-"
        one, two = options.methods
        pairs = [(first[one, seed], first[two, seed]) for seed in range(options.seeds)]
        for what in ("seconds", "calls"):
            ratios = [getattr(b, what) / getattr(a, what) for a, b in pairs if a is not None and b is not None]
            row[f"{what} {two}/{one}"] = float(np.mean(ratios)) if ratios else "-"
            row[f"{what} from-to"] = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-"
        rows.append(row)
    return rows


def main() -> None:
    """Reads the options and prints the table."""
    parser = arguments(__doc__)
    parser.add_argument("--methods", nargs=2, default=["gradmap", "ssl"], help="default: gradmap ssl")
    parser.add_argument("--settings", type=int, default=1, help="tried of each method (default: 1, its defaults)")
    parser.add_argument("--tune-to", type=float, default=93.0, help="savings to which settings are tuned, %% (93)")
    parser.add_argument("--savings", type=float, nargs="+", default=[80.0, 90.0, 93.0, 95.0, 96.0], help="%%")
    parser.add_argument("--share", type=float, default=1e-5, help="of node-steps outside limits (default: 1e-5)")
    parser.add_argument("--every", type=int, default=4, help="rounds between policies set aside (default: 4)")
    options = parser.parse_args()
    title = f"{' and '.join(options.methods)}, {options.agents} agents: to savings on held-out days"
    report(race(options), title, options.json)


if __name__ == "__main__":
    main()
