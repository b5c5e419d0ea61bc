"""What agents keep to themselves: random shares that cancel in sums, and noise with a counted loss of privacy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links

__all__ = ["Gaussian", "RowMasks", "cancelling"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


def cancelling(
    links: Links, numbers: int, size: float, rng: np.random.Generator, present: Flags | None = None
) -> Floats:
    """Random numbers m_i with  sum_i m_i = 0,  shape (N, numbers): what node i sent less what it received.

    Node i sends r_ij ~ N(0, size^2) along each of its edges and adds  m_i = sum_j r_ij - sum_j r_ji  to the values
    v_i that it starts from. Sums over all nodes stay (to the rounding of numbers of this size); one that does not hear
    all of a node's edges cannot tell v_i. Nodes that are not ``present``, shape (N,),
    take no part. Right for quantities of which only the sum over the nodes counts: values
    to be averaged, tracked gradients (gradient tracking, push-pull), tracked mismatch (Tan-Yang-Xu).

    Source: Mo and Murray, Privacy preserving average consensus (2017), in the form of shares exchanged in advance.
    """
    numbers_sent = size * rng.standard_normal((links.edges, numbers))
    if present is not None:
        numbers_sent[~(present[links.sender] & present[links.receiver])] = 0.0
    edges = np.arange(links.edges)
    ends = np.concatenate([links.sender, links.receiver])
    signs = np.concatenate([np.ones(links.edges), -np.ones(links.edges)])
    return np.asarray(sp.csr_array((signs, (ends, np.tile(edges, 2))), shape=(links.size, links.edges)) @ numbers_sent)


@final
class RowMasks:
    """Masks that cancel in each row's sum at a coordinator, new ones in every round.

    The agents of a row stand in a ring; each agrees on a seed with the next, one message a pair. In every round both
    draw the same r from it, N(0, size^2); the first adds it to what it reports, the next takes it off. The coordinator
    learns the sum; one report it learns only with the help of both ring neighbours. A report that is missing leaves
    the masks of the others in the sum, so it is for channels that lose nothing.

    row: coupling row of each report, shape (S,). messages: sent in advance.

    Source: Bonawitz et al., Practical secure aggregation for privacy-preserving machine learning (2017).
    """

    def __init__(self, row: Ints, size: float, rng: np.random.Generator) -> None:
        order = np.argsort(row, kind="stable")
        first = np.concatenate([[True], np.diff(row[order]) != 0])
        starts = np.flatnonzero(first)
        before = np.concatenate([order[:1], order[:-1]])
        before[starts] = order[np.append(starts[1:], len(order)) - 1]
        self._before = np.empty(len(row), dtype=np.intp)
        self._before[order] = before
        self._size, self._rng = size, rng
        self.messages = int(np.count_nonzero(self._before != np.arange(len(row))))

    def __call__(self, values: Floats) -> Floats:
        """What is reported in this round, shape (S,)."""
        drawn = self._size * self._rng.standard_normal(len(values))
        return np.asarray(values + drawn - drawn[self._before])


@final
@dataclass(frozen=True)
class Gaussian:
    """Noise N(0, sigma^2) on every number that an agent sends, after cutting each quantity to a ball.

    A quantity of a packet, a vector v, is sent as  v min(1, Delta / (2 |v|)) + N(0, sigma^2 I),  so that whatever an
    agent holds changes what it sends by at most Delta (the ``sensitivity``, Euclidean) before the noise. Every such
    release costs  rho = Delta^2 / (2 sigma^2)  of zero-concentrated differential privacy, releases add up, and
    rho in all gives (epsilon, delta) for every delta with  epsilon = rho + 2 sqrt(rho ln(1 / delta)).

    The noise is the sender's own: where both ends take the same two numbers as they were sent (rule paired), and where
    shares are dealt (sums, ack), sums over the nodes are kept. ``skip`` and ``hold`` end in a ball around the answer.
    Take Delta / 2 above the sizes that the quantities have near the answer: larger ones are cut.

    Raises:
        ModelError: a number that is not positive.

    Source: Bun and Steinke, Concentrated differential privacy (2016), Propositions 1.3, 1.6 and Lemma 2.3.
    """

    sigma: float
    sensitivity: float

    def __post_init__(self) -> None:
        _positive("sigma", self.sigma)
        _positive("sensitivity", self.sensitivity)

    @property
    def rho(self) -> float:
        """What one release costs."""
        return self.sensitivity**2 / (2.0 * self.sigma**2)

    def epsilon(self, releases: int, delta: float) -> float:
        """epsilon after so many releases, at this delta."""
        if releases:
            _positive("releases", releases)
        _inside("delta", delta)
        rho = releases * self.rho
        return float(rho + 2.0 * np.sqrt(rho * np.log(1.0 / delta)))

    @classmethod
    def reaching(cls, epsilon: float, delta: float, releases: int, sensitivity: float) -> Gaussian:
        """The least noise that keeps to (epsilon, delta) over so many releases.

        sqrt(rho) = sqrt(ln(1 / delta) + epsilon) - sqrt(ln(1 / delta)),  sigma = Delta sqrt(releases / (2 rho)).
        """
        _positive("epsilon", epsilon)
        _positive("releases", releases)
        _inside("delta", delta)
        log = np.log(1.0 / delta)
        # epsilon / (sqrt(log + epsilon) + sqrt(log)) is the same difference without cancellation.
        root = epsilon / (np.sqrt(log + epsilon) + np.sqrt(log))
        return cls(float(sensitivity * np.sqrt(releases / 2.0) / root), sensitivity)

    def __call__(self, values: Floats, rng: np.random.Generator) -> Floats:
        """What is sent in place of ``values``, a row a packet, shape (rows, numbers)."""
        norm = np.linalg.norm(values, axis=1, keepdims=True)
        radius = 0.5 * self.sensitivity
        cut = radius / np.maximum(norm, radius)
        return np.asarray(values * cut + self.sigma * rng.standard_normal(values.shape))


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _positive(name: str, value: float) -> None:
    if not (_number(value) and 0 < value < np.inf):
        raise ModelError(f"masking: {name}={value!r} must be a number above 0.")


def _inside(name: str, value: float) -> None:
    if not (_number(value) and 0 < value < 1):
        raise ModelError(f"masking: {name}={value!r} must be above 0 and below 1, e.g. 1e-5.")
