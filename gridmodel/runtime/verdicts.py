"""Reasons for which algorithms over a topology do not apply, the same for all of them."""

from __future__ import annotations

from gridmodel.ir.properties import Properties

__all__ = ["no_agreement", "no_dispatch", "no_network"]


def no_network(properties: Properties, directed: bool = False) -> str | None:
    """Why agents cannot talk to their neighbours as an algorithm needs; None where they can.

    Args:
        directed: whether the algorithm does with edges that have no way back.
    """
    network = properties.network
    if network is None:
        if properties.components is None:
            return "agents talk to their neighbours, and the model has no topology; call model.connect(graph)"
        return "a cost over several agents needs an operator, who has no place in the topology"
    if network.parts:
        kind = "strongly connected" if network.directed else "connected"
        return f"the topology is not {kind}: {_parts(network.parts)} are separate; join them by edges"
    if network.directed and not directed:
        return (
            "the topology has edges without a way back, and the weights must be symmetric; use push-pull or "
            "push-diging, or connect graph.to_undirected()"
        )
    return None


def no_agreement(properties: Properties, smooth: bool = False) -> str | None:
    """Why agents do not share numbers that they could agree on; None where they do.

    Args:
        smooth: whether the algorithm needs gradients at every point.
    """
    shared = properties.shared
    if shared is None:
        return "a coupling is no agreement of two variables (a resource is shared instead)"
    if shared.refusal is not None:
        return shared.refusal
    if smooth and shared.rough is not None:
        return f"it needs a gradient at every point, and {shared.rough}"
    return None


def no_dispatch(properties: Properties, curved: bool = True) -> str | None:
    """Why agents do not share a resource whose price they could agree on; None where they do.

    Args:
        curved: whether the algorithm needs an answer to prices that does not jump.
    """
    if not properties.coupling_rows:
        return "no coupling ties the agents"
    if properties.all_agreement:
        return "every coupling is an agreement of two variables; the algorithms of agreement suit it"
    if properties.copies:
        return "a cost or a cone spans agents and needs copies, which have no place in the topology"
    if curved and properties.step_norm is None:
        who = next((fact.example for fact in properties.blocks if fact.response is None), "an agent")
        return f"the response of {who} to prices jumps (no strong convexity along the couplings)"
    return None


def _parts(parts: tuple[tuple[str, ...], ...]) -> str:
    shown = ["{" + ", ".join(part[:3]) + (", ..." if len(part) > 3 else "") + "}" for part in parts[:3]]
    return ", ".join(shown) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
