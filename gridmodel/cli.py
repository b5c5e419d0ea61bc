"""The command line: list, explain, solve, compare, flow, opf, train, evaluate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gridmodel.cli_grid import add_flow, add_opf, flow_of, opf_of, side_by_side_dict
from gridmodel.cli_learn import LEARN_EPILOG, add_evaluate, add_train, evaluated, learned_status, place_of, trained
from gridmodel.errors import DataError, ModelError
from gridmodel.modelfile import load_model, shipped_models
from gridmodel.report.style import FORMATS

if TYPE_CHECKING:
    from gridmodel.ir.result import Result
    from gridmodel.language.model import Model
    from gridmodel.learning.policy import Policy
    from gridmodel.runtime.channel import Channel

__all__ = ["main"]

CERTIFIED, NOT_CERTIFIED, BAD_INPUT, NO_OPTIMUM, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOG = """\
MODEL is a Python file that defines build(**options) -> gridmodel.Model, a network file (.m, .dss,
.json; options as of gridmodel.opf), or the name of a shipped model (see: gridmodel list).

exit status: 0 certified within the tolerance, 1 solved but not within it, 2 bad input,
3 infeasible or unbounded, 130 interrupted (what was computed is kept)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no reason to fail
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        status = command(options)
        sys.stdout.flush()
        return status
    except ModelError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("gridmodel: interrupted before there was an answer", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (e.g. head) has gone: not an error, but Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CERTIFIED
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}")


class _Parser(argparse.ArgumentParser):
    """Whose complaints are one line, as all bad input."""

    def error(self, message: str) -> NoReturn:
        raise DataError(f"{message}; see {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gridmodel",
        description="Declare agents and couplings once; solve by distributed algorithms; certify against the optimum.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="the shipped models and their options").set_defaults(command=_list)

    explain = _with_model(commands, "explain", "structure found, which algorithms apply, why others do not", _explain)
    solve = _with_model(commands, "solve", "solve a model and certify the answer", _solve)
    compare = _with_model(commands, "compare", "every algorithm that applies beside the central optimum", _compare)

    add_flow(commands).set_defaults(command=_flow)
    add_opf(commands).set_defaults(command=_opf)
    add_train(_with_model(commands, "train", "train one policy an agent and judge them on held-out days", _train))
    add_evaluate(_subparser(commands, "evaluate", "judge trained policies on held-out days", _evaluate, LEARN_EPILOG))

    solve.add_argument("--algorithm", default="auto", metavar="NAME", help="central, dual, admm, ... (default: auto)")
    solve.add_argument("--seed", type=int, metavar="N", help="of the draws of --faults (default: 0)")
    solve.add_argument("--plot", metavar="FILE", help=f"picture of convergence and prices ({', '.join(FORMATS)})")
    solve.add_argument("--privacy", action="store_true", help="print what each agent revealed to whom")
    solve.add_argument("--no-verify", action="store_true", help="do not solve centrally to compare")
    solve.add_argument("--max-rounds", type=_count, metavar="N", help="stop after so many rounds")
    for command in (explain, solve, compare):
        command.add_argument(
            "--faults",
            metavar="LIST",
            help="what goes wrong between agents, e.g. drop=0.1,delay=2,outage=g2:200-300 (see docs/channel.md)",
        )
    for command in (explain, solve):
        command.add_argument("--prefer", choices=("seconds", "rounds"), default="seconds", help="what auto spares")
    compare.add_argument("--plot", metavar="FILE", help="picture of every algorithm's error against rounds")
    for command in (solve, compare):
        command.add_argument("--tolerance", type=_tolerance, default=1e-4, help="relative (default: 1e-4)")
        command.add_argument("--json", metavar="FILE", help="write one JSON object; - is the standard output")
    return parser


def _subparser(
    commands: Any, name: str, text: str, command: Callable[..., int], epilog: str = _EPILOG
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=command)
    return parser


def _with_model(commands: Any, name: str, text: str, command: Callable[..., int]) -> argparse.ArgumentParser:
    parser = _subparser(commands, name, text, command)
    parser.add_argument("model", metavar="MODEL", help="a .py or case file, or a shipped model's name")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the model; may be repeated"
    )
    return parser


