"""The parts of a multiphase network in physical units: buses, lines, transformers, loads and what else there is.

A *node* is a conductor at a bus, ``bus.number``: 1, 2, 3 are the phases, 4 and more neutrals, 0 is the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError

__all__ = [
    "Bus", "CapacitorControl", "Floats", "Generator", "Line", "Load", "RegulatorControl", "Shunt", "Source", "Terminal",
    "Transformer", "VoltVar", "Winding",
]  # fmt: skip

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Bus:
    """A bus. nodes: its node numbers, rising, without the ground. base: line-to-neutral voltage in V that is 1 pu.

    x, y: where it is drawn; None where no file says so.
    """

    name: str
    nodes: tuple[int, ...]
    base: float
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Terminal:
    """Where an element is connected: the bus, and the bus's node for each of the element's conductors (0 is ground)."""

    bus: str
    nodes: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join([self.bus, *map(str, self.nodes)])


@dataclass(frozen=True)
class Source:
    """A stiff voltage behind an impedance: v_terminal = v - z i.

    v: shape (n,), V to ground, one a node of the terminal. z: shape (n, n), ohm.
    """

    name: str
    terminal: Terminal
    v: Complexes
    z: Complexes


@dataclass(frozen=True)
class Line:
    """A line of n coupled conductors, a switch, or any series element.

    z: series impedance, shape (n, n), ohm in all. y: shunt admittance, shape (n, n), S in all, half at each end.
    closed: False for an open switch, which carries nothing. switch: whether it may be operated.
    rating: largest current of a conductor in A, inf where there is none.
    """

    name: str
    start: Terminal
    end: Terminal
    z: Complexes
    y: Complexes
    closed: bool = True
    switch: bool = False
    rating: float = np.inf


@dataclass(frozen=True)
class Winding:
    """A winding of a transformer.

    terminal: its nodes; for "wye" the phases, then the neutral (0 where grounded); for "delta" the phases.
    v: rated voltage in V, between lines for two and three phases, across the winding for one. s: rating in VA, of all
    phases. r: resistance in pu of its own v and s. tap: turns ratio in pu.
    """

    terminal: Terminal
    connection: str
    v: float
    s: float
    r: float
    tap: float = 1.0
    tap_min: float = 0.9
    tap_max: float = 1.1
    tap_steps: int = 32


@dataclass(frozen=True)
class Transformer:
    """A transformer, or a bank's one-phase unit.

    x: leakage reactance between windings in pu of the first winding's rating, in the order 12, 13, .., 23, ...
    no_load_loss, magnetising: pu of the first winding's rating. anti_float: a tiny reactive admittance at every winding
    terminal, in parts per million of the rating, that ties floating windings to the ground.
    lead: whether the low-voltage side of a delta-wye pair leads by 30 degrees; it lags otherwise. bank: its name.
    """

    name: str
    phases: int
    windings: tuple[Winding, ...]
    x: tuple[float, ...]
    no_load_loss: float = 0.0
    magnetising: float = 0.0
    anti_float: float = 1.0
    lead: bool = False
    bank: str = ""
    rating: float = np.inf


@dataclass(frozen=True)
class RegulatorControl:
    """Moves the tap of a transformer's winding to hold a voltage, with line drop compensation.

    |V / pt_ratio - (r + j x) I / ct_rating| is held within set_point +- band / 2, in V on the control's base;
    r and x in V at the rated primary current ct_rating in A.
    winding: position from 0. phase: which phase of a three-phase winding is watched, from 1. max_change: most taps at
    once. bus: where the voltage is read instead of at the winding, then without compensation. Controls of the shortest
    delay (s) act first. reversible: after ``reverse_delay`` s with more than ``reverse_threshold`` W against its
    direction it holds the voltage before it instead, |V / pt_ratio - ..| / tap at reverse_set_point, with reverse_band,
    reverse_r and reverse_x.
    """

    name: str
    transformer: str
    winding: int
    set_point: float
    band: float
    pt_ratio: float
    ct_rating: float
    r: float = 0.0
    x: float = 0.0
    delay: float = 15.0
    phase: int = 1
    reversible: bool = False
    enabled: bool = True
    bus: Terminal | None = None
    max_change: int = 16
    reverse_set_point: float = 120.0
    reverse_band: float = 3.0
    reverse_r: float = 0.0
    reverse_x: float = 0.0
    reverse_threshold: float = 100e3
    reverse_delay: float = 60.0


@dataclass(frozen=True)
class CapacitorControl:
    """Switches a capacitor by what is seen at a terminal of a line, transformer or capacitor.

    kind: "voltage" (V over pt_ratio), "current" (A over ct_ratio), "kvar" (into the terminal), or "time" (hour of the
    day). "voltage" closes below ``on`` and opens above ``off``; "current" and "kvar" close above ``on`` and open below
    ``off``; "time" closes from ``on`` to ``off``. shunt: name of the capacitor. y: its admittance where it is closed,
    S. phases, delta: its own. closed: whether it is to begin with. element: ("line" | "transformer" | "capacitor",
    name); terminal: from 0. pt_phase, ct_phase: a phase from 1, or 0 for the mean, -1 for the highest, -2 for the
    lowest. v_min, v_max: it closes below and opens above, whatever else it sees (V over pt_ratio; None: no such rule),
    at the terminal or at ``bus``. on_delay, off_delay: s; the shortest act first. dead_time: s from opening to closing.
    """

    name: str
    shunt: str
    y: Complexes
    kind: str
    element: tuple[str, str]
    terminal: int = 0
    closed: bool = True
    phases: int = 3
    delta: bool = False
    on: float = 300.0
    off: float = 200.0
    pt_ratio: float = 60.0
    ct_ratio: float = 60.0
    pt_phase: int = 1
    ct_phase: int = 1
    on_delay: float = 15.0
    off_delay: float = 15.0
    dead_time: float = 300.0
    v_min: float | None = None
    v_max: float | None = None
    bus: Terminal | None = None
    enabled: bool = True


@dataclass(frozen=True)
class Shunt:
    """A linear element from a bus to ground or between its nodes: capacitor, reactor.

    y: admittance matrix between the nodes of the terminal, shape (n, n), S. kind: "capacitor" or "reactor".
    """

    name: str
    terminal: Terminal
    y: Complexes
    kind: str = "capacitor"


@dataclass(frozen=True)
class Load:
    """A load between nodes: each phase is one port.

    At |v| = u times the rated voltage of a port, it draws  p (z_p u^2 + i_p u + c_p) + j q (z_q u^2 + i_q u + c_q).

    connection: "wye" (terminal: phases, then the neutral) or "delta" (terminal: phases). s: p + j q of all phases at
    the rated voltage, VA. v: rated voltage in V, between lines for two and three phases (and for delta), across the
    load for one-phase wye. phases: number of them. zip_p, zip_q: (z, i, c), each summing to 1.
    v_min, v_max: in pu of the rated voltage; outside, the load turns into the impedance that it is at that edge, or,
    if power_outside, into that which draws s there (OpenDSS does so for its models 3 and 4).
    v_low: pu; below, the load is the impedance that draws s at 1 pu, and between v_low and v_min its current is linear
    in the voltage (OpenDSS: 0.5); 0 for none of it.
    profile: name of the load shape that multiplies s over time, if any.
    """

    name: str
    terminal: Terminal
    phases: int
    connection: str
    s: complex
    v: float
    zip_p: tuple[float, float, float] = (0.0, 0.0, 1.0)
    zip_q: tuple[float, float, float] = (0.0, 0.0, 1.0)
    v_min: float = 0.0
    v_max: float = np.inf
    profile: str = ""
    v_low: float = 0.0
    power_outside: bool = False


@dataclass(frozen=True)
class VoltVar:
    """A droop by which an inverter absorbs reactive power as its voltage rises, without a dead band.

    q = share * rating * clip((u - center) / width, -1, 1), in var absorbed, u the voltage in pu of the rated one.

    center, width: pu. share: the most reactive power in parts of the rating.

    Raises:
        ModelError: a width that is not positive, a negative share, or a number that is not finite.
    """

    center: float = 0.9975
    width: float = 0.0375
    share: float = 0.44

    def __post_init__(self) -> None:
        if not (0.0 < self.width < np.inf and 0.0 <= self.share < np.inf and np.isfinite(self.center)):
            raise ModelError(
                f"VoltVar(center={self.center}, width={self.width}, share={self.share}): expected a finite center, "
                "width > 0 (pu) and share >= 0, such as VoltVar(0.9975, 0.0375, 0.44)."
            )


@dataclass(frozen=True)
class Generator:
    """Distributed generation: a source of constant power that an optimal power flow may move.

    terminal, phases, connection, v: as in ``Load``. s: injection p + j q of all phases in VA. s_max: rating in VA.
    p_max: available active power in W. p_min: at least. kind: "generator", "pv" or "storage".
    cost: $/kWh of its active power, None where nobody said. v_min, v_max: as in ``Load``.
    droop: reactive power that it absorbs by its own voltage, besides s and whatever its active power is; each phase is
    a port with its part of the rating.

    Raises:
        ModelError: a droop without a finite s_max.
    """

    name: str
    terminal: Terminal
    phases: int
    connection: str
    s: complex
    v: float
    s_max: float = np.inf
    p_min: float = 0.0
    p_max: float = np.inf
    kind: str = "generator"
    cost: float | None = None
    profile: str = ""
    v_min: float = 0.0
    v_max: float = np.inf
    attributes: dict[str, float] = field(default_factory=dict)
    droop: VoltVar | None = None

    def __post_init__(self) -> None:
        if self.droop is not None and not 0.0 <= self.s_max < np.inf:
            raise ModelError(
                f"{self.kind} {self.name}: a volt-var droop needs the inverter's rating, but s_max is {self.s_max}; "
                "give s_max in VA."
            )
