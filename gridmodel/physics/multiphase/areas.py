"""Areas of a feeder: its tree cut at lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridmodel.errors import ModelError
from gridmodel.physics.multiphase.plan import Plan

__all__ = ["Area", "areas_of"]


@dataclass(frozen=True)
class Area:
    """A connected part of the tree.

    buses: positions, parents first. upstream: the bus of another area that feeds the first of them, None at the
    source; the line from there belongs to this area. cuts: (own bus, first bus of the area that it feeds).
    """

    name: str
    buses: tuple[int, ...]
    upstream: int | None
    cuts: tuple[tuple[int, int], ...]


def areas_of(plan: Plan, areas: int | Mapping[str, str | int]) -> tuple[Area, ...]:
    """The areas of a tree, the one of the source first.

    Args:
        areas: a number K: subtrees of about equal numbers of buses; or the area's name (or number, named areaNUMBER)
            for every bus.

    Raises:
        ModelError: no such number, buses without an area or unknown ones, or an area in several pieces.
    """
    label = _given(plan, areas) if isinstance(areas, Mapping) else _balanced(plan, areas)
    names = list(dict.fromkeys(label))
    found = []
    for name in names:
        own = tuple(k for k, one in enumerate(label) if one == name)
        heads = [k for k in own if k == 0 or label[plan.branches[k - 1].parent] != name]
        if len(heads) > 1:
            apart = " and ".join(plan.frames[k].bus for k in heads[:2])
            raise ModelError(
                f"area {name!r} is in {len(heads)} pieces, e.g. from {apart}; give each a name of its own."
            )
        cuts = tuple((k, child) for k in own for child in plan.children[k] if label[child] != name)
        upstream = None if own[0] == 0 else plan.branches[own[0] - 1].parent
        found.append(Area(name, own, upstream, cuts))
    return tuple(found)


def _given(plan: Plan, areas: Mapping[str, str | int]) -> list[str]:
    label = {bus: area if isinstance(area, str) else f"area{area}" for bus, area in areas.items()}
    if plan.frames[0].bus not in label and len(plan.frames) > 1 and plan.frames[1].bus in label:
        label[plan.frames[0].bus] = label[plan.frames[1].bus]  # the source's own bus behind its impedance
    missing = [frame.bus for frame in plan.frames if frame.bus not in label]
    if missing:
        raise ModelError(f"areas: {len(missing)} buses have no area, e.g. {missing[0]}; name one for each.")
    return [label[frame.bus] for frame in plan.frames]


def _balanced(plan: Plan, count: int) -> list[str]:
    """Cuts off the subtree nearest to the wanted size, again and again; laterals stay whole where they fit."""
    n = len(plan.frames)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= n:
        raise ModelError(f"areas={count!r}: expected a whole number from 1 to the number of buses, {n}, or a mapping.")
    label = ["area1"] * n
    left = n
    for k in range(count, 1, -1):
        size = _sizes(plan, label)
        wanted = left / k
        # a bus that feeds everything that is left cannot be cut off
        own = [bus for bus in range(1, n) if label[bus] == "area1" and size[bus] <= left - (k - 1)]
        if not own:
            raise ModelError(f"areas={count}: the tree has no room for so many; ask for fewer.")
        head = min(own, key=lambda bus: (abs(size[bus] - wanted), bus))
        for bus in _below(plan, label, head):
            label[bus] = f"area{k}"
        left -= size[head]
    names = {name: f"area{k}" for k, name in enumerate(dict.fromkeys(label), 1)}
    return [names[name] for name in label]


def _sizes(plan: Plan, label: list[str]) -> list[int]:
    """Buses of the rest's subtree under each bus, itself included."""
    size = [int(one == "area1") for one in label]
    for k in range(len(label) - 1, 0, -1):
        if label[k] == "area1":
            size[plan.branches[k - 1].parent] += size[k]
    return size


def _below(plan: Plan, label: list[str], head: int) -> list[int]:
    found, waiting = [], [head]
    while waiting:
        bus = waiting.pop()
        found.append(bus)
        waiting += [child for child in plan.children[bus] if label[child] == "area1"]
    return found
