"""The explanation names structure, couplings, verdicts, traffic and the choice."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from rich.console import Console

import gridmodel as gm
from gridmodel.ir.properties import Properties, RowFacts, Traffic, Verdict
from gridmodel.report.explain import Explanation

FEEDER = str(Path(__file__).parents[2] / "models" / "data" / "feeders" / "13Bus" / "IEEE13Nodeckt.dss")


@pytest.fixture
def explanation(fleet_properties: Properties) -> Explanation:
    return Explanation(
        model="energy community",
        properties=fleet_properties,
        verdicts={
            "admm": Verdict(True, "a QP whose couplings a coordinator may hold"),
            "dual": Verdict(False, "home[0]: its response to prices jumps; add a strongly convex cost"),
        },
        traffic={"admm": Traffic(messages=42, numbers=1008), "dual": None},
        choice="admm",
        reason="seconds are scarce, and it is the fastest that applies",
        currency="EUR",
    )


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.split("\n")]


def test_structure_and_couplings_are_told(explanation: Explanation) -> None:
    text = str(explanation)
    assert "energy community: QP, 21 agents, 1944 columns, 24 coupling rows" in text
    assert ["home[0],", "...", "20", "LP", "96", "48", "none", "equal", "none"] in _rows(text)
    assert ["plant", "1", "QP", "24", "0", "none", "one", "0.1", "to", "0.5"] in _rows(text)
    assert ["transformer", "resource", "<=", "24", "20", "to", "21", "kW", "EUR/kW"] in _rows(text)


def test_verdicts_traffic_and_choice_are_told(explanation: Explanation) -> None:
    applies, refused = str(explanation).split("algorithms that do not apply")
    assert next(row[:4] for row in _rows(applies) if row[:1] == ["admm"]) == ["admm", "42", "7.9", "KiB"]
    assert "its response to prices jumps; add a strongly convex cost" in refused
    assert refused.rstrip().endswith("auto picks admm: seconds are scarce, and it is the fastest that applies")


def test_a_topology_and_strangers_are_told(explanation: Explanation) -> None:
    properties = replace(
        explanation.properties, components=2, coordinator=False, strangers=(("g1", "g3"),), step_norm=3.5, copies=1
    )
    text = str(replace(explanation, properties=properties))
    assert "topology: 2 separate parts; a coordinator is forbidden" in text
    assert "g1 and g3" in text
    assert "L = 3.5" in text
    assert "1 copy of columns" in text


def test_long_lists_are_cut_short_and_counted(explanation: Explanation) -> None:
    rows = tuple(RowFacts(f"bus {k}", "resource", "==", 1, (2, 4), "MW") for k in range(118))
    text = str(replace(explanation, properties=replace(explanation.properties, couplings=rows)))
    assert "... and 106 more" in text
    assert "bus 12" not in text


def test_the_terminal_shows_the_same_words(explanation: Explanation) -> None:
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(explanation)
    words = set(" ".join(out.getvalue().split()).split())
    assert set(str(explanation).split()) <= words


def test_models_with_horizons_say_what_training_would_make_of_them() -> None:
    model = gm.Model("day")
    day = model.fleet("tank", 2).horizon(3)
    x, u = day.state("x", start=1), day.action("u", bounds=(0, 1))
    day.next("x", x[:, :-1] + u)
    day.minimize(cp.square(u))
    assert "policies: none: model 'day' has no days to learn from" in str(gm.explain(model))
    price = day.series("price", shared=True)
    day.minimize(cp.multiply(np.ones((2, 1)) @ cp.reshape(price, (1, 3), order="C"), u))
    with pytest.raises(gm.ModelError, match=r"tank\.price of tank has no value"):
        gm.explain(model)
    days = gm.Scenarios({"price": np.ones((1, 3))})
    model.days(days, days)  # a day of them gives the series a value while the structure is looked at
    assert "learns one for each of 2 of tank (sees 4 numbers, decides 1); no messages" in str(gm.explain(model))
    assert price.value is None
    model.place(gm.read_network(FEEDER), 0.9, 1.05)
    other = model.agent("lamp").horizon(3)
    other.draw(other.action("p", bounds=(0, 1)), at="671.1")
    assert "\n  tank: no power is drawn from ieee13nodeckt; if some should be" in str(gm.explain(model))


def test_without_torch_models_on_a_feeder_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.learning.street import build

    model = build(houses=1)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_NoTorch(), *sys.meta_path])
    assert "policies: none: A differentiable load flow needs torch: pip install" in str(gm.explain(model))


class _NoTorch:
    """Torch as it is where it was never installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
