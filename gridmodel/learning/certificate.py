"""What policies are worth, in numbers and words: of one training, and of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Baseline", "Left", "PolicyCertificate", "PolicyCertificates"]

_SPREAD = ("savings_share", "cost", "violation_share", "violation_worst_pu")
_HEAD = ("cost a day", "outside %", "worst pu", "95 % pu")
_NETWORK = (
    "With network: by the exact load flow within the limits and stationary; not proven to be the best, so no bound."
)


@dataclass(frozen=True)
class Left:
    """How agents leave the limits of a state. share: of agent-steps. worst: in its unit; part: over its range."""

    share: float
    worst: float
    part: float
    unit: str | None


@dataclass(frozen=True)
class Baseline:
    """Held-out days of the same agents without policies: cost a day, and the voltages as of a certificate."""

    cost: float
    share: float
    worst_pu: float
    p95_pu: float
    unsolved: int


@dataclass(frozen=True)
class PolicyCertificate:
    """What policies are worth on days that they never saw, by the exact load flow.

    violation_share: of node-steps outside the limits. violation_worst_pu: by how much at most; violation_p95_pu: the
    95th percentile of the node-steps outside. cost, cost_idle, cost_optimum: of a day of all agents on average, under
    the policies, without any, and under perfect foresight without the network's limits, a lower bound. savings_share:
    (cost_idle - cost) / (cost_idle - cost_optimum). days: judged. unsolved: steps without a load flow, in no statistic.
    nodes: with limits, 0 without a network. baselines: by name, "without policies" first. states: how "agent.state"
    leaves its limits, for all that have any. cost_network, savings_network_share: of the optimum within the network's
    limits, on the first ``network_days`` days that have one; network_worst_pu: by which it leaves them.
    """

    violation_share: float
    violation_worst_pu: float
    violation_p95_pu: float
    savings_share: float | None
    cost: float
    cost_optimum: float | None
    cost_idle: float
    days: int
    unsolved: int
    nodes: int
    currency: str
    baselines: Mapping[str, Baseline]
    states: Mapping[str, Left] = field(default_factory=dict)
    cost_network: float | None = None
    savings_network_share: float | None = None
    network_days: int = 0
    network_worst_pu: float = 0.0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        own = self.violation_share, self.violation_worst_pu, self.violation_p95_pu
        rows = [("policies", _numbers(self.cost, *self._voltages(own))), *self._beside()]
        lines = [self._days(), *_table(_HEAD, rows), f"savings            {_saved(self.savings_share)}"]
        if self.savings_network_share is not None:
            lines.append(f"savings on network {_saved(self.savings_network_share)}, {_count(self.network_days)}")
        if self.unsolved:
            lines.append(f"no load flow in    {self.unsolved} steps, which no statistic holds")
        return "\n".join([*lines, *_left(self.states), *self._told()])

    def _beside(self) -> list[tuple[str, Sequence[str]]]:
        """The rows to read policies by."""
        rows: list[tuple[str, Sequence[str]]] = [
            (name, _numbers(one.cost, *self._voltages((one.share, one.worst_pu, one.p95_pu))))
            for name, one in self.baselines.items()
        ]
        if self.cost_network is not None:
            worst = f"{self.network_worst_pu:.5f}"
            rows.append((f"with network, {_count(self.network_days)}", (f"{self.cost_network:.6g}", "", worst)))
        best = "not known" if self.cost_optimum is None else f"{self.cost_optimum:.6g}"
        return [*rows, ("lower bound", (best, "(perfect foresight, no network)"))]

    def _voltages(self, found: tuple[float, float, float]) -> tuple[float | None, ...]:
        return found if self.nodes else (None,) * 3

    def _days(self) -> str:
        exact = ", exact load flow" if self.nodes else ""
        money = "" if self.currency == "cost" else f"; costs in {self.currency}"
        return f"days               {self.days} held out{exact}{money}"

    def _told(self) -> tuple[str, ...]:
        missing = tuple(
            f"No load flow in {one.unsolved} steps of {name!r}." for name, one in self.baselines.items() if one.unsolved
        )
        return (*missing, *((_NETWORK,) if self.cost_network is not None else ()), *self.notes)


@dataclass(frozen=True)
class PolicyCertificates:
    """Certificates of several policies of one model, which share bound and baselines.

    labels: of each. mean, spread: of savings_share, cost, violation_share and violation_worst_pu, the spread as largest
    minus smallest; None where one is not known.
    """

    labels: tuple[str, ...]
    certificates: tuple[PolicyCertificate, ...]

    @property
    def mean(self) -> dict[str, float | None]:
        """By key."""
        known = ((key, self._of(key)) for key in _SPREAD)
        return {key: None if values is None else sum(values) / len(values) for key, values in known}

    @property
    def spread(self) -> dict[str, float | None]:
        """By key."""
        known = ((key, self._of(key)) for key in _SPREAD)
        return {key: None if values is None else max(values) - min(values) for key, values in known}

    def __str__(self) -> str:
        first, each = self.certificates[0], zip(self.labels, self.certificates, strict=True)
        rows = [(label, self._row({key: getattr(one, key) for key in _SPREAD})) for label, one in each]
        rows += [("mean", self._row(self.mean)), ("spread", self._row(self.spread))]
        beside = [(name, ("", *numbers[:3])) for name, numbers in first._beside()]
        lines = [first._days(), *_table(("savings %", *_HEAD[:3]), [*rows, *beside])]
        for label, one in zip(self.labels, self.certificates, strict=True):
            if one.unsolved:
                lines.append(f"{label}: no load flow in {one.unsolved} steps, which no statistic holds")
            lines += [f"{label}: {line}" for line in _left(one.states)]
        shared = set(first._told()).intersection(*(one._told() for one in self.certificates))
        lines += [note for note in first._told() if note in shared]
        for label, one in zip(self.labels, self.certificates, strict=True):
            lines += [f"{label}: {note}" for note in one._told() if note not in shared]
        return "\n".join(lines)

    def _of(self, key: str) -> list[float] | None:
        found = [getattr(one, key) for one in self.certificates]
        return None if None in found else found

    def _row(self, values: Mapping[str, float | None]) -> Sequence[str]:
        saved, cost = values["savings_share"], values["cost"]
        share, worst = (values[key] if self.certificates[0].nodes else None for key in _SPREAD[2:])
        return ("-" if saved is None else f"{100 * saved:.2f}", *_numbers(cost or 0.0, share, worst))


def _numbers(cost: float, share: float | None, *pu: float | None) -> tuple[str, ...]:
    outside = "-" if share is None else f"{100 * share:.4f}"
    return (f"{cost:.6g}", outside, *("-" if x is None else f"{x:.5f}" for x in pu))


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Numbers below their heads; what is longer than a column runs on."""
    wide = max(19, *(len(name) + 1 for name, _ in rows))
    return [
        (name.ljust(wide) + "  ".join(cell.rjust(10) for cell in cells)).rstrip() for name, cells in [("", head), *rows]
    ]


def _left(states: Mapping[str, Left]) -> list[str]:
    """A line for each state that is left."""
    return [
        f"{name:<18} outside in {100 * one.share:.2g} % of agent-steps, worst {one.worst:.2g}"
        f"{'' if one.unit is None else f' {one.unit}'} ({100 * one.part:.2g} % of its range)"
        for name, one in states.items()
        if one.share
    ]


def _saved(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} % of what foresight would save"


def _count(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"
