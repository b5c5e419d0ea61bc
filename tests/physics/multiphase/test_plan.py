"""The tree of series blocks: voltages without load equal to the load flow's, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.grid.elements import Bus, Line, Load, Source, Terminal, Transformer, VoltVar, Winding
from gridmodel.grid.feeder import Feeder
from gridmodel.physics.multiphase.opf import feeder_model
from gridmodel.physics.multiphase.plan import plan_of
from tests.physics.multiphase.feeders import shipped, small


def _bank(first: str, second: str, lead: bool, load: str) -> Feeder:
    """A source, a transformer and a line with loads to ground ("wye") or between conductors ("delta")."""
    nodes, high, low = (1, 2, 3), 7200.0, 2400.0

    def winding(bus: str, connection: str, v: float) -> Winding:
        ends = (1, 2, 3, 0) if connection == "wye" else nodes
        return Winding(Terminal(bus, ends), connection, v * float(np.sqrt(3.0)), 1e6, 0.01)

    unit = Transformer("bank", 3, (winding("a", first, high), winding("b", second, low)), (0.06,), lead=lead)
    z = np.asarray((np.eye(3) * 0.2 + 0.05) * (1 + 2j), dtype=np.complex128)
    line = Line("line", Terminal("b", nodes), Terminal("c", nodes), z, np.zeros((3, 3), np.complex128))
    powers = (120e3 + 50e3j, 80e3 + 10e3j, 150e3 + 60e3j)
    v = low * (float(np.sqrt(3.0)) if load == "delta" else 1.0)
    ends = [(1, 2), (2, 3), (3, 1)] if load == "delta" else [(1, 0), (2, 0), (3, 0)]
    loads = [Load(f"d{k}", Terminal("c", end), 1, load, powers[k], v) for k, end in enumerate(ends)]
    v_source = np.asarray(high * np.exp(-2j * np.pi / 3 * np.arange(3)), dtype=np.complex128)
    source = Source("grid", Terminal("a", nodes), v_source, np.asarray(np.eye(3) * 0.01j, dtype=np.complex128))
    buses = (Bus("a", nodes, high), Bus("b", nodes, low), Bus("c", nodes, low))
    return Feeder("bank", 60.0, buses, (source,), (line,), (unit,), loads=tuple(loads))


@pytest.mark.parametrize(
    ("first", "second", "lead", "load"),
    [
        ("wye", "wye", False, "wye"),
        ("delta", "wye", False, "wye"),
        ("delta", "wye", True, "delta"),
        ("delta", "delta", False, "delta"),
        ("wye", "delta", False, "delta"),
        ("wye", "delta", True, "delta"),
    ],
)
def test_transformers_as_in_the_load_flow(first: str, second: str, lead: bool, load: str) -> None:
    """At the load flow's voltages all currents of the plan add up, for every connection."""
    feeder = _bank(first, second, lead, load)
    plan, flow = plan_of(feeder), feeder.load_flow(tolerance=1e-11)
    assert flow.converged
    at = dict(zip(flow.nodes, flow.v, strict=True))
    v = [plan.v[0], *(f.D @ np.array([at[f"{f.bus}.{n}"] for n in f.nodes]) for f in plan.frames[1:])]
    left = [-Y @ one for Y, one in zip(plan.shunts, v, strict=True)]
    for item in plan.loads:
        row = np.array(item.row)
        left[item.bus] = left[item.bus] - row * np.conj(item.s / (row @ v[item.bus]))
    for branch in plan.branches:
        series = branch.series
        i = np.linalg.solve(series.z, series.R @ v[branch.parent] - v[branch.child])
        left[branch.child] = left[branch.child] + i
        left[branch.parent] = left[branch.parent] - series.R.T @ i
    # the load flow ties floating windings to the ground by 1e-6 of the rating; the plan does not
    assert max(np.abs(one).max() for one in left[1:]) < 5e-6


@pytest.mark.parametrize("number", [13, 37, 123])
def test_no_load_voltages_equal_the_load_flow(number: int) -> None:
    feeder = replace(shipped(number), loads=(), generators=())
    plan, flow = plan_of(feeder), feeder.load_flow(tolerance=1e-11)
    at = dict(zip(flow.nodes, flow.v, strict=True))
    for frame, v in zip(plan.frames, plan.v, strict=True):
        if not frame.bus.startswith("source "):
            true = frame.D @ np.array([at[f"{frame.bus}.{node}"] for node in frame.nodes])
            # charging of lines and capacitors raises it
            assert np.abs(v - true).max() < 0.04


def test_refused_by_name() -> None:
    feeder = small()
    ring = replace(feeder.lines[0], name="tie", start=Terminal("n3", (1, 2, 3)), end=Terminal("n8", (1, 2, 3)))
    with pytest.raises(ModelError, match=r"loop through .*n3.*: branch flow is exact on trees"):
        plan_of(replace(feeder, lines=(*feeder.lines, ring)))
    cut = replace(feeder.lines[-1], closed=False)
    with pytest.raises(ModelError, match=r"at bus n8 is on an island"):
        plan_of(replace(feeder, lines=(*feeder.lines[:-1], cut)))
    with pytest.raises(ModelError, match="needs one source, got none"):
        plan_of(replace(feeder, sources=()))
    floating = _bank("delta", "delta", False, "wye")
    with pytest.raises(ModelError, match=r"bus c is behind ungrounded windings"):
        plan_of(floating)
    with pytest.raises(ModelError, match="not known; available: sdp, lindistflow"):
        feeder_model(feeder, "soc")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"v: the lower limit 1\.1 is above the upper one, 1\.05"):
        feeder_model(feeder, v_min=1.1)
    endless = replace(feeder, generators=(replace(feeder.generators[0], attributes={}),))
    with pytest.raises(ModelError, match=r"dg n3\.1: its power has no finite limits"):
        feeder_model(endless)


@pytest.mark.parametrize("formulation", ["sdp", "lindistflow"])
def test_a_droop_is_refused_with_the_call_that_leaves_it_out(formulation: str) -> None:
    feeder = small()
    feeder = replace(feeder, generators=tuple(replace(unit, s_max=60e3) for unit in feeder.generators))
    drooping = replace(feeder, generators=tuple(replace(unit, droop=VoltVar()) for unit in feeder.generators))
    with pytest.raises(ModelError, match=r"generator dg n3\.1, .* with a volt-var droop: .*unit, droop=None"):
        gm.opf(drooping, formulation)
    mended = replace(drooping, generators=tuple(replace(unit, droop=None) for unit in drooping.generators))
    values = [gm.solve(gm.opf(net, formulation, v_min=0.9), "central").value for net in (mended, feeder)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
