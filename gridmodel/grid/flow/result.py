"""What a load flow found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.assemble import Taps
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.certificate import FlowCertificate, certify
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.primitives import line, norton, source

__all__ = ["LoadFlow"]


@dataclass(frozen=True)
class LoadFlow:
    """The voltages of a feeder at given powers. Scenarios are the first axis of every array; without them it is absent.

    v: node voltages in pu of each node's base, complex, shape ([scenarios,] nodes); NaN where the load flow failed, so
    that nothing averages over it. nodes: their names "bus.number". converged: [scenarios]. status: "converged",
    "newton" (the fixed point failed, Newton did not) or "failed". iterations: of the fixed point, and Newton's.
    mismatch: the last change of a port's voltage in pu. worst: the bus of it, where the load flow failed, else "".
    drawn: what loads draw less what generators inject at these voltages in VA. s: what they were asked to at rated
    voltage, generators negative, shape ([scenarios,] loads + generators). taps: turns ratios that replaced the
    feeder's by (transformer, winding); with scenarios one mapping each. settled: whether the regulators came
    to rest, where they were asked to, [scenarios].
    """

    feeder: Feeder
    v: NDArray[Any]
    converged: Any
    status: Any
    iterations: Any
    mismatch: Any
    worst: Any
    drawn: Any
    s: NDArray[np.complex128]
    settled: Any
    taps: Taps | tuple[Taps, ...]

    def __repr__(self) -> str:
        rows, ended = np.atleast_1d(self.converged), np.atleast_1d(self.status)
        failed = f", {int((~rows).sum())} failed" if not rows.all() else ""
        newton = f", {int((ended == 'newton').sum())} by Newton" if (ended == "newton").any() else ""
        return f"LoadFlow({self.feeder.name!r}, {rows.size} scenarios, {len(self.nodes)} nodes{newton}{failed})"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes, "bus.number"."""
        return self.feeder.nodes

    def __getitem__(self, node: str) -> Any:
        """The voltage in pu at a node "bus.number", [scenarios]."""
        return self.v[..., self.feeder.position[node]]

    @cached_property
    def volts(self) -> NDArray[np.complex128]:
        """The node voltages in V, shape ([scenarios,] nodes)."""
        return np.asarray(self.v * self.feeder.base, dtype=np.complex128)

    @cached_property
    def power(self) -> Any:
        """What the sources deliver at their terminals, p + j q in VA, [scenarios]."""
        total = np.zeros(self.v.shape[:-1], dtype=np.complex128)
        for one in self.feeder.sources:
            v = self._across(source(one).nodes)
            total = total + (v * (norton(one) - v @ source(one).y.T).conj()).sum(axis=-1)
        return total[()]

    @property
    def losses(self) -> Any:
        """What lines, transformers and shunts use up: the sources' power less what is drawn, VA, [scenarios]."""
        return self.power - self.drawn

    @cached_property
    def certificate(self) -> FlowCertificate:
        """Whether each load flow has exactly one solution near the voltages without load, ``certify``; [scenarios].

        Raises:
            NotApplicableError: the feeder has so many ports that the condition's matrix is not formed.
        """
        many = isinstance(self.taps, tuple)
        each = self.taps if isinstance(self.taps, tuple) else (self.taps,)
        found = []
        if all(one == each[0] for one in each):
            form = form_of(self.feeder, each[0])
            whole = certify(form, form.injections.at_ports(np.atleast_2d(self.s)))
            return whole if many else whole.row(0)
        for taps, s in zip(each, self.s, strict=True):
            form = form_of(self.feeder, taps)
            found.append(certify(form, form.injections.at_ports(s[None])))
        return FlowCertificate.joined(found)

    @cached_property
    def currents(self) -> Mapping[str, NDArray[np.complex128]]:
        """The currents in A into every closed line, shape ([scenarios,] 2, conductors): at its start and at its end."""
        out = {}
        for one in self.feeder.lines:
            if one.closed:
                primitive = line(one)
                i = self._across(primitive.nodes) @ primitive.y.T
                out[one.name] = i.reshape(*i.shape[:-1], 2, -1)
        return out

    def _across(self, nodes: tuple[tuple[str, int], ...]) -> NDArray[np.complex128]:
        """The voltages in V to ground of (bus, number), 0 for the ground."""
        at = [self.feeder.position[f"{bus}.{number}"] if number else -1 for bus, number in nodes]
        return np.where(np.array(at) < 0, 0.0, self.volts[..., at])
