"""A model's days for libraries of reinforcement learning; off the path of ``gm.train``, which needs neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridmodel.errors import ModelError

if TYPE_CHECKING:
    from gridmodel.ir.scenarios import Scenarios
    from gridmodel.language.model import Model
    from gridmodel.learning.gymnasium_env import DayEnv
    from gridmodel.learning.pettingzoo_env import DayParallelEnv
    from gridmodel.learning.policy import Policy

__all__ = ["gymnasium_env", "pettingzoo_env"]


def gymnasium_env(
    model: Model,
    agent: str | None = None,
    *,
    days: Scenarios | None = None,
    penalty: float = 1000.0,
    others: Policy | None = None,
) -> DayEnv:
    """The model as an environment of Gymnasium: all acting agents as one, or the one named.

    Args:
        days: of which each episode is one, the model's days of training where left out.
        penalty: of voltages outside the limits, in the model's currency per pu, node and step.
        others: with ``agent``, the policies of the others; without any they do what they do otherwise.

    Raises:
        ModelError: gymnasium or torch is missing, or the model cannot be trained. UnknownNameError: no such agent.
    """
    try:
        import gymnasium  # noqa: F401
    except ImportError as error:
        raise ModelError("This adapter needs gymnasium: pip install 'gridmodel[learn,rl]'.") from error
    from gridmodel.learning.gymnasium_env import DayEnv
    from gridmodel.learning.stepping import SteppedDays

    return DayEnv(SteppedDays(model, days, penalty, others), agent)


def pettingzoo_env(model: Model, *, days: Scenarios | None = None, penalty: float = 1000.0) -> DayParallelEnv:
    """The model as a parallel environment of PettingZoo, an agent for each of its acting agents.

    Args:
        days, penalty: as of ``gymnasium_env``.

    Raises:
        ModelError: pettingzoo or torch is missing, or the model cannot be trained.
    """
    try:
        import pettingzoo  # noqa: F401
    except ImportError as error:
        raise ModelError("This adapter needs pettingzoo: pip install 'gridmodel[learn,rl]'.") from error
    from gridmodel.learning.pettingzoo_env import DayParallelEnv
    from gridmodel.learning.stepping import SteppedDays

    return DayParallelEnv(SteppedDays(model, days, penalty))
