"""What a plugin provides, as its hooks say it, validated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from attrs import fields, frozen

from tocsin.core.contracts.doctor import DoctorCheck
from tocsin.core.contracts.history import HistoryStore
from tocsin.core.contracts.notifier import Notifier
from tocsin.core.contracts.observer import Observer
from tocsin.core.contracts.panel import Panel
from tocsin.core.contracts.probe import Probe, PushProbe
from tocsin.core.contracts.reviewer import Reviewer
from tocsin.core.contracts.route import Route
from tocsin.core.contracts.rule import Rule
from tocsin.core.contracts.service import Service
from tocsin.core.contracts.source import Source
from tocsin.core.plugin.command_checks import check_command
from tocsin.core.plugin.default_rules import check_default_rules
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.option_checks import check_options
from tocsin.core.plugin.owned_sections import check_section
from tocsin.core.plugin.summaries import docstring_of, first_line, summary_of
from tocsin.core.plugin.template_checks import check_templates
from tocsin.core.shapes import check_class, check_methods, is_name, show

_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "tocsin_probes": ("probe", (Probe, PushProbe)),
    "tocsin_sources": ("source", (Source,)),
    "tocsin_rules": ("rule", (Rule,)),
    "tocsin_notifiers": ("notifier", (Notifier,)),
    "tocsin_services": ("service", (Service,)),
    "tocsin_observers": ("observer", (Observer,)),
    "tocsin_reviewers": ("reviewer", (Reviewer,)),
    "tocsin_histories": ("history", (HistoryStore,)),
}


_METHODS: dict[type, str] = {
    Probe: "check", Source: "run", Notifier: "send", Observer: "changed", Reviewer: "review",
}  # fmt: skip
"""Kinds whose classes define this method, or ``open``, which returns what has it."""

_LISTS: dict[str, tuple[str, Any, str]] = {
    "tocsin_commands": ("command", click.Command, "a click command"),
    "tocsin_routes": ("route", Route, "a Route"),
    "tocsin_panels": ("panel", Panel, "a Panel"),
    "tocsin_doctor": ("doctor", DoctorCheck, "a DoctorCheck"),
}


HOOKS = (*_KINDS, *_LISTS)
"""Names of the hooks."""


@frozen
class Provided:
    """One thing that a plugin provides.

    Attributes:
        kind: ``probe``, ``source`` and so on.
        name: its name.
        cls: its class; for a command, a route, a panel or a doctor check: the object; for a history
            of a plugin in a host, which cannot be used there: None.
        summary: one line about it, in the plugin's own words.
    """

    kind: str
    name: str
    cls: Any
    summary: str = ""


@frozen
class Entry:
    """A class, with the plugin that provides it and the plugin's distribution."""

    cls: Any
    plugin: str
    distribution: str | None = None


def provided_by(
    hook: str, implementation: Callable[[], object], others: Mapping[str, Mapping[str, Entry]]
) -> list[Provided]:
    """Return what a hook of a plugin provides, validated.

    Reading its tables and classes may run the plugin's code, so call this only where errors are
    contained.

    Args:
        hook: name of the hook.
        implementation: the plugin's implementation.
        others: what other plugins provide, by kind and name.

    Raises:
        PluginFault: it is not what the hook is to provide, or another plugin provides it already.
    """
    answer = implementation()
    if inspect.iscoroutine(answer):
        answer.close()
        raise PluginFault(f"has an async {hook}; write it as a plain def")
    if hook in _LISTS:
        listed = [_listed(hook, item) for item in _iterate(hook, answer)]
        check_names(listed, others)
        return listed
    kind, bases = _KINDS[hook]
    if not isinstance(answer, Mapping):
        raise PluginFault(f"returned {type(answer).__name__} from {hook}, not a dict of names")
    provided: list[Provided] = []
    for name, cls in answer.items():
        if not (isinstance(cls, type) and issubclass(cls, bases)):
            base = bases[0].__name__
            raise PluginFault(f"returned {show(cls)} from {hook}, not a subclass of {base}")
        if not hasattr(cls, "__attrs_attrs__"):
            raise PluginFault(f"has a class {cls.__name__} that is not an attrs class")
        if lost := _no_options(cls, bases):
            raise PluginFault(
                f"has a class {cls.__name__} whose {lost} is annotated, but no option: "
                "decorate it with @attrs.frozen(kw_only=True)"
            )
        if missing := _lacking(cls):
            raise PluginFault(f"has a class {cls.__name__} that lacks {missing}")
        if not is_name(name) or "/" in name or name.startswith("."):
            raise PluginFault(
                f"provides a {kind} of the name {show(name)}: use one line of text without '/'"
            )
        check_methods(cls)
        check_class(cls, kind)
        check_options(cls)
        if issubclass(cls, Rule | Notifier):
            check_templates(name, cls)
        if issubclass(cls, Reviewer):
            check_section(cls, [item.cls for item in provided], others[kind])
        provided.append(Provided(kind, name, cls, summary_of(cls)))
    check_names(provided, others)
    return provided


