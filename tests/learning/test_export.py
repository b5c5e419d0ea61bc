"""Exported policies give what the trained ones give, at a device that has neither torch nor the model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gridmodel.errors import DataError, ModelError, UnknownNameError
from gridmodel.ir.training import Leaf
from gridmodel.learning.certify import policies_of
from gridmodel.learning.deploy import Controller
from gridmodel.learning.policy import Policy
from gridmodel.runtime.environment import Environment, Outcome
from tests.learning.street import STEPS, build, policy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def learned() -> Policy:
    return policy(build())


@pytest.fixture(scope="module")
def files(learned: Policy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    written = learned.export(tmp_path_factory.mktemp("policies"))
    return {json.loads(path.with_suffix(".json").read_text())["agent"]: path for path in written}


@pytest.fixture(scope="module")
def held_out(learned: Policy) -> Outcome:
    assert learned.model is not None
    assert learned.model.scenarios is not None
    env = Environment(learned.graph, torch.float64)
    return env.rollout(policies_of(learned), env.batch(learned.model.scenarios[1]), flow=False)


def physical(learned: Policy, held_out: Outcome, k: int, i: int, content: dict[str, object]) -> np.ndarray:
    """What agent i of kind k saw on all days in physical units, by the contract's own scale; shape (T B, F)."""
    entries: list[dict[str, float]] = content["observation"]  # type: ignore[assignment]
    scaled = held_out.courses[k].seen[:, i].reshape(-1, len(entries)).numpy()
    return scaled * np.array([one["scale"] for one in entries]) + np.array([one["center"] for one in entries])


def test_every_agent_that_acts_has_a_network_and_a_contract(learned: Policy, files: dict[str, Path]) -> None:
    assert list(files) == ["battery[0]", "battery[1]", "room[0]", "room[1]", "pv[0]", "pv[1]"]
    assert files["battery[1]"].name == "battery-1.onnx"
    for path in files.values():
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
        assert {one.key: one.value for one in model.metadata_props}["fingerprint"] == learned.graph.fingerprint


def test_the_contract_says_what_is_seen_in_which_order_and_unit(files: dict[str, Path]) -> None:
    content = json.loads(files["battery[1]"].with_suffix(".json").read_text())
    seen = [(one["sort"], one["name"], one["ahead"], one["unit"]) for one in content["observation"][2:]]
    assert seen == [
        ("series", "price", 0, None), ("series", "price", 1, None), ("series", "price", 2, None),
        ("state", "e", 0, "kWh"), ("action", "p", 0, "kW"),
    ]  # fmt: skip
    assert content["observation"][5]["center"] == 10.0  # the second battery holds 20 kWh
    assert content["states"][0]["upper"] == [20.0] * (STEPS + 1)
    terms = {term["sort"]: term["factor"] for term in content["states"][0]["next"]["terms"]}
    assert terms == {"state": [0.99], "up": [1.9], "down": pytest.approx([-2 / 0.95])}
    assert content["inverter"] == [{"bus": "634", "nodes": [2, 0], "droop": None}]
    panel = json.loads(files["pv[1]"].with_suffix(".json").read_text())["inverter"][0]
    assert (panel["bus"], panel["nodes"][:3]) == ("680", [1, 2, 3])
    assert {key: panel["droop"][key] for key in ("center", "width", "share")} == {
        "center": 0.9975, "width": 0.0375, "share": 0.3,
    }  # fmt: skip


def test_onnx_the_module_and_the_policy_agree(learned: Policy, files: dict[str, Path], held_out: Outcome) -> None:
    for k, kind in enumerate(learned.graph.kinds):
        for i, label in enumerate(kind.labels if kind.actions else ()):
            content = json.loads(files[label].with_suffix(".json").read_text())
            seen = physical(learned, held_out, k, i, content).astype(np.float32)
            truth = held_out.courses[k].raw[:, i].reshape(len(seen), -1).numpy()
            assert np.ptp(truth) > 0.05
            found = onnxruntime.InferenceSession(str(files[label])).run(None, {"observation": seen})[0]
            assert np.abs(found - truth).max() < 1e-6
            with torch.no_grad():
                module = learned.module(label)(torch.from_numpy(seen)).numpy()
            assert np.abs(module - truth).max() < 1e-6


