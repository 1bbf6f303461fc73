"""Checks of templates before they are needed: each is rendered for messages of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.core.contracts.message import Kind, Message, Notice
from tocsin.core.contracts.model import LogLine
from tocsin.core.contracts.rule import Severity
from tocsin.core.ids import new_id
from tocsin.core.templates.declared import PluginTemplate, TemplateProblem
from tocsin.core.templates.renderer import Renderer, reason_of

_GENERAL = frozenset({"alert", "digest", "ended", "flapping", "resolved", "test"})
"""Templates that are about no certain rule."""

_AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def check_directory(directory: Path, declared: Mapping[str, PluginTemplate] | None = None) -> None:
    """Check a directory of templates.

    Args:
        directory: the directory.
        declared: templates of plugins, by file name, which those of the directory may extend.

    Raises:
        TemplateProblem: it is no directory, or a file in it is not a working template.
    """
    if not directory.is_dir():
        raise TemplateProblem(f"{directory} is no directory")
    renderer = Renderer(directory, declared=declared)
    _check(renderer, renderer.layers[1].known)


def check_declared(texts: Mapping[str, str]) -> None:
    """Check the templates that a plugin declares.

    Args:
        texts: the templates by name, without ``.txt``.

    Raises:
        TemplateProblem: one of them does not work.
    """
    declared = {f"{name}.txt": PluginTemplate(plugin="", text=t) for name, t in texts.items()}
    _check(Renderer(declared=declared), declared)


def _check(renderer: Renderer, names: Iterable[str]) -> None:
    """Render the first layer's templates for every kind of message of the rules that these names
    of templates begin with, and of another one."""
    layer = renderer.layers[0]
    for name, error in layer.broken.items():
        if isinstance(error, OSError | UnicodeDecodeError):
            raise TemplateProblem(f"{name} cannot be read: {error}") from error
        raise TemplateProblem(reason_of(error, name)) from error
    rules = {name.split(".")[0] for name in names} - _GENERAL
    for message in _samples(sorted(rules)):
        fields, candidates = renderer.fields(message)
        name = layer.chosen(candidates)
        try:
            layer.render(name, fields)
        except Exception as error:
            raise TemplateProblem(reason_of(error, name)) from error


def _samples(rules: Iterable[str]) -> list[Message]:
    """Return messages of every kind for the alerts of these rules, and a digest of all."""
    notices = [
        Notice(
            id=new_id(), alert=new_id(), kind=kind, rule=rule, target="web", message="text",
            severity=Severity.WARNING, at=_AT, since=_AT - timedelta(minutes=3), downtime=61.0,
            affected=("api",), details={"exit_code": 1, "metric": "cpu_percent", "value": 97.0},
            flaps=2, repeats=1, target_kind="container", logs=(LogLine(text="line"),),
            fallback_for="other", recovered=recovered,
        )
        for rule in (*rules, "another")
        for kind in Kind
        for recovered in ((True, False) if kind is Kind.RESOLVED else (True,))
    ]  # fmt: skip
    made = [Message(id=new_id(), channel="c", notices=(n,), created_at=_AT) for n in notices]
    made.append(Message(id=new_id(), channel="c", notices=tuple(notices), created_at=_AT))
    return made
