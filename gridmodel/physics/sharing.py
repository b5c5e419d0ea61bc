"""What areas of a relaxation agree on: every product of voltages that several of them hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cvxpy as cp
import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.layout import Layout
from gridmodel.physics.products import Products

__all__ = ["agree_on_products", "entries", "with_pairs"]

Indices = NDArray[np.intp]


def agree_on_products(model: Model, agents: Sequence[Agent], held: Sequence[Products]) -> nx.Graph[str]:
    """Couples all copies of w, c and s; returns who agrees with whom.

    The copies of a bus agree with the area that owns it; those of a pair with the first area that holds it.
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(agent.name for agent in agents)
    own = [products.window.bus[: products.window.piece.buses.size] for products in held]
    keys = [products.window.key for products in held]
    first = _first_holder(keys)
    for a, owner in enumerate(agents):
        for b, holder in enumerate(agents):
            if a == b:
                continue
            ghosts = held[b].window.bus[own[b].size :]
            _, mine, theirs = np.intersect1d(own[a], ghosts, return_indices=True)
            if mine.size:
                order = np.argsort(theirs)
                left, right = owner["w"], holder["tie_w"]
                _couple(model, "w", (owner, left, mine[order]), (holder, right, theirs[order]), graph)
            shared, mine, theirs = np.intersect1d(keys[a], keys[b], return_indices=True)
            led = np.array([first[int(key)] == a for key in shared], dtype=bool)
            if led.any():
                for name in ("c", "s"):
                    sides = (owner, owner[name], mine[led]), (holder, holder[name], theirs[led])
                    _couple(model, name, *sides, graph)
    return graph


def entries(variable: cp.Expression, at: Indices) -> cp.Expression:
    """The entries at the positions; a slice where they follow each other, which canonicalises faster."""
    if (np.diff(at) == 1).all():
        return variable[int(at[0]) : int(at[-1]) + 1]
    return variable[at]


def with_pairs(layout: Layout, net: Network, held: Sequence[Products], load_scale: float) -> Layout:
    """The layout that also says which buses the entries of c and s belong to, and how the loads were scaled."""
    count, number = net.buses.number.size, net.buses.number
    views = [products.window for products in held]
    return replace(
        layout,
        load_scale=load_scale,
        pairs={v.piece.name: number[np.stack([v.key // count, v.key % count], axis=1)] for v in views},
    )


def _first_holder(keys: Sequence[Indices]) -> dict[int, int]:
    found: dict[int, int] = {}
    for area, held in enumerate(keys):
        for key in held.tolist():
            found.setdefault(key, area)
    return found


def _couple(
    model: Model,
    name: str,
    owner: tuple[Agent, cp.Expression, Indices],
    holder: tuple[Agent, cp.Expression, Indices],
    graph: nx.Graph[str],
) -> None:
    (a, left, mine), (b, right, theirs) = owner, holder
    model.couple(entries(left, mine) == entries(right, theirs), name=f"{name} {a.name}-{b.name}")
    graph.add_edge(a.name, b.name)
