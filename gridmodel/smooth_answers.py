"""A run on a model that need not be convex, put into a result under the user's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridmodel.answers import named_limits, shaped, units_of
from gridmodel.compile import CompiledSmooth
from gridmodel.ir.result import Certificate, Result, Seconds
from gridmodel.ir.separable import CouplingInfo
from gridmodel.language.price import price_sign
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.smooth_run import SmoothOutcome

__all__ = ["smooth_result"]


def smooth_result(
    compiled: CompiledSmooth, algorithm: AbstractAlgorithm, label: str, outcome: SmoothOutcome,
    tolerance: float, seconds: Seconds,
) -> Result:  # fmt: skip
    """The best point of a run with its violations, its stationarity and its prices."""
    judged, model = outcome.judgement, compiled.model
    parts = [x[0] for x in judged.iterate.x]
    price, dual = _prices(compiled, judged.iterate)
    traffic = algorithm.traffic(compiled.problem)
    messages, size = algorithm.sent(outcome.state, outcome.rounds) or (
        outcome.rounds * traffic.messages, outcome.rounds * traffic.bytes,
    )  # fmt: skip
    trace = outcome.trace
    for info in compiled.problem.couplings.infos:
        if info.price_sign is not None:
            trace.prices[:, info.rows] *= info.price_sign * info.dual_sign
    return Result(
        model_name=model.name, algorithm=label, status=outcome.status, message=outcome.message, value=judged.value,
        variables=compiled.lowering.values(parts), price=price, dual=dual, trace=trace,
        certificate=Certificate(
            tolerance=tolerance, value=judged.value, size=judged.size,
            primal_residual=max(judged.coupling, judged.local), coupling_residual=judged.coupling,
            local_residual=judged.local, dual_residual=judged.stationarity,
            no_bound="the model is not convex; gm.verify bounds it by its relaxation, where it has one",
        ),
        rounds=outcome.rounds, messages=messages, bytes=size, seconds=seconds, units=units_of(model),
        currency=model.currency, coupling_rows=dict(enumerate(compiled.problem.couplings.name_of_rows())),
        reveals=algorithm.reveals, model=model, state=judged.iterate,
    )  # fmt: skip


def _prices(compiled: CompiledSmooth, iterate: Iterate) -> tuple[dict[str, Any], dict[str, Any]]:
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    for info in compiled.problem.couplings.infos:
        dual[info.name] = _coupling(info, iterate)
        if info.price_sign is not None:
            price[info.name] = info.price_sign * dual[info.name]
    limits = named_limits(compiled.model)
    found = compiled.lowering.duals([nu[0] for nu in iterate.nu], [zeta[0] for zeta in iterate.zeta])
    for name, value in found.items():
        dual[name] = value
        sign = price_sign(limits[name])
        if sign is not None:
            price[name] = sign * value
    return price, dual


def _coupling(info: CouplingInfo, iterate: Iterate) -> Any:
    return shaped(info.dual_sign * np.asarray(iterate.mu)[info.rows], info.shape)
