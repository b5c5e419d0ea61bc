"""The command line's ``flow``: the voltages of a network file."""

from __future__ import annotations

import argparse
from typing import Any

from gridmodel.errors import ModelError

__all__ = ["add_flow", "flow_of"]


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

    if not 0 <= options.scale < float("inf"):
        raise ModelError(f"--scale {options.scale}: expected a finite factor of at least 0; 1 is the load of the file.")
    net = read_network(options.file)
    if isinstance(net, Feeder):
        return net.load_flow(options.scale, taps="auto" if options.taps == "auto" and net.regulators else None)
    return net.load_flow(options.scale * (net.buses.p_load + 1j * net.buses.q_load))
