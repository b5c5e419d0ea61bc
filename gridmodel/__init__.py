"""Declare agents and couplings once; solve by distributed algorithms; certify against the centralized optimum."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridmodel.errors import ModelError
    from gridmodel.grid.read import read_network
    from gridmodel.ir.result import Certificate, Result, Status
    from gridmodel.language.model import Model
    from gridmodel.physics.opf import opf
    from gridmodel.physics.prices import bus_prices
    from gridmodel.plan import Plan
    from gridmodel.report.explain import explain
    from gridmodel.report.plot import plot
    from gridmodel.solve import Comparison, compare, compile, solve
    from gridmodel.verify.certificate import verify

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "Comparison",
    "Model",
    "ModelError",
    "Plan",
    "Result",
    "Status",
    "bus_prices",
    "compare",
    "compile",
    "explain",
    "opf",
    "plot",
    "read_network",
    "solve",
    "verify",
]

_HOMES = {
    "Certificate": "gridmodel.ir.result",
    "Comparison": "gridmodel.solve",
    "Model": "gridmodel.language.model",
    "ModelError": "gridmodel.errors",
    "Plan": "gridmodel.plan",
    "Result": "gridmodel.ir.result",
    "Status": "gridmodel.ir.result",
    "bus_prices": "gridmodel.physics.prices",
    "compare": "gridmodel.solve",
    "compile": "gridmodel.solve",
    "explain": "gridmodel.report.explain",
    "opf": "gridmodel.physics.opf",
    "plot": "gridmodel.report.plot",
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
