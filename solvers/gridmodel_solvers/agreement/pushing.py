"""What the algorithms for directed graphs share: verdict, the choice of a step by trial, and limits of steps."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import Any, ClassVar, Protocol, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.errors import ModelError, NotApplicableError, TopologyError
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.spectrum import modulus, need_connected
from gridmodel.runtime.agreed import agreed_columns
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel.runtime.verdicts import no_agreement, no_network
from gridmodel_solvers.agreement.quadratics import Quadratics
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["AbstractPush", "Gradients", "check_eta", "handed", "masses", "reset"]

Floats = NDArray[np.float64]

_ROUGH = 0.1
"""Step of agents that solve their own problem, over the pace of their costs: found on random models."""
_HALVINGS = 18
_ROUNDS = (200, 1500)
_WORK = 3e7
_WORSE = 0.7
_PATIENCE = 3
_BLOWN = 1e8
_SETTLED = 1e-13


class Gradients(Protocol):
    """Costs of which a gradient is known everywhere."""

    def gradient(self, V: Floats) -> Floats:
        """The gradient of agent i's cost at v_i, shape (N, d)."""


class AbstractPush(AbstractNetworked):
    """Gradient methods over directed graphs, where senders need not hear those who hear them.

    A subclass makes its first state from costs, network, step and start, so that steps can be tried.
    """

    more: ClassVar[tuple[int, int]]
    """Numbers in a packet: so many for each shared number, and so many besides."""

    takes_limits: ClassVar[bool] = False
    """Whether agents with limits or variables of their own may solve their own problem in place of a gradient step."""

    eta: float | None

    def verdict(self, properties: Properties) -> Verdict:
        """Agreements of agents with smooth costs, over a strongly connected topology."""
        refusal = no_agreement(properties, smooth=not self.takes_limits) or no_network(properties, directed=True)
        rough = None if properties.shared is None else properties.shared.rough
        if refusal is not None:
            return Verdict(
                False,
                refusal
                + ("; use relaxed-admm over edges in both directions, or push-pull" if rough is not None else ""),
            )
        if rough is None:
            return Verdict(True, "smooth costs, and edges that need no way back")
        return Verdict(True, f"edges need no way back; {rough}, so every agent solves its own problem in a round "
                       "(convergence is proven for smooth costs only; the certificate decides)")  # fmt: skip

    def numbers(self, problem: Separable) -> int:
        """Numbers in a packet."""
        return self.more[0] * int(agreed_columns(problem)[0].shape[1]) + self.more[1]

    @final
    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> Any:
        """The first state, with a step that was tried where none is given.

        Raises:
            NotApplicableError: a cost without gradients. TopologyError: parts that do not hear each other.
            ModelError: a step with which it diverges.
        """
        del tolerance
        need_connected(network.links, self.name)
        shared = Shared(problem)
        if shared.quadratics is None:
            if not self.takes_limits:
                raise NotApplicableError(
                    f"{self.name} needs gradients everywhere, and an agent has limits or variables of its own; use "
                    "relaxed-admm over edges in both directions, or push-pull."
                )
            eta = _ROUGH * shared.pace if self.eta is None else np.full(shared.d, float(self.eta))
        elif self.eta is None:
            eta = self.tempered(_tried(self, shared.quadratics, shared.pace, network))
        else:
            _check_limit(self, shared.quadratics, network.links)
            eta = np.full(shared.d, float(self.eta))
        return self.first(shared, network, eta, shared.start(warm))

    @abc.abstractmethod
    def first(self, costs: Gradients, network: Network, eta: Floats, x: Floats) -> Any:
        """The state at x, shape (N, d), with steps eta, shape (d,)."""

    @abc.abstractmethod
    def limit(self, h: Floats, links: Links) -> float:
        """A step beyond which the trace of the iteration exceeds its size, so that it diverges even without faults.

        Args:
            h: diagonals of the second derivatives, shape (N, d).
        """

    def tempered(self, eta: Floats) -> Floats:
        """The step that is used where ``eta`` was found by trial."""
        return eta

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        found: Iterate = state.costs.observe(state.x, state.g, state.network.fates.present)
        return found

    def shown(self, state: Any) -> Floats:
        """What each agent holds of the shared numbers, shape (N, d)."""
        return np.asarray(state.x)


def check_eta(name: str, eta: float | None) -> None:
    """Refuses a step that is not positive.

    Raises:
        ModelError: eta <= 0, or no number.
    """
    if eta is not None and not 0 < eta < np.inf:
        raise ModelError(f"{name}: eta={eta!r} is a step and must be above 0; leave it out to have it chosen.")


