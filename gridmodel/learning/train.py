"""Training: rounds until a budget is spent, a target is met or somebody interrupts; nothing computed is lost."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from gridmodel.errors import ModelError, NotApplicableError, UnknownNameError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import TrainingGraph
from gridmodel.language.model import Model
from gridmodel.learning.policy import Policy
from gridmodel.passes.training.graph import check_days, training_days, training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.threads import threads as using
from gridmodel.runtime.training import AbstractTrainer, Round

__all__ = ["Target", "train", "trainers"]

Progress = Callable[[int, int, Round], None]
_TIMED, _SPENT = 4, 0.1  # rounds at least, and share of the budget, from which the length of a run is found
_SAVED = 20.0  # seconds between checkpoints
_WINDOW = 8  # rounds over which a target is judged


@dataclass(frozen=True)
class Target:
    """Where training ends: a mean cost of a day no higher, and a share of node-steps outside the limits no larger.

    Both are judged on days of training, over the last rounds together.
    """

    cost: float
    share: float

    def met(self, history: list[Round]) -> bool:
        """Whether the last rounds meet it."""
        last = history[-_WINDOW:]
        if len(last) < _WINDOW:
            return False
        cost, share = np.mean([one.cost for one in last]), np.mean([one.share for one in last])
        return bool(cost <= self.cost and share <= self.share)


@cache
def trainers() -> Mapping[str, type[AbstractTrainer]]:
    """All ways of training by name, from the entry points of the group ``gridmodel.trainers``."""
    points = sorted(entry_points(group="gridmodel.trainers"), key=lambda point: point.name)
    return {point.name: point.load() for point in points}


def train(
    model: Model,
    method: str | AbstractTrainer = "gradmap",
    *,
    seed: int = 0,
    minutes: float | None = None,
    rounds: int | None = None,
    target: Target | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    threads: int = 1,
    progress: Progress | None = None,
) -> Policy:
    """Trains one policy for every agent of a model with horizons, on its days of training.

    Args:
        method: a name, or a trainer with its options.
        minutes, rounds: the budget; where only minutes are given, the number of rounds is found from the first ones and
            kept, so that a run that is resumed takes the same steps. Half a minute where neither is given.
        target: ends the run early.
        checkpoint: a file that is written now and then, and at the end.
        resume: goes on from the checkpoint, to the numbers of a run that was never interrupted.
        device: of torch, "cpu" or "cuda", or one of several, "cuda:1".
        threads: processors that share an operation. More than one pays for thousands of agents on a machine with
            nothing else to do; on one that is busy they make training many times slower.
        progress: called after every round with its number, their number and what was seen.

    Raises:
        ModelError: torch is missing, the model cannot be trained, CUDA is asked for and absent, or a checkpoint of
            another model or method.
    """
    _check(device, minutes, rounds, seed, threads)
    learn_from, held_out = training_days(model)
    graph = training_graph(model, learn_from)
    check_days(model, held_out)
    trainer = _trainer(method)
    env = Environment(graph, device=device)
    run = _Run(model, graph, trainer, env, learn_from, seed, rounds, minutes)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.is_dir():
        raise ModelError(f"train(checkpoint={str(path)!r}): this is a folder; give a file's name.")
    if resume and path is None:
        raise ModelError("train(resume=True) needs the checkpoint to go on from: checkpoint=FILE.")
    if resume and path is not None:
        if path.exists():
            run.restore(path)
        else:
            warnings.warn(f"there is no checkpoint {path} yet; training starts anew.", stacklevel=2)
    with using(threads):
        return run.finish(target, path, progress)


class _Run:
    """A run of training and where it stands."""

    def __init__(
        self, model: Model, graph: TrainingGraph, trainer: AbstractTrainer, env: Environment, days: Scenarios,
        seed: int, rounds: int | None, minutes: float | None,
    ) -> None:  # fmt: skip
        self.model, self.graph, self.trainer, self.env, self.days = model, graph, trainer, env, days
        self.seed, self.total, self.budget = seed, rounds, 60.0 * (0.5 if minutes is None else minutes)
        self.state = trainer.init(env, seed)
        self.history: list[Round] = []
        self.seconds: list[float] = []

    def finish(self, target: Target | None, path: Path | None, progress: Progress | None) -> Policy:
        """Rounds to the end, and the policy."""
        status, message, saved = "trained", "the budget is spent", time.perf_counter()
        start = time.perf_counter() - (self.seconds[-1] if self.seconds else 0.0)
        try:
            while self.total is None or len(self.history) < self.total:
                share = 0.0 if self.total is None else len(self.history) / self.total
                state, seen = self.trainer.step(self.state, self.env, self.days, share)
                # One statement, so that Ctrl-C leaves either all of a round or nothing of it.
                self.state, self.history, self.seconds = (
                    state, [*self.history, seen], [*self.seconds, time.perf_counter() - start],
                )  # fmt: skip
                self._settle()
                if progress is not None:
                    progress(len(self.history), self.total or 0, seen)
                if target is not None and target.met(self.history):
                    status, message = "stopped", "the target is met"
                    break
                if path is not None and time.perf_counter() - saved > _SAVED:
                    self.save(path)
                    saved = time.perf_counter()
        except KeyboardInterrupt:
            status, message = "interrupted", "interrupted; these are the policies so far"
        except (MemoryError, RuntimeError) as error:
            status, message = "stopped", self._short(error)
        if path is not None:
            self.save(path)
        weights = self.trainer.policies(self.state, self.env).arrays(self.graph)
        if not all(np.isfinite(values).all() for values in weights.values()):
            status, message = "failed", "weights are no longer numbers; take smaller steps"
        return Policy(
            self.trainer.name, self.seed, self.graph, weights, tuple(self.history), tuple(self.seconds), status,
            message, self.model, _options(self.trainer),
        )  # fmt: skip

    def _short(self, error: BaseException) -> str:
        """What to say of a lack of memory; what was learned is kept, where there is something.

        Raises:
            ModelError: not one round fitted. RuntimeError: another error.
        """
        text = str(error).lower()
        if isinstance(error, RuntimeError) and "memory" not in text and "alloc" not in text:
            raise error
        mend = f"take fewer days a round, e.g. {type(self.trainer).__name__}(days=4)"
        said = f"out of memory with {self.graph.agents} agents; {mend}"
        if not self.history:
            raise ModelError(f"training: {said}.") from error
        return f"{said}; these are the policies after {len(self.history)} rounds"

    def _settle(self) -> None:
        """Finds how many rounds the minutes allow, from the first ones but the very first."""
        rounds, spent = len(self.seconds), self.seconds[-1]
        if self.total is None and rounds >= _TIMED and spent >= _SPENT * self.budget:
            each = (spent - self.seconds[0]) / (rounds - 1)
            self.total = rounds + max(0, int((self.budget - spent) / max(each, 1e-6)))

    def save(self, path: Path) -> None:
        """Writes the checkpoint, whole or not at all; a full disk is said and the run goes on."""
        import torch

        kept = {
            "fingerprint": self.graph.fingerprint, "model": self.graph.name, "method": self.trainer.name,
            "options": repr(_options(self.trainer)), "seed": self.seed, "total": self.total, "state": self.state,
            "history": [asdict(one) for one in self.history], "seconds": self.seconds,
        }  # fmt: skip
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(kept, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:
            warnings.warn(f"the checkpoint {path} could not be written ({error}); training goes on.", stacklevel=3)
            part.unlink(missing_ok=True)

    def restore(self, path: Path) -> None:
        """Takes up a checkpoint.

        Raises:
            ModelError: unreadable, or of another model, method, options or seed.
        """
        import torch

        try:
            kept = torch.load(path, map_location=self.env.device, weights_only=True)
            own = {"fingerprint": self.graph.fingerprint, "method": self.trainer.name,
                   "options": repr(_options(self.trainer)), "seed": self.seed}  # fmt: skip
            odd = [name.replace("fingerprint", "model") for name, value in own.items() if kept[name] != value]
            state, total = kept["state"], kept["total"]
            history, seconds = [Round(**one) for one in kept["history"]], list(kept["seconds"])
        except Exception as error:  # torch raises what pickle raises
            what = error if isinstance(error, OSError) else "it is cut off, or something else"
            raise ModelError(
                f"the checkpoint {path} cannot be read: {what}. Give another one, or start anew without resume."
            ) from None
        if odd:
            raise ModelError(
                f"the checkpoint {path} belongs to another {' and '.join(odd)}: model {kept['model']!r} (fingerprint "
                f"{kept['fingerprint']}), method {kept['method']!r}, seed {kept['seed']}. Take what it was made with, "
                "give another checkpoint, or start anew without resume."
            )
        self.state, self.history, self.seconds = state, history, seconds
        self.total = total if self.total is None else self.total


def _trainer(method: str | AbstractTrainer) -> AbstractTrainer:
    if isinstance(method, AbstractTrainer):
        return method
    known = trainers()
    if method not in known:
        raise UnknownNameError(f"no way of training {method!r}; there are {', '.join(known) or 'none installed'}.")
    return known[method]()


def _options(trainer: AbstractTrainer) -> dict[str, Any]:
    return asdict(trainer) if is_dataclass(trainer) else {}


def _check(device: str, minutes: Any, rounds: Any, seed: Any, threads: Any) -> None:
    try:
        import torch
    except ImportError as error:
        raise ModelError("Training needs torch: pip install 'gridmodel[learn]'.") from error
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or device == kind):
        raise NotApplicableError(f"device={device!r}; expected 'cpu', 'cuda' or, where there are several, 'cuda:1'.")
    if kind == "cuda" and not (torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count()):
        raise NotApplicableError(f"device={device!r}: this machine has no CUDA device that torch sees; device='cpu'.")
    counts = (1 if rounds is None else rounds, threads)
    whole = all(isinstance(count, (int, np.integer)) for count in (seed, *counts))
    timed = minutes is None or (isinstance(minutes, (int, float, np.number)) and minutes > 0)
    if not (whole and timed and min(counts) >= 1):
        raise ModelError(
            "train(...): minutes above 0, whole rounds and threads of at least 1 and a whole seed are expected, got "
            f"minutes={minutes!r}, rounds={rounds!r}, threads={threads!r}, seed={seed!r}."
        )
