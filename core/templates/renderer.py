"""Renders messages: sandboxed Jinja templates produce plain text with cleaned values.

The output of a template is plain text, which each channel escapes for itself. A template can
therefore change the text but never its markup. The sandbox prevents it from running code or taking
long.
"""

from __future__ import annotations

import re
import shlex
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from attrs import evolve

from tocsin.core.contracts.model import LogLine
from tocsin.core.contracts.notifier import Kind, Message, Notice
from tocsin.core.contracts.rendered import Line, RenderedMessage, Section, read
from tocsin.core.contracts.rule import Severity
from tocsin.core.ids import new_id
from tocsin.core.templates.context import (
    LONGEST,
    LONGEST_NAME,
    measured,
    name_of,
    names,
    of_digest,
    of_notice,
    short,
)
from tocsin.core.templates.sandbox import Sandbox

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.txt")

LARGEST = 64_000
"""Largest template file, in bytes."""

MOST_SAID = 500
"""Maximum number of different failures that are reported, each once."""


class TemplateProblem(Exception):
    """A template cannot be used; the message says which file, where, and why."""


@cache
def _own_code() -> Mapping[str, CodeType]:
    """Return tocsin's own templates by file name, compiled once: compiling takes
    30 ms, and the code is the same for every renderer."""
    env = _environment(str, _OwnLoader())
    texts = files("tocsin.core.templates") / "texts"
    return {
        file.name: env.compile(file.read_text("utf-8"), file.name)
        for file in texts.iterdir()
        if _NAME.fullmatch(file.name)
    }