def _check_limit(algorithm: AbstractPush, costs: Quadratics, links: Links) -> None:
    if links.present is not None or algorithm.eta is None:
        return
    limit = algorithm.limit(costs.diagonal, links)
    if algorithm.eta > limit:
        raise ModelError(
            f"{algorithm.name}: eta={algorithm.eta:g} is above {limit:.3g}, beyond which it diverges on this topology "
            "from every start (the trace of its iteration exceeds its size); leave eta out to have it chosen."
        )


def _tried(algorithm: AbstractPush, costs: Quadratics, pace: Floats, network: Network) -> Floats:
    """The step with which errors shrink fastest in a trial, or half of the longest with which they shrink if less.

    With all gradients moved to zero at zero, every state is an error. Steps pace, pace/2, pace/4, ... are tried on such
    costs over a channel with the same losses and delays, drawn anew; where draws matter the half is a quarter.
    """
    still = Quadratics([costs.hessian], np.zeros_like(costs.linear))
    given = network.channel
    channel = replace(
        given, noise=0.0, bits=None, coding="fixed", mask=None, privacy=None, outages={}, leaves={}, joins={},
        seed=given.seed + 1,
    )  # fmt: skip
    rounds = _rounds(network.links, channel)
    longest, best, share, chosen, worse = 0.0, 0.0, 1.0, 1.0, 0
    for _ in range(_HALVINGS):
        rate = _growth(algorithm, still, Network(network.links, channel), share * pace, rounds)
        if rate < 0 and not longest:
            longest = share
        worse = worse + 1 if rate > _WORSE * best else 0
        if rate < best:
            best, chosen = rate, share
        if longest and worse == _PATIENCE:
            break
        share /= 2
    margin = 4 if channel.drop or channel.awake < 1 else 2
    return np.asarray(min(chosen, longest / margin) * pace if longest else share * pace)


def _growth(algorithm: AbstractPush, costs: Quadratics, network: Network, eta: Floats, rounds: int) -> float:
    """Growth of errors a round, as a logarithm, over the second half of a trial; inf where they blow up."""
    # A number is counted in the root of its step, which goes with its unit.
    unit = np.sqrt(eta)
    x = np.random.default_rng(0).standard_normal(costs.linear.shape) * unit
    state = algorithm.first(costs, network, eta, x)
    sizes = np.empty(rounds)
    for k in range(rounds):
        network.tick()
        state = algorithm.round(state)
        sizes[k] = float(np.abs(algorithm.shown(state) / unit).max())
        if not sizes[k] < _BLOWN:
            return np.inf
        if sizes[k] < _SETTLED:
            return float(np.log(_SETTLED) / k)
    part = max(1, rounds // 8)
    early, late = sizes[4 * part : 5 * part].max(), sizes[-part:].max()
    return float(np.log(late / early) / (rounds - 5 * part))


def _rounds(links: Links, channel: Channel) -> int:
    """Rounds of a trial: some times those in which disagreement shrinks by e."""
    least, most = _ROUNDS
    most = int(max(least, min(most, _WORK / max(links.edges, 1))))
    try:
        gap = 1.0 - modulus(links, edge_weights(links, "column"), by_columns=True)
    except TopologyError:
        return most
    lossy = 1.0 / ((1.0 - channel.drop) * channel.awake**2)
    return int(np.clip(16.0 * (1 + channel.delay + channel.jitter) * lossy / max(gap, 1e-9), least, most))


def handed(values: Floats, node: int, heir: int | None) -> Floats:
    """The row of ``node`` goes to the heir's; without an heir it is lost."""
    out = values.copy()
    if heir is not None:
        out[heir] += out[node]
    out[node] = 0.0
    return out


def reset(values: Floats, node: int, row: Floats | float) -> Floats:
    """A copy with another row for ``node``."""
    out = values.copy()
    out[node] = row
    return out


def masses(links: Links) -> Floats:
    """v with C v = v and sum v = N for equal shares 1 / (1 + edges out), shape (N,): where masses end up."""
    shares = edge_weights(links, "column")
    kept = 1.0 / (1.0 + links.out_of)
    moved = sp.lil_array(links.matrix(shares) + sp.diags_array(kept - 1.0))
    moved[0, :] = 1.0  # the rows sum to zero, so one of them gives way to the total
    right = np.zeros(links.size)
    right[0] = links.size
    return np.asarray(splu(sp.csc_matrix(moved)).solve(right))
