"""Load flow of a feeder: 1,000 scenarios beside OpenDSS, forward and adjoint in torch, a year at 15 minutes.

With inverters: one of constant power or with a volt-var droop at every load's phases, in complex64, their real powers
drawn anew in every scenario; voltages of all nodes, forward without gradients, and with the adjoint of sum |v|.

v = b - K i(v, s) at every scenario s, loads uniform in 0.3 to 1.2 of the file's, regulators at the file's taps

OpenDSS runs where opendssdirect is installed: loads set one by one, solve, read all voltages, in one process, with the
same file, taps and tolerance; a small share of the scenarios is timed and scaled up. ``times`` is against OpenDSS.
Loads whose law jumps at a voltage limit (models 3 and 4, IEEE 37) have scenarios with two solutions, 1e-4 pu apart;
there the error against OpenDSS may be that distance.
Run it on one thread: OMP_NUM_THREADS=1 python benchmarks/load_flow.py [FEEDER.dss]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure import Timed, alternate, arguments, report
from numpy.typing import NDArray

from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.elements import Generator, VoltVar
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.forms import injections_of
from gridmodel.grid.flow.port_form import port_form
from gridmodel.grid.flow.series import flow_series

SHIPPED = Path(__file__).parent.parent / "models" / "data" / "feeders" / "123Bus" / "IEEE123Master.dss"
STEPS = 4 * 8760


def powers(feeder: Feeder, scenarios: int) -> NDArray[np.complex128]:
    """Loads in VA, shape (scenarios, loads)."""
    factors = np.random.default_rng(0).uniform(0.3, 1.2, (scenarios, len(feeder.loads)))
    return factors * np.array([load.s for load in feeder.loads])


def opendss(path: Path, feeder: Feeder, s: NDArray[np.complex128]) -> Callable[[], NDArray[np.complex128]]:
    """Voltages in V in the feeder's order, shape (scenarios, nodes), by OpenDSS with its controls off."""
    import opendssdirect as dss

    dss.Text.Command(f"Redirect [{path.resolve()}]")
    dss.Text.Command("Set ControlMode=OFF")
    dss.Text.Command("Set Tolerance=1e-8")
    for unit in feeder.transformers:
        dss.Transformers.Name(unit.name)
        for k, winding in enumerate(unit.windings, 1):
            dss.Transformers.Wdg(k)
            dss.Transformers.Tap(winding.tap)
    dss.Solution.Solve()
    order = [feeder.position[name.lower()] for name in dss.Circuit.AllNodeNames()]
    names, kilo = [load.name for load in feeder.loads], s / 1e3

    def run() -> NDArray[np.complex128]:
        out = np.zeros((len(kilo), len(feeder.nodes)), dtype=np.complex128)
        for row, values in zip(out, kilo, strict=True):
            for name, one in zip(names, values, strict=True):
                dss.Loads.Name(name)
                dss.Loads.kW(one.real)
                dss.Loads.kvar(one.imag)
            dss.Solution.Solve()
            flat = np.array(dss.Circuit.AllBusVolts())
            row[order] = flat[::2] + 1j * flat[1::2]
        return out

    return run


def batch(path: Path, scenarios: int, repetitions: int) -> list[dict[str, Any]]:
    """All contestants on the same scenarios, and how far each is from gridmodel's voltages at a tolerance of 1e-12."""
    feeder = read_dss(path)
    s = powers(feeder, scenarios)
    truth = feeder.load_flow(loads=s, tolerance=1e-12).volts
    contestants: dict[str, Callable[[], Any]] = {
        "gridmodel complex128": lambda: feeder.load_flow(loads=s).volts,
        "gridmodel complex64": lambda: feeder.load_flow(loads=s, dtype=np.complex64).volts,
    }
    contestants |= torch_contestants(feeder, s)
    peer = min(scenarios, 200)
    try:
        contestants["OpenDSS"] = opendss(path, feeder, s[:peer])
    except ImportError:
        print("opendssdirect is not installed; pip install opendssdirect.py puts OpenDSS beside.")
    timed = alternate(contestants, repetitions)
    base = timed["OpenDSS"].median / peer * scenarios if "OpenDSS" in timed else np.nan
    return [
        row(name, one, truth, feeder, scenarios / peer if name == "OpenDSS" else 1.0, base)
        for name, one in timed.items()
    ]


def row(
    name: str, timed: Timed, truth: NDArray[np.complex128], feeder: Feeder, scale: float, base: float
) -> dict[str, Any]:
    found = np.asarray(timed.answer)
    error = np.abs(found - truth[: len(found)]) / feeder.base
    return {"by": name, "scenarios": len(truth), "ms": 1e3 * scale * timed.median, "times": scale * timed.median / base,
            "flows/s": len(truth) / (scale * timed.median), "error pu": float(error.max())}  # fmt: skip


