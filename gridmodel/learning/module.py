"""The policy of one agent as a module of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gridmodel.learning.export import agent_layers, agent_scale, find_agent
from gridmodel.runtime.perceptron import saturated

if TYPE_CHECKING:
    from gridmodel.learning.policy import Policy

__all__ = ["AgentNetwork", "module_of"]


class AgentNetwork(nn.Module):  # type: ignore[misc]
    """raw = clip(s h_L, -1, 1), h_l+1 = tanh(W_l h_l + b_l), h_1 = (observation - center) / scale, s = ``GAIN``.

    Takes observations in physical units, shape (days, F); gives raw actions between -1 and 1, shape (days, A).
    """

    def __init__(self, policy: Policy, agent: str) -> None:
        super().__init__()
        k, i = find_agent(policy.graph, agent)
        center, scale = agent_scale(policy.graph, k, i)
        self.register_buffer("center", torch.from_numpy(center))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.layers = nn.ModuleList()
        for weight, offset in agent_layers(policy, k, i):
            layer = nn.Linear(*weight.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weight.T.copy()))
                layer.bias.copy_(torch.from_numpy(offset))
            self.layers.append(layer)

    def forward(self, observation: Tensor) -> Tensor:
        """Raw actions."""
        value = (observation - self.center) / self.scale
        for layer in self.layers:
            value = torch.tanh(layer(value))
        return saturated(value)


def module_of(policy: Policy, agent: str) -> AgentNetwork:
    """The network of an agent such as "battery[3]".

    Raises:
        UnknownNameError: no agent of this name. ModelError: it has no action.
    """
    return AgentNetwork(policy, agent)