def _list(options: argparse.Namespace) -> int:
    for model in shipped_models().values():
        print(f"{model.name}\n    {model.summary}")
        if model.options:
            print(f"    --set {model.options}")
    return CERTIFIED


def _explain(options: argparse.Namespace) -> int:
    model = _build(options)
    from rich.console import Console

    from gridmodel.report.explain import explain

    explanation = explain(model, options.prefer, _channel(options))
    if sys.stdout.isatty():
        Console().print(explanation)
    else:
        print(explanation)
    return CERTIFIED


def _solve(options: argparse.Namespace) -> int:
    _check_outputs(options.json, options.plot)
    model = _build(options)
    import gridmodel as gm
    from gridmodel.report.json import as_dict
    from gridmodel.report.progress import progress_line
    from gridmodel.report.text import summary

    with progress_line(f"solving {model.name}") as progress:
        result = gm.solve(
            model,
            options.algorithm,
            prefer=options.prefer,
            channel=_channel(options),
            tolerance=options.tolerance,
            seed=options.seed,
            max_rounds=options.max_rounds,
            progress=progress,
        )
    finished = options.no_verify or _verify(result)
    if options.json != "-":
        print(summary(result))
        if options.privacy:
            from gridmodel.report.privacy import privacy

            print(f"\n{privacy(result)}")
    _write_json(options.json, as_dict(result))
    if options.plot:
        from gridmodel.report.plot import plot

        plot(result, options.plot)
    return _status(result) if finished else INTERRUPTED


def _verify(result: Result) -> bool:
    """Completes the certificate by a central solve; False where the user breaks that off, and the answer is kept."""
    import gridmodel as gm
    from gridmodel.report.progress import progress_line

    if result.status is gm.Status.INTERRUPTED or not result.variables:
        return True
    if result.algorithm == "central" and result.model.convex:
        return True
    try:
        with progress_line("solving centrally to compare"):
            gm.verify(result)
    except KeyboardInterrupt:
        return False
    return True


def _flow(options: argparse.Namespace) -> int:
    _check_outputs(options.json, options.plot)
    found = flow_of(options)
    from gridmodel.report.flow_text import flow_dict, flow_text
    from gridmodel.report.plot_flow import draw_flow

    if options.json != "-":
        print(flow_text(found))
    _write_json(options.json, flow_dict(found))
    if options.plot and found.converged:
        draw_flow(found, options.plot)
    return CERTIFIED if found.converged else NOT_CERTIFIED


def _opf(options: argparse.Namespace) -> int:
    found = opf_of(options)
    if options.json != "-":
        print(found)
    _write_json(options.json, side_by_side_dict(found))
    return CERTIFIED if found.solved else NO_OPTIMUM


def _compare(options: argparse.Namespace) -> int:
    _check_outputs(options.json, options.plot)
    model = _build(options)
    import gridmodel as gm
    from gridmodel.report.compare import comparison
    from gridmodel.report.json import as_dict
    from gridmodel.report.progress import progress_line

    with progress_line(f"comparing algorithms on {model.name}"):
        found = gm.compare(model, tolerance=options.tolerance, channel=_channel(options))
    if options.json != "-":
        print(comparison(found.results, found.refused))
    results = {name: as_dict(result) for name, result in found.results.items()}
    if options.plot:
        from gridmodel.report.plot import plot

        plot(found, options.plot)
    _write_json(options.json, {"model": model.name, "results": results, "refused": dict(found.refused)})
    sure = [result for name, result in found.results.items() if name not in found.inexact]
    return max((_status(result) for result in sure), default=NOT_CERTIFIED)


