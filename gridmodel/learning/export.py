"""Policies as files for devices: an ONNX network an agent, and beside it a contract that says what goes in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.ir.training import TrainingGraph
from gridmodel.learning.contract import contract_dict
from gridmodel.runtime.agents import GAIN, seen_order

if TYPE_CHECKING:
    from gridmodel.learning.policy import Policy

__all__ = ["agent_layers", "agent_scale", "export", "find_agent"]

Floats32 = NDArray[np.float32]
_OPSET, _IR = 17, 8


def export(policy: Policy, folder: str | Path, agents: Sequence[str] | None = None) -> tuple[Path, ...]:
    """Writes ``NAME.onnx`` and ``NAME.json`` of every agent that acts, or of those named.

    The network takes "observation", shape (days, F), in physical units, and gives "raw", shape (days, A), between -1
    and 1; the contract says what each entry is and what makes raw an action in its units, which
    ``gridmodel.learning.deploy.Controller`` does.

    Raises:
        UnknownNameError: no agent of this name. ModelError: it has no action; onnx is missing.
    """
    onnx = _onnx()
    graph = policy.graph
    labels = agents if agents is not None else [x for kind in graph.kinds if kind.actions for x in kind.labels]
    places = [find_agent(graph, label) for label in labels]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stems, found = _stems(labels), []
    drafts: dict[int, Any] = {}
    for (k, i), label, stem in zip(places, labels, stems, strict=True):
        if k not in drafts:
            drafts[k] = _draft(onnx, policy, k)
        draft = drafts[k]
        _fill(draft, policy, k, i)
        draft.graph.name = label
        path = folder / f"{stem}.onnx"
        path.write_bytes(draft.SerializeToString())
        text = json.dumps(contract_dict(graph, k, i, path.name), indent=1, allow_nan=False)
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        found.append(path)
    return tuple(found)


def find_agent(graph: TrainingGraph, label: str) -> tuple[int, int]:
    """Kind and position of an agent that acts.

    Raises:
        UnknownNameError: there is none of this name. ModelError: it has no action.
    """
    for k, kind in enumerate(graph.kinds):
        if label in kind.labels:
            if not kind.actions:
                raise ModelError(f"{label} has no action, so no policy.")
            return k, kind.labels.index(label)
    some = [kind.labels[0] for kind in graph.kinds if kind.actions]
    raise UnknownNameError(f"no agent {label!r} in model {graph.name!r}; there are e.g. {', '.join(some)}.")


def agent_layers(policy: Policy, k: int, i: int) -> list[tuple[Floats32, Floats32]]:
    """Weight (in, out) and offset (out,) of every layer of an agent."""
    stem = policy.graph.kinds[k].name
    layers: list[tuple[Floats32, Floats32]] = []
    while f"{stem}/{len(layers)}/weight" in policy.weights:
        at = f"{stem}/{len(layers)}"
        layers.append((policy.weights[f"{at}/weight"][i], policy.weights[f"{at}/offset"][i, 0]))
    return layers


def agent_scale(graph: TrainingGraph, k: int, i: int) -> tuple[Floats32, Floats32]:
    """Center and scale of what an agent sees, shape (F,), the time of day first."""
    order = seen_order(graph.kinds[k])
    center = [0.0, 0.0, *(float(seen.center[i]) for seen in order)]
    scale = [1.0, 1.0, *(float(seen.scale[i]) for seen in order)]
    return np.array(center, dtype=np.float32), np.array(scale, dtype=np.float32)


def _arrays(policy: Policy, k: int, i: int) -> Iterator[tuple[str, Floats32]]:
    center, scale = agent_scale(policy.graph, k, i)
    yield "center", center
    yield "scale", scale
    for name, value in (("gain", GAIN), ("least", -1.0), ("most", 1.0)):
        yield name, np.array(value, dtype=np.float32)
    for j, (weight, offset) in enumerate(agent_layers(policy, k, i)):
        yield f"weight{j}", weight
        yield f"offset{j}", offset


def _draft(onnx: Any, policy: Policy, k: int) -> Any:
    """The network of a kind's first agent; others get their numbers by ``_fill``, which is a hundred times quicker."""
    make = onnx.helper
    arrays = dict(_arrays(policy, k, 0))
    layers = sum(name.startswith("weight") for name in arrays)
    nodes = [make.make_node("Sub", ["observation", "center"], ["moved"]),
             make.make_node("Div", ["moved", "scale"], ["out0"])]  # fmt: skip
    for j in range(layers):
        nodes += [
            make.make_node("MatMul", [f"out{j}", f"weight{j}"], [f"product{j}"]),
            make.make_node("Add", [f"product{j}", f"offset{j}"], [f"sum{j}"]),
            make.make_node("Tanh", [f"sum{j}"], [f"out{j + 1}"]),
        ]
    nodes += [make.make_node("Mul", [f"out{layers}", "gain"], ["wide"]),
              make.make_node("Clip", ["wide", "least", "most"], ["raw"])]  # fmt: skip
    kind = onnx.TensorProto.FLOAT
    ends = [
        make.make_tensor_value_info(name, kind, ["days", width])
        for name, width in (("observation", len(arrays["center"])), ("raw", len(arrays[f"offset{layers - 1}"])))
    ]
    start = [onnx.numpy_helper.from_array(np.ascontiguousarray(x), name) for name, x in arrays.items()]
    whole = make.make_graph(nodes, policy.graph.kinds[k].name, ends[:1], ends[1:], start)
    model = make.make_model(
        whole, opset_imports=[make.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="gridmodel"
    )
    make.set_model_props(model, {"model": policy.graph.name, "fingerprint": policy.graph.fingerprint})
    onnx.checker.check_model(model)
    return model


def _fill(draft: Any, policy: Policy, k: int, i: int) -> None:
    numbers: Mapping[str, Floats32] = dict(_arrays(policy, k, i))
    for tensor in draft.graph.initializer:
        tensor.raw_data = numbers[tensor.name].astype("<f4").tobytes()


def _stems(labels: Sequence[str]) -> list[str]:
    """File names of agents: "battery[3]" becomes battery-3; two that would be the same get numbers."""
    taken: set[str] = set()
    found = []
    for label in labels:
        plain = re.sub(r"[^\w.-]+", "_", label.replace("[", "-").replace("]", "")).strip("._") or "agent"
        stem, count = plain, 1
        while stem.casefold() in taken:  # some file systems do not tell A from a
            count += 1
            stem = f"{plain}_{count}"
        taken.add(stem.casefold())
        found.append(stem)
    return found


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ModelError("Writing policies as ONNX needs onnx: pip install 'gridmodel[learn]'.") from error
    return onnx
