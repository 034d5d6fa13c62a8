"""Liquid with hard limits: no filter may take or make more than a message could ever need.

The library bounds loops, output and assigned text. What a filter makes on the way is bounded here: before the call for
those whose result can be far larger than what goes in, after the call for all. Between the steps of a template the
time is looked at, since small steps add up; it is the thread's own, so that a busy machine refuses nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sized
from typing import Any

from liquid import BoundTemplate, Environment, RenderContext, StrictUndefined
from liquid.exceptions import FilterError, ResourceLimitError
from liquid.token import Token

MAX_OUTPUT = 100_000
LONGEST_LIST = 1_000
LONGEST_RENDER = 0.25
"""Seconds of computing for one text of a message; a page of marketing takes a thousandth of it."""


class TooGreedy(FilterError):
    """A filter was given or made more than is allowed."""


LIMITS = (TooGreedy, ResourceLimitError)
"""What a template meets that takes more than any person's message needs."""


class _Timed(RenderContext):
    """Looks at the time wherever the library asks it something: before each node, filter and loop."""

    __slots__ = ("_disabled", "_until")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._until = time.thread_time() + LONGEST_RENDER
        super().__init__(*arguments, **named)

    @property
    def disabled_tags(self) -> list[str]:
        """Read by the library for every node that it renders."""
        self._look()
        return self._disabled

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        self._disabled = tags

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """The filter, if there is time for it."""
        self._look()
        return super().filter(name, token)

    def _look(self) -> None:
        if time.thread_time() > self._until:
            raise ResourceLimitError("the template takes too long", token=None)


class _TimedTemplate(BoundTemplate):
    context_class = _Timed


class Limited(Environment):
    """An environment for templates that strangers write."""

    template_class = _TimedTemplate
    loop_iteration_limit = LONGEST_LIST
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
            _check_list(name, given)
        if _foreseen(name, value, arguments) > MAX_OUTPUT:
            raise _too_long(name)
        result = function(value, *arguments, **named)
        _check_list(name, result)
        if isinstance(result, str) and len(result) > MAX_OUTPUT:
            raise _too_long(name)
        if isinstance(result, int) and result.bit_length() > 256:
            raise _too_long(name)
        return result

    return call


def _check_list(name: str, value: Any) -> None:
    if isinstance(value, range | list | tuple) and len(value) > LONGEST_LIST:
        raise TooGreedy(f"{name}: a list has at most {LONGEST_LIST} items", token=None)


def _foreseen(name: str, value: Any, arguments: tuple[Any, ...]) -> int:
    """A bound on the result of the filters that multiply lengths; 0 for all others."""
    texts = [str(argument) for argument in arguments if not isinstance(argument, Sized) or isinstance(argument, str)]
    if name == "replace" and texts:
        text = str(value)
        return text.count(texts[0]) * len(texts[1] if len(texts) > 1 else "") + len(text)
    if name == "join" and isinstance(value, Sized):
        return len(value) * max(len(texts[0]) if texts else 1, 1)
    return 0


def _too_long(name: str) -> TooGreedy:
    return TooGreedy(f"{name}: the result is longer than {MAX_OUTPUT}", token=None)
