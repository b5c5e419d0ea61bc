"""A result as one JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from gridmodel.ir.result import Certificate, Result

__all__ = ["as_dict", "plain", "to_json"]

_CERTIFICATE = (
    "primal_residual",
    "dual_residual",
    "lower_bound",
    "gap",
    "central_value",
    "central_gap",
    "price_error",
)


def as_dict(result: Result) -> dict[str, Any]:
    """The result as plain numbers, texts, lists and dicts; NaN and infinity become None."""
    seconds = result.seconds
    return {
        "model": result.model_name,
        "algorithm": result.algorithm,
        "status": result.status.value,
        "value": plain(result.value),
        "variables": plain(result.variables),
        "prices": plain(result.price),
        "duals": plain(result.dual),
        "rounds": result.rounds,
        "messages": result.messages,
        "bytes": result.bytes,
        "seconds": plain({"compile": seconds.compile, "solve": seconds.solve, "verify": seconds.verify}),
        "certificate": _certificate(result.certificate),
    }


def to_json(content: Any) -> str:
    """Any content as JSON text, ended by a newline."""
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON knows it; a complex number is a pair [real, imaginary]."""
    if value is None or isinstance(value, str | bool | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if hasattr(value, "toarray"):
        return plain(value.toarray())
    return str(value)


def _certificate(certificate: Certificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    return {key: plain(getattr(certificate, key)) for key in _CERTIFICATE}
