"""Declare agents and couplings once; solve by distributed algorithms; certify against the centralized optimum."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridmodel.errors import ModelError
    from gridmodel.grid.network import Network
    from gridmodel.grid.read import read_network
    from gridmodel.ir.result import Certificate, Result, Status
    from gridmodel.language.model import Model
    from gridmodel.language.topology import Topology
    from gridmodel.physics.opf import opf
    from gridmodel.physics.prices import bus_prices
    from gridmodel.plan import Plan
    from gridmodel.report.explain import explain
    from gridmodel.report.plot import plot
    from gridmodel.report.privacy import privacy
    from gridmodel.runtime.channel import Channel
    from gridmodel.runtime.masking import Gaussian
    from gridmodel.solve import Comparison, compare, compile, solve
    from gridmodel.verify.certificate import verify

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "Channel",
    "Comparison",
    "Gaussian",
    "Model",
    "ModelError",
    "Network",
    "Plan",
    "Result",
    "Status",
    "Topology",
    "bus_prices",
    "compare",
    "compile",
    "explain",
    "opf",
    "plot",
    "privacy",
    "read_network",
    "solve",
    "verify",
]

_HOMES = {
    "Certificate": "gridmodel.ir.result",
    "Channel": "gridmodel.runtime.channel",
    "Comparison": "gridmodel.solve",
    "Gaussian": "gridmodel.runtime.masking",
    "Model": "gridmodel.language.model",
    "ModelError": "gridmodel.errors",
    "Network": "gridmodel.grid.network",
    "Plan": "gridmodel.plan",
    "Result": "gridmodel.ir.result",
    "Status": "gridmodel.ir.result",
    "Topology": "gridmodel.language.topology",
    "bus_prices": "gridmodel.physics.prices",
    "compare": "gridmodel.solve",
    "compile": "gridmodel.solve",
    "explain": "gridmodel.report.explain",
    "opf": "gridmodel.physics.opf",
    "plot": "gridmodel.report.plot",
    "privacy": "gridmodel.report.privacy",
    "read_network": "gridmodel.grid.read",
    "solve": "gridmodel.solve",
    "verify": "gridmodel.verify.certificate",
}


def __getattr__(name: str) -> Any:
    # Names are imported when first used, so that listing models does not load cvxpy.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gridmodel' has no attribute {name!r}")
    value = getattr(import_module(home), name)
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
