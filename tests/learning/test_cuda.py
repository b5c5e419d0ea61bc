"""Training on a GPU, by a pretended one: nothing is left on the CPU, nothing waits in loops, results are the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.grid.flow.differentiable import TorchLoadFlow
from gridmodel.learning.judge import judge_days
from gridmodel.learning.policy import Policy
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.gradmap import GradMAP
from gridmodel_solvers.gradmap.ssl import SSL
from models.grid_edge import build
from tests.grid.flow.feeders import two_bus
from tests.learning import street
from tests.learning.pretend import CUDA, OnCuda, pretended

torch.set_num_threads(1)


@cache
def edge() -> gm.Model:
    return build(agents=12, days=4, held_out=2)  # with 6, devices so large that exploring is near collapse


def interrupted(done: int, *_: Any) -> None:
    if done == 1:
        raise KeyboardInterrupt


def alike(one: Policy, other: Policy, share: float) -> None:
    assert [x.calls for x in one.history] == [x.calls for x in other.history]
    for a, b in zip(one.history, other.history, strict=True):
        assert (a.cost, a.share, a.worst) == pytest.approx((b.cost, b.share, b.worst), rel=share, abs=1e-6)
    assert all(np.allclose(one.weights[k], other.weights[k], atol=share) for k in other.weights)


def test_the_pretended_device_refuses_what_cuda_refuses(tmp_path: Path) -> None:
    own = torch.ones(2)
    with pretended():
        there = torch.ones(2, device="cuda")
        assert (there.device, there.is_cuda, float((there * 2.0 + torch.tensor(1.0)).sum())) == (CUDA, True, 6.0)
        refused = [
            lambda: there + own,
            lambda: torch.cat([there, own]),
            lambda: torch.mul(own, own, out=there),
            lambda: there.index_put_([torch.tensor([0])], own[:1]),
            lambda: torch.where(there > 0, there, own),
        ]
        for mixed in refused:
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        for taken in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(RuntimeError, match="not supported"):
                taken()
        with pytest.raises(RuntimeError, match="for generator"):
            torch.rand(2, device="cuda", generator=torch.Generator())
        torch.save({"x": [there]}, tmp_path / "there")
        with pytest.raises(AssertionError, match="map_location"):
            torch.load(tmp_path / "there")
        for place in ("cpu", "cuda"):
            assert torch.load(tmp_path / "there", map_location=place)["x"][0].device.type == place
        slope = torch.ones(2, device="cuda").requires_grad_()
        (slope * there).sum().backward()  # type: ignore[no-untyped-call]
        assert isinstance(slope.grad, OnCuda)
        own.copy_(there.cpu())
        assert not there.to(own).is_cuda
        assert own.to(there).is_cuda


@cache
def plain(method: str) -> Policy:
    return gm.train(edge(), method, rounds=2)


@pytest.mark.parametrize(
    ("method", "first", "second"),
    [("gradmap", "cuda", "cpu"), ("gradmap", "cpu", "cuda"), ("mappo", "cuda", "cpu"), ("mappo", "cpu", "cuda"),
     ("ssl", "cuda", "cuda"), ("ippo", "cuda", "cuda")],
)  # fmt: skip
def test_a_run_moves_between_devices(method: str, first: str, second: str, tmp_path: Path) -> None:
    """Begun on the one, interrupted, resumed on the other: what a run on the CPU gives, up to rounding."""
    rest: dict[str, Any] = {"rounds": 2, "checkpoint": tmp_path / "run"}
    with pretended():
        OnCuda.counts.clear()
        gm.train(edge(), method, device=first, progress=interrupted, **rest)
        moved = gm.train(edge(), method, device=second, resume=True, **rest)
    rounds = [first, second].count("cuda")
    assert sum(OnCuda.counts.values()) > 4000 * rounds
    assert OnCuda.counts["wait"] < 80 * rounds  # for the device: less than once a step of every kind
    alike(moved, plain(method), 1e-3)


@pytest.mark.parametrize(
    "trainer", [GradMAP(gradient="through", days=3, ascent=Duals(clock=1)), SSL(squared=True, days=3)]
)
def test_other_ways_of_training_run_there_too(trainer: Any, tmp_path: Path) -> None:
    """On days with droops, voltages between nodes, and agents whose limits follow series."""
    model = street.build()
    plain = gm.train(model, trainer, rounds=2)
    with pretended():
        learned = gm.train(model, trainer, rounds=2, device="cuda:0")
        assert gm.verify(learned).days == 3
        assert len(learned.export(tmp_path)) == 6
    alike(learned, plain, 1e-4)


def test_policies_on_the_device_are_judged() -> None:
    model = street.build()
    assert model.scenarios is not None
    graph, (_, days) = training_graph(model, model.scenarios[0]), model.scenarios
    with pretended():
        drawn = [
            Policies.drawn(Environment(graph, device=device), (4,), torch.Generator().manual_seed(0))
            for device in ("cpu", "cuda")
        ]
        assert drawn[1].tensors[0].is_cuda
        here, there = (judge_days(graph, own, days) for own in drawn)
    assert np.allclose(here.cost, there.cost, rtol=1e-12)


def test_load_flows_that_are_quick_slow_newtons_or_fail() -> None:
    """One line with z s below, at nearly and above 1/4: |v| = (1 + sqrt(1 - 4 z s)) / 2, and its slope."""
    load = np.array([0.1, 0.24, 0.2498, 0.2499, 0.3])
    with pretended():
        x = torch.tensor(load[:, None] + 0j).to("cuda").requires_grad_()
        v, converged = TorchLoadFlow(two_bus(0.1), tolerance=1e-12)(x)
        (g,) = torch.autograd.grad(v[:, 1].abs().sum(), [x])
        assert v.is_cuda
        assert g.is_cuda
        assert converged.cpu().tolist() == [True, True, True, True, False]
        size, slope = v.detach()[:4, 1].abs().cpu().numpy(), g[:, 0].real.cpu().numpy()
    root = np.sqrt(1 - 4 * load[:4])
    assert np.allclose(size, (1 + root) / 2, rtol=1e-6)
    assert np.allclose(slope, [*(-1 / root), 0.0], rtol=1e-4)


def test_the_command_line_trains_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = [f"{street.__file__}", "--rounds", "1", "--no-verify", "--out"]
    with pretended():
        OnCuda.counts.clear()
        assert main(["train", *places, "there", "--device", "cuda"]) == 0
        assert sum(OnCuda.counts.values()) > 500
    assert main(["train", *places, "here"]) == 0
    here, there = (np.load(tmp_path / f"{name}.npz") for name in ("here", "there"))
    assert all(np.allclose(here[k], there[k], atol=1e-4) for k in here.files if "/" in k)


@pytest.mark.parametrize(("device", "text"), [("gpu", "expected 'cpu', 'cuda'"), ("cuda:1", "no CUDA device")])
def test_no_such_device(device: str, text: str) -> None:
    with pretended(), pytest.raises(gm.ModelError, match=text):
        gm.train(street.build(grid=False), device=device, rounds=1)
