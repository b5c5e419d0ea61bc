"""Where the parts of a network lie in the variables of an optimal power flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.network import Network
from gridmodel.physics.pieces import Piece

__all__ = ["Layout", "layout_of"]

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Layout:
    """Which part of the network the entries of an area's variables belong to, by the area's name.

    formulation: its name. source: the file of the network. buses: bus numbers of the rows of ``balance`` and of
    variables with one entry a bus. generators: positions in ``net.generators`` of ``p`` and ``q``. lines, ties:
    positions in ``net.branches`` of the inner lines and of the ties. pairs: bus numbers of the first and second bus
    of the entries of ``c`` and ``s``, shape (pairs, 2), where a relaxation has them.
    load_scale: factor on the loads of the file.
    """

    formulation: str
    source: str
    buses: Mapping[str, Indices]
    generators: Mapping[str, Indices]
    lines: Mapping[str, Indices]
    ties: Mapping[str, Indices]
    pairs: Mapping[str, Indices] = field(default_factory=dict)
    load_scale: float = 1.0


def layout_of(net: Network, pieces: Sequence[Piece], formulation: str) -> Layout:
    """The layout of a model whose agents are the pieces of a network."""
    return Layout(
        formulation,
        net.source,
        {piece.name: net.buses.number[piece.buses] for piece in pieces},
        {piece.name: piece.generators for piece in pieces},
        {piece.name: piece.lines.branch[: piece.inner] for piece in pieces},
        {piece.name: piece.tie_branch for piece in pieces},
    )
