"""What a solve gives back: values under the user's names, the history, and the certificate."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import UnknownNameError
from gridmodel.ir.claim import Reveal

__all__ = ["AbstractVerifiable", "Certificate", "Result", "Seconds", "Status", "Trace"]

Floats = NDArray[np.float64]


class AbstractVerifiable(abc.ABC):
    """An answer that ``gm.verify`` judges in a way of its own."""

    @abc.abstractmethod
    def verified(self) -> Any:
        """The certificate, which the answer keeps."""

    @classmethod
    @abc.abstractmethod
    def verified_together(cls, several: Sequence[Any]) -> Any:
        """The certificates of several answers to one model side by side; each answer keeps its own."""


class Status(Enum):
    """How a solve ended; the value is the word in JSON, ``sentence`` says it in full."""

    CERTIFIED = "certified"
    SOLVED = "solved"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """The status as a sentence."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.CERTIFIED: "feasible within the tolerance, and proven that close to the optimum",
    Status.SOLVED: "the residuals are within the tolerance; closeness to the optimum is not proven",
    Status.STOPPED: "stopped at the limit of rounds or seconds before the tolerance was reached",
    Status.INTERRUPTED: "interrupted; this is the best answer so far",
    Status.INFEASIBLE: "no point satisfies all limits and couplings",
    Status.UNBOUNDED: "the cost falls without end",
    Status.FAILED: "the solver gave up",
}


@dataclass(frozen=True)
class Certificate:
    """The proof that goes with an answer.

    tolerance: what was asked for, relative.
    primal_residual: largest violation of a coupling row or a local limit, each over its own scale.
    coupling_residual, local_residual: its two parts.
    dual_residual: largest change of marginal costs that would make the answer stationary, over their scale.
    value: cost of the answer. lower_bound: no feasible point costs less; None with ``no_bound`` saying why.
    size: what gaps are measured against: |value|, or a hundredth of the sum of its terms' sizes where they cancel, or
        a millionth of what a column's range typically costs where all terms are zero.
    gap: (value - lower_bound) / size; None without a bound. It may be below zero by the tolerance on feasibility.
    central_*: filled by ``gm.verify``: the centralized optimum and (value - central_value) / size.
    price_error, price_errors: the largest difference of a price to the central one, over all and by name.
    price_error_relative: the largest difference over the largest price in the same unit. variable_error: the largest
        difference of a variable; large where optima are not unique.
    notes: what a reader should know, e.g. that optima are not unique.
    """

    tolerance: float
    value: float
    size: float
    primal_residual: float
    coupling_residual: float
    local_residual: float
    dual_residual: float | None = None
    lower_bound: float | None = None
    gap: float | None = None
    no_bound: str | None = None
    central_solver: str | None = None
    central_status: str | None = None
    central_value: float | None = None
    central_gap: float | None = None
    price_error: float | None = None
    price_error_relative: float | None = None
    price_errors: Mapping[str, float] = field(default_factory=dict)
    variable_error: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether couplings and local limits hold within the tolerance."""
        return self.primal_residual <= self.tolerance

    @property
    def proven(self) -> bool:
        """Feasible, and within the tolerance of the lower bound."""
        return self.feasible and self.gap is not None and abs(self.gap) <= self.tolerance

    @property
    def holds(self) -> bool:
        """Feasible within the tolerance, and proven or compared to be within it of the optimum."""
        return self.feasible and (
            abs(self.central_gap) <= self.tolerance
            if self.central_gap is not None
            else self.gap is not None and abs(self.gap) <= self.tolerance
        )

    def __str__(self) -> str:
        bound = "no bound" if self.lower_bound is None else f"{self.lower_bound:.8g}"
        lines = [
            f"value              {self.value:.8g}",
            f"lower bound        {bound}" + (f"  ({self.no_bound})" if self.no_bound else ""),
            f"gap                {_number(self.gap)}",
            f"coupling residual  {self.coupling_residual:.2e}",
            f"local residual     {self.local_residual:.2e}",
            f"dual residual      {_number(self.dual_residual)}",
        ]
        if self.central_value is not None:
            lines += [
                f"central optimum    {self.central_value:.8g}  ({self.central_solver}, {self.central_status})",
                f"gap to it          {_number(self.central_gap)}",
                f"price error        {_number(self.price_error)}  (relative {_number(self.price_error_relative)})",
                f"variable error     {_number(self.variable_error)}",
            ]
        elif self.central_status is not None:
            lines.append(f"central optimum    {self.central_status}  ({self.central_solver})")
        return "\n".join([*lines, *self.notes])


@dataclass(frozen=True)
class Trace:
    """The history of a run, one entry a check.

    rounds, value, bound, primal, dual, seconds: shape (checks,); a missing bound is NaN.
    prices: shape (checks, rows kept); rows: which coupling rows those are.
    states: of an algorithm over a topology, the first of the numbers on which agents are to agree, as each holds it,
        shape (checks, agents kept); agents: who those are.
    """

    rounds: Floats
    value: Floats
    bound: Floats
    primal: Floats
    dual: Floats
    seconds: Floats
    prices: Floats
    rows: NDArray[np.intp]
    states: Floats | None = None
    agents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seconds:
    """Wall time of the parts of a solve."""

    compile: float = 0.0
    solve: float = 0.0
    verify: float = 0.0


@dataclass
class Result:
    """The answer to a solve.

    value: cost. variables: {agent or fleet: {name: array}}. price, dual: {coupling: number or array}; the
    price is the rise of the optimal cost per unit rise of the coupling's side without variables.
    rounds, messages, bytes: what was exchanged. certificate: the proof; ``gm.verify`` completes it.
    culprit: the agent or coupling that makes the model infeasible or unbounded, where one was found.
    absent: agents that were not there at the end (they left, or had not come); value and certificate are of the others,
        and their own variables are NaN.
    releases: noisy quantities that the agent that sent most of them sent, under ``Channel.privacy``.
    reveals: what an agent showed of itself. channel: the faults of the run, None for a perfect one.
    """

    model_name: str
    algorithm: str
    status: Status
    message: str
    value: float
    variables: Mapping[str, Mapping[str, Any]]
    price: Mapping[str, Any]
    dual: Mapping[str, Any]
    certificate: Certificate | None
    trace: Trace | None
    rounds: int = 0
    messages: int = 0
    bytes: int = 0
    seconds: Seconds = field(default_factory=Seconds)
    culprit: str | None = None
    absent: tuple[str, ...] = ()
    units: Mapping[str, str | None] = field(default_factory=dict)
    currency: str = "cost"
    coupling_rows: Mapping[int, str] = field(default_factory=dict)
    releases: int = 0
    reveals: tuple[Reveal, ...] = ()
    channel: Any = None
    model: Any = field(default=None, repr=False)
    state: Any = field(default=None, repr=False)

    def __getitem__(self, agent: str) -> Mapping[str, Any]:
        if agent not in self.variables:
            raise UnknownNameError(f"the result has no agent {agent!r}; it has {', '.join(self.variables)}.")
        return self.variables[agent]

    def __repr__(self) -> str:
        return (
            f"Result({self.model_name!r}, {self.algorithm!r}, {self.status.value}, value={self.value:.8g}, "
            f"rounds={self.rounds})"
        )


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2e}"
