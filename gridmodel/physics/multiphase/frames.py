"""The ports of a bus: its conductors to ground, or, where nothing is grounded, to its last conductor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Bus

__all__ = ["Frame", "floats", "frame_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """How the ports of a bus, d of them, stand to its nodes: v_ports = D v_nodes, and v_nodes = T v_ports.

    grounded: ports are the nodes. Otherwise D takes differences to the reference node, over the square root of three
    so that 1 is nominal, and currents sum to zero, i_nodes = D' i_ports; T gives voltages of mean zero. labels: of the
    ports, "671.1" or "701.1-2".
    """

    bus: str
    nodes: tuple[int, ...]
    grounded: bool
    D: Floats
    T: Floats
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of ports."""
        return int(self.D.shape[0])

    def row(self, first: int, second: int) -> Floats:
        """The port voltages' combination that is the voltage between two nodes, shape (d,); 0 is the ground.

        Raises:
            ModelError: a voltage to ground where nothing is grounded.
        """
        if not self.grounded and 0 in (first, second):
            raise ModelError(
                f"bus {self.bus} is behind ungrounded windings, and something is connected between {self.bus}.{first} "
                "and the ground. Connect it between conductors, or ground a winding."
            )
        out = np.zeros(len(self.nodes))
        for node, sign in ((first, 1.0), (second, -1.0)):
            if node:
                out[self.nodes.index(node)] += sign
        return np.asarray(np.round(out @ self.T, 12))


def frame_of(bus: Bus, grounded: bool, reference: int = 0) -> Frame:
    """The ports of a bus; reference: the node to which ungrounded ports are measured, the last where it is not there.

    Raises:
        ModelError: a neutral beside the phases, or a single ungrounded conductor.
    """
    nodes, n = bus.nodes, len(bus.nodes)
    if any(node > 3 for node in nodes):
        raise ModelError(f"bus {bus.name} has a neutral conductor {max(nodes)}; reduce it (Kron) before an OPF.")
    if grounded:
        return Frame(bus.name, nodes, True, np.eye(n), np.eye(n), tuple(f"{bus.name}.{node}" for node in nodes))
    if n < 2:
        raise ModelError(f"bus {bus.name} has one conductor behind ungrounded windings, so no current can flow there.")
    last = nodes.index(reference) if reference in nodes else n - 1
    others = [k for k in range(n) if k != last]
    D = np.zeros((n - 1, n))
    D[np.arange(n - 1), others], D[:, last] = np.sqrt(1 / 3), -np.sqrt(1 / 3)
    labels = tuple(f"{bus.name}.{nodes[k]}-{nodes[last]}" for k in others)
    return Frame(bus.name, nodes, False, D, D.T @ np.linalg.inv(D @ D.T), labels)


def floats(E: Floats, N: Floats, parent: Frame, name: str) -> bool:
    """Whether a bus fed through E v_child = N v_parent - Z i has no path for a current to the ground.

    Raises:
        ModelError: a grounded winding behind ungrounded ones.
    """
    one = np.ones(E.shape[1])
    up, down = N @ np.ones(N.shape[1]), E @ one
    scale = max(float(np.abs(E).max()), 1.0)
    alike = float(np.abs(up / _size(N) - down / _size(E)).max()) < 1e-9
    if parent.grounded or np.abs(up).max() < 1e-9 * scale:
        return float(np.abs(down).max()) < 1e-9 * scale
    if alike:
        return True
    raise ModelError(f"{name}: a grounded winding behind ungrounded ones is not supported; ground the source side.")


def _size(values: Floats) -> float:
    return float(np.abs(values).max())
