"""Trained policies: their numbers, how they were trained, and what they are worth."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError
from gridmodel.ir.result import AbstractVerifiable
from gridmodel.ir.training import TrainingGraph
from gridmodel.language.model import Model
from gridmodel.runtime.training import Round

if TYPE_CHECKING:
    from gridmodel.learning.module import AgentNetwork

__all__ = ["Policy", "PolicyCertificate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PolicyCertificate:
    """What policies are worth on days that they never saw, by the exact load flow.

    violation_share: of node-steps outside the limits. violation_worst_pu: by how much at most; violation_p95_pu: the
    95th percentile of the node-steps outside. cost, cost_idle, cost_optimum: of a day of all agents on average, under
    the policies, without any, and under perfect foresight without the network's limits, a lower bound. savings_share:
    (cost_idle - cost) / (cost_idle - cost_optimum). days: judged. unsolved: steps without a load flow, in no statistic.
    """

    violation_share: float
    violation_worst_pu: float
    violation_p95_pu: float
    savings_share: float | None
    cost: float
    cost_optimum: float | None
    cost_idle: float
    idle_share: float
    idle_worst_pu: float
    days: int
    unsolved: int
    currency: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        best = "not computed" if self.cost_optimum is None else f"{self.cost_optimum:.6g}"
        part = "-" if self.savings_share is None else f"{100 * self.savings_share:.1f} % of what foresight would save"
        lines = [
            f"days               {self.days} held out, exact load flow",
            f"outside limits     {100 * self.violation_share:.4f} % of node-steps  (without policies "
            f"{100 * self.idle_share:.4f} %)",
            f"worst              {self.violation_worst_pu:.5f} pu, 95 % of those outside within "
            f"{self.violation_p95_pu:.5f} pu  (without policies {self.idle_worst_pu:.5f} pu)",
            f"cost               {self.cost:.6g} {self.currency} a day",
            f"without policies   {self.cost_idle:.6g}",
            f"lower bound        {best}  (perfect foresight, no network)",
            f"savings            {part}",
        ]
        if self.unsolved:
            lines.append(f"no load flow in    {self.unsolved} steps, which no statistic holds")
        return "\n".join([*lines, *self.notes])


@final
@dataclass
class Policy(AbstractVerifiable):
    """One network an agent, trained to act on what the agent sees alone.

    weights: by "kind/layer/weight" and "kind/layer/offset", shape (agents, in, out) and (agents, 1, out). history: one
    entry a round of training. status: "trained", "stopped" at its target, or "interrupted". minutes: spent.
    model: None where it was loaded without one. certificate: by ``gm.verify``. source: what the command line built the
    model from, {"model": name or file, "options": {name: text}}, so that it can be built again.
    """

    method: str
    seed: int
    graph: TrainingGraph
    weights: Mapping[str, NDArray[np.float32]]
    history: tuple[Round, ...]
    seconds: tuple[float, ...]
    status: str
    message: str
    model: Model | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    certificate: PolicyCertificate | None = None
    source: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Policy({self.graph.name!r}, {self.method}, {self.graph.agents} agents, {len(self.history)} rounds)"

    def verified(self) -> PolicyCertificate:
        """Judges the policies on the model's held-out days; kept as ``certificate``."""
        from gridmodel.learning.certify import certify

        self.certificate = certify(self)
        return self.certificate

    def save(self, path: str | Path) -> Path:
        """Writes weights, history and what model they belong to as one .npz file, whole or not at all."""
        path = Path(path).with_suffix(".npz")
        about = {
            "method": self.method, "seed": self.seed, "fingerprint": self.graph.fingerprint, "model": self.graph.name,
            "status": self.status, "message": self.message, "seconds": self.seconds, "options": dict(self.options),
            "history": [asdict(one) for one in self.history], "source": self.source,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        arrays: dict[str, Any] = dict(self.weights)
        np.savez(part, about=np.array(json.dumps(about)), **arrays)
        os.replace(part, path)
        return path

    @classmethod
    def load(cls, path: str | Path, model: Model) -> Policy:
        """Policies of a model from a file.

        Raises:
            DataError: no such file, or not a policy. ModelError: of another model.
        """
        from gridmodel.learning.judge import require_days
        from gridmodel.passes.training.graph import training_graph

        about, weights = read_policy(path)
        graph = training_graph(model, require_days(model.scenarios, model.name)[0])
        if about["fingerprint"] != graph.fingerprint:
            raise ModelError(
                f"{path} holds policies of model {about['model']!r} with other agents, dynamics or observations "
                f"(fingerprint {about['fingerprint']}, this model has {graph.fingerprint}); build the model with the "
                "options that it was trained with."
            )
        history = tuple(Round(**one) for one in about["history"])
        return cls(
            about["method"], about["seed"], graph, weights, history, tuple(about["seconds"]), about["status"],
            about["message"], model, about["options"], source=about.get("source"),
        )  # fmt: skip

    def export(self, folder: str | Path, agents: Sequence[str] | None = None) -> tuple[Path, ...]:
        """An ONNX file an agent and a contract file that says what goes in and out; ``agents``: some of them only."""
        from gridmodel.learning.export import export

        return export(self, folder, agents)

    def module(self, agent: str) -> AgentNetwork:
        """The network of one agent, "battery[3]", as a module of torch; it takes what the contract file says."""
        from gridmodel.learning.module import module_of

        return module_of(self, agent)


def read_policy(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """What ``Policy.save`` wrote: what it is about, and its weights.

    Raises:
        DataError: no such file, or not a policy.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            return about, {name: file[name] for name in file.files if name != "about"}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        what = error if Path(path).is_dir() or not Path(path).exists() else "it is cut off, or something else"
        raise DataError(f"{path} is no policy that gridmodel saved: {what}.") from None
