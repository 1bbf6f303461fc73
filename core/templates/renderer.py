"""Renders messages: sandboxed Jinja templates produce plain text with cleaned values.

The output of a template is plain text, which each channel escapes for itself. A template can
therefore change the text but never its markup. The sandbox prevents it from running code or taking
long.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from attrs import evolve

from tocsin.core.contracts.message import Kind, Message, Notice
from tocsin.core.contracts.rendered import Line, RenderedMessage, Section, read
from tocsin.core.templates.context import LONGEST, LONGEST_NAME, of_digest, of_notice, short
from tocsin.core.templates.declared import PluginTemplate, file_name_of
from tocsin.core.templates.layers import layers_of

MOST_SAID = 500
"""Maximum number of different failures that are reported, each once."""


class Renderer:
    """Renders messages with the templates of a directory, of plugins, and tocsin's own.

    If the template of one fails, that of the next is used; if all fail, plain lines are.

    Args:
        directory: templates of the user, which replace the others.
        clean: removes secrets, control and bidirectional characters from a text.
        trouble: called with a description of each template that fails.
        declared: templates that rules declare, by file name.
        channels: by channel, the templates of its notifier by file name, which replace those.
    """

    def __init__(
        self,
        directory: Path | None = None,
        clean: Callable[[str], str] = str,
        trouble: Callable[[str], object] = lambda _: None,
        declared: Mapping[str, PluginTemplate] | None = None,
        channels: Mapping[str, Mapping[str, PluginTemplate]] | None = None,
    ) -> None:
        self._clean, self._trouble = clean, trouble
        self.layers = layers_of(directory, declared or {}, self._finalize)
        self._of_channel = {
            name: layers_of(directory, {**(declared or {}), **texts}, self._finalize)
            for name, texts in (channels or {}).items()
            if texts
        }
        self._said: set[str] = set()

    def _finalize(self, value: Any) -> Any:
        if isinstance(value, jinja2.Undefined):
            return value
        text = self._clean("" if value is None else str(value))
        words = short(" ".join(text.split()), LONGEST * 4)
        before, after = (" " if c.isspace() else "" for c in (text[:1], text[-1:]))
        return f"{before}{words}{after}" if words else before

    def words(self, message: Message) -> RenderedMessage:
        """Render a message. Never raises."""
        try:
            fields, candidates = self.fields(message)
            layers = self._of_channel.get(message.channel, self.layers)
        except Exception as error:  # noqa: BLE001 - an alert is sent whatever fails
            self._say(f"template {reason_of(error, 'digest.txt')}")
            layers = []
        for layer in layers:
            name = layer.chosen(candidates)
            try:
                return read(layer.render(name, fields))
            except Exception as error:  # noqa: BLE001 - an alert is sent whatever a template does
                said = layer.owners.get(name, layer.said)
                self._say(f"{said} {reason_of(error, name)}")
        notices = message.notices
        lines = [Line(text=self._clean(f"{n.target}: {n.message}")[:LONGEST]) for n in notices[:50]]
        title = f"{message.severity.value.upper()}: {len(notices)} alerts of tocsin"
        return RenderedMessage(title=title, sections=(Section(lines=tuple(lines)),))

    def fields(self, message: Message) -> tuple[Mapping[str, Any], list[str]]:
        """Return the fields of a message, and the templates that suit it."""
        if len(message.notices) != 1:
            return of_digest(message, self._clean), ["digest.txt"]
        (notice,) = message.notices
        return of_notice(self._shortened(notice), message, self._clean), _names(notice)

    def _say(self, what: str) -> None:
        """Report a failure, once."""
        if what not in self._said and len(self._said) < MOST_SAID:
            self._said.add(what)
            self._trouble(what)

    def _shortened(self, notice: Notice) -> Notice:
        """Shorten long texts before rendering, since a cut after escaping could split an escape."""
        logs = tuple(evolve(line, text=short(self._clean(line.text))) for line in notice.logs)
        affected = tuple(short(self._clean(name), LONGEST_NAME) for name in notice.affected)
        text = short(self._clean(notice.message), LONGEST * 2)
        return evolve(notice, logs=logs, affected=affected, message=text)


def _names(notice: Notice) -> list[str]:
    """Return the names of the templates that suit a notification, the most specific first."""
    rule = file_name_of(notice.rule)
    if notice.kind is Kind.TEST:
        return ["test.txt"]
    if notice.kind is Kind.RESOLVED and not notice.recovered:
        return [f"{rule}.ended.txt", "ended.txt"]
    if notice.kind in (Kind.RESOLVED, Kind.FLAPPING):
        return [f"{rule}.{notice.kind.value}.txt", f"{notice.kind.value}.txt"]
    return [f"{rule}.{notice.kind.value}.txt", f"{rule}.txt", "alert.txt"]


def reason_of(error: Exception, name: str) -> str:
    """Describe an error in a template: file, line and cause."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        where = f"{Path(error.name or name).name}, line {error.lineno}"
        return f"{where}: {error.message}"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"{name}: there is no template {error.name}"
    if isinstance(error, RecursionError):
        return f"{name}: it is nested too deeply, or uses itself"
    # Jinja adds frames with the template's own lines to the traceback.
    lines = [n for f, n in traceback.walk_tb(error.__traceback__) if _file(f.f_code) == name]
    where = f"{name}, line {lines[-1]}" if lines else name
    return f"{where}: {str(error) or type(error).__name__}"


def _file(code: CodeType) -> str:
    return Path(code.co_filename).name
