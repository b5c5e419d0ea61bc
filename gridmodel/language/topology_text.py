"""A topology in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridmodel.language.topology import Topology

__all__ = ["describe"]

_PARTS = 5
# Above these sizes a fact takes more than some seconds, or may not be found.
_DIAMETER_UP_TO = 2000
_RATE_UP_TO = 50_000
_IRREGULAR_UP_TO = 400


def describe(topology: Topology) -> str:
    """Size, degrees, distances and how fast it agrees; separate parts where it falls apart."""
    links = topology.links
    count = len(topology.edges)
    kind = "directed edge" if topology.is_directed else "edge"
    low, high = int(links.into.min()), int(links.into.max())
    heard = f"degree {low}" if low == high else f"degrees {low} to {high}"
    lines = [f"{_many(links.size, 'node')}, {_many(count, kind)}, {heard}"]
    if topology.periods:
        lines.append(
            f"varies with time: {len(topology.periods)} graphs in turn; what follows is for all edges together"
        )
    if not links.connected:
        return "\n".join([*lines, _parts(topology)])
    state = "strongly connected" if topology.is_directed else "connected"
    lines.append(state + (f", diameter {topology.diameter}" if links.size <= _DIAMETER_UP_TO else ""))
    if 1 < links.size <= _RATE_UP_TO and links.symmetric:
        second, largest = topology.spectrum
        lines.append(
            f"Laplacian: lambda_2 = {second:.6g}, lambda_N = {largest:.6g}; "
            f"best gamma = {topology.optimal_gamma:.6g}, rho = {_rate(topology)}"
        )
    if 1 < links.size <= (_RATE_UP_TO if links.symmetric and not topology.periods else _IRREGULAR_UP_TO):
        weights = "metropolis" if links.symmetric else "row"
        rounds = topology.rounds_to(1e-6, weights)
        lines.append(f"agreement to 1e-6 with {weights} weights: {_many(rounds, 'round')}")
    return "\n".join(lines)


def _rate(topology: Topology) -> str:
    """rho, and how far it is from 1 where six digits do not show it."""
    left = 2.0 * topology.spectrum[0] / sum(topology.spectrum)
    if left < 1e-4:
        return f"1 - {left:.3g}"
    return f"{topology.rho:.6g}" if topology.rho > 1e-12 else "0"


def _parts(topology: Topology) -> str:
    parts = topology.components
    shown = ["{" + ", ".join(map(str, p[:_PARTS])) + (", ..." if len(p) > _PARTS else "") + "}" for p in parts[:_PARTS]]
    more = f" and {len(parts) - _PARTS} more" if len(parts) > _PARTS else ""
    kind = "strongly connected" if topology.is_directed else "connected"
    return f"not {kind}: {len(parts)} separate parts {', '.join(shown)}{more}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
