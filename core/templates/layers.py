"""Where templates are found, in layers: a user's directory, what plugins declare, tocsin's own.

All texts are read and compiled when a layer is made: an alert is rendered without opening a file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, MutableMapping
from functools import cache, lru_cache, partial
from importlib.resources import files
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from attrs import define, field, frozen

from tocsin.core.templates.context import measured, name_of, names
from tocsin.core.templates.declared import PluginTemplate, TemplateProblem
from tocsin.core.templates.sandbox import Sandbox

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.txt")

LARGEST = 64_000
"""Largest template file, in bytes."""


@frozen
class _Loader(jinja2.BaseLoader):
    """Loads templates by file name. ``broken``: the errors of those that cannot be used."""

    texts: Mapping[str, str]
    broken: dict[str, Exception] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for name, text in self.texts.items():
            try:
                _compiled(name, text)
            except Exception as error:  # noqa: BLE001 - reported when the template is needed
                self.broken[name] = error

    @property
    def names(self) -> set[str]:
        """Return the names of all templates, also of those that cannot be used."""
        return {*self.texts, *self.broken}

    def load(
        self, environment: jinja2.Environment, name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja's name
    ) -> jinja2.Template:  # fmt: skip
        """Return a template. Raises TemplateNotFound."""
        if name in self.broken:
            raise self.broken[name].with_traceback(None)
        if name not in self.texts:
            raise jinja2.TemplateNotFound(name)
        code = _compiled(name, self.texts[name])
        return jinja2.Template.from_code(environment, code, globals or {})


@define
class Layer:
    """An environment that finds the templates of one origin, and those of the layers behind it.

    Attributes:
        said: how errors call its templates, where ``owners`` has no better name.
        owners: by name, how errors call the templates of plugins.
        known: names of the templates that it finds.
        broken: of its own templates that cannot be used, the error.
    """

    said: str
    owners: Mapping[str, str]
    known: frozenset[str]
    broken: Mapping[str, Exception]
    _env: Sandbox
    _limited: bool

    def chosen(self, candidates: list[str]) -> str:
        """Return the first template that exists, whether or not it can be used."""
        return next((name for name in candidates if name in self.known), candidates[-1])

    def render(self, name: str, fields: Mapping[str, Any]) -> str:
        """Render a template. Raises whatever is wrong with it."""
        template = self._env.get_template(name)
        return self._env.bounded(template, fields) if self._limited else template.render(fields)


def layers_of(
    directory: Path | None,
    declared: Mapping[str, PluginTemplate],
    finalize: Callable[[Any], Any],
) -> list[Layer]:
    """Return the layers in the order in which they are tried. The last has tocsin's own templates,
    whose rendering has no limits: whatever a message holds, its alerts are listed.

    Args:
        directory: the user's templates; None: there are none.
        declared: the templates of plugins, by file name.
        finalize: converts a value to text.
    """
    loaders = [_Loader(_own_texts())]
    owners = {name: f"template of plugin {one.plugin!r}:" for name, one in declared.items()}
    if declared:
        loaders.insert(0, _Loader({name: one.text for name, one in declared.items()}))
    if directory is not None:
        loaders.insert(0, _Loader(*_read(directory)))
        owners = {name: said for name, said in owners.items() if name not in loaders[0].names}
    made: list[Layer] = []
    for at, loader in enumerate(loaders):
        env = _environment(finalize, jinja2.ChoiceLoader(loaders[at:]))
        known = frozenset[str]().union(*(each.names for each in loaders[at:]))
        is_last = at == len(loaders) - 1
        said = "tocsin's own template" if is_last else "template"
        made.append(Layer(said, owners, known, loader.broken, env, not is_last))
        for name in known - {broken for each in loaders[at:] for broken in each.broken}:
            env.get_template(name)
    return made


def _read(directory: Path) -> tuple[dict[str, str], dict[str, Exception]]:
    """Read a user's templates. Returns their texts, and the errors of those that cannot be read."""
    texts: dict[str, str] = {}
    unread: dict[str, Exception] = {}
    for file in sorted(directory.glob("*.txt")):
        try:
            texts[file.name] = _text_of(file)
        except (OSError, UnicodeDecodeError, TemplateProblem) as error:
            unread[file.name] = error
    return texts, unread


def _text_of(file: Path) -> str:
    if _NAME.fullmatch(file.name) is None:
        raise TemplateProblem("its name may have letters, digits, '.', '-' and '_' only")
    if not file.is_file():  # reading a pipe would block
        raise TemplateProblem("it is no regular file")
    with file.open("rb") as opened:
        raw = opened.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise TemplateProblem(f"it is larger than {LARGEST} bytes")
    return raw.decode()


@cache
def _own_texts() -> Mapping[str, str]:
    """Return tocsin's own templates by file name."""
    texts = files("tocsin.core.templates") / "texts"
    found = (file for file in texts.iterdir() if _NAME.fullmatch(file.name))
    return {file.name: file.read_text("utf-8") for file in found}


@cache
def _compiler() -> Sandbox:
    return _environment(str, jinja2.DictLoader({}))


@lru_cache(maxsize=1000)
def _compiled(name: str, text: str) -> CodeType:
    """Compile a template, once for all layers and renderers: each takes 2 ms."""
    return _compiler().compile(text, name, name)


def _environment(finalize: Callable[[Any], Any], loader: jinja2.BaseLoader) -> Sandbox:
    env = Sandbox(finalize, loader)
    env.add_filter("names", names)
    env.add_filter("sh", lambda text: shlex.quote(str(text)))
    env.add_filter("duration", partial(measured, "seconds"))
    env.add_filter("part", lambda text: name_of(str(text).replace(".", " ")))
    return env
