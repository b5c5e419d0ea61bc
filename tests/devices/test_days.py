import importlib.util
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.devices import simbench_days, synthetic_days
from gridmodel.devices.days import clear_sky


def test_days_are_the_same_for_a_seed_and_others_for_another() -> None:
    first, again, other = synthetic_days(4, seed=3), synthetic_days(4, seed=3), synthetic_days(4, seed=4)
    for name, values in first.series.items():
        np.testing.assert_array_equal(values, again.series[name])
        assert np.abs(values - other.series[name]).max() > 0


def test_days_look_as_the_text_says() -> None:
    days = synthetic_days(2000, homes=3)
    price, sun, load, air = (days.series[name] for name in ("price", "sun", "load", "temperature"))
    assert price.shape == sun.shape == air.shape == (2000, 48)
    assert load.shape == (2000, 3, 48)
    assert price.mean(axis=0).argmax() in range(34, 39)
    assert 0.05 < (price.min(axis=1) < 0).mean() < 0.5
    assert (price[:, 18:32] < 0).any()
    assert (price[:, :12] > 0).all()
    assert load.mean() == pytest.approx(1.0)
    assert load.min() > 0
    assert not sun[:, :11].any()
    assert sun.max() < 1.1
    assert air.mean() == pytest.approx(6.0, abs=0.7)
    assert np.corrcoef(price[:, 24], sun[:, 24])[0, 1] < -0.5


def test_a_day_is_like_the_day_before() -> None:
    days = synthetic_days(2000)
    for name, expected in (("temperature", 0.8), ("price", 0.7)):
        level = days.series[name][:, :12].mean(axis=1)
        assert np.corrcoef(level[1:], level[:-1])[0, 1] == pytest.approx(expected, abs=0.12)


def test_the_sun_stands_where_astronomy_says() -> None:
    hour = np.linspace(0.0, 24.0, 24 * 60 + 1)
    for date, latitude, light in ((80, 45.0, 12.0), (172, 45.0, 15.4), (355, 45.0, 8.6), (172, 0.0, 12.0)):
        up = (clear_sky(hour, latitude, date) > 0).mean() * 24.0
        assert up == pytest.approx(light, abs=0.1)
    # Haurwitz: the sun overhead.
    assert clear_sky(np.array([12.0]), 0.0, 81)[0] == pytest.approx(1.098 * np.exp(-0.057), rel=1e-4)


@pytest.mark.parametrize("wrong", [{"days": 0}, {"homes": 0}, {"latitude": 95.0}, {"date": 0}, {"level": np.nan}])
def test_refuses_days_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(gm.ModelError, match="synthetic_days"):
        synthetic_days(**({"days": 2} | wrong))  # type: ignore[arg-type]


def test_reads_simbench_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "simbench" / "networks" / "1-complete_data-mixed-all-0-sw"
    folder.mkdir(parents=True)
    (tmp_path / "simbench" / "__init__.py").write_text("")
    quarter = np.arange(2 * 96)
    rows = [f"t;{k};{2 * k}" for k in quarter]
    (folder / "LoadProfile.csv").write_text("time;H0-A_qload;H0-A_pload\n" + "\n".join(rows))
    (folder / "RESProfile.csv").write_text("time;PV1\n" + "\n".join(f"t;{k / 192}" for k in quarter))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    days = simbench_days(steps=48, loads=("H0-A",))
    np.testing.assert_allclose(days.series["sun"][1, :2], [96.5 / 192, 98.5 / 192])
    np.testing.assert_allclose(days.series["load"][0, 0, :2], np.array([0.5, 2.5]) / quarter.mean())
    with pytest.raises(gm.ModelError, match="no profile 'H9'; it has H0-A"):
        simbench_days(loads=("H9",))
    with pytest.raises(gm.ModelError, match="a divisor of 96"):
        simbench_days(steps=50)


def test_says_how_to_get_simbench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridmodel.devices.simbench.find_spec", lambda name: None)
    with pytest.raises(gm.ModelError, match="pip install simbench"):
        simbench_days()
