"""Locational marginal prices out of a result."""

from __future__ import annotations

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.physics.layout import Layout

__all__ = ["bus_prices"]


def bus_prices(result: Result, net: Network) -> dict[int, float]:
    """The locational marginal price of every bus in $/MWh, by bus number in the order of the network.

    It is the price of the area's ``balance``: the rise of the cost per MW of load at the bus.

    Raises:
        ModelError: the result is not of ``opf(net, ...)``, or its algorithm gave no prices of local constraints.
    """
    layout = getattr(result.model, "layout", None)
    if not isinstance(layout, Layout):
        raise ModelError(
            f"the result of {result.model_name!r} holds no network; bus prices need a model of opf(net, ...)."
        )
    found: dict[int, float] = {}
    for area, numbers in layout.buses.items():
        price = result.price.get(f"{area}.balance")
        if price is None:
            raise ModelError(f"the result of {result.algorithm} has no price {area}.balance; take another algorithm.")
        values = np.atleast_1d(np.asarray(price, dtype=np.float64))
        found.update(zip(numbers.tolist(), values.tolist(), strict=True))
    own = net.buses.number.tolist()
    if set(own) != set(found):
        raise ModelError(f"the result is of {layout.source}, not of {net.source}; give the network of the model.")
    return {number: found[number] for number in own}
