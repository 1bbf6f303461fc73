"""No module keeps state: an object that the app makes owns it, or it is on a short list here."""

from __future__ import annotations

import ast
import enum
import importlib
import ipaddress
import logging
import re
import struct
import types
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import date, timedelta
from email.policy import Policy
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any

import attrs
import msgspec
import pluggy
import pytest
import structlog
from aiohttp import web

ROOT = Path(__file__).parents[1]

ALLOWED = {
    "core.runtime.process.PROCESS": "umask, limits and a killing hook: the kernel's, one for each",
    "core.resolver.lookups.LOOKUPS": "plugins look up from any thread; what hangs is the process's",
    "core.peers.patterns._THREADS": "plugins search from any loop; how many searches run at a time"
    " is bounded for the process, since none can be cancelled",
    "core.hiding.text.SECRETS": "logs, commands and plugins clean texts without an app at hand",
    "core.contracts.probe.Probe.autostart": "empty, and its type lets nobody change it",
    "core.contracts.*.metrics": "empty, and its type lets nobody change it",
    "core.contracts.rule.Rule.autostart": "empty, and its type lets nobody change it",
    "core.contracts.notifier.Notifier.environment": "empty, and its type lets nobody change it",
    "core.contracts.rule.Rule.templates": "empty, and its type lets nobody change it",
    "core.contracts.notifier.Notifier.templates": "empty, and its type lets nobody change it",
    "core.contracts.history.HistoryStore.environment": "empty, and its type lets nobody change it",
    "plugins.operations.metrics.routes": "filled while its module is imported, and never after",
    "core.http.*.routes": "filled by decorators while its module is imported, and never after",
    "core.config.structure.CONVERTER": "made once; what it keeps follows from a class alone",
    "plugins.probes._threads.LOOKS": "a thread that hangs outlives its check, a reload, the app",
    "plugins.probes._container_exec._CONTAINERS": "so does a program that hangs in a container",
    "plugins.notifiers.telegram.bot._BOTS": "Telegram's limits are the token's, not the channel's",
    "plugins.probes._postgres_client.vars(asyncpg*": "no other place to bound asyncpg's hashing",
}
"""What is one for the process by nature, and why."""

CONSTANT = (
    types.NoneType, bool, int, float, str, bytes, date, timedelta, enum.Enum, PurePath, re.Pattern,
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType,
    types.GenericAlias, types.UnionType, type(Callable[..., Any]), type(typing.Annotated[int, 0]),
    type(typing.Literal[0]),
    typing.TypeVar,
    typing.ParamSpec,
    ipaddress.IPv4Network, ipaddress.IPv6Network, struct.Struct, logging.Logger, Policy, ContextVar,
    type(structlog.stdlib.get_logger()), web.AppKey,
    pluggy.HookspecMarker, pluggy.HookimplMarker,
    msgspec.msgpack.Encoder, msgspec.msgpack.Decoder,
)  # fmt: skip
"""Types of what never changes, or is no state of ours."""

MUTATING = frozenset(
    "add append appendleft clear discard extend insert pop popitem popleft remove setdefault sort "
    "update".split()
)

Module = tuple[ast.Module, types.ModuleType]
"""A module's syntax, and what came of it."""


