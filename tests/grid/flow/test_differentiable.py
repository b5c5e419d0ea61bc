"""The load flow in torch against the load flow in numpy and its gradient against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gridmodel.errors import ModelError, ShapeError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.differentiable import TorchLoadFlow
from tests.grid.flow.feeders import random_feeder, two_bus
from tests.grid.references import KERSTING, constant_power, feeder, ratios

torch.set_num_threads(1)


def slopes(net: Feeder, s: NDArray[Any], taps: Any = None, dtype: Any = torch.complex128) -> tuple[Any, Any, Any]:
    """Of sum w |v| along a random direction for every scenario: by autograd, and by finite differences; and the error
    of the voltages."""
    rng = np.random.default_rng(1)
    flow = TorchLoadFlow(net, taps, tolerance=1e-12)
    x = torch.tensor(s, dtype=dtype, requires_grad=True)
    v, converged = flow(x)
    assert bool(converged.all())
    w, move = rng.normal(size=v.shape), rng.normal(size=s.shape) + 1j * rng.normal(size=s.shape)
    (torch.tensor(w, dtype=v.real.dtype) * v.abs()).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    mine = (x.grad.numpy().conj() * move).real.sum(axis=1)

    def value(s: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((w * np.abs(net.load_flow(s, taps=taps, tolerance=1e-14).v)).sum(axis=1))

    h = 1e-4 * np.abs(s).max()
    truth = (value(s + h * move) - value(s - h * move)) / (2 * h)
    return mine, truth, np.abs(v.detach().numpy() - net.load_flow(s, taps=taps, tolerance=1e-12).v).max()


def scenarios(net: Feeder, count: int, top: float = 1.2) -> NDArray[np.complex128]:
    factors = np.random.default_rng(0).uniform(0.3, top, (count, len(net.loads)))
    return np.asarray(factors * np.array([load.s for load in net.loads]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [False, True])
def test_gradient_of_random_feeders(seed: int, limits: bool) -> None:
    """With limits, ports lie in all zones of the law; those scenarios take the whole law's way."""
    net = random_feeder(seed + 1, limits=limits)
    mine, truth, error = slopes(net, scenarios(net, 4))
    assert error < 1e-10
    assert np.abs(mine - truth).max() < 1e-6 * np.abs(truth).max()


def test_gradient_of_ieee_123_in_both_precisions() -> None:
    net = feeder("ieee123")
    s = scenarios(net, 3)
    mine, truth, error = slopes(net, s, ratios(KERSTING))
    assert error < 1e-10
    assert np.abs(mine - truth).max() < 1e-6 * np.abs(truth).max()
    single, _, error = slopes(net, s, ratios(KERSTING), torch.complex64)
    assert error < 1e-6
    assert np.abs(single - truth).max() < 1e-5 * np.abs(truth).max()


def test_gradient_where_only_newton_solves() -> None:
    """At z s = 0.2499 the fixed point takes hundreds of steps: Newton solves, and the adjoint is right still."""
    x = torch.tensor([[0.2499 + 0j]], dtype=torch.complex128, requires_grad=True)
    v, converged = TorchLoadFlow(two_bus(0.1), tolerance=1e-12)(x)
    assert bool(converged.all())
    v[0, 1].abs().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.real.item() == pytest.approx(-1 / np.sqrt(1 - 4 * 0.2499), rel=1e-4)


def test_a_failed_scenario_is_flagged_and_has_no_gradient() -> None:
    net = constant_power(feeder("ieee13"))
    s = np.array([load.s for load in net.loads])
    x = torch.tensor(np.array([s, 9 * s]), requires_grad=True)
    v, converged = TorchLoadFlow(net)(x)
    assert converged.tolist() == [True, False]
    assert bool(torch.isnan(v[1].real).all())
    v.abs().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert bool((x.grad[1] == 0).all())
    alone = torch.tensor(s[None], requires_grad=True)
    TorchLoadFlow(net)(alone).v.abs().sum().backward()  # type: ignore[no-untyped-call]
    assert alone.grad is not None
    assert torch.allclose(x.grad[0], alone.grad[0], rtol=1e-6)


def test_gradient_by_generation() -> None:
    net = random_feeder(1)
    g = torch.tensor([[3e4 + 1e4j], [0j]], requires_grad=True)
    v = TorchLoadFlow(net, tolerance=1e-13)(None, g).v
    v[:, net.position["b5.2"]].abs().sum().backward()  # type: ignore[no-untyped-call]
    ends = [
        np.abs(net.load_flow(generation=np.array([[3e4 + 1e4j + h], [h + 0j]]), tolerance=1e-14)["b5.2"])
        for h in (1.0, -1.0)
    ]
    assert g.grad is not None
    assert g.grad.real[:, 0].numpy() == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-6)


def test_bad_input() -> None:
    flow = TorchLoadFlow(random_feeder(0))
    with pytest.raises(ModelError, match="complex tensors"):
        flow(torch.ones(2, 20))
    with pytest.raises(ModelError, match="complex tensors"):
        flow()
    with pytest.raises(ShapeError, match=r"loads: shape \(2, 3\), expected \(2, 20\)"):
        flow(torch.ones(2, 3, dtype=torch.complex128))


def test_a_constant_impedance_is_its_closed_form() -> None:
    """v = 1 / (1 + s), so d|v|/dp = -1 / (1 + s)^2; what of it is in the network's matrix is not counted twice."""
    net = two_bus(0.5, zip_p=(1.0, 0.0, 0.0), zip_q=(1.0, 0.0, 0.0))
    x = torch.tensor([[0.5 + 0j], [0.2 + 0j]], dtype=torch.complex128, requires_grad=True)
    v = TorchLoadFlow(net, tolerance=1e-13)(x).v[:, 1].abs()
    v.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert v.detach().numpy() == pytest.approx(1 / np.array([1.5, 1.2]), abs=1e-8)
    assert x.grad.real[:, 0].numpy() == pytest.approx(-1 / np.array([1.5, 1.2]) ** 2, rel=1e-6)
