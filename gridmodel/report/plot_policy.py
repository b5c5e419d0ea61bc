"""Pictures of policies: voltages before and after, what agents do, cost and violation over the time of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.feeder import Feeder
from gridmodel.report.style import COLORS, INK, dress, legend, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridmodel.ir.scenarios import Scenarios
    from gridmodel.learning.judge import Judged
    from gridmodel.learning.policy import Policy

__all__ = ["draw_histories", "draw_policy"]

Floats = NDArray[np.float64]
_DAYS = 8
_SAMPLED = 3
_SMOOTH = 8
_NOISE = 1e-9  # pu


def draw_policy(policy: Policy) -> Figure:
    """Four fields, the upper two where there is a network.

    Voltages of the feeder without and with the policies, at each bus the one nearest to or furthest beyond a limit on
    some held-out days; actions of sampled agents on the first of them, with the price; training's cost and violation.

    Raises:
        ModelError: the policy has no model.
    """
    from matplotlib.figure import Figure

    days = _held_out(policy)
    feeder = getattr(policy.graph.network, "feeder", None)
    grid = isinstance(feeder, Feeder)
    figure = Figure(figsize=(14.0, 10.4 if grid else 5.2), layout="constrained", dpi=120)
    rows = figure.subfigures(2 if grid else 1, 1, height_ratios=(1.1, 1.0) if grid else None, squeeze=False)[:, 0]
    left, right = rows[-1].subfigures(1, 2, squeeze=False)[0]
    _actions(left.subplots(2, 1, sharex=True, height_ratios=(1.0, 2.2)), policy, days.take(0))
    _history(right.subplots(2, 1, sharex=True), {policy.method: policy})
    dress(figure, literal(f"{policy.graph.name}: {policy.method}, {policy.graph.agents} agents, {policy.status}"))
    if grid:
        _feeders(rows[0], policy, days)
    return figure


def draw_histories(policies: Mapping[str, Policy]) -> Figure:
    """Cost and violation of several ways of training against time, by the name of each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 7.0), layout="constrained", dpi=120)
    _history(figure.subplots(2, 1, sharex=True), policies)
    names = dict.fromkeys(policy.graph.name for policy in policies.values())
    dress(figure, literal(f"{', '.join(names)}: cost and violation over the time of training"))
    return figure


def _held_out(policy: Policy) -> Scenarios:
    from gridmodel.errors import ModelError
    from gridmodel.passes.training.graph import training_days

    if policy.model is None:
        raise ModelError("the policy carries no model; load it with Policy.load(path, model).")
    return training_days(policy.model)[1].take(slice(_DAYS))


def _feeders(part: Any, policy: Policy, days: Scenarios) -> None:
    from gridmodel.learning.certify import policies_of
    from gridmodel.learning.judge import judge_days
    from gridmodel.report.diagram import diagram, one_line

    network = policy.graph.network
    assert network is not None
    found = [judge_days(policy.graph, own, days) for own in (None, policies_of(policy))]
    shown = [_by_bus(network.nodes, one, network.lower, network.upper) for one in found]
    every = [u for one in shown for u, _ in one.values()]
    span = (min(every), max(every)) if every else None
    drawn = diagram(network.feeder)  # type: ignore[attr-defined]
    fields, titles = part.subplots(1, 2), ("without policies", "with policies")
    for axes, values, one, title in zip(fields, shown, found, titles, strict=True):
        voltages = {bus: u for bus, (u, _) in values.items()}
        one_line(axes, drawn, voltages, label="voltage nearest to or beyond a limit [pu]", span=span)
        axes.set_title(f"{title}: {100 * one.share:.3g} % of node-steps outside, worst {one.worst:.2g} pu", fontsize=11)
        _mark(axes, [drawn.place[bus] for bus, (_, room) in values.items() if room < -_NOISE and bus in drawn.place])


def _by_bus(nodes: tuple[str, ...], one: Judged, lower: Floats, upper: Floats) -> dict[str, tuple[float, float]]:
    """Of every bus, the voltage on all days, steps and phases that has least room to its limits, and this room."""
    assert one.u is not None
    u = one.u.reshape(-1, one.u.shape[-1])
    room = np.where(np.isfinite(u), np.minimum(u - lower, upper - u), np.inf)
    at = (room.argmin(axis=0), np.arange(u.shape[1]))
    found: dict[str, tuple[float, float]] = {}
    for name, value, left in zip(nodes, u[at], room[at], strict=True):
        bus = name.rpartition(".")[0]
        if np.isfinite(left) and (bus not in found or left < found[bus][1]):
            found[bus] = float(value), float(left)
    return found