def modules() -> dict[str, Module]:
    """All modules of the core and of the built-in plugins, by their names below tocsin."""
    found = {}
    for folder in ("core", "plugins"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = ast.parse(file.read_text()), importlib.import_module(f"tocsin.{name}")
    return found


def assigned(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """What a module assigns to when it is imported."""
    for node in body:
        if isinstance(node, ast.Assign):
            yield from node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            yield node.target
        elif isinstance(node, ast.If | ast.For | ast.While | ast.With | ast.Try):
            for part in ("body", "orelse", "finalbody"):
                yield from assigned(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from assigned(handler.body)


def changed(name: str, tree: ast.Module) -> Iterator[str]:
    """What code of a module changes by its name: ``NAME[…] = …``, ``NAME.append(…)``."""
    origin = {
        alias.asname or alias.name: f"{node.module}.{alias.name}".removeprefix("tocsin.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=own), ctx=ast.Store() | ast.Del()):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Name(id=own), attr=what)) if (
                what in MUTATING
            ):
                pass
            case _:
                continue
        yield origin.get(own, f"{name}.{own}")


def is_constant(value: object) -> bool:
    """Whether a value is one that nothing changes."""
    if isinstance(value, tuple | frozenset):
        return all(map(is_constant, value))
    if isinstance(value, dict):
        return bool(value) and all(map(is_constant, value.values()))
    if isinstance(value, list | set):
        return bool(value) and all(map(is_constant, value))
    if isinstance(value, ContextVar):
        with suppress(LookupError):
            value = value.get()  # its default
    if attrs.has(type(value)):
        return is_frozen(value)
    return isinstance(value, CONSTANT) or type(value) is object


def is_frozen(value: Any) -> bool:
    """Whether an instance of an attrs class takes no other value of a field."""
    name = attrs.fields(type(value))[0].name
    try:
        setattr(value, name, getattr(value, name))
    except attrs.exceptions.FrozenInstanceError:
        return True
    return False


def state(modules: Mapping[str, Module]) -> set[str]:
    """Where modules and their classes keep state, by name."""
    touched = {what for name, (tree, _) in modules.items() for what in changed(name, tree)}
    found: set[str] = set()
    for name, (tree, module) in modules.items():
        found |= set(kept(name, module, tree.body, touched))
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                found |= {f"{name}.{own}" for own in node.names}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                cls = getattr(module, node.name)
                found |= set(kept(f"{name}.{node.name}", cls, node.body, touched))
    return found


def kept(name: str, owner: object, body: list[ast.stmt], touched: set[str]) -> Iterator[str]:
    """What a module or a class assigns that is no constant, or is changed by code anywhere."""
    for target in assigned(body):
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            own = f"{name}.{ast.unparse(part)}"
            value = vars(owner).get(part.id) if isinstance(part, ast.Name) else owner
            constant = is_constant(value) or hasattr(type(value), "__get__")
            if value is owner or not constant or own in touched:
                yield own


def test_state_of_modules_is_what_is_one_for_a_process() -> None:
    """Whatever a module or class of the core or of a plugin keeps is on the list, and the list has
    no more: anything else is a field of an object that the app makes."""
    found = state(modules())
    assert {own for own in found if not any(fnmatch(own, one) for one in ALLOWED)} == set()
    assert {one for one in ALLOWED if not any(fnmatch(own, one) for own in found)} == set()


@pytest.mark.parametrize(
    ("source", "is_state"),
    [
        ("x = {}", True), ("x: list[int] = []", True), ("x = deque()", True),
        ("x = iter(())", True), ("if True:\n    x = set()", True),
        ("class A:\n    x = deque()", True),
        ("x = 0\ndef f():\n    global x\n    x += 1", True),
        ("x = {'a': 1}\ndef f():\n    x['b'] = 2", True),
        ("x = ['a']\ndef f():\n    x.append('b')", True),
        ("x = {'a': []}", True), ("@define\nclass A:\n    n: int = 0\nx = A()", True),
        ("x = {'a': 1}\ndef f():\n    return x['a']", False), ("x = (1, 'a')", False),
        ("@frozen\nclass A:\n    n: int = 0\nx = A()", False), ("x = object()", False),
        ("x = ContextVar('x', default={})", True), ("x = ContextVar('x', default=None)", False),
        ("class A:\n    def x(self):\n        y = {}\n        y[1] = 2", False),
    ],
)  # fmt: skip
def test_what_is_state(source: str, is_state: bool) -> None:
    """What is changed, or could be without this look seeing it; not what is only read."""
    module = types.ModuleType("m")
    names = {"deque": deque, "define": attrs.define, "frozen": attrs.frozen}
    vars(module).update(names, ContextVar=ContextVar)
    exec(source, vars(module))
    assert bool(state({"m": (ast.parse(source), module)})) is is_state
