"""Aggregate power flexibility at the substation: a band of power over time, every path in which can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Load, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.linear import linear_flow
from gridmodel.grid.measured import measured
from gridmodel.language.model import Model
from gridmodel.physics.flexible import FlexibleDevice

__all__ = ["FlexibilityLayout", "feeder_with", "flexibility", "paths_of"]

Floats = NDArray[np.float64]
_STEP = 1e3
"""VA by which powers are moved to see what the substation delivers more."""
_NEAR = 1e-9


@dataclass(frozen=True)
class FlexibilityLayout:
    """What a model of flexibility remembers of its feeder.

    stages: the feeder at every step, with a load for every device, the last ones. loads: VA of every load at every
    step, shape (T, loads), zero for the devices. base: kW from the substation without devices, shape (T,). gain: kW
    from the substation a kW of a device, shape (T, devices). limits: of the voltage in pu. step: hours.
    """

    stages: tuple[Feeder, ...]
    devices: tuple[FlexibleDevice, ...]
    loads: NDArray[np.complex128]
    base: Floats
    gain: Floats
    limits: tuple[float, float]
    step: float


def flexibility(
    feeder: Feeder,
    devices: Sequence[FlexibleDevice],
    profile: Floats | Sequence[float],
    v_min: float = 0.95,
    v_max: float = 1.05,
    step: float = 1.0,
    taps: str = "auto",
) -> Model:
    """The widest band [low_t, high_t] of substation power such that every path within it can be followed.

    max  step sum_t (high_t - low_t)   s.t.  high_t = base_t + sum_d gain_td high_td,  low_t likewise,
    low_td <= high_td,  v_min <= |v|_t + K_t p_t <= v_max for both,  each device's limits for both.

    A path p_t between is split by shares a_t = (p_t - low_t) / (high_t - low_t): device d takes low_td + a_t (high_td -
    low_td). Its power lies between the two at every step, and its energy rises with its power, so it lies between the
    energies of the two: neither limit is broken, whatever the path. Voltages are linear in the powers, so they lie
    between as well; how far the true ones are off tells ``disaggregate``.

    Agents: ``substation`` (``high`` and ``low`` in kW) and every device (the same). The model's optimum is the
    negative of the band's energy in kWh.

    Args:
        devices: at buses of the feeder.
        profile: factor on the feeder's loads at every step, shape (T,).
        v_min, v_max: of the voltage magnitudes in pu, to ground, or between lines where all loads stand there.
        step: hours.
        taps: "auto" puts regulators at every step where they stand without devices, "file" where the file has them.

    Raises:
        ModelError: a device at no bus, arrays of another length, or a load flow that fails.
    Source: Chen, Dall'Anese, Zhao, Li (2019), Aggregate power flexibility in unbalanced distribution systems.
    """
    factors = np.asarray(profile, dtype=np.float64)
    if factors.ndim != 1 or not factors.size or not np.isfinite(factors).all():
        raise ModelError(f"profile: expected finite factors of shape (steps,), got shape {factors.shape}.")
    if not devices:
        raise ModelError("flexibility needs at least one device; give devices=[FlexibleDevice(...), ...].")
    if len({device.name for device in devices}) < len(devices) or "substation" in {d.name for d in devices}:
        raise ModelError("devices need names of their own, other than 'substation'.")
    if taps not in ("auto", "file"):
        raise ModelError(f"taps={taps!r}: expected 'auto' or 'file'.")
    stages = _stages(feeder_with(feeder, devices), factors, taps)
    layout, slopes, voltages = _linear(stages, tuple(devices), factors, (v_min, v_max), step)
    model = Model(f"flexibility of {feeder.name}", currency="kWh")
    model.layout = layout
    model.quoted = ()  # a linear program of many equal optima: its multipliers are not unique
    size = factors.size
    station = model.agent("substation")
    high, low = (station.variable(name, size, unit="kW") for name in ("high", "low"))
    station.minimize(-step * cp.sum(high - low))
    station.subject_to(low <= high, name="ordered")
    for device in devices:
        device.declare(model.agent(device.name), size, step)
    for name, own in (("high", high), ("low", low)):
        brought = sum(cp.multiply(layout.gain[:, d], model[device.name][name]) for d, device in enumerate(devices))
        model.couple(own - brought == layout.base, name=f"{name} at the substation")
        _voltage_rows(model, layout, name, slopes, voltages)
    return model


def feeder_with(feeder: Feeder, devices: Sequence[FlexibleDevice]) -> Feeder:
    """The feeder with a load without power for every device.

    Raises:
        ModelError: a device at a bus or node that the feeder does not have.
    """
    own = []
    for device in devices:
        bus = feeder.bus(device.bus)
        nodes = device.nodes or tuple(node for node in bus.nodes if node <= 3)
        missing = sorted(set(nodes) - set(bus.nodes))
        if missing or not nodes:
            raise ModelError(f"device {device.name!r}: bus {device.bus} has nodes {bus.nodes}, not {missing or 'any'}.")
        delta = device.delta
        if delta and len(nodes) < 2:
            raise ModelError(f"device {device.name!r}: a delta connection needs two nodes, got {nodes}.")
        rated = bus.base * np.sqrt(3.0) if delta or len(nodes) > 1 else bus.base
        phases = 1 if delta and len(nodes) == 2 else len(nodes)
        ends = nodes if delta else (*nodes, 0)
        kind = "delta" if delta else "wye"
        own.append(Load(f"device {device.name}", Terminal(device.bus, ends), phases, kind, 0j, float(rated)))
    return replace(feeder, loads=(*feeder.loads, *own))


def _stages(whole: Feeder, factors: Floats, taps: str) -> tuple[Feeder, ...]:
    """The feeder at every step, with its regulators where the step's load without devices puts them."""
    if taps == "file" or not (whole.regulators or whole.capacitor_controls):
        return (whole,) * factors.size
    found = [whole.load_flow(float(factor), taps="auto").taps for factor in factors]
    return tuple(whole.with_taps(own) if isinstance(own, Mapping) else whole for own in found)


