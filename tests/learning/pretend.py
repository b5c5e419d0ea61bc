"""A CUDA device that is none: tensors that say they are on it, computed on the CPU, which never mix with others.

What CUDA refuses is refused: operations of tensors on both devices, but for scalars, copies and index tensors; numpy
arrays of tensors on it; generators of the other device; loading without ``map_location``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

__all__ = ["CUDA", "OnCuda", "pretended"]

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
_WAITS = ("_local_scalar_dense", "nonzero", "equal", "_unique2")


class OnCuda(Tensor):
    """A tensor on the device; counts: operations so far by name, but views, and "wait", those that wait for them."""

    counts: ClassVar[Counter[str]] = Counter()
    plain: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)

    @staticmethod
    def __new__(cls: type[OnCuda], plain: Tensor) -> OnCuda:
        """Wraps a tensor of the CPU, whose memory it shares."""
        sizes = {"strides": plain.stride(), "storage_offset": plain.storage_offset(), "dtype": plain.dtype}
        made: OnCuda = Tensor._make_wrapper_subclass(cls, plain.size(), **sizes)
        made.plain = plain
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation on the device."""
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        across = _across(name, args, kwargs)
        if across or name in _WAITS:
            cls.counts["wait"] += 1
        if not func.is_view and name not in ("detach", "_unsafe_view"):
            cls.counts[name] += 1
        found = func(*_each(_off, args), **{key: _off(x) for key, x in kwargs.items()})
        if name == "copy_":
            return args[0]
        found = _each(lambda x: OnCuda(x) if isinstance(x, Tensor) else x, found)
        own = func.is_view or func._schema.is_mutable
        return return_and_correct_aliasing(func, args, kwargs, found) if own else found


class _Places(TorchFunctionMode):
    """What is asked of a device by name, which torch without CUDA would refuse."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (Tensor.cpu, Tensor.cuda):
            return _put(args[0], CPU if func is Tensor.cpu else CUDA)
        if func is Tensor.to and any(isinstance(x, Tensor) for x in args[1:]):
            return _put(args[0].to(args[1].dtype), args[1].device)
        if func is Tensor.to:
            place, dtype, *_ = torch._C._nn._parse_to(*args[1:], **kwargs)
            return _put(args[0] if dtype is None else args[0].to(dtype), place)
        if func is Tensor.tolist:
            OnCuda.counts["wait"] += isinstance(args[0], OnCuda)
            return _off(args[0]).tolist()
        place = kwargs.pop("device", None)
        place = None if place is None else torch.device(place)
        if place is not None and kwargs.get("generator") is not None and kwargs["generator"].device.type != place.type:
            raise RuntimeError(f"Expected a {place.type!r} device type for generator")
        return func(*args, **kwargs) if place is None else _put(func(*args, **kwargs), place)


def _put(x: Tensor, place: torch.device | None) -> Tensor:
    if place is None or isinstance(x, OnCuda) == (place.type == "cuda"):
        return x
    assert not x.requires_grad, "gradients through a move between devices"
    return OnCuda(x.detach().clone()) if place.type == "cuda" else _off(x).clone()


def _off(x: Any) -> Any:
    return x.plain if isinstance(x, OnCuda) else x


def _each(of: Callable[[Any], Any], x: Any) -> Any:
    return type(x)(_each(of, part) for part in x) if isinstance(x, list | tuple) else of(x)


def _across(name: str, args: Any, kwargs: Any) -> bool:
    """Whether tensors on the CPU take part where they may.

    Raises:
        RuntimeError: where they may not.
    """
    others: list[Tensor] = []
    _each(lambda x: others.append(x) if isinstance(x, Tensor) and not isinstance(x, OnCuda) and x.dim() else None,
          (args, tuple(kwargs.values())))  # fmt: skip
    keys = args[1] if others and "index" in name and isinstance(args[0], OnCuda) else ()
    if name != "copy_" and not all(any(x is key for key in keys) for x in others):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got some on the CPU.")
    return bool(others)


@contextmanager
def pretended() -> Iterator[None]:
    """The device is there."""
    save, load, engine = torch.save, torch.load, torch.autograd._engine_run_backward

    def kept(tree: Any, path: Any) -> None:
        save({"tree": tree_map(_off, tree), "cuda": any(isinstance(x, OnCuda) for x in tree_leaves(tree))}, path)

    def found(path: Any, map_location: Any = None, **options: Any) -> Any:
        whole = load(path, **options)
        assert map_location is not None or not whole["cuda"], "a file from CUDA, loaded without map_location"
        return tree_map_only(Tensor, lambda x: _put(x, torch.device(map_location or "cpu")), whole["tree"])

    def back(*args: Any, **options: Any) -> Any:
        with _Places():  # torch.autograd.grad runs outside of the one below
            return engine(*args, **options)

    own: dict[str, Any] = {"save": kept, "load": found, "autograd._engine_run_backward": back}
    own |= {"cuda.is_available": lambda: True, "cuda.device_count": lambda: 1}
    with ExitStack() as stack:
        for name, function in own.items():
            stack.enter_context(patch(f"torch.{name}", function))
        stack.enter_context(_Places())
        yield
