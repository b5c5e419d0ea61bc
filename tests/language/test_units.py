"""Units are labels that never mix."""

from __future__ import annotations

import pytest

from gridmodel.errors import UnitError
from gridmodel.units import common_unit, per


def test_the_common_unit():
    assert common_unit([("a", None), ("b", "kW"), ("c", "kW")], "here") == "kW"
    assert common_unit([("a", None)], "here") is None
    assert common_unit([], "here") is None


def test_a_mixture_names_both_quantities_and_the_place():
    with pytest.raises(UnitError, match=r"here mixes units: b is in kW, c is in MW.*unit='kW'"):
        common_unit([("a", None), ("b", "kW"), ("c", "MW")], "here")


def test_the_unit_of_a_price():
    assert per("EUR", "kW") == "EUR/kW"
    assert per("EUR", None) == "EUR"
    assert per("$/h", "MW") == "$/MWh"
    assert per("$/h", "rad") == "$/h/rad"
