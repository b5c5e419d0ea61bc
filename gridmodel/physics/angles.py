"""Limits of the angle difference along lines, also along a tie that is cut in its middle."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.physics.flows import Flows
from gridmodel.physics.pieces import Piece, pick

__all__ = ["angle_limits"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def angle_limits(net: Network, agent: Agent, flows: Flows, theta: cp.Expression | None) -> None:
    """Declares angle_min <= theta_start - theta_end <= angle_max for the lines whose limits the piece keeps.

    With angles at hand this is linear for inner lines. Elsewhere it is a condition on C + jS = v_start conj(v_end),
    tan(angle_min) C <= S <= tan(angle_max) C, where for a tie cut in its middle m
    C + jS = 2 (c + js) - w_start e^(j shift) / tap, as v_m is the mean of v_start / (tap e^(j shift)) and v_end.

    Args:
        theta: angles of all buses of the piece in rad, or None.

    Raises:
        ModelError: limits of a right angle and more where the tangent is needed.
    """
    piece = flows.piece
    for side, limits, sign in (("min", piece.lines.angle_min, -1.0), ("max", piece.lines.angle_max, 1.0)):
        line = np.flatnonzero(np.isfinite(limits))
        inner, ties = line[line < piece.inner], line[line >= piece.inner]
        name = f"angle {side}"
        if theta is not None and inner.size:
            across = pick(piece.lines.start[inner], piece.size) - pick(piece.lines.end[inner], piece.size)
            agent.subject_to(
                sign * (cp.Constant(across) @ theta) <= sign * limits[inner], name=name, rows=_names(piece, inner)
            )
        elif inner.size:
            _bounded(net, agent, flows, inner, limits, sign, name)
        if ties.size:
            _bounded(net, agent, flows, ties, limits, sign, f"{name} of ties")


def _bounded(net: Network, agent: Agent, flows: Flows, line: Indices, limits: Floats, sign: float, name: str) -> None:
    """sign S <= sign tan(limit) C for the chosen lines, all inner or all halves of ties."""
    piece, lines = flows.piece, flows.piece.lines
    assert flows.c is not None
    assert flows.s is not None
    if (np.abs(limits[line]) >= np.pi / 2).any():
        k = lines.branch[line[np.abs(limits[line]) >= np.pi / 2][0]]
        ends = f"{net.buses.number[net.branches.start[k]]}-{net.buses.number[net.branches.end[k]]}"
        raise ModelError(
            f"branch {net.branches.row[k]} ({ends}) of {net.source}: an angle limit of 90 degrees or more cannot be "
            "kept on a tie line or in rectangular coordinates. Use 0 (no limit) in the file, or polar coordinates and "
            "areas that do not cut this branch."
        )
    take = cp.Constant(pick(line, lines.start.size))
    c, s = take @ flows.c, take @ flows.s
    tangent = np.tan(limits[line])
    if line[0] >= piece.inner:
        turn = np.exp(1j * lines.shift[line]) / lines.tap[line]
        near = lines.start[line]
        c = 2.0 * c - cp.Constant(pick(near, piece.size, turn.real)) @ flows.w
        s = 2.0 * s - cp.Constant(pick(near, piece.size, turn.imag)) @ flows.w
    agent.subject_to(sign * s <= cp.multiply(sign * tangent, c), name=name, rows=_names(piece, line))


def _names(piece: Piece, line: Indices) -> list[str]:
    return [piece.line_names[k] for k in line]
