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
from gridmodel.learning.certificate import PolicyCertificate, PolicyCertificates
from gridmodel.runtime.agents import GAIN
from gridmodel.runtime.training import Round

if TYPE_CHECKING:
    from gridmodel.learning.module import AgentNetwork

__all__ = ["Policy", "read_policy"]

Floats = NDArray[np.float64]


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

    def verified(self, optimum: bool = True, network_days: int = 0) -> PolicyCertificate:
        """Judges the policies on the model's held-out days, as ``certify``; kept as ``certificate``."""
        return self.verified_together([self], optimum, network_days).certificates[0]

    @classmethod
    def verified_together(
        cls, several: Sequence[Policy], optimum: bool = True, network_days: int = 0
    ) -> PolicyCertificates:
        """Judges policies of one model; each keeps its certificate."""
        from gridmodel.learning.certify import certify_together

        found = certify_together(several, optimum, network_days)
        for policy, certificate in zip(several, found.certificates, strict=True):
            policy.certificate = certificate
        return found

    def save(self, path: str | Path) -> Path:
        """Writes weights, history and what model they belong to as one .npz file, whole or not at all.

        path: ".npz" is put behind it where it is not there. Returns the file's path.
        """
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
        about = {
            "method": self.method, "seed": self.seed, "fingerprint": self.graph.fingerprint, "model": self.graph.name,
            "status": self.status, "message": self.message, "seconds": self.seconds, "options": dict(self.options),
            "history": [asdict(one) for one in self.history], "source": self.source,
            "gain": GAIN,
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
            DataError: no such file, or not a policy. ModelError: of another model or version.
        """
        from gridmodel.passes.training.graph import training_days, training_graph

        about, weights = read_policy(path)
        if about.get("gain") != GAIN:
            raise ModelError(f"{path} was saved by another version, whose networks say other actions; train again.")
        graph = training_graph(model, training_days(model)[0])
        if about["fingerprint"] != graph.fingerprint:
            counts = {name.split("/")[0]: len(values) for name, values in weights.items()}
            own = {kind.name: kind.size for kind in graph.kinds if kind.actions}
            odd = "agents" if counts != own else "dynamics, places or observations"
            raise ModelError(
                f"{path} holds policies of model {about['model']!r} with other {odd}: of {_counted(counts)}; "
                f"this model has {_counted(own)} (fingerprints {about['fingerprint']} and {graph.fingerprint}). Build "
                "the model with the options that it was trained with."
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


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


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
