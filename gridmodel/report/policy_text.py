"""Trained policies in words and as JSON, and the line that tells how training goes."""

from __future__ import annotations

import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridmodel.learning.certificate import PolicyCertificates
    from gridmodel.learning.policy import Policy
    from gridmodel.runtime.training import Round

__all__ = ["policies_dict", "policies_text", "policy_dict", "policy_text", "training_line", "warnings_as_lines"]

_RECENT = 8
_KEYS = (
    "violation_share", "violation_worst_pu", "violation_p95_pu", "savings_share", "cost", "cost_optimum", "cost_idle",
)  # fmt: skip
_MORE = ("days", "unsolved", "cost_network", "savings_network_share", "network_days", "network_worst_pu")


def policy_text(policy: Policy, place: str) -> str:
    """How it was trained, where it is kept, and its certificate."""
    lines = [f"{policy.graph.name}, {policy.method}: {policy.status}", f"  {policy.message}"]
    if policy.history:
        calls, seconds = policy.history[-1].calls, policy.seconds[-1]
        acting, every = _acting(policy), policy.graph.agents
        lines += [
            f"  {acting} policies{'' if acting == every else f' of {every} agents'}, "
            f"{len(policy.history)} rounds, {calls} calls of the environment, {seconds:.1f} s, seed {policy.seed}",
            f"  last rounds: {_recent(policy.history)}",
        ]
    lines.append(f"  policies in {place}")
    if policy.certificate is not None:
        lines += ["", "certificate", *(f"  {line}" for line in str(policy.certificate).split("\n"))]
    return "\n".join(lines)


def policy_dict(policy: Policy) -> dict[str, Any]:
    """What ``--json`` writes; numbers of the certificate are null where it was not made."""
    made = policy.certificate
    return {
        "model": policy.graph.name, "method": policy.method, "status": policy.status, "seed": policy.seed,
        "agents": policy.graph.agents, "policies": _acting(policy), "rounds": len(policy.history),
        "calls": policy.history[-1].calls if policy.history else 0,
        "seconds": policy.seconds[-1] if policy.seconds else 0.0,
        **{key: None if made is None else getattr(made, key) for key in _KEYS},
        "currency": policy.graph.currency,
        **{key: None if made is None else getattr(made, key) for key in _MORE},
        "baselines": {} if made is None else {name: asdict(one) for name, one in made.baselines.items()},
        "states": {} if made is None else {name: asdict(one) for name, one in made.states.items()},
        "notes": [] if made is None else list(made.notes),
        "history": [
            {"seconds": seconds, "cost": one.cost, "share": one.share, "worst_pu": one.worst, "calls": one.calls}
            for seconds, one in zip(policy.seconds, policy.history, strict=True)
        ],
    }  # fmt: skip


def policies_text(found: PolicyCertificates, places: Sequence[str]) -> str:
    """Several trainings of one model side by side, and where they are kept."""
    kept = [f"{label}: policies in {place}" for label, place in zip(found.labels, places, strict=True)]
    return "\n".join([*kept, "", "certificates", *(f"  {line}" for line in str(found).split("\n"))])


def policies_dict(policies: Sequence[Policy], found: PolicyCertificates, places: Sequence[str]) -> dict[str, Any]:
    """What ``--json`` writes of several: each as by itself, with its file, and mean and spread over them."""
    each = [{"file": place, **policy_dict(policy)} for policy, place in zip(policies, places, strict=True)]
    return {"policies": each, "mean": found.mean, "spread": found.spread}


def _acting(policy: Policy) -> int:
    """Agents that decide something; the others, such as loads, are there for the network."""
    return sum(kind.size for kind in policy.graph.kinds if kind.actions)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Warnings as lines of the terminal, each once: those that differ in numbers only are one."""
    told: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        kind = re.sub(r"\d+", "0", text)
        if kind not in told:
            told.add(kind)
            sys.stderr.write(f"gridmodel: warning: {text}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


@contextmanager
def training_line(what: str) -> Iterator[Callable[[int, int, Round], None] | None]:
    """A callback of ``gm.train`` that keeps a bar up to date; None where output goes to a pipe or a file."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    recent: deque[Round] = deque(maxlen=_RECENT)
    columns = (
        TextColumn(escape(what)), BarColumn(12), MofNCompleteColumn(), TimeRemainingColumn(),
        # On a narrow terminal it goes on in a second line: the violation is never cut off the cost.
        TextColumn("{task.fields[seen]}", markup=False, table_column=Column(no_wrap=False, overflow="fold")),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, seen="")

        def show(number: int, total: int, seen: Round) -> None:
            recent.append(seen)
            bar.update(task, completed=number, total=total or None, seen=_recent(recent))

        yield show


def _recent(rounds: Sequence[Round] | deque[Round]) -> str:
    """Cost and violation together, over the last rounds: each sees a few days only."""
    last = list(rounds)[-_RECENT:]
    cost, share = (sum(values) / len(last) for values in zip(*((one.cost, one.share) for one in last), strict=True))
    worst = max(one.worst for one in last)
    return f"cost {cost:.6g} a day, {100 * share:.4f} % of node-steps outside, worst {worst:.5f} pu"
