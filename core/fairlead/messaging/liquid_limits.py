"""Liquid with hard limits: no filter may take or make more than a message could ever need.

The library bounds loops, output and assigned text. What a filter makes on the way is bounded here: before the call for
those whose result can be far larger than what goes in, after the call for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sized
from typing import Any

from liquid import Environment, StrictUndefined
from liquid.exceptions import FilterError

MAX_OUTPUT = 100_000
LONGEST_RANGE = 1_000


class Limited(Environment):
    """An environment for templates that strangers write."""

    loop_iteration_limit = LONGEST_RANGE
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = MAX_OUTPUT
    context_depth_limit = 20

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=autoescape)
        self.filters = {name: _bounded(name, function) for name, function in self.filters.items()}


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(value: Any, *arguments: Any, **named: Any) -> Any:
        for given in (value, *arguments):
            if isinstance(given, range) and len(given) > LONGEST_RANGE:
                raise FilterError(f"{name}: a range has at most {LONGEST_RANGE} numbers", token=None)
        if _foreseen(name, value, arguments) > MAX_OUTPUT:
            raise _too_long(name)
        result = function(value, *arguments, **named)
        if isinstance(result, str | list | tuple) and len(result) > MAX_OUTPUT:
            raise _too_long(name)
        if isinstance(result, int) and result.bit_length() > 256:
            raise _too_long(name)
        return result

    return call


def _foreseen(name: str, value: Any, arguments: tuple[Any, ...]) -> int:
    """A bound on the result of the filters that multiply lengths; 0 for all others."""
    texts = [str(argument) for argument in arguments if not isinstance(argument, Sized) or isinstance(argument, str)]
    if name == "replace" and texts:
        text = str(value)
        return text.count(texts[0]) * len(texts[1] if len(texts) > 1 else "") + len(text)
    if name == "join" and isinstance(value, Sized):
        return len(value) * max(len(texts[0]) if texts else 1, 1)
    return 0


def _too_long(name: str) -> FilterError:
    return FilterError(f"{name}: the result is longer than {MAX_OUTPUT}", token=None)
