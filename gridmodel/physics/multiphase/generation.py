"""Distributed generation put onto a feeder that has none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Generator, Terminal
from gridmodel.grid.feeder import Feeder

__all__ = ["load_places", "with_generation"]


def with_generation(
    feeder: Feeder, places: Iterable[str], p_max: float = 50.0, q_max: float = 30.0, cost: float = 0.08
) -> Feeder:
    """The feeder with a one-phase generator at every place.

    Args:
        places: "671.1" from a conductor to the ground, "701.1-2" between two.
        p_max: kW, at least 0. q_max: kvar either way. cost: $/kWh.

    Raises:
        ModelError: a place that is not of this form or not there.
    """
    made = []
    for place in places:
        bus, _, numbers = place.rpartition(".")
        nodes = tuple(int(n) for n in numbers.split("-")) if numbers.replace("-", "").isdigit() else ()
        if not bus or len(nodes) not in (1, 2) or not set(nodes) <= set(feeder.bus(bus).nodes):
            raise ModelError(f'place {place!r}: expected conductors of a bus such as "671.1" or "701.1-2".')
        base = feeder.bus(bus).base
        ends = nodes if len(nodes) == 2 else (nodes[0], 0)
        made.append(
            Generator(
                f"dg {place}", Terminal(bus, ends), 1, "delta" if len(nodes) == 2 else "wye", 0j,
                base * (float(np.sqrt(3.0)) if len(nodes) == 2 else 1.0), p_max=1e3 * p_max, cost=cost,
                attributes={"q_min": -1e3 * q_max, "q_max": 1e3 * q_max},
            )
        )  # fmt: skip
    return replace(feeder, generators=(*feeder.generators, *made))


def load_places(feeder: Feeder, count: int) -> tuple[str, ...]:
    """Where one-phase loads are, evenly picked along the file: places for ``with_generation``."""
    found: dict[str, None] = {}
    for load in feeder.loads:
        for k in range(load.phases):
            nodes = load.terminal.nodes
            if load.connection == "delta":
                ends = (nodes[k], nodes[(k + 1) % len(nodes)])
            else:
                ends = (nodes[k], nodes[load.phases] if len(nodes) > load.phases else 0)
            label = "-".join(str(node) for node in sorted(ends) if node)
            found[f"{load.terminal.bus}.{label}"] = None
    places = list(found)
    if not 0 <= count <= len(places):
        raise ModelError(f"count={count}: expected a whole number from 0 to the {len(places)} places with loads.")
    return tuple(places[k * len(places) // count] for k in range(count)) if count else ()
