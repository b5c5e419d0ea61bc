"""Facts about a model, found from its matrices, on which algorithms rest their verdicts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BlockFacts", "NetworkFacts", "Properties", "RowFacts", "SharedFacts", "Traffic", "Verdict"]


@dataclass(frozen=True)
class BlockFacts:
    """One stack in words and numbers.

    agents: how many blocks share the structure; example: the name of the first.
    kind: "box" (separable cost and bounds only), "LP", "QP", "conic" or "smooth".
    columns, equations, cones: sizes of one block. equal: whether all matrices are equal.
    curvature: the range (least, largest) of the diagonal of P over all columns.
    response: how strongly C_i x_i reacts to prices: an upper bound of the norm of its derivative, the share of
        this stack in L of dual decomposition; None where the response jumps (no strong convexity along C).
    """

    agents: int
    example: str
    kind: str
    columns: int
    equations: int
    cones: str
    equal: bool
    curvature: tuple[float, float]
    response: float | None


@dataclass(frozen=True)
class RowFacts:
    """One user coupling in words and numbers.

    kind: "agreement" (two agents' columns equal), "neighbour" (rows of two agents) or "resource" (many agents).
    sense: "==" or "<=". rows: how many. participants: (fewest, most) agents in a row.
    """

    name: str
    kind: str
    sense: str
    rows: int
    participants: tuple[int, int]
    unit: str | None


@dataclass(frozen=True)
class NetworkFacts:
    """The topology in words and numbers.

    agents, edges: nodes and directed edges. directed: whether some edge has no way back.
    parts: the separate parts of a graph that is not (strongly) connected, names of each; empty where it is.
    varies: whether edges come and go.
    """

    agents: int
    edges: int
    directed: bool
    parts: tuple[tuple[str, ...], ...]
    varies: bool


@dataclass(frozen=True)
class SharedFacts:
    """The numbers that all agents share, where all couplings are agreements on them.

    numbers: how many, 0 where ``refusal`` says why there are none. refusal: why agents do not share all agreed numbers.
    rough: which agent's cost is no smooth function of them alone, and why; None where all are quadratics.
    tied: an agent whose quadratic has products of two of them; None where each stands for itself.
    """

    numbers: int
    refusal: str | None = None
    rough: str | None = None
    tied: str | None = None


@dataclass(frozen=True)
class Properties:
    """Everything that algorithms may ask of a model.

    step_norm: L, the norm of the derivative of the coupling residual by the prices; None without strong convexity.
    most_participants: the largest number of agents in one coupling row.
    coordinator: whether the topology permits one. strangers: pairs of agents that share a row of two but no edge.
    components: number of connected components of the topology, None without one.
    network: facts of the topology, None where algorithms that talk to neighbours have none to use. shared: what all
    agents agree on, None where some coupling is no agreement. convex: False where agents are smooth, but need not be
    convex.
    """

    blocks: tuple[BlockFacts, ...]
    couplings: tuple[RowFacts, ...]
    agents: int
    columns: int
    coupling_rows: int
    copies: int
    is_qp: bool
    is_lp: bool
    step_norm: float | None
    most_participants: int
    all_agreement: bool
    coordinator: bool
    strangers: tuple[tuple[str, str], ...]
    components: int | None
    network: NetworkFacts | None = None
    shared: SharedFacts | None = None
    convex: bool = True


@dataclass(frozen=True)
class Verdict:
    """Whether an algorithm applies to a model, and why."""

    applies: bool
    reason: str


@dataclass(frozen=True)
class Traffic:
    """What one round sends: messages, and numbers in all of them (8 bytes each)."""

    messages: int
    numbers: int

    @property
    def bytes(self) -> int:
        """Bytes of payload at eight a number."""
        return 8 * self.numbers