def _train(options: argparse.Namespace) -> int:
    _check_outputs(options.json, options.plot)
    _check_places(("--out", place_of(options)), ("--checkpoint", options.checkpoint))
    policy = trained(options, _build(options), _chosen(options))
    return _show_policy(options, policy, place_of(options))


def _evaluate(options: argparse.Namespace) -> int:
    _check_outputs(options.json, options.plot)
    policies, found = evaluated(options, _chosen(options))
    if len(policies) == 1:
        return _show_policy(options, policies[0], options.policies[0])
    from gridmodel.report.policy_text import policies_dict, policies_text

    if options.json != "-":
        print(policies_text(found, options.policies))
    _write_json(options.json, policies_dict(policies, found, options.policies))
    if options.plot:
        from gridmodel.report.plot import plot

        plot(dict(zip(options.policies, policies, strict=True)), options.plot)
    return max(learned_status(policy) for policy in policies)


def _show_policy(options: argparse.Namespace, policy: Policy, place: str) -> int:
    from gridmodel.report.policy_text import policy_dict, policy_text

    if options.json != "-":
        print(policy_text(policy, place))
    _write_json(options.json, policy_dict(policy))
    if options.plot and policy.status != "failed":
        from gridmodel.report.plot import plot

        plot(policy, options.plot)
    return learned_status(policy)


def _status(result: Result) -> int:
    from gridmodel.ir.result import Status

    if result.status is Status.INTERRUPTED:
        return INTERRUPTED
    if result.status in (Status.INFEASIBLE, Status.UNBOUNDED):
        return NO_OPTIMUM
    return CERTIFIED if result.certificate is not None and result.certificate.holds else NOT_CERTIFIED


def _build(options: argparse.Namespace) -> Model:
    return load_model(options.model, _chosen(options))


def _chosen(options: argparse.Namespace) -> dict[str, str]:
    """The options of the model as text."""
    chosen: dict[str, str] = {}
    for item in options.set:
        key, sign, text = item.partition("=")
        if not sign or not key:
            raise DataError(f"--set takes KEY=VALUE, got {item!r}.")
        chosen[key.strip()] = text.strip()
    return chosen


def _channel(options: argparse.Namespace) -> Channel | None:
    """The faults asked for; None for a perfect channel."""
    from gridmodel.runtime.channel import Channel

    return None if options.faults is None else Channel.parse(options.faults)


def _check_outputs(json_file: str | None, plot_file: str | None) -> None:
    """Refuses places that cannot be written, before the long work."""
    if plot_file and not Path(plot_file).is_dir() and Path(plot_file).suffix.lower() not in FORMATS:
        raise DataError(f"--plot {plot_file}: the ending must be one of {', '.join(FORMATS)}.")
    _check_places(("--json", None if json_file == "-" else json_file), ("--plot", plot_file))


def _check_places(*places: tuple[str, str | None]) -> None:
    for flag, name in places:
        if name is None:
            continue
        if not name:
            raise DataError(f"{flag}: the file's name is empty; give one.")
        path = Path(name)
        if path.is_dir():
            raise DataError(f"{flag} {name}: this is a folder; give a file's name.")
        if not path.parent.is_dir():
            raise DataError(f"{flag} {name}: the folder {path.parent} does not exist; make it first.")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise DataError(f"{flag} {name}: cannot be written; choose another place.")


def _write_json(target: str | None, content: dict[str, Any]) -> None:
    from gridmodel.report.json import to_json

    if target == "-":
        sys.stdout.write(to_json(content))
    elif target:
        Path(target).write_text(to_json(content), encoding="utf-8")


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a tolerance lies between 0 and 1, got {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is expected, got {text!r}")
    return int(text)


def _fail(text: str) -> int:
    print(f"gridmodel: {' '.join(text.split())}", file=sys.stderr)
    return BAD_INPUT
