"""cvxpy expressions as arrays of Pyomo expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.affine_atom import AffAtom
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.sum import Sum
from cvxpy.atoms.elementwise.elementwise import Elementwise
from cvxpy.atoms.quad_form import QuadForm
from cvxpy.atoms.quad_over_lin import quad_over_lin
from numpy.typing import NDArray

__all__ = ["Translator", "Unsupported"]

Objects = NDArray[np.object_]


class Unsupported(Exception):
    """An atom without a form in Pyomo; its text is the atom's name."""


class Translator:
    """Turns expressions into arrays of Pyomo expressions of the same shape; what is shared is translated once."""

    def __init__(self, program: Any, variables: Mapping[int, Objects]) -> None:
        """
        Args:
            program: the Pyomo model, which takes what non-smooth atoms need in ``auxiliary`` and ``bounded``.
            variables: {id of a cvxpy variable: its Pyomo variables}.
        """
        import pyomo.environ as pyo

        self._pyo: Any = pyo
        self._program = program
        self._variables = variables
        self._known: dict[int, tuple[cp.Expression, Objects]] = {}

    def __call__(self, node: cp.Expression) -> Objects:
        """
        Raises:
            Unsupported: an atom that has no form in Pyomo.
        """
        if node.id not in self._known if hasattr(node, "id") else id(node) not in self._known:
            value = self._translate(node)
            self._known[id(node)] = (node, value)  # the node is kept, so that no other takes its id
        return self._known[id(node)][1]
