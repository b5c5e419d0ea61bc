"""Networks and feeders as JSON: written, and read back exactly equal."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from gridmodel.errors import ModelError, NetworkFileError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.network import Network

__all__ = ["is_own_json", "read_json", "write_network"]

_FORMATS: Mapping[str, type[Network] | type[Feeder]] = {"gridmodel network": Network, "gridmodel feeder": Feeder}
_VERSION = 1
_WORDS = {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}


def write_network(net: Network | Feeder, path: str | Path) -> None:
    """Writes a network as JSON, from which ``read_network`` gives an equal one.

    An object holds the fields of the class of its name; complex numbers are [re, im], numbers that are not finite words
    ("inf"), arrays lists.

    Raises:
        ModelError: neither a Network nor a Feeder.
    """
    kinds = [name for name, kind in _FORMATS.items() if isinstance(net, kind)]
    if not kinds:
        raise ModelError(f"write_network(...) expects a Network or a Feeder, got {type(net).__name__}.")
    text = json.dumps({"format": kinds[0], "version": _VERSION, **_fields(net)}, indent=1, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Network | Feeder:
    """Reads what ``write_network`` wrote.

    Raises:
        NetworkFileError: no such file, no JSON, another format, or a field that is missing, unknown or of another type.
    """
    path = Path(path)
    data = load(path)
    if not is_own_json(data):
        raise NetworkFileError(
            f'{path.name}: expected an object with "format": one of {", ".join(map(repr, _FORMATS))}. '
            "Write one with write_network(net, path)."
        )
    if data.get("version") != _VERSION:
        raise NetworkFileError(f"{path.name}: version {data.get('version')!r}, expected {_VERSION}.")
    kind: type[Network] | type[Feeder] = _FORMATS[data["format"]]
    rest = {key: value for key, value in data.items() if key not in ("format", "version")}
    net: Network | Feeder = _built(kind, rest, f"{path.name}: {data['format']}")
    return net


def load(path: Path) -> Any:
    """The JSON of a file.

    Raises:
        NetworkFileError: no such file or no JSON, with its line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NetworkFileError(f"{path}: cannot be read ({error.strerror}); check the path.") from None
    except json.JSONDecodeError as error:
        raise NetworkFileError(f"{path.name}:{error.lineno}: no JSON ({error.msg}); is the file truncated?") from None
    except UnicodeDecodeError:
        raise NetworkFileError(f"{path.name}: no JSON, not even text; expected a file in UTF-8.") from None


def is_own_json(data: Any) -> bool:
    """Whether JSON is of this format."""
    return isinstance(data, dict) and data.get("format") in _FORMATS


def _fields(item: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(item, field.name)) for field in dataclasses.fields(item)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, complex | np.complexfloating):
        return [_plain(float(value.real)), _plain(float(value.imag))]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    return int(value) if isinstance(value, np.integer) else value


def _built(kind: type[Any], data: Any, where: str) -> Any:
    """The object of a class of fields."""
    if not isinstance(data, dict):
        raise NetworkFileError(f"{where}: got {_short(data)}, expected an object with the fields of {kind.__name__}.")
    hints = get_type_hints(kind)
    optional = {
        f.name
        for f in dataclasses.fields(kind)
        if f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
    }
    unknown, missing = data.keys() - hints.keys(), hints.keys() - data.keys() - optional
    if unknown or missing:
        wrong = f"unknown field {min(unknown)!r}" if unknown else f"the field {min(missing)!r} is missing"
        raise NetworkFileError(f"{where}: {wrong}; expected the fields {', '.join(hints)}.")
    return kind(**{key: _read(hints[key], value, f"{where}.{key}") for key, value in data.items()})


def _read(hint: Any, value: Any, where: str) -> Any:
    """A value as the type of its field has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _built(hint, value, where)
    if origin is np.ndarray:
        return _array(np.dtype(get_args(arguments[1])[0]), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise NetworkFileError(f"{where}: got {_short(value)}, expected a list.")
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        if len(kinds) != len(value):
            raise NetworkFileError(f"{where}: got {len(value)} entries, expected {len(kinds)}.")
        return tuple(
            _read(kind, entry, f"{where}[{k}]") for k, (kind, entry) in enumerate(zip(kinds, value, strict=True))
        )
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise NetworkFileError(f"{where}: got {_short(value)}, expected an object.")
        return {key: _read(arguments[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if origin is types.UnionType:
        return None if value is None else _read(next(a for a in arguments if a is not type(None)), value, where)
    return _scalar(hint, value, where)


def _array(kind: np.dtype[Any], value: Any, where: str) -> Any:
    try:
        if kind.kind == "c":
            pairs = np.array(_numbers(value), dtype=np.float64)
            if pairs.size and pairs.shape[-1] != 2:
                raise ValueError
            return pairs.view(kind)[..., 0] if pairs.size else np.zeros(pairs.shape, dtype=kind)
        found = np.array(_numbers(value), dtype=np.float64)
        if kind.kind == "i" and (found != np.round(found)).any():
            raise ValueError
        return found.astype(kind)
    except (ValueError, TypeError):
        raise NetworkFileError(f"{where}: got {_short(value)}, expected an array of numbers.") from None


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(entry) for entry in value]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return _WORDS[value] if isinstance(value, str) and value in _WORDS else float(value)


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is complex and isinstance(value, list) and len(value) == 2:
        return complex(_scalar(float, value[0], where), _scalar(float, value[1], where))
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise NetworkFileError(f"{where}: got {_short(value)}, expected {getattr(hint, '__name__', hint)}.")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
