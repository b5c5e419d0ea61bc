"""The command line's train and evaluate: files, exit status, one line for bad input, interruption and resumption."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.learning.policy import read_policy
from gridmodel.learning.train import trainers

Run = Callable[..., tuple[int, str, str]]
KEYS = (
    "violation_share", "violation_worst_pu", "violation_p95_pu", "savings_share", "cost", "cost_optimum", "cost_idle",
)  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model file in an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("street.py").write_text(
        "from tests.learning import street\n\n"
        "def build(houses=2, grid=False, days=3, capacity=10.0):\n"
        "    return street.build(houses, grid, days, capacity)\n"
    )
    return "street.py"


def test_train_writes_policies_that_evaluate_finds_the_model_of(run: Run, street: str) -> None:
    status, out, err = run(
        "train", street, "--set", "houses=1", "--rounds", "2", "--json", "told.json", "--plot", "p.png"
    )
    assert (status, err) == (0, "")
    assert "street, gradmap: trained" in out
    assert "  5 policies of 6 agents, 2 rounds, 2 calls of the environment, " in out
    assert "last rounds: cost" in out
    assert "certificate" in out
    told = json.loads(Path("told.json").read_text())
    assert (told["rounds"], len(told["history"]), told["agents"], told["policies"]) == (2, 2, 6, 5)
    assert told["cost_optimum"] < told["cost"]
    assert told["cost_optimum"] < told["cost_idle"]
    part = (told["cost_idle"] - told["cost"]) / (told["cost_idle"] - told["cost_optimum"])
    assert told["savings_share"] == pytest.approx(part, rel=1e-9)
    assert Path("p.png").stat().st_size > 10_000
    about, weights = read_policy("street.policy.npz")
    assert about["source"] == {"model": "street.py", "options": {"houses": "1"}}
    assert weights["battery/0/weight"].shape[0] == 1

    status, out, _ = run("evaluate", "street.policy.npz", "--json", "-")
    again = json.loads(out)
    assert status == 0
    assert [again[key] for key in KEYS] == pytest.approx([told[key] for key in KEYS], rel=1e-9)


def test_voltages_beyond_their_limits_give_exit_status_1(run: Run, street: str) -> None:
    status, out, _ = run("train", street, "--set", "grid=true", "--rounds", "1", "--no-optimum", "--json", "-")
    told = json.loads(out)
    assert told["violation_worst_pu"] > 1e-3
    assert 0 < told["violation_p95_pu"] <= told["violation_worst_pu"]
    assert (told["cost_optimum"], told["savings_share"]) == (None, None)
    assert status == 1


def test_without_a_verdict_the_keys_are_null(run: Run, street: str) -> None:
    status, out, _ = run("train", street, "--rounds", "1", "--no-verify", "--out", "kept", "--json", "-")
    assert status == 0
    assert [json.loads(out)[key] for key in KEYS] == [None] * len(KEYS)
    assert Path("kept.npz").is_file()


def test_an_interrupted_run_is_kept_and_resumed_to_the_same_numbers(
    run: Run, street: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("train", street, "--rounds", "4", "--no-verify")
    assert run(*common, "--out", "whole.npz")[0] == 0
    with monkeypatch.context() as patch:
        _interrupt_in_round(patch, 3)
        status, out, _ = run(*common, "--checkpoint", "half.pt", "--out", "half.npz")
    assert status == 130
    assert "street, gradmap: interrupted" in out
    assert len(read_policy("half.npz")[0]["history"]) == 2
    assert run(*common, "--checkpoint", "half.pt", "--resume", "--out", "half.npz")[0] == 0
    whole, half = read_policy("whole.npz")[1], read_policy("half.npz")[1]
    assert set(whole) == set(half)
    assert all(np.array_equal(whole[name], half[name]) for name in whole)

    status, _, err = run(*common, "--set", "capacity=11", "--checkpoint", "half.pt", "--resume")
    assert status == 2
    assert "the checkpoint half.pt belongs to another model: model 'street' (fingerprint " in err
    assert err.count("\n") == 1


def test_an_interrupt_while_judging_keeps_the_policies(run: Run, street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gridmodel.learning.certify.certify_together", broken)
    status, out, _ = run("train", street, "--rounds", "1")
    assert status == 130
    assert "interrupted before the held-out days were judged" in out
    assert Path("street.policy.npz").is_file()


def test_warnings_are_lines_and_told_once(run: Run, street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = trainers()["gradmap"]
    step, rounds = own.step, []

    def doubtful(self: Any, *given: Any) -> Any:
        rounds.append(1)
        warnings.warn(f"{len(rounds)} % of this\nround failed", stacklevel=2)
        return step(self, *given)

    monkeypatch.setattr(own, "step", doubtful)
    status, _, err = run("train", street, "--rounds", "3", "--no-verify", "--checkpoint", "none.pt", "--resume")
    assert status == 0
    assert err == (
        "gridmodel: warning: there is no checkpoint none.pt yet; training starts anew.\n"
        "gridmodel: warning: 1 % of this round failed\n"
    )


def test_training_that_fails_says_so(run: Run, street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = trainers()["gradmap"]
    found = own.policies

    def broken(self: Any, *given: Any) -> Any:
        policies = found(self, *given)
        return policies.like([tensor * float("nan") for tensor in policies.tensors])

    monkeypatch.setattr(own, "policies", broken)
    status, out, _ = run("train", street, "--rounds", "1", "--plot", "p.png")
    assert status == 1
    assert "street, gradmap: failed" in out
    assert "take smaller steps" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("train", "street.py", "--resume"), "--resume needs the checkpoint to go on from"),
        (("train", "street.py", "--network-days", "2"), "--network-days: model 'street' has no network"),
        (("train", "street.py", "--target-cost", "3"), "--target-cost and --target-share belong together"),
        (("train", "street.py", "--device", "cuda"), "no CUDA device that torch sees"),
        (("train", "street.py", "--method", "magic"), "no way of training 'magic'; there are "),
        (("train", "street.py", "--minutes", "-1"), "a number above 0 is expected, got '-1'"),
        (("train", "street.py", "--rounds", "2", "--minutes", "1"), "not allowed with argument"),
        (("train", "street.py", "--out", "nowhere/x.npz"), "--out nowhere/x.npz: the folder nowhere does not exist"),
        (("train", "lmp"), "has no days to learn from"),
        (("train", "street.py", "--target-cost", "nan", "--target-share", "0"), "a finite number is expected"),
        (("train", "street.py", "--target-cost", "1", "--target-share", "5"), "a share from 0 to 1 is expected"),
        (("train", "street.py", "--resume", "--checkpoint", "street.py"), "street.py cannot be read: it is cut"),
        (("evaluate", "none.npz"), "No such file"),
        (("evaluate", "street.py"), "street.py is no policy that gridmodel saved: it is cut off, or something else"),
    ],
)
def test_bad_input_is_one_line(
    run: Run, street: str, arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1


def test_a_policy_of_another_model_or_of_none_is_refused(run: Run, street: str) -> None:
    from tests.learning.street import build, policy

    policy(build(grid=False)).save("drawn.npz")
    status, _, err = run("evaluate", "drawn.npz")
    assert (status, err.count("\n")) == (2, 1)
    assert "drawn.npz does not say which file its model came from: give --model MODEL." in err
    assert run("evaluate", "drawn.npz", "--model", street, "--no-optimum")[0] == 0
    status, _, err = run("evaluate", "drawn.npz", "--model", street, "--set", "capacity=11")
    assert (status, err.count("\n")) == (2, 1)
    assert "holds policies of model 'street' with other dynamics, places or observations: of 2 battery, 2 room" in err
    status, _, err = run("evaluate", "drawn.npz", "--model", street, "--set", "houses=1")
    assert (status, err.count("\n")) == (2, 1)
    assert "with other agents: of 2 battery, 2 room, 2 pv; this model has 1 battery, 2 room, 2 pv" in err
    with np.load("drawn.npz") as file:
        kept = dict(file)
    kept["about"] = np.array(str(kept["about"]).replace('"gain"', '"other"'))
    np.savez("drawn.npz", **kept)
    status, _, err = run("evaluate", "drawn.npz", "--model", street)
    assert (status, err.count("\n")) == (2, 1)
    assert "drawn.npz was saved by another version, whose networks say other actions; train again." in err


def test_without_torch_it_says_what_to_install(run: Run, street: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for arguments in (("train", street), ("evaluate", "x.npz")):
        status, _, err = run(*arguments)
        assert (status, err.count("\n")) == (2, 1)
        assert "needs torch: pip install 'gridmodel[learn]'" in err


def test_pictures_compare_histories_by_name(street: str, tmp_path: Path) -> None:
    from tests.learning.street import build

    model = build(grid=False)
    told = {name: gm.train(model, "gradmap", seed=seed, rounds=2) for seed, name in enumerate(["one", "two"])}
    gm.plot(told, tmp_path / "both.svg")
    assert (tmp_path / "both.svg").read_text().count("<!-- one -->") == 1


def _interrupt_in_round(patch: pytest.MonkeyPatch, number: int) -> None:
    own = trainers()["gradmap"]
    step, rounds = own.step, []

    def broken(self: Any, *given: Any) -> Any:
        rounds.append(1)
        if len(rounds) == number:
            raise KeyboardInterrupt
        return step(self, *given)

    patch.setattr(own, "step", broken)


def test_a_terminal_sees_cost_and_violation_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from io import StringIO

    from gridmodel.report.policy_text import training_line
    from gridmodel.runtime.training import Round

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    told = Terminal()
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(sys, "stderr", told)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    with training_line("training") as progress:
        assert progress is not None
        progress(1, 0, Round(20.0, 0.5, 0.04, 1))
        progress(2, 4, Round(10.0, 0.25, 0.02, 2))
    assert "2/4" in told.getvalue()
    assert "cost 15 a day, 37.5000 % of node-steps outside, worst 0.04000 pu" in told.getvalue()
    monkeypatch.setattr(sys, "stderr", StringIO())
    with training_line("training") as progress:
        assert progress is None
