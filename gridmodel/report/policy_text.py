"""Trained policies in words and as JSON, and the line that tells how training goes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridmodel.learning.policy import Policy
    from gridmodel.runtime.training import Round

__all__ = ["policy_dict", "policy_text", "training_line"]

_RECENT = 8
_KEYS = (
    "violation_share", "violation_worst_pu", "violation_p95_pu", "savings_share", "cost", "cost_optimum", "cost_idle",
)  # fmt: skip


def policy_text(policy: Policy, place: str) -> str:
    """How it was trained, where it is kept, and its certificate."""
    lines = [f"{policy.graph.name}, {policy.method}: {policy.status}", f"  {policy.message}"]
    if policy.history:
        calls, seconds = policy.history[-1].calls, policy.seconds[-1]
        lines += [
            f"  {policy.graph.agents} agents, {len(policy.history)} rounds, {calls} calls of the environment, "
            f"{seconds:.1f} s, seed {policy.seed}",
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
        "agents": policy.graph.agents, "rounds": len(policy.history),
        "calls": policy.history[-1].calls if policy.history else 0,
        "seconds": policy.seconds[-1] if policy.seconds else 0.0,
        **{key: None if made is None else getattr(made, key) for key in _KEYS},
        "currency": policy.graph.currency, "days": None if made is None else made.days,
        "unsolved": None if made is None else made.unsolved,
        "idle_share": None if made is None else made.idle_share,
        "idle_worst_pu": None if made is None else made.idle_worst_pu,
        "history": [
            {"seconds": seconds, "cost": one.cost, "share": one.share, "worst_pu": one.worst, "calls": one.calls}
            for seconds, one in zip(policy.seconds, policy.history, strict=True)
        ],
    }  # fmt: skip


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
