"""The command line's ``flow`` and ``opf``: voltages of a network file, and its optimal power flow in every form."""

from __future__ import annotations

import argparse
from math import isfinite
from typing import TYPE_CHECKING, Any

from gridmodel.errors import ModelError

if TYPE_CHECKING:
    from gridmodel.side_by_side import SideBySide

__all__ = ["add_flow", "add_opf", "flow_of", "opf_of", "side_by_side_dict"]


def add_flow(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    text = "the load flow of a network file (.dss, .m, .json)"
    parser: argparse.ArgumentParser = commands.add_parser("flow", help=text, description=text)
    parser.add_argument("file", metavar="FILE", help="an OpenDSS, MATPOWER, pandapower or gridmodel network file")
    parser.add_argument("--scale", type=float, default=1.0, metavar="FACTOR", help="on all loads (default: 1)")
    parser.add_argument(
        "--taps", choices=("auto", "file"), default="auto", help="where the regulators stand (default: auto)"
    )
    parser.add_argument("--json", metavar="FILE", help="write one JSON object; - is the standard output")
    parser.add_argument("--plot", metavar="FILE", help="one-line diagram and voltages along the feeder")
    return parser


def flow_of(options: argparse.Namespace) -> Any:
    """Reads the file and solves its load flow.

    Raises:
        ModelError: the file or an option is wrong.
    """
    from gridmodel.grid.feeder import Feeder
    from gridmodel.grid.read import read_network

    _check_scale(options.scale)
    net = read_network(options.file)
    if isinstance(net, Feeder):
        controlled = bool(net.regulators or net.capacitor_controls)
        return net.load_flow(options.scale, taps="auto" if options.taps == "auto" and controlled else None)
    return net.load_flow(options.scale * (net.buses.p_load + 1j * net.buses.q_load))


def add_opf(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    text = "the optimal power flow of a case in every formulation, side by side"
    parser: argparse.ArgumentParser = commands.add_parser("opf", help=text, description=text)
    parser.add_argument("file", metavar="FILE", help="a MATPOWER, pandapower or gridmodel file of a balanced network")
    parser.add_argument("--formulations", metavar="LIST", help="e.g. ac,soc,sdp (default: all but branchflow)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="FACTOR", help="on all loads (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object; - is the standard output")
    return parser


def opf_of(options: argparse.Namespace) -> SideBySide:
    """Reads the file and solves every formulation.

    Raises:
        ModelError: the file or an option is wrong.
    """
    from gridmodel.grid.read import read_case
    from gridmodel.side_by_side import formulations

    _check_scale(options.scale)
    names = None if options.formulations is None else [name.strip() for name in options.formulations.split(",")]
    return formulations(read_case(options.file), names, options.scale)


def side_by_side_dict(found: SideBySide) -> dict[str, Any]:
    """The table as JSON takes it; numbers that are not known are null."""
    rows = {
        one.name: {
            "kind": one.kind, "status": one.status, "value": one.value if isfinite(one.value) else None,
            "gap": found.gap(one.name), "seconds": one.seconds, "remark": one.remark,
        }
        for one in found.solved
    }  # fmt: skip
    return {"network": found.network, "currency": found.currency, "formulations": rows, "refused": found.refused}


def _check_scale(scale: float) -> None:
    if not 0 <= scale < float("inf"):
        raise ModelError(f"--scale {scale}: expected a finite factor of at least 0; 1 is the load of the file.")
