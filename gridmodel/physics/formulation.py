"""What every formulation of optimal power flow answers."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.partition import partition
from gridmodel.language.model import Model

__all__ = ["AbstractFormulation", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """What ``opf`` was asked for, every word checked against the formulation.

    net: the network. areas: positions of the buses of every area, rising, by name. boundary: what neighbours agree
    on. objective: what to minimise. load_scale: factor on the loads. coordinator: whether algorithms may use one.
    options: the formulation's own options, with its defaults filled in.
    """

    net: Any
    areas: Mapping[str, NDArray[np.intp]]
    boundary: str
    objective: str
    load_scale: float
    coordinator: bool
    options: Mapping[str, Any] = field(default_factory=dict)


class AbstractFormulation(abc.ABC):
    """One way to write down the physics of a network, and the model it makes.

    name: what ``opf(formulation=...)`` calls it. network: the type it is for. about: half a sentence.
    boundaries, objectives: words it knows, the default first. options: of its own, by name, the values of each with
    the default first.
    """

    name: ClassVar[str]
    network: ClassVar[type]
    about: ClassVar[str]
    boundaries: ClassVar[tuple[str, ...]] = ("midpoint",)
    objectives: ClassVar[tuple[str, ...]] = ("cost",)
    options: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @abc.abstractmethod
    def build(self, wanted: Wanted) -> Model:
        """The model, an agent an area, with ``model.layout`` set.

        The constraint ``balance`` of an area, in MW, has one row a bus; its price is the locational marginal price.
        """

    def split(self, net: Any, areas: Any) -> Mapping[str, NDArray[np.intp]]:
        """The positions of the buses of every area, by name.

        Raises:
            ModelError: areas that do not fit the network.
        """
        return partition(net, areas)

    def choose(self, what: str, word: str | None, known: tuple[str, ...]) -> str:
        """The word, or the default where None.

        Raises:
            ModelError: the formulation does not know it.
        """
        if word is None:
            return known[0]
        if word not in known:
            raise ModelError(f"{what}={word!r} is not known to formulation {self.name!r}; available: {_list(known)}.")
        return word

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options with defaults.

        Raises:
            ModelError: an option or a value that the formulation does not have.
        """
        for key, value in given.items():
            if key not in self.options:
                known = f"it has {_list(tuple(self.options))}" if self.options else "it has none of its own"
                raise ModelError(f"formulation {self.name!r} has no option {key!r}; {known}. Leave it out.")
            if value not in self.options[key]:
                raise ModelError(f"{key}={value!r} is not known; available: {_list(self.options[key])}.")
        return {key: given.get(key, values[0]) for key, values in self.options.items()}


def _list(words: tuple[Any, ...]) -> str:
    return ", ".join(map(str, words))
