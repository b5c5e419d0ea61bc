"""Everything between two neighbouring buses of a feeder as one series block: E v_child = N v_parent - Z i."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Bus, Line, Transformer, Winding
from gridmodel.physics.multiphase.frames import Frame
from gridmodel.physics.multiphase.tree import Step

__all__ = ["POWER", "Rows", "Series", "core", "joined", "rows_of"]

POWER = 1e6
"""The power in VA of one conductor that is 1 pu."""

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Rows:
    """The windings and conductors between two buses, k of them, in pu.

    E v_child = N v_parent - Z i, i into the child's side; E: shape (k, child nodes), N: (k, parent nodes), Z: (k, k).
    rating: largest |i| of each, pu.
    """

    E: Floats
    N: Floats
    Z: Complexes
    rating: Floats


@dataclass(frozen=True)
class Series:
    """A series block between the ports of two buses: v_child = R v_parent - z i, drawing i_parent = R' i + Y v_parent.

    R: shape (d, parent ports); z: (d, d); Y: (parent ports, parent ports), pu. Elements carry K i, shape (k,), of at
    most rating, shape (k,), in pu.
    """

    R: Complexes
    z: Complexes
    Y: Complexes
    K: Complexes
    rating: Floats

    @property
    def ideal(self) -> bool:
        """Whether it is a mere ratio."""
        return not self.z.any()


def rows_of(step: Step, parent: Bus, child: Bus, negligible: float) -> Rows:
    """The rows of all elements of a step, in pu of the child's voltage; smaller impedances than negligible are zero.

    Raises:
        ModelError: an element that has no such form.
    """
    parts = [_line(line, parent, child) for line in step.lines]
    parts += [_unit(unit, parent, child) for unit in step.transformers]
    Z = block_diag(*(part.Z for part in parts)).astype(np.complex128)
    if np.abs(Z).max() <= negligible:
        Z = np.zeros_like(Z)
    return Rows(
        np.vstack([part.E for part in parts]),
        np.vstack([part.N for part in parts]),
        Z,
        np.concatenate([part.rating for part in parts]),
    )


def joined(rows: Rows, parent: Frame, child: Frame, name: str) -> Series:
    """The series block between the ports of two buses.

    With a square E:  R = D E^-1 N T,  z = D E^-1 Z E^-T D',  Y = 0,  K = E^-T D', D of the child, T of the parent.
    Else windings in a ring share the current: with Ê = E T_child and W = Z^-1:  z = (Ê' W Ê)^-1,  R = z Ê' W N T,
    Y = T' N' (W - W Ê z Ê' W) N T,  K = W Ê z.

    Raises:
        ModelError: conductors of the child that nothing feeds, or a ring of windings without impedance.
    """
    E, N = rows.E, rows.N @ parent.T
    ports = parent.T.shape[1]
    if E.shape[0] == E.shape[1] and np.linalg.matrix_rank(E) == E.shape[0]:
        inverse = child.D @ np.linalg.inv(E)
        nothing = np.zeros((ports, ports), dtype=np.complex128)
        return Series(
            _clean(inverse @ N),
            _clean(inverse @ rows.Z @ inverse.T),
            nothing,
            inverse.T.astype(np.complex128),
            rows.rating,
        )
    E = E @ child.T
    if np.linalg.matrix_rank(E) < E.shape[1]:
        raise ModelError(f"{name}: some conductors of {child.bus} are fed by no element of its path to the source.")
    if np.linalg.matrix_rank(rows.Z) < rows.Z.shape[0]:
        raise ModelError(f"{name}: windings in a ring need an impedance each; give the transformer a reactance.")
    W = np.linalg.inv(rows.Z)
    z = np.linalg.inv(E.T @ W @ E)
    R = z @ E.T @ W @ N
    Y = N.T @ (W - W @ E @ z @ E.T @ W) @ N
    return Series(_clean(R), z.astype(np.complex128), _clean(Y, float(np.abs(W).max())), W @ E @ z, rows.rating)


def _clean(values: NDArray[Any], size: float = 1.0) -> Complexes:
    """Without what rounding left of entries that cancel."""
    out = np.asarray(values, dtype=np.complex128).copy()
    out.real[np.abs(out.real) < 1e-11 * size] = 0.0
    out.imag[np.abs(out.imag) < 1e-11 * size] = 0.0
    return out


def _line(line: Line, parent: Bus, child: Bus) -> Rows:
    near, far = (line.start, line.end) if line.start.bus == parent.name else (line.end, line.start)
    pairs = [(a, b) for a, b in zip(near.nodes, far.nodes, strict=True)]
    if any(0 in pair for pair in pairs):
        raise ModelError(f"line {line.name} has a grounded conductor ({line.start}, {line.end}); reduce it (Kron).")
    base = child.base**2 / POWER
    E, N = _picks(child, [b for _, b in pairs]), _picks(parent, [a for a, _ in pairs]) * (parent.base / child.base)
    rating = np.full(len(pairs), line.rating * child.base / POWER)
    return Rows(E, N, np.asarray(line.z, dtype=np.complex128) / base, rating)


def _unit(unit: Transformer, parent: Bus, child: Bus) -> Rows:
    """The windings of a transformer as an ideal ratio and the leakage on the child's side."""
    if len(unit.windings) != 2:
        raise ModelError(
            f"transformer {unit.name} has {len(unit.windings)} windings; the optimal power flow of a feeder takes two."
        )
    first, second = unit.windings
    near, far = (first, second) if first.terminal.bus == parent.name else (second, first)
    E, N = _turns(unit, far, child), _turns(unit, near, parent)
    # at one volt a winding, on the first winding's rating
    leakage = first.r + second.r * first.s / second.s + 1j * unit.x[0]
    z = leakage * POWER / (first.s / unit.phases)
    rating = np.full(unit.phases, unit.rating / unit.phases / POWER)
    return Rows(E, N, (np.eye(unit.phases) * z).astype(np.complex128), rating)


def core(unit: Transformer, bus: Bus) -> Complexes:
    """The admittance between the nodes of the second winding's bus that stands for losses without load, pu."""
    turns = _turns(unit, unit.windings[1], bus)
    y = complex(unit.no_load_loss, -unit.magnetising) * unit.windings[0].s / unit.phases / POWER
    return np.asarray(y * (turns.T @ turns), dtype=np.complex128)


def _turns(unit: Transformer, winding: Winding, bus: Bus) -> Floats:
    """The voltage of each phase's winding over its rated voltage and tap, from the bus's in pu, (phases, nodes)."""
    out = np.zeros((unit.phases, len(bus.nodes)))
    for k, pair in enumerate(_pairs(unit, winding)):
        for node, sign in zip(pair, (1.0, -1.0), strict=True):
            if node == 0:
                continue
            if node not in bus.nodes:
                raise ModelError(f"transformer {unit.name}: bus {bus.name} has no node {node} ({winding.terminal}).")
            out[k, bus.nodes.index(node)] += sign
    return out * (bus.base / (_across(unit, winding) * winding.tap))


def _pairs(unit: Transformer, winding: Winding) -> Iterator[tuple[int, int]]:
    """The two nodes of each phase's winding, as in ``gridmodel.grid.primitives.transformer``."""
    nodes = winding.terminal.nodes
    for k in range(unit.phases):
        if winding.connection == "delta" and unit.phases > 1:
            yield nodes[k], nodes[(k + _delta_step(unit)) % max(unit.phases, 3)]
        else:
            yield nodes[k], nodes[unit.phases]


def _delta_step(unit: Transformer) -> int:
    """Where a delta's winding goes from its phase: to the next (1) or the one before (-1)."""
    first, second = unit.windings
    if first.connection == second.connection:
        return 1
    high = second if second.v > first.v else first
    return 1 if (high.connection == "delta") == unit.lead else -1


def _across(unit: Transformer, winding: Winding) -> float:
    """The rated voltage of one winding in V."""
    many = winding.connection == "wye" and unit.phases > 1
    return winding.v / float(np.sqrt(3.0)) if many else winding.v


def _picks(bus: Bus, nodes: Sequence[int]) -> Floats:
    out = np.zeros((len(nodes), len(bus.nodes)))
    for row, node in enumerate(nodes):
        out[row, bus.nodes.index(node)] = 1.0
    return out
