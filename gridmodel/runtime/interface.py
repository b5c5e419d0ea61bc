"""What an algorithm is: frozen options, a separate state, pure steps."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.runtime.channel import Channel

__all__ = ["AbstractAlgorithm", "Iterate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Iterate:
    """What an algorithm shows of its state when it is looked at.

    x: columns of each stack, shape (N, n) each.
    mu: multipliers of the coupling rows, shape (rows,): Lagrangian f + mu'(C x - y).
    nu: multipliers of the local equations A x = b, shape (N, m) each: Lagrangian ... + nu'(A x - b).
    zeta: multipliers of the cone rows in the dual cone, shape (N, g) each: Lagrangian ... - zeta'(G x + h).
    dual_residual: the algorithm's own measure of how far marginal costs disagree, over their scale.
    """

    x: Sequence[Floats]
    mu: Floats
    nu: Sequence[Floats]
    zeta: Sequence[Floats]
    dual_residual: float


class AbstractAlgorithm(abc.ABC):
    """A distributed algorithm over stacks.

    ``name`` is the word on the command line. Options are fields of a frozen dataclass; ``init`` makes the state,
    ``step`` is one round and returns the next state, ``observe`` shows what the run judges. A state is never
    changed by a later step in a way that an earlier ``Iterate`` would notice.
    """

    name: ClassVar[str]
    smooth: ClassVar[bool] = False
    """Whether it also takes models that are smooth without being convex: a ``SmoothProblem`` in ``init``."""
    needs_curvature: ClassVar[bool] = False
    """Whether the verdict asks how blocks respond to prices."""
    rank: ClassVar[int] = 50
    """Among algorithms that apply and are equally sure, "auto" takes the one of the least rank."""
    claims: ClassVar[Mapping[str, Claim]] = {}
    """How it ends under each fault of a channel; empty where it runs over a perfect channel only."""
    lost: ClassVar[str] = ""
    """Its rule for messages that get lost (see docs/channel.md); empty where none may be."""
    every_round: ClassVar[bool] = False
    """Whether every round is judged, because a round is dear and few are needed."""
    sparing: ClassVar[bool] = False
    """Whether no algorithm that applies needs fewer rounds."""
    forgiving: ClassVar[bool] = False
    """Whether the others' optimum is reached though an agent leaves without handing over."""
    reveals: ClassVar[tuple[Reveal, ...]] = ()
    """What an agent shows of itself, to whom."""

    @abc.abstractmethod
    def verdict(self, properties: Properties) -> Verdict:
        """Whether the algorithm applies to a model of these properties, and why."""

    def variants(self) -> Mapping[str, AbstractAlgorithm]:
        """Forms of the algorithm with a name of their own, asked for as ``name:form``."""
        return {}

    def settled(self, properties: Properties) -> AbstractAlgorithm:
        """The same options with whatever they leave open decided for a model of these properties."""
        del properties
        return self

    @abc.abstractmethod
    def traffic(self, problem: Any) -> Traffic:
        """What one round sends; ``problem`` is a ``Separable``, or a ``SmoothProblem`` for one that takes both."""

    @abc.abstractmethod
    def init(self, problem: Any, warm: Iterate | None, tolerance: float) -> Any:
        """The first state; ``warm`` is the end of an earlier run on the same structure."""

    @abc.abstractmethod
    def step(self, state: Any) -> Any:
        """One round."""

    @abc.abstractmethod
    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""

    def over(self, channel: Channel) -> AbstractAlgorithm:
        """The algorithm over a channel with faults.

        Raises:
            NotApplicableError: it is written for a channel that loses nothing.
        """
        if channel.is_ideal and channel.mask is None:
            return self
        raise NotApplicableError(
            f"{self.name!r} runs over a perfect channel only; gridmodel.explain lists the algorithms that stand faults."
        )

    def sent(self, state: Any, rounds: int) -> tuple[int, int] | None:
        """Messages and bytes sent so far; None where every round sends what ``traffic`` says."""
        del state, rounds
        return None

    def stuck(self, state: Any) -> str | None:
        """Why further rounds would not better the answer; None while they may."""
        del state
        return None

    def guess(self, state: Any) -> bytes | None:
        """Which limits the state takes for active, as a key to compare; None where ``refine`` has no use of it."""
        del state
        return None

    def refine(self, state: Any) -> tuple[Iterate, int] | None:
        """A more accurate answer near the state's, and the rounds it took; None where there is none.

        The run asks for it when the guess of two judgements agrees, and takes it only where it is better.
        """
        del state
        return None
