"""The alternating direction method of multipliers, in the form that suits the couplings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, final

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.claim import Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.agreed import all_agreements
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.consensus import Consensus
from gridmodel_solvers.exchange import Exchange

__all__ = ["ADMM"]

Form = Literal["auto", "fused", "exchange", "consensus", "edge"]
_MEMORY = {"exchange": 10, "consensus": 10, "edge": 30}
_FORMS: tuple[Form, ...] = ("auto", "fused", "exchange", "consensus", "edge")


@dataclass(frozen=True)
class _Running:
    """The form that was chosen, and its state."""

    form: AbstractAlgorithm
    state: Any


@final
@dataclass(frozen=True)
class ADMM(AbstractAlgorithm):
    """ADMM on the coupling rows.

    form: "fused" sweeps over all blocks at once (quadratic blocks), "exchange" lets agents solve their own problem and
        a coordinator add up, "consensus" takes means of agreed variables, "edge" needs no coordinator: neighbours
        agree in a metric of their own, and add up what acceleration needs along a spanning tree;
        "auto" takes the first that the model permits.
    rho: penalty; None finds one. relaxation: in (0, 2); None takes 1.8 in the fused form, 1 for quadratic agents in the
        edge form and 1.6 else.
    memory: Anderson steps remembered, 0 for none; None takes 30 for the edge form and 10 for the others.
    oracle: "auto", or the kind of local solver: "closed", "group", "batched", "osqp", "clarabel". The sweep has no use
        for rho, memory and oracle: with one of them "auto" leaves it out.

    Source: Boyd et al. (2011), Distributed Optimization and Statistical Learning via ADMM.
    """

    name: ClassVar[str] = "admm"
    rank: ClassVar[int] = 0
    smooth: ClassVar[bool] = True
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("what it offers to its coupling rows", "coordinator"),)

    rho: float | None = None
    form: Form = "auto"
    relaxation: float | None = None
    memory: int | None = None
    oracle: str = "auto"

    def __post_init__(self) -> None:
        if self.form == "edge":
            offers = "what it offers to the rows of two, and how far it yields there"
            object.__setattr__(self, "reveals", (Reveal(offers, "neighbours"),))
            object.__setattr__(self, "every_round", True)
        if self.form not in _FORMS:
            raise ModelError(f"form={self.form!r} is no form of ADMM; use one of {', '.join(map(repr, _FORMS))}.")
        if self.rho is not None and not self.rho > 0:
            raise ModelError(f"rho={self.rho} cannot be a penalty; use a number above 0, or None to have one found.")
        if self.relaxation is not None and not 0 < self.relaxation < 2:
            raise ModelError(f"relaxation={self.relaxation} does not converge; use a number between 0 and 2.")
        if self.memory is not None and self.memory < 0:
            raise ModelError(f"memory={self.memory} is no number of steps; use 0 for none, or 10 to 30.")
        if self.form == "fused" and not self._sweeps:
            raise ModelError(
                "form='fused' weighs, remembers and solves by itself; leave out rho, memory and oracle, or use "
                "form='exchange' with them."
            )

    def variants(self) -> Mapping[str, AbstractAlgorithm]:
        """The forms, with the other options as they are."""
        return {form: replace(self, form=form) for form in _FORMS if form != "auto"}

    def settled(self, properties: Properties) -> ADMM:
        """The same options with the form that suits a model of these properties.

        Raises:
            NotApplicableError: the form asked for does not apply.
        """
        form = self.form if self.form != "auto" else self._suitable(properties)
        made = replace(self, form=form)
        verdict = made.verdict(properties)
        if not verdict.applies:
            raise NotApplicableError(f"ADMM(form={form!r}) does not apply: {verdict.reason}.")
        return made

    def verdict(self, properties: Properties) -> Verdict:
        """Whether the form applies, for "auto" the form that suits best."""
        if self.form == "auto":
            chosen = self._suitable(properties)
            inner = replace(self, form=chosen).verdict(properties)
            if inner.applies:
                return Verdict(True, f"{chosen} form: {inner.reason}")
            return Verdict(False, f"the topology forbids a coordinator, and {inner.reason}")
        if self.form == "fused" and not properties.is_qp:
            cones = [fact for fact in properties.blocks if fact.kind == "conic"]
            where = f"{cones[0].example} has {cones[0].cones}" if cones else "an agent has cones"
            return Verdict(False, f"the sweep takes quadratic agents only, and {where}")
        if self.form == "fused" and not properties.coordinator:
            return Verdict(False, "a coordinator must solve the coupling rows, and the topology forbids one")
        return self._made(self.form).verdict(properties)

    def over(self, channel: Channel) -> AbstractAlgorithm:
        """The exchange form by a coordinator whose packets may be lost or late, plain: no relaxation, no memory.

        Raises:
            NotApplicableError: the edge form, or an option that needs a perfect channel.
        """
        from gridmodel_solvers.coordinated_admm import CoordinatedADMM

        if channel.is_ideal and channel.mask is None:
            return self
        if self.form == "edge":
            raise NotApplicableError(
                "the edge form of 'admm' runs over a perfect channel only; use 'relaxed-admm' for agreements and "
                "'relaxed-dual-consensus' for resources, by which neighbours stand faults."
            )
        for option in ("relaxation", "memory"):
            if getattr(self, option):
                raise NotApplicableError(
                    f"ADMM({option}={getattr(self, option)}) needs a channel without faults; leave {option} out."
                )
        return CoordinatedADMM(self.rho, self.oracle).over(channel)

    def traffic(self, problem: Separable | SmoothProblem) -> Traffic:
        """What one round of the form sends."""
        return self._chosen(problem).traffic(problem)

    def init(self, problem: Separable | SmoothProblem, warm: Iterate | None, tolerance: float) -> _Running:
        """The first state; "auto" is settled by the matrices here where ``settled`` was not asked before."""
        form = self._chosen(problem)
        return _Running(form, form.init(problem, warm, tolerance))

    def step(self, state: Any) -> _Running:
        """One round."""
        return _Running(state.form, state.form.step(state.state))

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        iterate: Iterate = state.form.observe(state.state)
        return iterate

    def guess(self, state: Any) -> bytes | None:
        """The form's."""
        guess: bytes | None = state.form.guess(state.state)
        return guess

    def refine(self, state: Any) -> tuple[Iterate, int] | None:
        """The form's."""
        refined: tuple[Iterate, int] | None = state.form.refine(state.state)
        return refined

    def _chosen(self, problem: Separable | SmoothProblem) -> AbstractAlgorithm:
        if isinstance(problem, SmoothProblem):
            from gridmodel_solvers.smooth_admm import SmoothADMM

            memory = _MEMORY["edge"] if self.memory is None else self.memory
            return SmoothADMM(self.rho, self.relaxation, memory, self.form == "edge")
        return self._made(self._form_for(problem))

    def _form_for(self, problem: Separable) -> str:
        if self.form == "fused" and not problem.is_qp:
            stack = next(stack for stack in problem.stacks if stack.cones)
            raise NotApplicableError(
                f"form='fused' takes quadratic agents only; {stack.labels[0]} has {stack.cones}. Use form='exchange'."
            )
        if self.form != "auto":
            return self.form
        if problem.is_qp and self._sweeps:
            return "fused"
        return "consensus" if all_agreements(problem) else "exchange"

    def _made(self, form: str) -> AbstractAlgorithm:
        if form == "fused":
            from gridmodel_solvers.fused import Fused

            return Fused() if self.relaxation is None else Fused(relaxation=self.relaxation)
        memory = self.memory if self.memory is not None else _MEMORY[form]
        if form == "consensus":
            return Consensus(self.rho, self.relaxation or 1.6, memory, self.oracle)
        return Exchange(self.rho, self.relaxation, memory, form == "edge", self.oracle)

    @property
    def _sweeps(self) -> bool:
        """Whether no option is set that the fused sweep has no use for."""
        return self.rho is None and self.memory is None and self.oracle == "auto"

    def _suitable(self, properties: Properties) -> Form:
        if not properties.coordinator:
            return "edge"
        if properties.is_qp and self._sweeps:
            return "fused"
        return "consensus" if properties.all_agreement else "exchange"
