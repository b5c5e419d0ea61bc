"""Optimal power flow as a model in areas, by the name of a formulation."""

from __future__ import annotations

from collections.abc import Mapping

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.partition import partition
from gridmodel.language.model import Model
from gridmodel.physics.dc import dc_model

__all__ = ["opf"]

_FORMULATIONS = ("dc",)
_OBJECTIVES = ("cost",)


def opf(
    net: Network,
    formulation: str = "dc",
    areas: int | str | Mapping[int, str | int] = 1,
    susceptance: str = "matpower",
    boundary: str = "midpoint",
    objective: str = "cost",
    load_scale: float = 1.0,
    coordinator: bool = True,
) -> Model:
    """The optimal power flow of a network: areas are agents, the ties between them couplings.

    The price of ``balance`` of an area is the locational marginal price of its buses in $/MWh;
    ``gridmodel.physics.prices.bus_prices`` collects them by bus number.

    Args:
        net: from ``read_network``.
        formulation: "dc", lossless active power.
        areas: a number, "file" for the area column of the case, or a mapping of bus numbers to area names.
        susceptance: "matpower", 1 / (x tap), or "pglib", x / (r^2 + x^2) without taps and shifts.
        boundary: what neighbours agree on: "midpoint", angle and flow in the middle of every tie line, or "angle",
            the angles of its ends.
        objective: "cost" of generation in $/h.
        load_scale: factor on the loads of the file.
        coordinator: False lets areas talk to their neighbours only; then only algorithms without a coordinator apply.

    Raises:
        ModelError: an unknown word, or areas that do not fit the network.
    """
    if not isinstance(net, Network):
        raise ModelError(f"opf(...) expects a Network, got {type(net).__name__}; read one: opf(read_network(path)).")
    if formulation not in _FORMULATIONS:
        raise ModelError(f"formulation={formulation!r} is not available; available: {', '.join(_FORMULATIONS)}.")
    if objective not in _OBJECTIVES:
        raise ModelError(f"objective={objective!r} is not available; available: {', '.join(_OBJECTIVES)}.")
    return dc_model(net, partition(net, areas), susceptance, boundary, load_scale, coordinator)
