"""What can be wrong with a model before it is solved, one class a kind of mistake.

Every text says what was got, what was expected, and the call that mends it.
"""

from __future__ import annotations

__all__ = [
    "BoundsError",
    "CurvatureError",
    "DataError",
    "DuplicateNameError",
    "ForeignVariableError",
    "ModelError",
    "NetworkFileError",
    "NotApplicableError",
    "SeparabilityError",
    "ShapeError",
    "TopologyError",
    "UnitError",
    "UnknownNameError",
]


class ModelError(Exception):
    """A model, an option or a file that cannot be used as it stands."""


class DuplicateNameError(ModelError):
    """Two things of one name where a name must be unique."""


class UnknownNameError(ModelError):
    """A name that nothing in the model carries."""


class ForeignVariableError(ModelError):
    """An expression that uses a variable of another agent or of another model."""


class CurvatureError(ModelError):
    """A cost or a constraint that is not convex by CVXPY's rules (DCP)."""


class ShapeError(ModelError):
    """An array or an expression of the wrong shape."""


class DataError(ModelError):
    """A number that is missing or not finite where it has to be."""


class BoundsError(ModelError):
    """Bounds that are not numbers, do not fit the variable, or cross."""


class UnitError(ModelError):
    """Variables of different units in one coupling."""


class SeparabilityError(ModelError):
    """A fleet's expression that ties rows together where each must stand alone."""


class TopologyError(ModelError):
    """A topology that does not fit the model's agents."""


class NotApplicableError(ModelError):
    """An algorithm that cannot be used on this model."""


class NetworkFileError(ModelError):
    """A network file that is missing, truncated or inconsistent; names the file and line."""
