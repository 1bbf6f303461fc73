"""Validation of the methods of plugins' classes, and of what ``open`` returns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from tocsin.core.plugin.faults import PluginFault

T = TypeVar("T")

_CONTRACTS = "tocsin.core.contracts."
"""Where the base classes are, whose methods say how those of plugins are called."""

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_methods(cls: type) -> None:
    """Refuse a class with a method that cannot be called as its contract says: one that is async
    where it must not be, is not where it must be, or takes other parameters.

    Args:
        cls: a class of a plugin, or of a runtime that it has opened.

    Raises:
        PluginFault: it has one; the text says how to define it.
    """
    for name, declared in _declared(cls).items():
        own = inspect.getattr_static(cls, name)
        if own is declared or isinstance(own, functools.partialmethod):
            continue
        wrong = _wrong(own, declared)
        if wrong is not None:
            raise PluginFault(
                f"has a class {cls.__name__} whose {name} {wrong}; define it as "
                f"{_definition(name, declared)}"
            )


def _declared(cls: type) -> Mapping[str, Any]:
    """Return the methods that the contract of a class declares, by name."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base.__module__.startswith(_CONTRACTS):
            for name, member in vars(base).items():
                if inspect.isfunction(member) and not name.startswith("_"):
                    found.setdefault(name, member)
    return found


def _wrong(own: Any, declared: Callable[..., Any]) -> str | None:
    """Return what is wrong with a method, as a clause; None if nothing is, or it cannot be seen."""
    bound = 1
    if isinstance(own, staticmethod | classmethod):
        bound = int(isinstance(own, classmethod))
        own = own.__func__
    if not callable(own):
        return "is no method"
    if not inspect.isfunction(own):
        return None
    if inspect.iscoroutinefunction(declared):
        if inspect.isasyncgenfunction(own):
            return "yields, but has to return its answer"
        if not inspect.iscoroutinefunction(inspect.unwrap(own)):
            return "is not async"
    elif inspect.iscoroutinefunction(own) or (
        inspect.isasyncgenfunction(own) and not _iterates(declared)
    ):
        return "is async without yield" if _iterates(declared) else "is async"
    positional, keywords = _parameters(declared)
    try:
        signature = inspect.signature(own)
    except (ValueError, TypeError):
        return None
    try:
        signature.bind(*[None] * (bound + len(positional)), **dict.fromkeys(keywords))
    except TypeError:
        return f"takes ({', '.join(signature.parameters)})"
    return None


def _iterates(declared: Callable[..., Any]) -> bool:
    """Return whether a method returns an asynchronous iterator."""
    return str(declared.__annotations__.get("return", "")).startswith("AsyncIterator")


def _parameters(declared: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Return the names of positional and keyword parameters of a method, without ``self``."""
    parameters = list(inspect.signature(declared).parameters.values())[1:]
    positional = [each.name for each in parameters if each.kind in _PLAIN]
    return positional, [each.name for each in parameters if each.kind not in _PLAIN]


def _definition(name: str, declared: Callable[..., Any]) -> str:
    positional, keywords = _parameters(declared)
    words = ", ".join(["self", *positional, *(["*"] if keywords else []), *keywords])
    is_async = inspect.iscoroutinefunction(declared) or _iterates(declared)
    return f"{'async def' if is_async else 'def'} {name}({words})"


def fit_opened(options: object, given: T, method: str = "open") -> T:
    """Return the runtime that ``open`` has returned.

    Args:
        options: the object whose method it was.
        given: what it returned.
        method: name of the method.

    Raises:
        PluginFault: it is no runtime, or one with a method that cannot be called.
    """
    wanted = _runtime_of(type(options), method)
    if wanted is None:
        return given
    if not isinstance(given, wanted):
        article = "an" if wanted.__name__[0] in "AEO" else "a"
        raise PluginFault(
            f"returned {type(given).__name__} from {method}, not {article} {wanted.__name__}"
        )
    check_methods(type(given))
    return given


def _runtime_of(cls: type, method: str) -> type | None:
    """Return the class of the runtimes of a contract; None for a class without a contract."""
    for base in cls.__mro__:
        if base.__module__.startswith(_CONTRACTS) and method in vars(base):
            found = get_type_hints(vars(base)[method]).get("return")
            return found if isinstance(found, type) else None
    return None
