"""Two buses: prices part where the line is full, and are equal where it is not."""

import pytest

import gridmodel as gm
from models.lmp import build


@pytest.mark.parametrize("algorithm", ["central", "admm"])
def test_a_full_line_parts_the_prices_and_earns_the_rent(algorithm: str) -> None:
    result = gm.solve(build(), algorithm, tolerance=1e-6)
    assert result.status.value == "certified"
    assert result.value == pytest.approx(60 * 10 + 40 * 30, rel=1e-5)
    cheap, dear = result.price["bus 1"], result.price["bus 2"]
    assert (cheap, dear) == pytest.approx((10, 30), abs=1e-2)
    assert (dear - cheap) * result["line"]["flow"] == pytest.approx(1200, rel=1e-3)


@pytest.mark.parametrize("algorithm", ["central", "admm"])
def test_a_wide_line_makes_one_price(algorithm: str) -> None:
    result = gm.solve(build(line=120), algorithm, tolerance=1e-6)
    assert result.value == pytest.approx(1000, rel=1e-5)
    assert [result.price[bus] for bus in ("bus 1", "bus 2")] == pytest.approx([10, 10], abs=1e-2)


def test_the_price_is_the_rise_of_cost_with_the_load() -> None:
    more, less = (gm.solve(build(load=load), "central").value for load in (100.5, 99.5))
    assert gm.solve(build(), "central").price["bus 2"] == pytest.approx(more - less, rel=1e-5)


def test_a_line_below_zero_is_refused() -> None:
    with pytest.raises(gm.ModelError, match="the capacity of the line is at least 0 MW, got line=-5"):
        build(line=-5)
