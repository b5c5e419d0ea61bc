"""A load flow in words and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridmodel.errors import NotApplicableError
from gridmodel.grid.flow.balanced import BalancedFlow
from gridmodel.grid.flow.result import LoadFlow

__all__ = ["flow_dict", "flow_text"]


def flow_text(flow: LoadFlow | BalancedFlow) -> str:
    """Status, power, losses, the range of the voltages with their places, and what is proven; of one scenario."""
    if not flow.converged:
        return (
            f"{_name(flow)}: the load flow failed; last mismatch {float(flow.mismatch):.3g} at bus {flow.worst}. "
            "Lower the loads, or look for a missing capacitor, a wrong base voltage or a tap out of place."
        )
    rows = [("status", f"{flow.status}, {int(flow.iterations)} iterations")]
    if isinstance(flow, LoadFlow):
        power, losses = complex(flow.power), complex(flow.losses)
        rows += [("power", _power(power / 1e3, "k")), ("losses", _power(losses / 1e3, "k"))]
        rows.append(("unique", _proof(flow)))
        taps = flow.taps if isinstance(flow.taps, Mapping) else {}
        steps = [f"{unit} {tap:.5f}" for (unit, _), tap in taps.items()]
        rows += [("taps", ", ".join(steps))] if steps else []
    else:
        total, losses = complex(flow.generation.sum()), complex(flow.losses)
        rows += [("generation", _power(total, "M")), ("losses", _power(losses, "M"))]
    names, size = _magnitudes(flow)
    for word, k in (("lowest", int(np.argmin(size))), ("highest", int(np.argmax(size)))):
        rows.append((f"{word} voltage", f"{size[k]:.4f} pu at {names[k]}"))
    return "\n".join([_name(flow), *(f"  {what:<16} {text}" for what, text in rows)])


def flow_dict(flow: LoadFlow | BalancedFlow) -> dict[str, Any]:
    """The load flow of one scenario as JSON takes it: voltages in pu and degrees by node."""
    names, size = _magnitudes(flow, everywhere=True)
    v = np.asarray(flow.v)
    found: dict[str, Any] = {
        "network": _name(flow),
        "status": str(flow.status),
        "iterations": int(flow.iterations),
        "mismatch": float(flow.mismatch),
        "voltages": {
            str(name): {"magnitude_pu": float(m), "angle_deg": float(a)}
            for name, m, a in zip(names, size, np.angle(v, deg=True), strict=True)
        } if flow.converged else {},
    }  # fmt: skip
    if flow.converged:
        scale = 1e3 if isinstance(flow, LoadFlow) else 1.0
        power = complex(flow.power if isinstance(flow, LoadFlow) else flow.generation.sum()) / scale
        losses = complex(flow.losses) / scale
        unit = "k" if isinstance(flow, LoadFlow) else "M"
        found |= {
            f"power_{unit}W": power.real, f"power_{unit}var": power.imag,
            f"losses_{unit}W": losses.real, f"losses_{unit}var": losses.imag,
        }  # fmt: skip
    return found


def _name(flow: LoadFlow | BalancedFlow) -> str:
    return flow.feeder.name if isinstance(flow, LoadFlow) else flow.net.name


def _power(s: complex, prefix: str) -> str:
    return f"{s.real:.6g} {prefix}W, {s.imag:.6g} {prefix}var"


def _proof(flow: LoadFlow) -> str:
    try:
        found = flow.certificate
    except NotApplicableError as error:
        return str(error)
    if found.holds:
        return f"proven near the voltages without load (xi = {float(found.xi):.3f})"
    return f"not proven (xi = {float(found.xi):.3f}); the solution may not be the only one"


def _magnitudes(flow: LoadFlow | BalancedFlow, everywhere: bool = False) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Names and sizes of the voltages; phases that something feeds only, unless everywhere."""
    names = [str(name) for name in flow.nodes]
    size = np.abs(np.asarray(flow.v))
    if everywhere or isinstance(flow, BalancedFlow):
        return names, size
    kept = [k for k, name in enumerate(names) if int(name.rpartition(".")[2]) <= 3 and size[k] > 0]
    return [names[k] for k in kept], size[kept]
