"""The arithmetic that OpenDSS allows inside a value: reverse Polish notation, angles in degrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["rpn"]

_ONE: Mapping[str, Callable[[float], float]] = {
    "sqrt": math.sqrt, "sqr": lambda x: x * x, "inv": lambda x: 1 / x, "ln": math.log, "log10": math.log10,
    "exp": math.exp, "sin": lambda x: math.sin(math.radians(x)), "cos": lambda x: math.cos(math.radians(x)),
    "tan": lambda x: math.tan(math.radians(x)), "asin": lambda x: math.degrees(math.asin(x)),
    "acos": lambda x: math.degrees(math.acos(x)), "atan": lambda x: math.degrees(math.atan(x)),
}  # fmt: skip
_TWO: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda y, x: y + x, "-": lambda y, x: y - x, "*": lambda y, x: y * x, "/": lambda y, x: y / x,
    "^": lambda y, x: float(y**x), "atan2": lambda y, x: math.degrees(math.atan2(y, x)),
}  # fmt: skip


def rpn(text: str) -> float:
    """The number that a text in reverse Polish notation leaves, e.g. ``0.00625 7 * 1 +``.

    Raises:
        ValueError: what is wrong: a word that is no operator, too few numbers, too many, or an undefined result.
    """
    stack: list[float] = []
    for word in text.replace(",", " ").split():
        try:
            stack.append(float(word))
        except ValueError:
            _apply(word.lower(), stack)
    if len(stack) != 1:
        raise ValueError(f"leaves {len(stack)} numbers, expected one")
    return stack[0]


def _apply(word: str, stack: list[float]) -> None:
    if word == "pi":
        stack.append(math.pi)
        return
    need = 1 if word in _ONE else 2
    if word not in _ONE and word not in _TWO and word not in ("swap", "rollup", "rolldn"):
        raise ValueError(f"`{word}` is neither a number nor an operator")
    if len(stack) < need:
        raise ValueError(f"`{word}` finds {len(stack)} numbers before it, expected {need}")
    if word == "swap":
        stack[-2:] = stack[:-3:-1]
    elif word == "rollup":
        stack.insert(0, stack.pop())
    elif word == "rolldn":
        stack.append(stack.pop(0))
    else:
        last = [stack.pop() for _ in range(need)][::-1]
        try:
            stack.append(_ONE[word](last[0]) if need == 1 else _TWO[word](last[0], last[1]))
        except (ArithmeticError, ValueError, TypeError):
            raise ValueError(f"`{word}` of {', '.join(f'{x:g}' for x in last)} is not defined") from None
