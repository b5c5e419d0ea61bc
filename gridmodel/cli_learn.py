"""The command line's ``train`` and ``evaluate``: policies from a model, and what they are worth."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridmodel.errors import DataError, ModelError
from gridmodel.modelfile import load_model

if TYPE_CHECKING:
    from gridmodel.language.model import Model
    from gridmodel.learning.certificate import PolicyCertificates
    from gridmodel.learning.policy import Policy

__all__ = ["LEARN_EPILOG", "add_evaluate", "add_train", "evaluated", "learned_status", "place_of", "trained"]

LEARN_EPILOG = """\
exit status: 0 judged, and on all held-out days voltages within 0.001 pu of their limits and states within 0.001 of
their range (or not judged, as asked), 1 judged and beyond, or training failed, 2 bad input, 130 interrupted
(checkpoint and policies so far are kept)"""

_BEYOND = 1e-3  # pu, or of a state's range


def add_train(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``train`` to a parser that knows MODEL and --set."""
    parser.epilog = LEARN_EPILOG
    parser.add_argument("--out", metavar="FILE.npz", help="where policies go (default: MODEL.policy.npz)")
    parser.add_argument(
        "--method", default="gradmap", metavar="NAME", help="gradmap, gradma, ssl, ... (default: gradmap)"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=_positive, metavar="M", help="budget of time (default: 0.5)")
    budget.add_argument("--rounds", type=_count, metavar="N", help="budget of rounds")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of first weights and days (default: 0)")
    parser.add_argument("--checkpoint", metavar="FILE", help="written now and then, and at the end")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, where there is one")
    parser.add_argument("--device", default="cpu", metavar="cpu|cuda", help="where to compute (default: cpu)")
    parser.add_argument("--threads", type=_count, default=1, metavar="N", help="that share an operation (default: 1)")
    parser.add_argument("--target-cost", type=_finite, metavar="C", help="end early: cost a day, with --target-share")
    parser.add_argument("--target-share", type=_share, metavar="S", help="and share of node-steps outside the limits")
    parser.add_argument("--no-verify", action="store_true", help="do not judge on the held-out days")
    _add_outputs(parser)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``evaluate``."""
    parser.epilog = LEARN_EPILOG
    parser.add_argument(
        "policies", nargs="+", metavar="POLICY.npz", help="what gridmodel train wrote; of several, a table"
    )  # fmt: skip
    parser.add_argument("--model", metavar="MODEL", help="the model, where it is not where it was at training")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option other than at training"
    )
    _add_outputs(parser)


def trained(options: argparse.Namespace, model: Model, chosen: Mapping[str, str]) -> Policy:
    """Trains, writes the policies, and judges them unless told not to.

    Raises:
        ModelError: bad input, or what ``gm.train`` refuses.
    """
    _require_torch()
    if options.resume and options.checkpoint is None:
        raise DataError("--resume needs the checkpoint to go on from: --checkpoint FILE.")
    if (options.target_cost is None) != (options.target_share is None):
        raise DataError("--target-cost and --target-share belong together: cost means nothing without violations.")
    if options.network_days and model.network is None:
        raise DataError(f"--network-days: model {model.name!r} has no network; leave it out.")
    from gridmodel.learning.train import Target, train
    from gridmodel.report.policy_text import training_line, warnings_as_lines

    target = None if options.target_cost is None else Target(options.target_cost, options.target_share)
    with warnings_as_lines(), training_line("training") as progress:
        policy = train(
            model,
            options.method,
            seed=options.seed,
            minutes=options.minutes,
            rounds=options.rounds,
            target=target,
            checkpoint=options.checkpoint,
            resume=options.resume,
            device=options.device,
            threads=options.threads,
            progress=progress,
        )
    policy.source = {"model": options.model, "options": dict(chosen)}
    policy.save(place_of(options))
    if policy.status not in ("interrupted", "failed") and not options.no_verify:
        try:
            _judge([policy], options)
        except KeyboardInterrupt:
            policy.status, policy.message = "interrupted", "interrupted before the held-out days were judged"
    return policy


def evaluated(options: argparse.Namespace, chosen: Mapping[str, str]) -> tuple[list[Policy], PolicyCertificates]:
    """The policies of each file, judged on the held-out days of the one model that they were trained on.

    Raises:
        ModelError: not a policy, its model is not found, or is another one.
    """
    _require_torch()
    from gridmodel.learning.policy import Policy
    from gridmodel.report.policy_text import warnings_as_lines

    first, *others = options.policies
    name, kept = _source(first, options, chosen)
    for other in others:
        if (found := _source(other, options, chosen)) != (name, kept):
            raise ModelError(
                f"policies are judged together where they are of one model: {first} is of {_said(name, kept)}, {other} "
                f"of {_said(*found)}. Judge each by itself."
            )
    with warnings_as_lines():
        model = load_model(name, kept)
        policies = [Policy.load(path, model) for path in options.policies]
    return policies, _judge(policies, options)


def learned_status(policy: Policy) -> int:
    """The exit status that ``LEARN_EPILOG`` says."""
    if policy.status == "interrupted" and policy.certificate is None:
        return 130
    if policy.certificate is None:
        return int(policy.status == "failed")
    made = policy.certificate
    return int(max([made.violation_worst_pu, *(one.part for one in made.states.values())]) > _BEYOND)


def place_of(options: argparse.Namespace) -> str:
    """The file of the policies."""
    out: str = options.out if options.out is not None else f"{Path(options.model).stem}.policy"
    return out if out.endswith(".npz") else f"{out}.npz"


def _judge(policies: Sequence[Policy], options: argparse.Namespace) -> PolicyCertificates:
    from gridmodel.learning.policy import Policy
    from gridmodel.report.policy_text import warnings_as_lines
    from gridmodel.report.progress import progress_line

    with warnings_as_lines(), progress_line("judging on held-out days"):
        return Policy.verified_together(policies, not options.no_optimum, options.network_days)


def _source(path: str, options: argparse.Namespace, chosen: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The model of a policy's file, and the options that it is built with."""
    from gridmodel.learning.policy import read_policy

    source = read_policy(path)[0].get("source") or {}
    if options.model is None and not source:
        raise DataError(f"{path} does not say which file its model came from: give --model MODEL.")
    name = options.model if options.model is not None else _found(source["model"], path)
    return name, {**source.get("options", {}), **chosen}


def _said(name: str, kept: Mapping[str, str]) -> str:
    return " ".join([name, *(f"--set {key}={value}" for key, value in kept.items())])


def _found(name: str, policy: str) -> str:
    """A model's file as named at training, or beside the policy."""
    beside = Path(policy).parent / Path(name).name
    return str(beside) if Path(name).suffix and not Path(name).is_file() and beside.is_file() else name


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-optimum", action="store_true", help="judge without the bound of perfect foresight, a problem a day"
    )
    parser.add_argument(
        "--network-days", type=_count, default=0, metavar="N",
        help="judge beside the optimum within the network's limits too, on the first N held-out days",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write one JSON object; - is the standard output")
    parser.add_argument("--plot", metavar="FILE", help="picture of voltages, actions, cost and violation")


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ModelError("Training and judging policies needs torch: pip install 'gridmodel[learn]'.") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _finite(text: str) -> float:
    value = _number(text)
    if not -float("inf") < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a finite number is expected, got {text!r}")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a share from 0 to 1 is expected, got {text!r}")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is expected, got {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is expected, got {text!r}")
    return int(text)
