"""What a check is, and the thing it looks at."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from fairlead.plugins.manifest import Capability, Manifest
from fairlead.plugins.registry import Registered

H = TypeVar("H")


class ContractBroken(AssertionError):
    """The thing does not keep its contract; the message is one sentence that says what to change."""


def broken(sentence: str) -> NoReturn:
    """Fail the running check with ``sentence``."""
    raise ContractBroken(sentence)


def require(condition: object, sentence: str) -> None:
    """Fail the running check with ``sentence`` unless ``condition`` holds."""
    if not condition:
        raise ContractBroken(sentence)


def typed(value: object, wanted: type[H], sentence: str) -> H:
    """``value``, or fail the running check with ``sentence`` when it is of another type."""
    if not isinstance(value, wanted):
        raise ContractBroken(sentence)
    return value


@dataclass(frozen=True, slots=True)
class Subject:
    """One registered thing under test, with its plugin's module and what the author gives to exercise it."""

    registered: Registered[Any]
    module: object
    harness: Callable[[], Any] | None = None

    @property
    def thing(self) -> Any:
        """The registered object."""
        return self.registered.thing

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self.registered.manifest

    @property
    def file(self) -> Path | None:
        """The file of the plugin's module: ``__init__.py`` of a package, or the one file."""
        path = getattr(self.module, "__file__", None)
        return Path(path) if path else None

    @contextlib.contextmanager
    def open(self, wanted: type[H], default: Callable[[Manifest], H]) -> Iterator[H]:
        """A fresh harness of the type ``wanted``: the author's, or the kit's own when the author gives none."""
        made: object = self.harness() if self.harness is not None else default(self.manifest)
        managed = made if isinstance(made, contextlib.AbstractContextManager) else contextlib.nullcontext(made)
        with managed as inner:
            name = type(inner).__name__
            yield typed(inner, wanted, f"the harness function gave a {name}; this check needs a {wanted.__name__}")

    def where(self, member: object) -> str:
        """``file.py:line`` of a method, to point the author at it."""
        try:
            function = inspect.unwrap(getattr(member, "__func__", member))  # type: ignore[arg-type]
            file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
        except (TypeError, OSError):
            return type(self.thing).__name__
        return f"{Path(file or '?').name}:{line}"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the contract. ``twin`` marks those that exercise the plugin against a far side."""

    name: str
    promise: str
    run: Callable[[Subject], None]
    capability: Capability | None = None
    twin: bool = False

    def applies(self, manifest: Manifest) -> bool:
        """Whether a thing with this manifest makes the promise at all."""
        return self.capability is None or self.capability in manifest.capabilities


class CheckList(list[Check]):
    """The checks of one kind, filled by decoration; a check's docstring is its promise, its name the test's name."""

    def add(
        self, *, capability: Capability | None = None, twin: bool = False
    ) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
        """Add the decorated function."""

        def mark(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
            promise = " ".join((function.__doc__ or "").split())
            self.append(Check(function.__name__, promise, function, capability, twin))
            return function

        return mark