class _OwnLoader(jinja2.BaseLoader):
    """Loads tocsin's own templates."""

    def load(
        self, environment: jinja2.Environment, name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> jinja2.Template:  # fmt: skip
        """Return a template. Raises TemplateNotFound."""
        if name not in _own_code():
            raise jinja2.TemplateNotFound(name)
        return jinja2.Template.from_code(environment, _own_code()[name], globals or {})


def _environment(finalize: Callable[[Any], Any], loader: jinja2.BaseLoader) -> Sandbox:
    env = Sandbox(finalize, loader)
    env.add_filter("names", names)
    env.add_filter("sh", lambda text: shlex.quote(str(text)))
    env.add_filter("duration", partial(measured, "seconds"))
    env.add_filter("part", lambda text: name_of(str(text).replace(".", " ")))
    return env


def _theirs(directory: Path, name: str) -> tuple[str, str, None] | None:
    """Read a template file from a user's directory; None if there is none."""
    file = directory / name
    if _NAME.fullmatch(name) is None or not file.is_file():  # reading a pipe would block
        return None
    with file.open("rb") as opened:
        raw = opened.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise TemplateProblem(f"it is larger than {LARGEST} bytes")
    return raw.decode(), str(file), None


class Renderer:
    """Renders messages with tocsin's templates and those of a directory, all compiled beforehand.

    Args:
        directory: templates that replace tocsin's own.
        clean: removes secrets, control and bidirectional characters from a text.
        trouble: called with a description of each template that fails.
    """

    def __init__(
        self,
        directory: Path | None = None,
        clean: Callable[[str], str] = str,
        trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._clean, self._trouble = clean, trouble
        own = _OwnLoader()
        self._ours = _environment(self._finalize, own)
        self._theirs = self._ours
        if directory is not None:
            loaders = [jinja2.FunctionLoader(partial(self._load, directory)), own]
            self._theirs = _environment(self._finalize, jinja2.ChoiceLoader(loaders))
        self._given: dict[str, jinja2.Template | Exception] = {}
        self._said: set[str] = set()
        self._ready = False
        # Rendering happens when an alert is sent, perhaps without a free file descriptor.
        for file in [] if directory is None else sorted(directory.glob("*.txt")):
            try:
                self._given[file.name] = self._theirs.get_template(file.name)
            except Exception as error:  # noqa: BLE001 - reported when the template is needed
                self._given[file.name] = error
        for name in _own_code():
            self._ours.get_template(name)
            if name not in self._given:
                self._theirs.get_template(name)
        self._ready = True

    def _load(self, directory: Path, name: str) -> tuple[str, str, None] | None:
        """Load a template file, only while the renderer is made: later it would delay an alert."""
        if self._ready and isinstance(given := self._given.get(name), Exception):
            raise given.with_traceback(None)
        return None if self._ready else _theirs(directory, name)

    def _finalize(self, value: Any) -> Any:
        if isinstance(value, jinja2.Undefined):
            return value
        text = self._clean("" if value is None else str(value))
        words = short(" ".join(text.split()), LONGEST * 4)
        before, after = (" " if c.isspace() else "" for c in (text[:1], text[-1:]))
        return f"{before}{words}{after}" if words else before

    def words(self, message: Message) -> RenderedMessage:
        """Render a message; on errors with tocsin's own template, else as plain lines."""
        name, candidates = "digest.txt", ["digest.txt"]
        fields: Mapping[str, Any] | None = None
        try:
            fields, candidates = self._fields(message)
            name = self._chosen(candidates)
            return read(self._render(name, fields))
        except Exception as error:  # noqa: BLE001 - an alert is sent whatever a template does
            self._say(f"template {_reason(error, name)}")
        try:
            if fields is not None:
                return read(self._ours.select_template(candidates).render(fields))
        except Exception as error:  # noqa: BLE001 - also if tocsin's own template fails
            self._say(f"tocsin's own template {_reason(error, name)}")
        notices = message.notices
        lines = [Line(text=self._clean(f"{n.target}: {n.message}")[:LONGEST]) for n in notices[:50]]
        title = f"{message.severity.value.upper()}: {len(notices)} alerts of tocsin"
        return RenderedMessage(title=title, sections=(Section(lines=tuple(lines)),))

    def _fields(self, message: Message) -> tuple[Mapping[str, Any], list[str]]:
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

    def _chosen(self, candidates: list[str]) -> str:
        """Return the first template that exists, whether or not it can be used."""
        return next((n for n in candidates if n in self._given or n in _own_code()), candidates[-1])

    def _render(self, name: str, fields: Mapping[str, Any]) -> str:
        template = self._given.get(name) or self._theirs.get_template(name)
        if isinstance(template, Exception):
            raise template.with_traceback(None)
        return self._theirs.bounded(template, fields)

    def _shortened(self, notice: Notice) -> Notice:
        """Shorten long texts before rendering, since a cut after escaping could split an escape."""
        logs = tuple(evolve(line, text=short(self._clean(line.text))) for line in notice.logs)
        affected = tuple(short(self._clean(name), LONGEST_NAME) for name in notice.affected)
        text = short(self._clean(notice.message), LONGEST * 2)
        return evolve(notice, logs=logs, affected=affected, message=text)

    def check(self) -> None:
        """Render every template for every kind of message; raise TemplateProblem if one fails."""
        for message in _samples():
            candidates = ["digest.txt"]
            fields: Mapping[str, Any] = {}
            if len(message.notices) == 1:
                fields = of_notice(message.notices[0], message, self._clean)
                candidates = _names(message.notices[0])
            else:
                fields = of_digest(message, self._clean)
            name = candidates[-1]
            try:
                name = self._chosen(candidates)
                self._render(name, fields)
            except Exception as error:
                raise TemplateProblem(_reason(error, name)) from error


def _names(notice: Notice) -> list[str]:
    """Return the names of the templates that suit a notification, the most specific first."""
    rule = re.sub(r"[^A-Za-z0-9_-]", "_", notice.rule)
    if notice.kind is Kind.TEST:
        return ["test.txt"]
    if notice.kind is Kind.RESOLVED and not notice.recovered:
        return [f"{rule}.ended.txt", "ended.txt"]
    if notice.kind in (Kind.RESOLVED, Kind.FLAPPING):
        return [f"{rule}.{notice.kind.value}.txt", f"{notice.kind.value}.txt"]
    return [f"{rule}.{notice.kind.value}.txt", f"{rule}.txt", "alert.txt"]


def _reason(error: Exception, name: str) -> str:
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


def check_directory(directory: Path) -> None:
    """Check a directory of templates.

    Raises:
        TemplateProblem: it is no directory, or a file in it is not a working template.
    """
    if not directory.is_dir():
        raise TemplateProblem(f"{directory} is no directory")
    renderer = Renderer(directory)
    for name, given in renderer._given.items():
        if isinstance(given, OSError | UnicodeDecodeError):
            raise TemplateProblem(f"{name} cannot be read: {given}") from given
        if isinstance(given, Exception):
            raise TemplateProblem(_reason(given, name)) from given
    renderer.check()


_AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
_RULES = (
    "container_down", "replicas_down", "container_restarting", "health_check_failed",
    "out_of_memory", "high_memory", "high_cpu", "disk_space_low", "above_expected",
    "monitor_impaired", "plugin_failed", "another",
)  # fmt: skip


def _samples() -> list[Message]:
    """Return messages of every kind for every default alert, and a digest of all."""
    notices = [
        Notice(
            id=new_id(), alert=new_id(), kind=kind, rule=rule, target="web", message="text",
            severity=Severity.WARNING, at=_AT, since=_AT - timedelta(minutes=3), downtime=61.0,
            affected=("api",), details={"exit_code": 1, "metric": "cpu_percent", "value": 97.0},
            flaps=2, repeats=1, target_kind="container", logs=(LogLine(text="line"),),
            fallback_for="other", recovered=recovered,
        )
        for rule in _RULES
        for kind in Kind
        for recovered in ((True, False) if kind is Kind.RESOLVED else (True,))
    ]  # fmt: skip
    made = [Message(id=new_id(), channel="c", notices=(n,), created_at=_AT) for n in notices]
    made.append(Message(id=new_id(), channel="c", notices=tuple(notices), created_at=_AT))
    return made
