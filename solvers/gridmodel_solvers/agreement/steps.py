"""Weights, their damping against delay, and steps that keep algorithms of agreement stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.spectrum import laplacian_spectrum
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Mixer
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["Mixing", "check_options", "integral_gain", "lateness", "mixing", "safe_steps", "step_sizes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixing:
    """Damped weights I - gamma (I - W), ready to mix.

    slow, fast: the least and the largest eigenvalue of gamma (I - W) apart from that of the constant vector; for
        weights that are not symmetric slow is 0 and fast the largest sum of two self weights' complements.
    keeps: the least weight that a node gives itself. symmetric: whether the weights are.
    """

    mixer: Mixer
    slow: float
    fast: float
    keeps: Floats
    symmetric: bool


def lateness(network: Network) -> int:
    """The most rounds that a packet takes."""
    return network.channel.delay + network.channel.jitter


def mixing(
    network: Network, weights: Any, damping: float | None, rule: str, ceiling: float = 2.0, paired: bool = True
) -> Mixing:
    """The weights on this network, damped where they must be.

    A paired flow that is tau rounds late on both sides is an integrator with a delay: gamma lambda_max(I - W) must stay
    below 2 sin(pi / (2 (2 tau + 1))); left open, gamma takes half of that, and keeps gamma lambda_max(I - W) at most
    ``ceiling``. With the other rules old numbers do no harm as long as every node keeps a share of its own; left open,
    gamma sees to it that it is a half where the weights leave none and the channel has faults.

    Args:
        network: the links, and the channel with its delay.
        weights: a name or a matrix.
        damping: gamma in (0, 1]; None chooses it.
        rule: of the mixing.
        ceiling: the largest eigenvalue of gamma (I - W) with which the algorithm is at ease.
        paired: whether the algorithm needs symmetric weights.

    Raises:
        ModelError: gamma above the bound that the delay sets.
    """
    links = network.links
    values = edge_weights(links, weights, symmetric=True) if paired else edge_weights(links, weights)
    back = links.opposite
    symmetric = bool((back >= 0).all()) and np.allclose(values, values[back], rtol=1e-12, atol=0.0)
    if symmetric:
        slow, fast = laplacian_spectrum(links, values)
    else:
        given = np.bincount(links.receiver, np.abs(values), links.size)
        slow, fast = 0.0, 2.0 * float(given.max(initial=0.0))
    asked = network.channel.rule
    rule = asked if asked in ("paired", "skip", "hold") else rule
    bound = 2.0 * np.sin(np.pi / (2 * (2 * lateness(network) + 1)))
    late = rule == "paired" and lateness(network) > 0
    if damping is None:
        goal = min(ceiling, bound / 2) if late else ceiling
        gamma = min(1.0, goal / fast) if fast > 0 else 1.0
        taken = float(np.bincount(links.receiver, values, links.size).max(initial=0.0))
        if rule != "paired" and taken >= 1.0 and not network.is_plain:
            gamma = min(gamma, 0.5 / taken)
    else:
        gamma = damping
        if late and not network.channel.jitter and gamma * fast >= bound:
            raise ModelError(
                f"damping={damping:g} is too large for a delay of {network.channel.delay} rounds: the flows between "
                f"neighbours swing up, since damping * {fast:.4g} (the largest eigenvalue of I - W) must stay below "
                f"{bound:.4g}. Use damping < {bound / fast:.4g}, or leave it out."
            )
    values = gamma * values
    keeps = 1.0 - np.bincount(links.receiver, values, links.size)
    return Mixing(Mixer(network, values, rule), gamma * slow, gamma * fast, np.asarray(keeps), symmetric)


def integral_gain(network: Network) -> float:
    """beta of p+ = p + beta (x - mix(x)): 1/2, and with a delay of tau rounds 1 / (2 (2 tau + 1)).

    Along an eigenvector of I - W with value lam and at a curvature h the iteration reads, with s = z - 1,
    s^2 + s (eta h + lam z^-tau) + beta lam z^-tau = 0; with this beta, and lam up to half the bound of a plain flow,
    all roots stay inside the unit circle for every eta h in [0, 1.3].
    """
    return 0.5 / (2 * lateness(network) + 1)


def step_sizes(
    name: str, eta: float | None, shared: Shared, goal: float, ceiling: float, bound: float, words: str
) -> Floats:
    """eta of each shared number, shape (d,).

    Args:
        name: of the algorithm, for the message.
        eta: the user's, or None.
        shared: the agents' costs.
        goal: what a chosen eta times the mean curvature should be, so that agreement and descent are equally fast.
        ceiling: what a chosen eta times the largest curvature may be at most.
        bound: eta times the largest curvature must stay below; inf where every step is stable.
        words: the bound as a formula.

    Raises:
        ModelError: the user's step is not below the bound.
    """
    if eta is None:
        share = shared.pace * shared.stiffness
        return np.asarray(shared.pace * np.minimum(goal / share, ceiling))
    if shared.smooth and np.isfinite(bound):
        steepest = shared.curvature[1]
        if eta * steepest >= bound:
            raise ModelError(
                f"{name}: eta={eta:g} is too large; it must stay below {words} = {bound / steepest:.4g} "
                f"(L = {steepest:.4g}, the largest curvature of an agent's cost). Use a smaller eta, or leave it out."
            )
    return np.full(shared.d, float(eta))


def safe_steps(name: str, eta: float | None, shared: Shared, made: Mixing) -> Floats:
    """eta of each number for x+ = mix(x) - eta grad f(x), shape (d,).

    None takes the least of self weight over curvature: |w_ii - eta h_i| + sum_j w_ij < 1 is then a contraction in the
    largest deviation, however late or old the neighbours' numbers are.

    Raises:
        ModelError: the user's step is not below the bound, or none can be chosen.
    """
    symmetric = "(1 + lambda_min(W)) / L"
    if not shared.smooth:
        return step_sizes(name, eta, shared, 0.1, 0.1, np.inf, "")
    if eta is None:
        assert shared.quadratics is not None
        curved = np.maximum(shared.quadratics.eigenvalues(shared.pace).max(axis=1), np.finfo(float).tiny)
        share = float(np.min(made.keeps / curved))
        if share <= 0:
            if not made.symmetric:
                raise ModelError(
                    f"{name}: an agent gives itself no weight, and no step is safe with these weights; give eta, or "
                    "damping=0.5, which leaves every agent half of its own."
                )
            share = 0.5 * (2.0 - made.fast)
        return np.asarray(share * shared.pace)
    if made.symmetric:
        return step_sizes(name, eta, shared, 0.0, 0.0, 2.0 - made.fast, symmetric)
    # The trace of W - eta H must stay above minus the number of agents, whatever the weights.
    bound = (1.0 + float(made.keeps.mean())) * shared.curvature[1] / float(shared.stiffness.max())
    return step_sizes(name, eta, shared, 0.0, 0.0, bound, "(1 + mean self weight) / (mean curvature)")


def check_options(name: str, eta: float | None, damping: float | None, rule: str) -> None:
    """What can be said of options before there is a model.

    Raises:
        ModelError: a value that cannot be.
    """
    if eta is not None and not (np.isfinite(eta) and eta > 0):
        raise ModelError(f"{name}: eta={eta!r} is a step and must be positive; leave it out to have it chosen.")
    if damping is not None and not 0 < damping <= 1:
        raise ModelError(f"{name}: damping={damping!r} must be above 0 and at most 1; leave it out to have it chosen.")
    if rule not in ("paired", "skip", "hold"):
        raise ModelError(f"{name}: rule={rule!r} is unknown; use 'paired', 'skip' or 'hold'.")
