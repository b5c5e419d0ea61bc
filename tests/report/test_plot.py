"""Pictures are written for every kind of result, and hold what they should."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gridmodel as gm
from gridmodel.ir.result import Result
from gridmodel.modelfile import load_model
from gridmodel.report.plot import FORMATS, plot
from tests.grid.case import THREE, write


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: object, **kwargs: object) -> None:
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_written(dispatch_result: Result, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"picture{ending}"
    plot(dispatch_result, target)
    assert target.stat().st_size > 5000


def test_the_curves_are_the_history(dispatch_result: Result, tmp_path: Path, drawn: list[Figure]) -> None:
    plot(dispatch_result, tmp_path / "a.png")
    convergence, history, final = drawn[0].axes
    curves = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in convergence.lines}
    trace = dispatch_result.trace
    assert trace is not None
    np.testing.assert_array_equal(curves["primal residual"], trace.primal)
    np.testing.assert_array_equal(curves["dual residual"], trace.dual)
    gap = curves["gap to the lower bound"]
    assert np.isnan(gap[:2]).all()
    np.testing.assert_allclose(gap[2:], (trace.value - trace.bound)[2:] / 3.601, rtol=1e-12)
    assert (curves["tolerance"] == 1e-4).all()
    assert convergence.get_yscale() == "log"
    np.testing.assert_array_equal(np.asarray(history.lines[0].get_ydata()), trace.prices[:, 0])
    assert [patch.get_width() for patch in final.patches] == [1.02]
    assert final.get_xlabel() == "price in EUR/kWh"


def test_a_result_without_history_shows_prices_alone(
    dispatch_result: Result, tmp_path: Path, drawn: list[Figure]
) -> None:
    plot(replace(dispatch_result, trace=None), tmp_path / "a.png")
    assert [ax.get_title() for ax in drawn[0].axes] == ["Final prices"]


def _with_prices(result: Result, price: dict[str, object], unit: str = "MW") -> Result:
    return replace(result, price=price, units=dict.fromkeys(price, unit))


def test_vectors_many_couplings_and_none_at_all(dispatch_result: Result, tmp_path: Path, drawn: list[Figure]) -> None:
    hourly = _with_prices(dispatch_result, {"limit": np.arange(24.0), "balance": 1.0, "cone": None})
    many = _with_prices(dispatch_result, {f"bus {k}": float(k) for k in range(118)})
    none = _with_prices(replace(dispatch_result, value=float("nan")), {})
    for result in (hourly, many, none):
        plot(result, tmp_path / "a.png")
    lines, dots, empty = (figure.axes[-1] for figure in drawn)
    np.testing.assert_array_equal(np.asarray(lines.lines[0].get_ydata()), np.arange(24.0))
    np.testing.assert_array_equal(np.asarray(dots.lines[0].get_ydata()), np.arange(118.0))
    assert empty.texts[0].get_text() == "no prices"


def test_prices_of_two_units_never_share_an_axis(dispatch_result: Result, tmp_path: Path, drawn: list[Figure]) -> None:
    units = {"flow": "MW", "angle": "rad", "other flow": "MW"}
    plot(
        replace(dispatch_result, trace=None, price={"flow": 1.0, "angle": 2.0, "other flow": 3.0}, units=units),
        tmp_path / "a.png",
    )
    first, second = drawn[0].axes
    assert (first.get_xlabel(), second.get_xlabel()) == ("price in EUR/MWh", "price in EUR/h/rad")
    assert [patch.get_width() for patch in first.patches] == [1.0, 3.0]


def test_prices_on_the_way_end_at_the_final_prices() -> None:
    result = gm.solve(load_model("lmp", {}), "admm")
    assert result.trace is not None
    last = {
        result.coupling_rows[int(row)]: p for row, p in zip(result.trace.rows, result.trace.prices[-1], strict=True)
    }
    assert last == pytest.approx(dict(result.price), rel=1e-6)
    assert last == pytest.approx({"bus 1": 10.0, "bus 2": 30.0}, rel=1e-3)


def test_an_optimal_power_flow_shows_the_prices_of_its_buses(tmp_path: Path, drawn: list[Figure]) -> None:
    result = gm.solve(load_model("dc_opf", {"case": "pglib_opf_case14_ieee.m", "areas": "2"}), "admm")
    plot(result, tmp_path / "a.png")
    axes = _prices(drawn[0])
    buses = np.concatenate([np.asarray(line.get_xdata()) for line in axes.lines])
    assert sorted(buses) == list(range(1, 15))


def test_a_run_of_one_check_is_drawn_as_points_over_whole_rounds(tmp_path: Path, drawn: list[Figure]) -> None:
    result = gm.solve(load_model("lmp", {}), "admm", max_rounds=5)
    plot(result, tmp_path / "a.png")
    convergence, history, _ = drawn[0].axes
    assert result.trace is not None
    assert len(result.trace.rounds) == 1
    assert [line.get_marker() for line in history.lines] == ["o", "o"]
    assert all(tick == int(tick) for axes in (convergence, history) for tick in axes.get_xticks())


def test_equal_prices_are_drawn_as_a_flat_line(dispatch_result: Result, tmp_path: Path, drawn: list[Figure]) -> None:
    assert dispatch_result.trace is not None
    flat = replace(dispatch_result.trace, prices=1.02 + 1e-6 * np.arange(dispatch_result.trace.rounds.size)[:, None])
    plot(replace(dispatch_result, trace=flat), tmp_path / "a.png")
    low, high = drawn[0].axes[1].get_ylim()
    assert high - low >= 0.019


def test_bus_numbers_with_gaps_leave_no_empty_field(tmp_path: Path, drawn: list[Figure]) -> None:
    result = gm.solve(load_model(str(write(tmp_path, THREE)), {"areas": "2"}), "central")  # buses 10, 20, 30
    plot(result, tmp_path / "a.png")
    axes = _prices(drawn[0])
    assert axes.get_xlabel() == "bus, counted by rising number"
    assert sorted(np.concatenate([np.asarray(line.get_xdata()) for line in axes.lines])) == [1, 2, 3]


def test_names_with_dollars_are_no_formulas(dispatch_result: Result, tmp_path: Path, drawn: list[Figure]) -> None:
    plot(replace(dispatch_result, model_name="$\\frac$", currency="$/h"), tmp_path / "a.png")
    assert drawn[0].get_suptitle().startswith(r"\$")


def test_a_label_at_the_edge_of_a_bar_stays_inside(
    dispatch_result: Result, tmp_path: Path, drawn: list[Figure]
) -> None:
    plot(replace(_with_prices(dispatch_result, {"bus 1": -10.0, "bus 2": 30.0}), trace=None), tmp_path / "a.png")
    axes = drawn[0].axes[0]
    frame = axes.get_window_extent()
    for text in axes.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1


def _prices(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title() == "Locational marginal prices")


def test_an_optimal_power_flow_is_drawn_on_its_network(tmp_path: Path, drawn: list[Figure]) -> None:
    model = load_model("acopf", {"case": "pglib_opf_case14_ieee.m", "areas": "2"})
    plot(gm.solve(model, "interior"), tmp_path / "a.png")
    labels = [axes.get_ylabel() for axes in drawn[0].axes]
    assert "price [\\$/MWh]" in labels
    assert "voltage [pu]" in labels
    texts = {text.get_text() for axes in drawn[0].axes for text in axes.texts}
    assert {str(bus) for bus in range(1, 15)} <= texts


def test_flexibility_is_drawn_as_a_band(tmp_path: Path, drawn: list[Figure]) -> None:
    model = load_model(
        "flexibility", {"feeder": "ieee13", "hours": "6", "devices": "4", "v_min": "0.9", "v_max": "1.1"}
    )
    plot(gm.solve(model, "central"), tmp_path / "a.png")
    upper, lower = drawn[0].axes
    assert "kWh between the paths" in upper.get_title()
    assert len(lower.patches) == 4
