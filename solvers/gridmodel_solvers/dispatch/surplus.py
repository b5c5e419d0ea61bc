"""The sign of the surplus, found by averaging over the graph in inner rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.spectrum import laplacian_spectrum
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Flood, Mixer
from gridmodel_solvers.dispatch.bounds import diameter

__all__ = ["Inner", "Surplus", "inner_mixing"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inner:
    """How the surplus is averaged.

    weights: of the mixing, shape (E,). rounds: at most. spread: rounds in which a number reaches every agent.
    signs: whether it ends once all signs agree.
    """

    weights: Floats
    rounds: int
    spread: int
    signs: bool


def inner_mixing(links: Links, kind: Any, channel: Channel, inner: int | Literal["signs"] | None,
                 accuracy: float) -> Inner:  # fmt: skip
    """Weights and rounds that bring disagreement down to ``accuracy`` of its size under the channel's faults.

    rho^K = accuracy with rho = max |eigenvalue of W|; K grows by the share of links that work both ways. Under delay
    tau, W = I - gamma (I - W) with gamma lambda_max(I - W) < 2 sin(pi / (2 (2 tau + 1))), of which .7 is taken.
    """
    weights = edge_weights(links, kind, symmetric=True)
    second, largest = laplacian_spectrum(links, weights) if links.size > 1 else (1.0, 1.0)
    late = channel.delay + channel.jitter
    if late:
        weights = weights * min(1.0, 1.4 * np.sin(np.pi / (2 * (2 * late + 1))) / largest)
        second, largest = laplacian_spectrum(links, weights) if links.size > 1 else (1.0, 1.0)
    rate = max(abs(1 - second), abs(1 - largest), 1e-3)
    through = (1 - channel.drop) * channel.awake**2
    lossy = 0.0 if not {"drop", "burst", "async"} & set(channel.faults) else 20.0 * (1.0 + (channel.burst or 0.0))
    pairs = through * (1 - channel.drop)
    rounds = np.log(accuracy) / np.log(rate) / pairs * (1.5 if late else 1.0) + 2 * lossy
    spread = max(1, int(np.ceil(diameter(links) * (1 + late) / through + lossy / channel.awake**2)))
    count = int(np.ceil(rounds)) if inner in (None, "signs") else int(inner)
    return Inner(weights, max(count, 1), spread, inner == "signs")


@final
class Surplus:
    """Parts z of a surplus, averaged until each has the sign of the sum.

    z: shape (N, k). done: whether the rounds are over. sign: as each agent finds it, shape (N, k).
    """

    def __init__(self, network: Network, made: Inner, z: Floats) -> None:
        self._network, self._made = network, made
        self._mixer = Mixer(network, made.weights, "paired")
        self._flood = Flood(network) if made.signs else None
        self.anew(z)

    def anew(self, z: Floats) -> Surplus:
        """Starts again with other parts, over the same streams."""
        self.z, self.sign, self.done = z, np.sign(z), False
        self._left, self._window = self._made.rounds, 0
        self._told = z
        return self

    def round(self) -> None:
        """One round, after the network's tick."""
        if self._flood is not None:
            self._tell(self._flood)
        self.z = self._network.keep(self._mixer(self.z), self.z)
        self._left -= 1
        if self._left == 0 and not self.done:
            self.sign, self.done = np.sign(self.z), True

    def _tell(self, flood: Flood) -> None:
        """Spreads the extremes of the signs that there were when a window began; equal ones end the phase."""
        if self._window == 0:
            signs = np.sign(self.z)
            self._told, self._window = np.concatenate([signs, -signs], axis=1), self._made.spread
        self._told = np.rint(flood(self._told))
        self._window -= 1
        top, bottom = np.split(self._told, 2, axis=1)
        if self._window == 0 and (top == -bottom).all():
            self.sign, self.done = top, True