def test_a_controller_lives_the_day_of_the_rollout(learned: Policy, files: dict[str, Path], held_out: Outcome) -> None:
    assert learned.model is not None
    assert learned.model.scenarios is not None
    days = learned.model.scenarios[1]
    for k, kind in enumerate(learned.graph.kinds):
        for i, label in enumerate(kind.labels if kind.actions else ()):
            controller = Controller(files[label].with_suffix(".json"))
            for day in range(len(days)):
                series = {name: np.broadcast_to(days.of(kind.name, name)[day], (2, STEPS))[i] for name in kind.series}
                foreseen = {name: values for name, values in series.items() if name == "price"}
                controller.begin(**foreseen)
                leaves = held_out.courses[k].leaves
                for t in range(STEPS):
                    assert controller.step == t
                    for name, value in controller.states.items():
                        assert value == pytest.approx(leaves[Leaf("state", name)][t, day, i].item(), abs=1e-5)
                    now = {name: values[t] for name, values in series.items() if name not in foreseen}
                    for name, value in controller.act(**now).items():
                        assert value == pytest.approx(leaves[Leaf("action", name)][t, day, i].item(), abs=1e-5)


def test_what_is_measured_counts_more_than_what_was_predicted(files: dict[str, Path]) -> None:
    session = onnxruntime.InferenceSession(str(files["battery[0]"]))
    controller = Controller(
        files["battery[0]"].with_suffix(".json"),
        network=lambda x: session.run(None, {"observation": np.asarray(x, np.float32)})[0] * 0 - 1.0,
    )
    controller.begin(price=np.full(STEPS, 0.2))
    # Told to discharge all it can: 0.99 of what is stored, through the efficiency, within two hours.
    assert controller.act({"e": 4.0})["p"] == pytest.approx(-0.99 * 4.0 * 0.95 / 2)
    assert controller.states["e"] == pytest.approx(0.0, abs=1e-12)
    assert controller.act({"e": 200.0})["p"] == pytest.approx(-3.0)


def test_a_device_needs_no_torch(files: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['cvxpy'] = None\n"
        "from gridmodel.learning.deploy import Controller\n"
        f"c = Controller({str(files['battery[0]'].with_suffix('.json'))!r})\n"
        f"c.begin(price=[0.1] * {STEPS}); print(c.act()['p'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert -3 <= float(done.stdout) <= 0.8


def test_bad_use_is_named(learned: Policy, files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"no agent 'battery\[7\]' in model 'street'; there are e.g. battery\[0\]"
    ):
        learned.export(tmp_path, ["battery[7]"])
    with pytest.raises(ModelError, match="lamp has no action"):
        learned.module("lamp")
    controller = Controller(files["battery[0]"].with_suffix(".json"))
    with pytest.raises(DataError, match="no day was begun"):
        controller.act()
    with pytest.raises(DataError, match=r"'price' has shape \(3,\), expected \(12,\)"):
        controller.begin(price=[1, 2, 3])
    with pytest.raises(UnknownNameError, match="has no series 'sun'; it has price"):
        controller.begin(sun=np.zeros(STEPS))
    controller.begin()
    with pytest.raises(DataError, match="no value of 'price' at step 0"):
        controller.act()
    with pytest.raises(DataError, match="sees series 'price' 1 steps ahead, and at step 0 it is no number"):
        controller.act(price=0.2)
    controller.begin(price=np.full(STEPS, 0.2))
    with pytest.raises(DataError, match="sees state 'e', and at step 0 it is no number"):
        controller.act({"e": float("nan")})
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="is no 'gridmodel policy contract 1'"):
        Controller(tmp_path / "x.json")


def test_names_that_files_cannot_tell_apart_get_numbers(learned: Policy, tmp_path: Path) -> None:
    found = learned.export(tmp_path, ["pv[0]", "pv[1]", "pv[0]"])
    assert [path.name for path in found] == ["pv-0.onnx", "pv-1.onnx", "pv-0_2.onnx"]
    assert onnx.load(found[2]).graph.name == "pv[0]"
