"""A trained policy at its device: from what is measured to an action in its units, without torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, UnknownNameError
from gridmodel.ir.training import Leaf
from gridmodel.learning.contract import Contract, read_contract
from gridmodel.runtime.agents import CLOCK, DayOfAgents, seen_order

__all__ = ["Controller", "read_network_file"]

Floats = NDArray[np.float64]
Network = Callable[[Floats], Any]
"""What is seen, shape (1, F), in physical units -> raw actions, shape (1, A)."""


@final
class Controller:
    """The policy of one agent from the two files that ``policy.export`` wrote: ``begin`` a day, then ``act`` each step.

    Args:
        path: the contract, ``battery-3.json``; its network lies beside it.
        network: another way to run the network, e.g. an onnxruntime session as
            ``lambda x: session.run(None, {"observation": x.astype("float32")})[0]``; None runs it in numpy.

    Raises:
        DataError: no such file, or not a contract. ModelError: onnx is missing, which reads the network.
    """

    def __init__(self, path: str | Path, network: Network | None = None) -> None:
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no contract of a policy: {error}.") from None
        self.contract: Contract = read_contract(content if isinstance(content, dict) else {}, str(path))
        self.network = read_network_file(path.with_name(self.contract.network)) if network is None else network
        self._day: DayOfAgents | None = None

    @property
    def step(self) -> int:
        """The step of the day that is next."""
        return 0 if self._day is None else self._day.t

    @property
    def states(self) -> dict[str, float]:
        """Its states now, as predicted or as last measured."""
        return {leaf.name: float(value[0]) for leaf, value in self._now.states.items()}

    def begin(self, **series: Any) -> None:
        """Starts a day.

        Args:
            series: by name, shape (T,): those known for the whole day. Of the others every step's value is given to
                ``act``.

        Raises:
            DataError: a series of another length, or one that the limits of states need is not there.
        """
        steps = self.contract.steps
        given = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
        for name, values in given.items():
            self._check_series(name)
            if values.shape != (steps,):
                raise DataError(
                    f"{self.contract.agent}: the series {name!r} has shape {values.shape}, expected ({steps},)."
                )
        unknown = {name: np.full(steps, np.nan) for name in self.contract.kind.series if name not in given}
        self._day = DayOfAgents(self.contract.kind, steps, given | unknown)

    def act(self, measured: Mapping[str, float] | None = None, **series: float) -> dict[str, float]:
        """The actions of this step in their units, by name; then the next step is on.

        Args:
            measured: states at the start of the step; those left out are predicted from the step before.
            series: values at this step of series that were not known before.

        Raises:
            DataError: no day was begun, it is over, or a series has no value.
            UnknownNameError: no such state or series.
        """
        day = self._now
        if day.t >= day.steps:
            raise DataError(f"{self.contract.agent}: the day of {day.steps} steps is over; begin another one.")
        for name, value in (measured or {}).items():
            if Leaf("state", name) not in day.states:
                raise UnknownNameError(f"{self.contract.agent} has no state {name!r}.")
            day.states[Leaf("state", name)] = np.array([float(value)])
        for name, value in series.items():
            self._check_series(name)
            day.series[Leaf("series", name)][day.t] = float(value)
        if missing := [leaf.name for leaf, values in day.series.items() if np.isnan(values[day.t]).any()]:
            raise DataError(
                f"{self.contract.agent}: no value of {missing[0]!r} at step {day.t}: act({missing[0]}=...)."
            )
        raw = np.asarray(self.network(self._seen(day)), dtype=np.float64)
        moved = day.act(raw)
        day.move(moved)
        return {leaf.name: float(value[0]) for leaf, value in moved.items() if leaf.sort == "action"}

    def _seen(self, day: DayOfAgents) -> Floats:
        seen = day.see()
        for one, value in zip(seen_order(day.kind), seen[0, CLOCK:], strict=True):
            if not np.isfinite(value):
                when = f" {one.ahead} steps ahead" if one.ahead else ""
                raise DataError(
                    f"{self.contract.agent} sees {one.leaf.sort} {one.leaf.name!r}{when}, and at step {day.t} it is no "
                    "number; series that are known for the whole day go to begin(...)."
                )
        return seen

    @property
    def _now(self) -> DayOfAgents:
        if self._day is None:
            raise DataError(f"{self.contract.agent}: no day was begun: begin(series=...).")
        return self._day

    def _check_series(self, name: str) -> None:
        if name not in self.contract.kind.series:
            known = ", ".join(self.contract.kind.series) or "none"
            raise UnknownNameError(f"{self.contract.agent} has no series {name!r}; it has {known}.")


def read_network_file(path: str | Path) -> Network:
    """The network of a file that ``policy.export`` wrote, as a function in numpy.

    Raises:
        DataError: no such file, or another network. ModelError: onnx is missing.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise ModelError("Reading a policy needs onnx: pip install 'gridmodel[learn]', or give network=.") from error
    try:
        model = onnx.load(str(path))
        kept = {one.name: np.asarray(onnx.numpy_helper.to_array(one), np.float64) for one in model.graph.initializer}
        center, scale = kept["center"], kept["scale"]
        layers = [
            (kept[f"weight{j}"], kept[f"offset{j}"]) for j in range(sum(name.startswith("weight") for name in kept))
        ]
        gain = kept["gain"]
    except Exception as error:  # protobuf raises what it likes
        raise DataError(f"{path} is no network that gridmodel exported: {error}.") from None

    def run(seen: Floats) -> Floats:
        value = (seen - center) / scale
        for weight, offset in layers:
            value = np.tanh(value @ weight + offset)
        return np.clip(gain * value, -1.0, 1.0)

    return run