def _linear(
    stages: tuple[Feeder, ...], devices: tuple[FlexibleDevice, ...], factors: Floats, limits: tuple[float, float],
    step: float,
) -> tuple[FlexibilityLayout, list[Floats], list[Floats]]:  # fmt: skip
    """The layout, and for every step d|v|/dp in pu a kW, shape (voltages, devices), and |v| without devices."""
    count, turn = len(devices), np.array([device.phasor for device in devices])
    fixed = np.array([load.s for load in stages[0].loads[:-count]])
    own = slice(fixed.size, fixed.size + count)
    loads = np.zeros((factors.size, fixed.size + count), dtype=np.complex128)
    loads[:, : fixed.size] = factors[:, None] * fixed
    _, where = measured(stages[0])
    base, gain, slopes, voltages = [], [], [], []
    for feeder, row in zip(stages, loads, strict=True):
        moved = np.repeat(row[None], 2 * count, axis=0)
        moved[:count, own] += np.diag(_STEP * turn)
        moved[count:, own] -= np.diag(_STEP * turn)
        flow = feeder.load_flow(np.concatenate([row[None], moved]), tolerance=1e-12)
        if not np.all(flow.converged):
            raise ModelError(f"{feeder.name}: the load flow fails at bus {flow.worst[0]}; scale the profile down.")
        power = np.real(flow.power) / 1e3
        base.append(float(power[0]))
        gain.append((power[1 : count + 1] - power[count + 1 :]) / (2.0 * _STEP / 1e3))
        linear = linear_flow(feeder, loads=row, of=range(own.start, own.stop))
        moves = np.asarray(where @ (linear.by_p * turn.real + linear.by_q * turn.imag)) * 1e3
        v = np.asarray(where @ linear.v)
        size = np.abs(v)
        turned = v.conj() / np.where(size > 0.0, size, 1.0)
        slopes.append(np.asarray((turned[:, None] * moves).real, dtype=np.float64))
        voltages.append(size)
    layout = FlexibilityLayout(stages, devices, loads, np.array(base), np.array(gain), limits, step)
    return layout, slopes, voltages


def _voltage_rows(model: Model, layout: FlexibilityLayout, name: str, slopes: list[Floats], rest: list[Floats]) -> None:
    """The voltage limits that some choice of powers could break; the others are left out."""
    low, high = (np.array([side[t] for t in range(len(rest))]) for side in _ranges(layout, len(rest)))
    v_min, v_max = layout.limits
    rows: list[tuple[int, Floats, float, float]] = []
    for t, (K, v) in enumerate(zip(slopes, rest, strict=True)):
        least = v + np.minimum(K * low[t], K * high[t]).sum(axis=1)
        most = v + np.maximum(K * low[t], K * high[t]).sum(axis=1)
        watched = (v > _NEAR) & ((least < v_min) | (most > v_max))
        rows += [(t, K[n], v_min - v[n], v_max - v[n]) for n in np.flatnonzero(watched)]
    if not rows:
        return
    at = np.array([t for t, *_ in rows])
    gains = np.array([K for _, K, *_ in rows])
    total = sum(
        cp.multiply(gains[:, d], model[device.name][name][at]) for d, device in enumerate(layout.devices)
    )  # fmt: skip
    model.couple(total <= np.array([high for *_, high in rows]), name=f"highest voltage, {name}")
    model.couple(total >= np.array([low for _, _, low, _ in rows]), name=f"lowest voltage, {name}")


def _ranges(layout: FlexibilityLayout, steps: int) -> tuple[Floats, Floats]:
    """Least and largest power of every device at every step in kW, shape (T, devices)."""
    both = [device.bounds(steps) for device in layout.devices]
    return np.stack([low for low, _ in both], axis=1), np.stack([high for _, high in both], axis=1)


def paths_of(layout: FlexibilityLayout, powers: Mapping[str, Floats]) -> NDArray[np.complex128]:
    """All loads in VA at every step with the devices at these powers in kW, shape (T, loads)."""
    loads = layout.loads.copy()
    first = loads.shape[1] - len(layout.devices)
    for d, device in enumerate(layout.devices):
        loads[:, first + d] = powers[device.name] * 1e3 * device.phasor
    return loads