def torch_contestants(feeder: Feeder, s: NDArray[np.complex128]) -> dict[str, Callable[[], Any]]:
    """Forward, and forward with the gradient of sum |v|, in both precisions."""
    try:
        import torch
    except ImportError:
        print("torch is not installed; pip install 'gridmodel[learn]' puts the adjoint beside.")
        return {}
    from gridmodel.grid.flow.differentiable import TorchLoadFlow

    torch.set_num_threads(1)
    flow, out = TorchLoadFlow(feeder), {}
    for dtype in (torch.complex128, torch.complex64):
        x = torch.tensor(s, dtype=dtype, requires_grad=True)

        def forward(x: Any = x) -> Any:
            with torch.no_grad():
                return flow(x).v.numpy() * feeder.base

        def both(x: Any = x) -> Any:
            v = flow(x).v
            v.abs().sum().backward()
            return v.detach().numpy() * feeder.base

        name = str(dtype).removeprefix("torch.")
        out |= {f"torch {name} forward": forward, f"torch {name} forward + adjoint": both}
    return out


def inverters(path: Path, scenarios: int, repetitions: int, rating: float = 50e3) -> list[dict[str, Any]]:
    """Load flows a second with an inverter at every load; error against gridmodel in float64 at 1e-12."""
    try:
        import torch
    except ImportError:
        return []
    from gridmodel.grid.flow.differentiable import TorchLoadFlow

    torch.set_num_threads(1)
    bare, rows = read_dss(path), []
    rng = np.random.default_rng(2)
    p = rating * rng.uniform(-0.5, 1.0, (scenarios, len(bare.loads)))
    loads = torch.tensor(powers(bare, scenarios), dtype=torch.complex64)
    for droop in (None, VoltVar()):
        units = tuple(
            Generator(f"pv{k}", one.terminal, one.phases, one.connection, 0j, one.v, rating, droop=droop)
            for k, one in enumerate(bare.loads)
        )
        feeder = replace(bare, generators=units)
        flow, x = TorchLoadFlow(feeder), torch.tensor(p, dtype=torch.float32, requires_grad=True)

        def forward(flow: Any = flow, x: Any = x) -> Any:
            with torch.no_grad():
                return flow.injected(x, None, loads).v

        def both(flow: Any = flow, x: Any = x) -> Any:
            v = flow.injected(x, None, loads).v
            v.abs().sum().backward()
            return v.detach()

        truth = feeder.load_flow(powers(bare, scenarios), p.astype(complex), tolerance=1e-12).v
        timed = alternate({"forward": forward, "forward + adjoint": both}, repetitions)
        rows += [
            {"droop": droop is not None, "what": name, "inverters": len(units), "flows/s": scenarios / one.median,
             "best": scenarios / min(one.seconds), "error pu": float(np.abs(one.answer.numpy() - truth).max()),
             "loop gain": flow.gain.plain if flow.gain else 0.0, "used": flow.gain.used if flow.gain else 0.0}
            for name, one in timed.items()
        ]  # fmt: skip
    return rows


def year(path: Path, repetitions: int) -> list[dict[str, Any]]:
    """A year at 15 minutes with a profile a load, and what building the port form costs."""
    feeder = read_dss(path)
    hours = np.arange(STEPS) / 4
    rng, daily = np.random.default_rng(1), 0.6 - 0.3 * np.cos(2 * np.pi * hours / 24)
    profiles = {f"p{k}": daily * rng.uniform(0.7, 1.3, STEPS) for k in range(len(feeder.loads))}
    loads = tuple(replace(load, profile=f"p{k}") for k, load in enumerate(feeder.loads))
    feeder = replace(feeder, loads=loads, profiles=profiles, step=0.25)
    timed = alternate(
        {"year": lambda: flow_series(feeder), "port form": lambda: build(feeder)}, min(2, repetitions)
    )  # fmt: skip
    found = timed["year"].answer
    return [{"steps": STEPS, "s": timed["year"].median, "us a step": 1e6 * timed["year"].median / STEPS,
             "converged": int(found.converged.sum()), "lowest pu": float(found.v_min.min()),
             "form ms": 1e3 * timed["port form"].median}]  # fmt: skip


def build(feeder: Feeder) -> Any:
    from gridmodel.grid.assemble import assemble

    return port_form(assemble(feeder), injections_of(feeder))


def main() -> None:
    parser = arguments(__doc__, repetitions=5)
    parser.add_argument("feeder", nargs="?", type=Path, default=SHIPPED, help="an OpenDSS file; default: IEEE 123")
    parser.add_argument("--scenarios", type=int, default=1000)
    options = parser.parse_args()
    report(batch(options.feeder, options.scenarios, options.repetitions), "Scenarios of a feeder", options.json)
    report(inverters(options.feeder, options.scenarios, options.repetitions), "With an inverter at every load", None)
    report(year(options.feeder, options.repetitions), "A year at 15 minutes", None)


if __name__ == "__main__":
    main()