def _mark(axes: Axes, spots: list[tuple[float, float]]) -> None:
    """Rings around buses that leave their limits."""
    if spots:
        x, y = np.array(spots).T
        axes.scatter(
            x, y, s=70, facecolors="none", edgecolors=COLORS[1], linewidths=1.3, zorder=4, label="outside its limits"
        )
        legend(axes)


def _actions(fields: Any, policy: Policy, day: Scenarios) -> None:
    """The first action of a few agents of every kind over one day; above it the price, or another shared series."""
    import torch

    from gridmodel.ir.training import Leaf
    from gridmodel.learning.certify import policies_of
    from gridmodel.runtime.environment import Environment

    upper, lower = fields
    graph = policy.graph
    env = Environment(graph, torch.float64)
    with torch.no_grad():
        gone = env.rollout(policies_of(policy), env.batch(day), flow=False)
    hours = graph.hours * np.arange(graph.steps + 1)
    acting = [k for k, kind in enumerate(graph.kinds) if kind.actions]
    for rank, k in enumerate(acting):
        kind = graph.kinds[k]
        values = gone.courses[k].leaves[Leaf("action", kind.actions[0].name)][:, 0].numpy()
        for j, i in enumerate(np.unique(np.linspace(0, kind.size - 1, _SAMPLED).astype(int))):
            lower.stairs(
                values[:, i], hours, baseline=None, color=COLORS[rank % len(COLORS)], alpha=(1.0, 0.6, 0.35)[j],
                linewidth=1.4, label=literal(kind.labels[i]),
            )  # fmt: skip
    units = sorted({graph.kinds[k].actions[0].unit or "" for k in acting} - {""})
    lower.set(xlabel="hour of the day", ylabel=literal(" or ".join(units) or "action"))
    lower.set_xlim(0.0, hours[-1])
    lower.legend(fontsize=8, framealpha=0.85, edgecolor="none", ncols=max(len(acting), 1))
    name, price = _price(policy, day)
    if price is not None:
        upper.stairs(price, hours, baseline=None, color=INK, linewidth=1.4)
        upper.set_ylabel(literal(name))
    upper.set_title("Actions of some agents on a held-out day")


def _price(policy: Policy, day: Scenarios) -> tuple[str, Floats | None]:
    """The series called price, else the first that all agents of a kind share."""
    shared = [(kind.name, name) for kind in policy.graph.kinds for name, all_ in kind.series.items() if all_]
    if not shared:
        return "", None
    agent, name = next((pair for pair in shared if pair[1] == "price"), shared[0])
    return name, day.of(agent, name)[0]


def _history(fields: Any, policies: Mapping[str, Policy]) -> None:
    """Running means over rounds: each sees a few days only."""
    upper, lower = fields
    drawn, top = False, 1e-3
    for rank, (name, policy) in enumerate(policies.items()):
        if not policy.history:
            continue
        drawn = True
        seconds = np.array(policy.seconds)
        cost, share = (_running(np.array([getattr(one, what) for one in policy.history])) for what in ("cost", "share"))
        style: dict[str, Any] = {"color": COLORS[rank % len(COLORS)], "linewidth": 1.4, "label": literal(name)}
        mark = {"marker": "o", "markersize": 4} if len(seconds) == 1 else {}
        upper.plot(seconds, cost, **style, **mark)
        lower.plot(seconds, 100 * share, **style, **mark)
        top = max(top, 100 * float(share.max()))
    money = next((policy.graph.currency for policy in policies.values()), "cost")
    upper.set(title="Training", ylabel=literal("cost of a day" + ("" if money == "cost" else f" [{money}]")))
    lower.set(xlabel="seconds", ylabel="node-steps outside [%]")
    if drawn:
        lower.set_yscale("symlog", linthresh=1e-3)
        lower.set_ylim(0.0, 2 * top)
        legend(upper)
    else:
        upper.text(0.5, 0.5, "no history", ha="center", va="center", transform=upper.transAxes, color=INK)


def _running(values: Floats) -> Floats:
    """The mean of the last rounds at each."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - _SMOOTH, 0)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))