def check_names(provided: Iterable[Provided], others: Mapping[str, Mapping[str, Entry]]) -> None:
    """Refuse what a plugin provides under a name that is taken.

    Args:
        provided: what it provides.
        others: what other plugins provide, by kind and name.

    Raises:
        PluginFault: another plugin provides it already.
    """
    rules: list[type[Rule]] = []
    commands: set[str] = set()
    for item in provided:
        if holder := others.get(item.kind, {}).get(item.name):
            raise PluginFault(
                f"provides the {item.kind} {item.name!r}, which plugin {holder.plugin!r} "
                f"({holder.distribution}) provides already"
            )
        if item.kind == "command" and item.name in commands:
            raise PluginFault(f"provides two commands of the name {item.name!r}")
        if item.kind == "command":
            commands.add(item.name)
        if item.kind == "rule":
            check_default_rules(item.cls, rules, others["rule"])
            rules.append(item.cls)


def _no_options(cls: type, bases: tuple[type, ...]) -> str | None:
    """Return an annotated name that is no option, as its class is no attrs class; None if there is
    none. A name of ``ClassVar`` is meant to be none."""
    options = {field.name for field in fields(cls)}
    for each in cls.__mro__:
        if issubclass(each, bases) and "__attrs_attrs__" not in vars(each):
            for name, kind in vars(each).get("__annotations__", {}).items():
                if name not in options and not _is_class_variable(kind):
                    return str(name)
    return None


def _is_class_variable(annotation: object) -> bool:
    """Return whether an annotation, which may be text, is a ClassVar, as attrs decides it."""
    text = str(annotation).strip("'\"")
    return text.partition("[")[0].rpartition(".")[2] == "ClassVar"


def _lacking(cls: type) -> str:
    """Return the methods that a class has yet to define; "" if there are none."""
    for base, method in _METHODS.items():
        if issubclass(cls, base):
            own = [getattr(cls, name) is not getattr(base, name) for name in (method, "open")]
            return "" if any(own) else f"{method} (or open)"
    return ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))


def _iterate(hook: str, answer: object) -> Iterable[object]:
    if not isinstance(answer, list | tuple):
        raise PluginFault(f"returned {type(answer).__name__} from {hook}, not a list")
    return answer


def _listed(hook: str, item: Any) -> Provided:
    kind, wanted, words = _LISTS[hook]
    if not isinstance(item, wanted):
        raise PluginFault(f"returned {show(item)} from {hook}, not {words}")
    if isinstance(item, click.Command):
        check_command(item)
    return Provided(kind, str(item.name), item, _summary(item))


def _summary(item: click.Command | Route | Panel | DoctorCheck) -> str:
    if isinstance(item, click.Command):
        return first_line(item.help)
    if isinstance(item, Panel):
        return item.title
    return first_line(docstring_of(item.handler))
