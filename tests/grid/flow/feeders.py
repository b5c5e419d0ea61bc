"""Feeders made in the tests: two buses, and random passive three-phase trees with loads of every kind."""

from __future__ import annotations

import numpy as np

from gridmodel.grid.elements import Bus, Generator, Line, Load, Source, Terminal
from gridmodel.grid.feeder import Feeder

PHASES = np.exp(-2j * np.pi / 3 * np.arange(3))


def two_bus(s: complex, z: complex = 1.0, **load: object) -> Feeder:
    """A source of 1 V, an impedance z in ohm, and a load of s in VA."""
    line = Line("line", Terminal("a", (1,)), Terminal("b", (1,)), np.array([[z + 0j]]), np.zeros((1, 1), dtype=complex))
    source = Source("source", Terminal("a", (1,)), np.array([1.0 + 0j]), np.array([[1e-9 + 0j]]))
    drawn = Load("load", Terminal("b", (1, 0)), 1, "wye", s, 1.0, **load)  # type: ignore[arg-type]
    return Feeder("two", 60.0, (Bus("a", (1,), 1.0), Bus("b", (1,), 1.0)), (source,), (line,), loads=(drawn,))


def random_feeder(seed: int, buses: int = 6, load: float = 0.3, limits: bool = False) -> Feeder:
    """A three-phase tree of 1 kV between a phase and ground; loads draw about ``load`` of 1 MVA in all.

    limits: loads of v_min 0.97, v_low 0.5 and v_max 1.02, so that every zone of the law is met.
    """
    rng = np.random.default_rng(seed)
    names = [f"b{k}" for k in range(buses)]
    phases = (1, 2, 3)
    source = Source("source", Terminal("b0", phases), 1000 * PHASES, 1e-3 * (0.1 + 1j) * np.eye(3))
    lines = []
    for k in range(1, buses):
        R, X = rng.normal(size=(2, 3, 3))
        z = (R @ R.T * 0.05 + np.eye(3) * 0.1) + 1j * (X @ X.T * 0.05 + np.eye(3) * 0.2)
        ends = Terminal(names[rng.integers(k)], phases), Terminal(names[k], phases)
        lines.append(Line(f"l{k}", *ends, z, 1e-6j * np.eye(3)))
    edges = {"v_min": 0.97, "v_max": 1.02, "v_low": 0.5} if limits else {}
    loads = []
    for k in range(1, buses):
        s = complex(rng.uniform(0, 1), rng.uniform(-0.2, 0.5)) * load * 1e6 / buses
        zip_p, zip_q = (tuple(x) for x in rng.dirichlet((1, 1, 1), size=2))
        outside = bool(rng.integers(2)) and limits
        three = Terminal(names[k], phases if k % 2 else (*phases, 0))
        law = {"zip_p": zip_p, "zip_q": zip_q, "power_outside": outside} | edges
        kind, volts = ("delta" if k % 2 else "wye"), 1000 * np.sqrt(3)
        loads.append(Load(f"three{k}", three, 3, kind, s, volts, **law))  # type: ignore[arg-type]
        first, second = rng.permutation(3)[:2] + 1
        loads.append(Load(f"one{k}", Terminal(names[k], (int(first), 0)), 1, "wye", s / 3, 1000.0, **edges))
        across = Terminal(names[k], (int(first), int(second)))
        loads.append(Load(f"across{k}", across, 1, "delta", s / 3, volts, zip_p, zip_p, **edges))
        loads.append(Load(f"again{k}", across, 1, "delta", s / 5, volts, zip_p, zip_p, **edges))
    unit = Generator("unit", Terminal(names[-1], (*phases, 0)), 3, "wye", 0.1e6 * load + 0j, 1000 * np.sqrt(3))
    nodes = tuple(Bus(name, phases, 1000.0) for name in names)
    return Feeder(f"random{seed}", 60.0, nodes, (source,), tuple(lines), loads=tuple(loads), generators=(unit,))
