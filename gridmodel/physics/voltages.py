"""The voltages of one piece of a network in polar or rectangular coordinates, limits included."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from cvxpy.nlp import cos, sin
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.language.agent import Agent
from gridmodel.physics.flows import Flows
from gridmodel.physics.pieces import Piece, pick

__all__ = ["COORDINATES", "Voltages", "voltages"]

Floats = NDArray[np.float64]
COORDINATES = ("polar", "rectangular")


@dataclass(frozen=True)
class Voltages:
    """The flows that the voltages make, and the angles of all buses in rad (None in rectangular coordinates)."""

    flows: Flows
    theta: cp.Expression | None


def voltages(agent: Agent, piece: Piece, coordinates: str) -> Voltages:
    """Declares the voltages of the piece's buses, ghosts included, and their limits.

    "polar": ``v``, ``theta`` and ``tie_v``, ``tie_theta``; w = v^2, c = v_s v_e cos(theta_s - theta_e), s likewise.
    "rectangular": ``e``, ``f`` and ``tie_e``, ``tie_f``; w = e^2 + f^2, c = e_s e_e + f_s f_e, s = f_s e_e - e_s f_e.

    Raises:
        ModelError: other coordinates.
    """
    if coordinates == "polar":
        return _polar(agent, piece)
    if coordinates == "rectangular":
        return _rectangular(agent, piece)
    raise ModelError(f"coordinates={coordinates!r} is not known; available: {', '.join(COORDINATES)}.")


def _polar(agent: Agent, piece: Piece) -> Voltages:
    fixed = np.zeros(piece.buses.size, dtype=bool)
    fixed[piece.reference] = True
    flat = np.clip(np.ones(piece.size), piece.v_min, piece.v_max)
    turn = np.where(fixed, 0.0, np.inf)
    free = np.full(piece.ghosts.size, np.inf)
    v = _everywhere(agent, piece, "v", "pu", piece.v_min, piece.v_max, flat)
    theta = _everywhere(
        agent, piece, "theta", "rad", -np.concatenate([turn, free]), np.concatenate([turn, free]), 0.0 * flat
    )
    w = cp.square(v)
    if not piece.lines.start.size:
        return Voltages(Flows(piece, w, None, None), theta)
    start, end = _ends(piece)
    product, apart = cp.multiply(start @ v, end @ v), (start - end) @ theta
    return Voltages(Flows(piece, w, cp.multiply(product, cos(apart)), cp.multiply(product, sin(apart))), theta)


def _rectangular(agent: Agent, piece: Piece) -> Voltages:
    flat = np.clip(np.ones(piece.size), piece.v_min, piece.v_max)
    low, high = -piece.v_max, piece.v_max.copy()
    real_low = low.copy()
    real_low[piece.reference] = 0.0
    e = _everywhere(agent, piece, "e", "pu", real_low, high, flat)
    low[piece.reference] = high[piece.reference] = 0.0
    f = _everywhere(agent, piece, "f", "pu", low, high, 0.0 * flat)
    w = cp.square(e) + cp.square(f)
    own = np.arange(piece.buses.size)
    inside = w[: own.size]
    agent.subject_to(inside <= piece.v_max[own] ** 2, name="highest voltage", rows=piece.bus_names)
    agent.subject_to(inside >= piece.v_min[own] ** 2, name="lowest voltage", rows=piece.bus_names)
    if not piece.lines.start.size:
        return Voltages(Flows(piece, w, None, None), None)
    start, end = _ends(piece)
    es, ee, fs, fe = start @ e, end @ e, start @ f, end @ f
    c = cp.multiply(es, ee) + cp.multiply(fs, fe)
    s = cp.multiply(fs, ee) - cp.multiply(es, fe)
    return Voltages(Flows(piece, w, c, s), None)


def _everywhere(
    agent: Agent, piece: Piece, name: str, unit: str, low: Floats, high: Floats, start: Floats
) -> cp.Expression:
    """Declares a quantity at the own buses, and as ``tie_...`` at the ghosts; all of it as one vector."""
    parts = []
    own = piece.buses.size
    for label, part in ((name, slice(0, own)), (f"tie_{name}", slice(own, piece.size))):
        if low[part].size:
            one = agent.variable(label, low[part].size, bounds=(low[part], high[part]), unit=unit)
            one.save_value(start[part])
            parts.append(one)
    return parts[0] if len(parts) == 1 else cp.hstack(parts)


def _ends(piece: Piece) -> tuple[cp.Constant, cp.Constant]:
    """Matrices that take the voltages at the start and at the end of every line, shape (lines, buses)."""
    return cp.Constant(pick(piece.lines.start, piece.size)), cp.Constant(pick(piece.lines.end, piece.size))
