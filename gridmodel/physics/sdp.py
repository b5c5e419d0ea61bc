"""The semidefinite relaxation of optimal power flow in areas, one block a clique of a chordal extension."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import cvxpy as cp
import numpy as np
from cvxpy.constraints.psd import PSD
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.cliques import chordal_cliques, clique_pairs
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.layout import layout_of
from gridmodel.physics.pieces import cut
from gridmodel.physics.products import Products, cones, declare, pair_keys, window
from gridmodel.physics.sharing import agree_on_products, with_pairs

__all__ = ["SDP", "sdp_model"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@final
class SDP(AbstractFormulation):
    """Semidefinite blocks over cliques of buses, a lower bound."""

    name = "sdp"
    network = Network
    about = "one semidefinite block a clique, a tighter lower bound"
    boundaries = ("copies",)

    def build(self, wanted: Wanted) -> Model:
        """The model of ``sdp_model``."""
        return sdp_model(wanted.net, wanted.areas, wanted.load_scale, wanted.coordinator)


def sdp_model(net: Network, areas: Mapping[str, Indices], load_scale: float = 1.0, coordinator: bool = True) -> Model:
    """The semidefinite relaxation of a network cut into areas.

    min sum_g cost_g(p_g)  s.t. the power balances and limits of ``products.declare``,
    W_K >= 0 for every clique K of a chordal extension of the network's graph, W_ii = w_i, W_ij = c_ij + j s_ij

    This equals the relaxation with one matrix over all buses. A clique's block belongs to the area that owns most of
    its buses; areas agree on all entries that several of them hold, so cliques may overlap them. A block is
    [[Re W, -Im W], [Im W, Re W]] >= 0, of two buses a second-order cone. ``c`` and ``s`` have entries for the pairs
    that a line joins, and for those that a clique adds.

    Args:
        areas: positions of the buses, rising, by the area's name.
        load_scale: factor on the loads.
        coordinator: whether algorithms may use one.

    Raises:
        ModelError: a load_scale that is not a number >= 0.
    Source: Lavaei, Low (2012), section III; Jabr (2012) for the cliques; Dall'Anese, Zhu, Giannakis (2013) for areas.
    """
    pieces = cut(net, areas, "copies", load_scale)
    count = net.buses.number.size
    cliques = chordal_cliques(count, zip(net.branches.start.tolist(), net.branches.end.tolist(), strict=True))
    keepers = _keepers(cliques, areas, count)
    model = Model(net.name, currency="$/h")
    agents = [model.agent(name) for name in areas]
    held = []
    for k, (agent, piece) in enumerate(zip(agents, pieces, strict=True)):
        own = [clique for clique, keeper in zip(cliques, keepers, strict=True) if keeper == k and clique.size > 1]
        keys = [pair_keys(*clique_pairs(clique), count) for clique in own]
        extra = np.unique(np.concatenate([*keys, np.empty(0, dtype=np.intp)]))
        products = declare(net, agent, window(net, piece, extra))
        _blocks(agent, products, own, keys, count)
        held.append(products)
    model.connect(agree_on_products(model, agents, held), coordinator=coordinator)
    model.layout = with_pairs(layout_of(net, pieces, "sdp"), net, held, load_scale)
    return model


def _keepers(cliques: list[Indices], areas: Mapping[str, Indices], count: int) -> list[int]:
    """The area of every clique: the one that owns most of its buses, the first where several do."""
    area = np.empty(count, dtype=np.intp)
    for k, own in enumerate(areas.values()):
        area[own] = k
    return [int(np.bincount(area[clique]).argmax()) for clique in cliques]


def _blocks(agent: Agent, products: Products, own: list[Indices], keys: list[Indices], count: int) -> None:
    """The cones of an area's cliques, and of those of its lines that lie in none of them."""
    view = products.window
    if not view.key.size:
        return
    in_blocks = np.unique(np.concatenate([k for k in keys if k.size > 1] or [np.empty(0, dtype=np.intp)]))
    pairs = np.flatnonzero(~np.isin(view.key, in_blocks))
    if pairs.size:
        agent.subject_to(cones(products, pairs), name="products of voltages")
    place = np.full(count, -1, dtype=np.intp)
    place[view.bus] = np.arange(view.bus.size)
    for size in sorted({clique.size for clique in own} - {2}):
        chosen = np.array([clique for clique in own if clique.size == size])
        agent.subject_to(PSD(_embedded(products, chosen, place, count)), name=f"cliques of {size} buses")


def _embedded(products: Products, cliques: Indices, place: Indices, count: int) -> cp.Expression:
    """[[Re W, -Im W], [Im W, Re W]] of cliques of one size, shape (cliques, 2 size, 2 size).

    Args:
        cliques: positions in the network, rising, shape (cliques, size).
    """
    blocks, size = cliques.shape
    order = 2 * size
    block = np.arange(blocks)[:, None]

    def at(row: Indices, column: Indices) -> Indices:
        """The entries of all blocks at the given rows and columns, as cvxpy counts them."""
        return np.asarray(block + blocks * (row + order * column)).ravel()

    def matrix(width: int, *terms: tuple[Indices, Indices, float]) -> csr_array:
        row, column, value = zip(*terms, strict=True)
        values = np.concatenate([np.full(entry.size, factor) for entry, factor in zip(row, value, strict=True)])
        shape = (blocks * order**2, width)
        return csr_array((values, (np.concatenate(row), np.concatenate(column))), shape=shape)

    view = products.window
    i, (a, b) = np.arange(size), np.triu_indices(size, 1)
    bus = place[cliques].ravel()
    pair = np.searchsorted(view.key, pair_keys(cliques[:, a], cliques[:, b], count)).ravel()
    on_w = matrix(view.bus.size, (at(i, i), bus, 1.0), (at(i + size, i + size), bus, 1.0))
    real = [at(a, b), at(b, a), at(a + size, b + size), at(b + size, a + size)]
    on_c = matrix(view.key.size, *((entry, pair, 1.0) for entry in real))
    plus, minus = (at(a + size, b), at(b, a + size)), (at(b + size, a), at(a, b + size))
    on_s = matrix(view.key.size, *((e, pair, 1.0) for e in plus), *((e, pair, -1.0) for e in minus))
    c, s = products.c_and_s
    entries = on_w @ products.w + on_c @ c + on_s @ s
    return cp.reshape(entries, (blocks, order, order), order="F")
