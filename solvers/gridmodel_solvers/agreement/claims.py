"""Claims of algorithms that are exact under most faults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gridmodel.ir.claim import FAULTS, Claim

__all__ = ["exact_but"]


def exact_but(**others: Claim) -> Mapping[str, Claim]:
    """Exact under every fault of the table but the named ones."""
    return MappingProxyType(dict.fromkeys(FAULTS, Claim("exact")) | others)
