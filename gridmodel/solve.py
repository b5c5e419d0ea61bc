"""Solve by name or by object, compare everything that applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gridmodel.answers import central_result
from gridmodel.compile import AbstractCompiled, compile_model
from gridmodel.errors import NotApplicableError, UnknownNameError
from gridmodel.ir.result import Result, Status
from gridmodel.language.model import Model
from gridmodel.membership import channel_of, gone
from gridmodel.methods import algorithms, check_channel, check_prefer, choose, doubts, methods, verdict_on, verdicts
from gridmodel.plan import Plan
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm
from gridmodel.runtime.loop import Progress
from gridmodel.verify.certificate import verify as verify_result

__all__ = ["Comparison", "compare", "compile", "solve"]

Method = str | AbstractAlgorithm
Prefer = Literal["seconds", "rounds"]


@dataclass(frozen=True)
class Comparison:
    """Results of every algorithm that applies, beside the central optimum.

    results: {algorithm: result}, "central" first, which is of those who are there at the end. refused: {algorithm: why
    it does not apply}. inexact: algorithms that are not claimed to end at the optimum.
    """

    results: Mapping[str, Result]
    refused: Mapping[str, str]
    inexact: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        lines = [f"{'algorithm':<12} {'status':<12} {'value':>14} {'gap':>10} {'rounds':>8} {'seconds':>9}"]
        for name, result in self.results.items():
            done = result.certificate
            gap = None if done is None else done.central_gap
            shown = "-" if gap is None else f"{gap:.1e}"
            lines.append(
                f"{name:<12} {result.status.value:<12} {result.value:>14.8g} {shown:>10} {result.rounds:>8} "
                f"{result.seconds.solve:>9.3f}"
            )
        lines += [f"{name:<12} does not apply: {why}" for name, why in self.refused.items()]
        return "\n".join(lines)


def compile(
    model: Model, method: Method = "auto", *, prefer: Prefer = "seconds", channel: Channel | None = None
) -> Plan:
    """Compiles a model for one algorithm; the plan is solved as often as parameters change.

    Args:
        model: agents, couplings, topology.
        method: "auto", "central", an algorithm's name, or an algorithm with its options.
        prefer: what "auto" spares, "seconds" or "rounds".
        channel: what goes wrong between agents; None leaves an algorithm's own, which is perfect unless set.

    Raises:
        ModelError: the model is wrong, or the algorithm does not apply to it or to such a channel.
    """
    check_prefer(prefer)
    _check_channel(method, channel)
    compiled = compile_model(model)
    algorithm, label = _resolve(compiled, method, prefer, channel)
    return Plan(compiled, algorithm, label)


def solve(
    model: Model,
    method: Method = "auto",
    *,
    prefer: Prefer = "seconds",
    channel: Channel | None = None,
    tolerance: float = 1e-4,
    seed: int | None = None,
    max_rounds: int | None = None,
    seconds: float | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Solves a model by a distributed algorithm (or centrally) and certifies the answer.

    Args:
        model: agents, couplings, topology.
        method: "auto", "central", an algorithm's name, or an algorithm with its options.
        prefer: what "auto" spares, "seconds" or "rounds".
        channel: what goes wrong between agents: losses, delays, noise, outages, who leaves or joins.
        tolerance: relative, on residuals and on the gap to the lower bound.
        seed: of the channel's draws, in place of its own.
        max_rounds, seconds: budgets.
        verify: complete the certificate by a central solve.
        progress: called now and then with rounds, primal residual and gap.

    Raises:
        ModelError: the model is wrong, or the algorithm does not apply to it or to such a channel.
    """
    own = channel_of(method) if channel is None and isinstance(method, AbstractAlgorithm) else channel
    if isinstance(own, Channel) and seed is not None:
        channel = replace(own, seed=seed)
    result = compile(model, method, prefer=prefer, channel=channel).solve(
        tolerance=tolerance, max_rounds=max_rounds, seconds=seconds, progress=progress
    )
    asked = verify and (result.algorithm != "central" or not model.convex)
    # Whoever pressed Ctrl-C does not want to wait for a central solve.
    if asked and result.variables and result.status is not Status.INTERRUPTED:
        verify_result(result)
    return result


def compare(model: Model, *, tolerance: float = 1e-4, channel: Channel | None = None) -> Comparison:
    """Solves by every algorithm and form that applies and centrally, and verifies each.

    A form that an algorithm took by itself is not run twice. Ctrl-C ends the comparison with the results so far.

    Args:
        model: agents, couplings, topology.
        tolerance: relative.
        channel: what goes wrong between agents; algorithms that need a perfect channel are then refused.
    """
    _check_channel("auto", channel)
    compiled = compile_model(model)
    absent = () if channel is None else gone(channel)
    results = {"central": central_result(compiled, tolerance, "central", absent)}
    refused: dict[str, str] = {}
    inexact: set[str] = set()
    seen: list[AbstractAlgorithm | None] = []
    for name, (verdict, _) in verdicts(compiled).items():
        if not verdict.applies:
            refused[name] = verdict.reason
            continue
        try:
            algorithm, label = _resolve(compiled, name, "seconds", channel)
        except NotApplicableError as error:
            refused[name] = str(error)
            continue
        if algorithm in seen or algorithm is None:
            continue
        seen.append(algorithm)
        if any(doubts(algorithm, channel).values()):
            inexact.add(name)
        try:
            results[name] = Plan(compiled, algorithm, label).solve(tolerance=tolerance)
        except NotApplicableError as error:
            refused[name] = str(error)
            continue
        if results[name].status is Status.INTERRUPTED:
            break
        if results[name].variables:
            verify_result(results[name])
    return Comparison(results, refused, frozenset(inexact))


def _check_channel(method: Method, channel: Channel | None) -> None:
    check_channel(channel)
    if channel is not None and method == "central":
        raise NotApplicableError(
            "'central' sends no messages that a channel could lose; leave out the channel (--faults)."
        )


def _resolve(
    compiled: AbstractCompiled, method: Method, prefer: str, channel: Channel | None = None
) -> tuple[AbstractAlgorithm | None, str]:
    """The algorithm object and its name, settled for the model and the channel.

    Raises:
        UnknownNameError: no algorithm of this name.
        NotApplicableError: it does not apply.
    """
    if isinstance(method, AbstractAlgorithm):
        algorithm, label = method, method.name
    elif method == "central":
        return None, "central"
    else:
        name = _chosen(compiled, prefer, channel) if method == "auto" else method
        if name not in methods():
            known = ", ".join(["auto", "central", *methods()])
            raise UnknownNameError(f"no algorithm {method!r}; there are {known}.")
        algorithm, label = methods()[name], name
    facts = compiled.properties if algorithm.needs_curvature else compiled.structure
    verdict = verdict_on(algorithm, facts)
    if not verdict.applies:
        raise NotApplicableError(
            f"{label!r} does not apply to model {compiled.model.name!r}: {verdict.reason}. "
            "gridmodel.explain(model) lists those that do."
        )
    settled = algorithm.settled(facts)
    return settled if channel is None else settled.over(channel), label


def _chosen(compiled: AbstractCompiled, prefer: str, channel: Channel | None) -> str:
    """What "auto" takes; curvature is looked for only where the choice rests on it."""
    try:
        quick = choose(compiled.structure, "seconds", channel)[0]
    except NotApplicableError:
        quick = None
    if quick is not None and prefer == "seconds" and not algorithms()[quick].needs_curvature:
        return quick
    return choose(compiled.properties, prefer, channel)[0]
