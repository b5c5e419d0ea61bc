"""What all benchmarks share: alternating repetitions, accuracy against the declared model, tables and JSON."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import gridmodel as gm
from gridmodel.verify.central import Central


@dataclass(frozen=True)
class Answer:
    """What a contestant computed: cost, prices {coupling: array}, variables {agent: {name: array}}."""

    value: float
    price: Mapping[str, Any]
    variables: Mapping[str, Mapping[str, Any]]
    note: str = ""


@dataclass(frozen=True)
class Timed:
    """Wall seconds of each repetition, and the answer of the last."""

    seconds: list[float]
    answer: Any

    @property
    def median(self) -> float:
        return median(self.seconds)


def alternate(contestants: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, Timed]:
    """Runs A, B, A, B, ... so that a slow minute of the machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    answers: dict[str, Any] = {}
    for _ in range(repetitions):
        for name, run in contestants.items():
            gc.collect()
            start = time.perf_counter()
            answers[name] = run()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timed(seconds[name], answers[name]) for name in contestants}


def accuracy(answer: Answer, model: gm.Model, truth: Central) -> dict[str, float]:
    """Relative gap and price error against the optimum, and the largest true violation of any row or bound."""
    largest = max(float(np.abs(price).max()) for price in truth.price.values())
    errors = [float(np.abs(np.asarray(answer.price[c.name]) - truth.price[c.name]).max()) for c in model.couplings]
    return {
        "gap": (answer.value - truth.value) / max(1.0, abs(truth.value)),
        "price error": max(errors) / largest,
        "violation": violation(model, answer.variables),
    }


def violation(model: gm.Model, variables: Mapping[str, Mapping[str, Any]]) -> float:
    """The largest violation of a limit, coupling or bound at the answer, in the model's own units."""
    worst = 0.0
    for party in model.agents:
        for name, variable in party.variables.items():
            value = np.asarray(variables[party.name][name], dtype=np.float64)
            variable.save_value(value)
            if variable.attributes["bounds"] is not None:
                lower, upper = variable.attributes["bounds"]
                worst = max(worst, float(np.max(lower - value)), float(np.max(value - upper)))
    rows = [limit.constraint for party in model.agents for limit in party.limits]
    rows += [coupling.constraint for coupling in model.couplings]
    return max([worst, *(float(np.max(np.abs(row.residual))) for row in rows)])


def arguments(description: str | None, repetitions: int = 5) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repetitions", type=int, default=repetitions, help=f"default: {repetitions}")
    parser.add_argument("--json", metavar="FILE", help="write the rows and the machine as one JSON object")
    return parser


def report(rows: Sequence[Mapping[str, Any]], title: str, file: str | None) -> None:
    """Prints the rows as a table, and writes them where asked."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = [names] + [[_text(row.get(name, "")) for name in names] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
    print(title)
    for line in cells:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print()
    if file:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        Path(file).write_text(json.dumps({"title": title, "machine": machine, "rows": list(rows)}, indent=1) + "\n")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
