"""Declare agents and couplings once; solve by distributed algorithms; certify against the centralized optimum."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridmodel.errors import ModelError
    from gridmodel.grid.elements import VoltVar
    from gridmodel.grid.feeder import Feeder
    from gridmodel.grid.flow.differentiable import TorchLoadFlow
    from gridmodel.grid.flow.linear import linear_flow
    from gridmodel.grid.flow.series import flow_series
    from gridmodel.grid.json_file import write_network
    from gridmodel.grid.network import Network
    from gridmodel.grid.pandapower_net import from_pandapower
    from gridmodel.grid.read import read_network
    from gridmodel.ir.result import Certificate, Result, Status
    from gridmodel.ir.scenarios import Scenarios
    from gridmodel.language.model import Model
    from gridmodel.language.topology import Topology
    from gridmodel.learning.foresight import foresight
    from gridmodel.learning.network_optimum import foresight_on_network
    from gridmodel.learning.policy import Policy
    from gridmodel.learning.train import Target, train
    from gridmodel.modelfile import read_model
    from gridmodel.physics.disaggregate import band_of, disaggregate
    from gridmodel.physics.flexibility import flexibility
    from gridmodel.physics.flexible import FlexibleDevice
    from gridmodel.physics.multiphase.recover import recover
    from gridmodel.physics.opf import opf
    from gridmodel.physics.prices import bus_prices
    from gridmodel.physics.reconfiguration import reconfiguration
    from gridmodel.physics.relaxation import relaxation
    from gridmodel.plan import Plan
    from gridmodel.report.explain import explain
    from gridmodel.report.plot import plot
    from gridmodel.report.privacy import privacy
    from gridmodel.runtime.channel import Channel
    from gridmodel.runtime.masking import Gaussian
    from gridmodel.side_by_side import SideBySide, formulations
    from gridmodel.solve import Comparison, compare, compile, solve
    from gridmodel.sweep import Sweep, sweep
    from gridmodel.verify.certificate import verify

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "Channel",
    "Comparison",
    "Feeder",
    "FlexibleDevice",
    "Gaussian",
    "Model",
    "ModelError",
    "Network",
    "Plan",
    "Policy",
    "Result",
    "Scenarios",
    "SideBySide",
    "Status",
    "Sweep",
    "Target",
    "Topology",
    "TorchLoadFlow",
    "VoltVar",
    "band_of",
    "bus_prices",
    "compare",
    "compile",
    "disaggregate",
    "explain",
    "flexibility",
    "flow_series",
    "foresight",
    "foresight_on_network",
    "formulations",
    "from_pandapower",
    "linear_flow",
    "opf",
    "plot",
    "privacy",
    "read_model",
    "read_network",
    "reconfiguration",
    "recover",
    "relaxation",
    "solve",
    "sweep",
    "train",
    "verify",
    "write_network",
]

_HOMES = {
    "Certificate": "gridmodel.ir.result",
    "Channel": "gridmodel.runtime.channel",
    "Comparison": "gridmodel.solve",
    "Feeder": "gridmodel.grid.feeder",
    "FlexibleDevice": "gridmodel.physics.flexible",
    "Gaussian": "gridmodel.runtime.masking",
    "Model": "gridmodel.language.model",
    "ModelError": "gridmodel.errors",
    "Network": "gridmodel.grid.network",
    "Plan": "gridmodel.plan",
    "Policy": "gridmodel.learning.policy",
    "Result": "gridmodel.ir.result",
    "Scenarios": "gridmodel.ir.scenarios",
    "SideBySide": "gridmodel.side_by_side",
    "Status": "gridmodel.ir.result",
    "Sweep": "gridmodel.sweep",
    "Target": "gridmodel.learning.train",
    "Topology": "gridmodel.language.topology",
    "TorchLoadFlow": "gridmodel.grid.flow.differentiable",
    "VoltVar": "gridmodel.grid.elements",
    "band_of": "gridmodel.physics.disaggregate",
    "bus_prices": "gridmodel.physics.prices",
    "compare": "gridmodel.solve",
    "compile": "gridmodel.solve",
    "disaggregate": "gridmodel.physics.disaggregate",
    "explain": "gridmodel.report.explain",
    "flexibility": "gridmodel.physics.flexibility",
    "flow_series": "gridmodel.grid.flow.series",
    "foresight": "gridmodel.learning.foresight",
    "foresight_on_network": "gridmodel.learning.network_optimum",
    "formulations": "gridmodel.side_by_side",
    "from_pandapower": "gridmodel.grid.pandapower_net",
    "linear_flow": "gridmodel.grid.flow.linear",
    "opf": "gridmodel.physics.opf",
    "plot": "gridmodel.report.plot",
    "privacy": "gridmodel.report.privacy",
    "read_model": "gridmodel.modelfile",
    "read_network": "gridmodel.grid.read",
    "reconfiguration": "gridmodel.physics.reconfiguration",
    "recover": "gridmodel.physics.multiphase.recover",
    "relaxation": "gridmodel.physics.relaxation",
    "solve": "gridmodel.solve",
    "sweep": "gridmodel.sweep",
    "train": "gridmodel.learning.train",
    "verify": "gridmodel.verify.certificate",
    "write_network": "gridmodel.grid.json_file",
}


def __getattr__(name: str) -> Any:
    # Names are imported when first used, so that listing models does not load cvxpy.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gridmodel' has no attribute {name!r}")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from gridmodel.errors import ModelError

        raise ModelError(f"gridmodel.{name} needs torch: pip install 'gridmodel[learn]'.") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Face(ModuleType):
    """Keeps ``gm.solve`` the function: Python would put the submodule ``gridmodel.solve`` there on its first import."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
