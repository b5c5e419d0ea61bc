"""Optimal power flow as a model in areas, by the name of a formulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.language.model import Model
from gridmodel.physics.ac import AC
from gridmodel.physics.branchflow import BranchFlow
from gridmodel.physics.dc import DC
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.lindistflow import LinDistFlow
from gridmodel.physics.multiphase.opf import feeder_model
from gridmodel.physics.multiphase.recover import recover
from gridmodel.physics.relaxation import relaxation
from gridmodel.physics.sdp import SDP
from gridmodel.physics.shortage import check_limits, shortage
from gridmodel.physics.soc import SOC

__all__ = ["FORMULATIONS", "opf"]

_RANK_ONE = 1e-4

FEEDER_FORMULATIONS = ("sdp", "lindistflow")
"""Those of a feeder."""

FORMULATIONS: tuple[AbstractFormulation, ...] = (DC(), AC(), SOC(), SDP(), BranchFlow(), LinDistFlow())
"""Every formulation; a new one is a file of its own and an entry here."""


def opf(
    net: Network | Feeder,
    formulation: str | None = None,
    areas: int | str | Mapping[int, str | int] = 1,
    *,
    boundary: str | None = None,
    objective: str | None = None,
    load_scale: float = 1.0,
    coordinator: bool = True,
    **options: Any,
) -> Model:
    """The optimal power flow of a network: areas are agents, the ties between them couplings.

    The price of ``balance`` of an area is the locational marginal price of its buses in $/MWh;
    ``gridmodel.physics.prices.bus_prices`` collects them by bus number.

    Args:
        net: from ``read_network``: a balanced network, or a feeder, whose formulations and further options are those
            of ``gridmodel.physics.multiphase.opf.feeder_model``.
        formulation: "dc", lossless active power; "ac", the exact equations, which are not convex; "soc",
            "sdp" and "branchflow", convex relaxations, whose cost is a lower bound (see
            ``gridmodel.physics.relaxation``); "lindistflow", radial networks without losses.
        areas: a number, "file" for the area column of the case, or a mapping of bus numbers to area names.
        boundary: what neighbours agree on: "midpoint", voltage and flow in the middle of every tie line, or for "dc"
            also "angle", the angles of its ends; for relaxations "copies" of the products of voltages, or for "soc"
            also "flow", powers and mean voltages of the ties.
        objective: "cost" of generation in $/h.
        load_scale: factor on the loads of the file.
        coordinator: False lets areas talk to their neighbours only; then only algorithms without a coordinator apply.
        options: of the formulation. "dc": susceptance, "matpower" for 1 / (x tap) or "pglib" for x / (r^2 + x^2)
            without taps and shifts. "ac": coordinates, "polar" or "rectangular".

    Raises:
        ModelError: a word or an option that the formulation does not know, or areas that do not fit the network.
    """
    if isinstance(net, Feeder):
        return _of_feeder(net, formulation or "sdp", areas, boundary, objective, load_scale, coordinator, options)
    formulation = formulation or "dc"
    able = {one.name: one for one in FORMULATIONS if isinstance(net, one.network)}
    if not able:
        raise ModelError(f"opf(...) expects a Network, got {type(net).__name__}; read one: opf(read_network(path)).")
    if formulation not in able:
        raise ModelError(f"formulation={formulation!r} is not available; available: {', '.join(able)}.")
    chosen = able[formulation]
    wanted = Wanted(
        net,
        chosen.split(net, areas),
        chosen.choose("boundary", boundary, chosen.boundaries),
        chosen.choose("objective", objective, chosen.objectives),
        load_scale,
        coordinator,
        chosen.filled(options),
    )
    check_limits(net, voltages=formulation != "dc")
    model = chosen.build(wanted)
    _tell_shortages(model, formulation, wanted)
    model.network = net
    model.quoted = ("balance", "reactive balance")
    if formulation in ("soc", "sdp"):
        model.remarks = lambda result: (relaxation(result, net).sentence,)
    return model


def _tell_shortages(model: Model, formulation: str, wanted: Wanted) -> None:
    """Lets the model, and its relaxation, say which buses and lines make it infeasible."""
    # cones prove most of what semidefinite blocks prove, in a tenth of the time
    tried = {"ac": ("soc", "sdp"), "sdp": ("soc", "sdp"), "branchflow": ("soc",)}.get(formulation, (formulation,))

    def told(solve: Callable[[Model], bool]) -> str | None:
        for name in tried:
            chosen = next(one for one in FORMULATIONS if one.name == name)

            def build(net: Network, chosen: AbstractFormulation = chosen) -> Model:
                one = replace(wanted, net=net, areas=chosen.split(net, 1), boundary=chosen.boundaries[0])
                return chosen.build(one)

            if (text := shortage(wanted.net, build, wanted.load_scale, solve)) is not None:
                return text
        return None

    model.diagnosis = told
    if (relaxed := model.relaxation) is not None:

        def diagnosed() -> Model:
            other = relaxed()
            other.diagnosis = told
            return other

        model.relaxation = diagnosed


def _of_feeder(
    net: Feeder, formulation: str, areas: Any, boundary: str | None, objective: str | None, load_scale: float,
    coordinator: bool, options: Mapping[str, Any],
) -> Model:  # fmt: skip
    if boundary is not None:
        raise ModelError(f"boundary={boundary!r}: areas of a feeder agree on voltages and powers; leave boundary out.")
    known = [name for name, one in signature(feeder_model).parameters.items() if one.kind is one.KEYWORD_ONLY]
    for key in options:
        if key not in known:
            raise ModelError(f"the optimal power flow of a feeder has no option {key!r}; it has {', '.join(known)}.")
    if formulation not in FEEDER_FORMULATIONS:
        raise ModelError(
            f"formulation={formulation!r} is not available for a feeder; available: {', '.join(FEEDER_FORMULATIONS)}."
        )
    model = feeder_model(
        net, formulation, areas, objective=objective or "cost", load_scale=load_scale, coordinator=coordinator,  # type: ignore[arg-type]
        **options,
    )  # fmt: skip
    model.network = net
    model.quoted = ("balance", "reactive balance")
    if formulation == "sdp":
        model.remarks = _recovered
    return model


def _recovered(result: Result) -> tuple[str, ...]:
    found = recover(result)
    worst = max(found.rank, key=lambda name: found.rank[name], default="")
    missing = f"the recovered voltages miss the powers by at most {1e3 * found.largest_mismatch:.2g} kVA"
    if found.largest_rank <= _RANK_ONE:
        return (f"rank one (second over first eigenvalue at most {found.largest_rank:.1e}); {missing}",)
    return (f"not rank one: second over first eigenvalue {found.largest_rank:.1e} at {worst}; {missing}",)
