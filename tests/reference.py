"""The reference chapter of ``entry_points.md``, made from the public API's own docstrings.

``make reference`` writes it; ``tests/test_reference.py`` fails where the page has anything else.
"""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, get_args, is_typeddict

import aiohttp
import attrs

import tocsin
import tocsin.history
import tocsin.testing

PAGE = Path(__file__).parents[1] / "entry_points.md"
BEGIN = "<!-- Written by `make reference` from the docstrings: begin -->"
END = "<!-- Written by `make reference` from the docstrings: end -->"

_HEADER = re.compile(r"(Attributes|Args|Returns|Raises|Yields):")
_ENTRY = re.compile(r"(\*{0,2}\w+(?:, \w+)*): (.*)")


class Undocumented(Exception):
    """A part of the public API is not described; the message says which, and where to do it."""


def page(text: str) -> str:
    """Return the page with a reference that is up to date.

    Args:
        text: the page as it is.

    Raises:
        Undocumented: a field of a public class has no entry in its docstring.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{chapter()}\n{END}{after}"


def chapter() -> str:
    """Return the reference: classes, functions and values by name, then what tests import."""
    kit = {name: getattr(tocsin.testing, name) for name in tocsin.testing.__all__}
    history = {name: getattr(tocsin.history, name) for name in tocsin.history.__all__}
    lines = _of_names({name: getattr(tocsin, name) for name in tocsin.__all__})
    lines += ["### `tocsin.testing`", "", *_of_kit(kit)]
    lines += ["### `tocsin.history`", "", *_of_names(history, " of `tocsin.history`")]
    return "\n".join(lines)


def _of_names(public: Mapping[str, Any], where: str = "") -> list[str]:
    """Return classes, functions and values by name; ``where`` is added to their headings."""
    classes = {n: cls for n, cls in public.items() if inspect.isclass(cls) and n[0].isupper()}
    lines = [" · ".join(f"[`{name}`](#{name.lower()})" for name in sorted(classes)), ""]
    for name in sorted(classes):
        lines += _of_class(name, classes[name])
    functions = {
        name: value
        for name, value in public.items()
        if isinstance(value, FunctionType) or (inspect.isclass(value) and name not in classes)
    }
    if functions:
        lines += [f"### Functions{where}", "", *_table("function", _functions(functions)), ""]
    values = sorted(public.keys() - classes.keys() - functions.keys())
    rows = [(f"`{name}`", _assigned(name)) for name in values]
    return [*lines, f"### Types and values{where}", "", *_table("name", rows), ""]


def _of_kit(kit: Mapping[str, Any]) -> Iterator[str]:
    """Yield the functions and classes of the testing kit."""
    classes = {name: value for name, value in kit.items() if inspect.isclass(value)}
    functions = {name: value for name, value in kit.items() if name not in classes}
    yield from (" · ".join(f"[`{name}`](#{name.lower()})" for name in sorted(classes)), "")
    yield from (*_table("function", _functions(functions)), "")
    for name in sorted(classes):
        yield from _of_class(name, classes[name], is_kit=True)


def _of_class(name: str, cls: type, *, is_kit: bool = False) -> Iterator[str]:
    """Yield the section of a class.

    Args:
        name: its public name.
        cls: the class.
        is_kit: whether tests make it, and read what it recorded: its constructor's arguments are
            named as they are given, and what is no argument is listed, too.
    """
    summary, sections = _read(cls)
    yield from (f"### `{name}`", "")
    parents = [base.__name__ for base in cls.__bases__ if base.__name__ in _origins()]
    yield "\n\n".join(
        [summary, *(f"Derived from [`{each}`](#{each.lower()})." for each in parents)]
    )
    yield ""
    fields = list(_fields(name, cls, _entries(sections.get("Attributes", "")), is_kit=is_kit))
    if issubclass(cls, enum.Enum):
        yield from (*_table("member", fields), "")
    elif issubclass(cls, Exception):
        if "__init__" in vars(cls):  # others take a message, as every exception
            said = _entries(sections.get("Args", ""))
            yield from (*_table("argument", list(_arguments(name, cls, said)), typed=True), "")
    elif is_kit and not attrs.has(cls):
        arguments = list(_arguments(name, cls, _entries(sections.get("Args", ""))))
        yield from (*_table("argument", arguments, typed=True), "")
        yield from (*_table("attribute", [row[:2] + row[3:] for row in fields]), "")
    elif fields:
        yield from (*_table("field", fields, typed=True), "")
    methods = list(_methods(cls))
    if methods:
        yield from (*_table("method or property", methods), "")


def _table(first: str, rows: Sequence[tuple[str, ...]], *, typed: bool = False) -> list[str]:
    """Return a table of rows, in their order; the last cell of each is a meaning."""
    heads = [first, "type", "default", "meaning"] if typed else [first, "meaning"]
    if first == "attribute":
        heads.insert(1, "type")
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def _fields(
    name: str, cls: type, said: Mapping[str, str], *, is_kit: bool
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each field, class variable or member of a class."""
    if issubclass(cls, enum.Enum):
        for member in cls:
            yield f"`{member.name}` = `{member.value}`", _meaning(name, member.name, said)
        return
    defaults = {field.name: field for field in attrs.fields(cls)} if attrs.has(cls) else {}
    for field, kind in inspect.get_annotations(cls).items():
        known = defaults.get(field)
        if is_kit and field.startswith("_") and known is not None and known.init:
            field = known.alias  # it is given to the constructor under this name
        if field.startswith("_") or (known is not None and not (known.init or is_kit)):
            continue
        if known is None:
            default = "no argument" if is_kit else _default(vars(cls).get(field))
        else:
            default = _default(known.default) if known.init else "no argument"
        yield f"`{field}`", _type(kind), default, _meaning(name, field, said)


def _arguments(name: str, cls: type, said: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each argument of an exception."""
    for parameter in list(inspect.signature(cls).parameters.values()):
        missing = parameter.default is inspect.Parameter.empty
        default = attrs.NOTHING if missing else parameter.default
        meaning = _meaning(name, parameter.name, said, section="Args")
        yield f"`{parameter.name}`", _type(parameter.annotation), _default(default), meaning


def _meaning(name: str, field: str, said: Mapping[str, str], section: str = "Attributes") -> str:
    if field not in said:
        raise Undocumented(
            f"tocsin.{name}.{field} has no meaning: add {field!r} to {section} in the docstring of "
            f"{name}, then run: make reference"
        )
    return said[field]


def _methods(cls: type) -> Iterator[tuple[str, ...]]:
    """Yield a row for each public method and property that a class defines itself."""
    for name, value in vars(cls).items():
        if name.startswith("_") or not hasattr(cls, name):
            continue
        if isinstance(value, property) and value.fget is not None:
            kind = inspect.get_annotations(value.fget).get("return", "")
            yield f"`{name}: {_plain(kind)}`", _described(value.fget)
        elif isinstance(getattr(cls, name), FunctionType | MethodType):
            bound = getattr(cls, name)
            first = f"{cls.__name__}." if isinstance(bound, MethodType) else ""
            yield _signature(first + name, bound), _described(bound)


def _functions(functions: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each function."""
    return [
        (_signature(name, value), _described(value)) for name, value in sorted(functions.items())
    ]


def _signature(name: str, function: Any) -> str:
    """Return a call with its annotations as they are written, without ``self``."""
    signature = inspect.signature(function)
    shown: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(s[0] == "*" for s in shown):
            shown.append("*")
        text = f"{str(parameter).split(':')[0].split('=')[0]}: {_plain(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_literal(parameter.default)}"
        shown.append(text)
    answer = signature.return_annotation
    returns = "" if inspect.isclass(function) else f" -> {_plain(answer)}"
    called = inspect.iscoroutinefunction(function)
    return f"`{'await ' * called}{name}({', '.join(shown)}){returns}`"


def _described(function: Any) -> str:
    """Return what a function does, its arguments and its errors."""
    summary, sections = _read(function)
    further = [
        f"{'raises ' if section == 'Raises' else ''}`{entry}`: {text}"
        for section in ("Args", "Raises")
        for entry, text in _entries(sections.get(section, "")).items()
    ]
    if "Returns" in sections:
        further.insert(0, f"returns: {' '.join(sections['Returns'].split())}")
    return "<br>".join([summary.replace("\n\n", " "), *further])


def _read(thing: Any) -> tuple[str, dict[str, str]]:
    """Return the paragraphs of a docstring, in Markdown, and its sections by header."""
    text = _markdown(inspect.getdoc(thing) or "")
    if not text:
        raise Undocumented(f"{thing.__qualname__} of the public API has no docstring")
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.splitlines():
        if header := _HEADER.fullmatch(line):
            current = sections.setdefault(header[1], [])
        else:
            current.append(line)
    bodies = {header: inspect.cleandoc("\n" + "\n".join(ls)) for header, ls in sections.items()}
    paragraphs = bodies.pop("").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs), bodies


def _entries(section: str) -> dict[str, str]:
    """Return the entries of a section by name; a line further in continues the one before."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry:
            names = entry[1].lstrip("*").split(", ")
            found |= dict.fromkeys(names, entry[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _markdown(text: str) -> str:
    """Convert the markup of docstrings; names of public classes become links to their sections."""

    def named(match: re.Match[str]) -> str:
        name = match[2].removeprefix("~").removeprefix("tocsin.")
        if match[1] == "class" and name in _origins():
            return f"[`{name}`](#{name.lower()})"
        return f"`{name}`"

    text = re.sub(r":(class|attr|meth|func|data|exc):`([^`]+)`", named, text)
    return re.sub(r"``([^`]+)``", r"`\1`", text).replace("|", "\\|")


def _type(annotation: Any) -> str:
    """Return a type as code; of a class variable, the type that it has."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return f"`{_plain(str(text))}`"


def _plain(annotation: str) -> str:
    """Return the text of an annotation that a reader needs, for a cell of a table."""
    text = re.sub(r"^ClassVar\[(.*)\]$", r"\1", str(annotation))
    text = re.sub(r"Annotated\[(\w+), .*\]", r"\1", text)
    return re.sub(r"\btyping\.|\btocsin(?:\.\w+)+\.", "", text).replace("|", "\\|")


def _default(default: Any) -> str:
    """Return a default as code; "required" where there is none."""
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        made = default.factory()
        if made != default.factory():
            return "a new one"
        default = made
    return f"`{_literal(default)}`"


def _literal(value: Any) -> str:
    """Return a value as Python code."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if attrs.has(type(value)) and len(repr(value)) > 60:
        return f"{type(value).__name__}(…)"
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text.replace("|", "\\|")


@cache
def _origins() -> Mapping[str, tuple[str, str]]:
    """Return, for each public name, its module and its name there, as it is imported."""
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for package in (tocsin.history, tocsin)
        for node in ast.walk(ast.parse(Path(str(package.__file__)).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _assigned(name: str) -> str:
    """Return the description of a constant or alias: the string, or comments, beside it."""
    module, theirs = _origins()[name]
    tree = ast.parse(inspect.getsource(import_module(module)))
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == theirs for each in targets):
            value = getattr(after, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return " ".join(_markdown(value.value).split())
    raise Undocumented(f"{module}.{theirs} has no docstring below its assignment")


def foreign_types() -> list[str]:
    """Return the classes of the contracts that a public field or method mentions, but that
    ``tocsin`` does not have."""
    found = set()
    for name in tocsin.__all__:
        cls = getattr(tocsin, name)
        if not inspect.isclass(cls):
            continue
        own = [getattr(value, "fget", value) for value in vars(cls).values()]
        for value in (cls, *(each for each in own if isinstance(each, FunctionType))):
            for kind in _hints(value).values():
                found |= {each.__name__ for each in _classes(kind) if _is_private(each)}
    return sorted(found)


def _hints(value: Any) -> Mapping[str, Any]:
    return inspect.get_annotations(
        value, eval_str=True, globals={**vars(sys.modules[value.__module__]), "aiohttp": aiohttp}
    )


def _classes(kind: Any) -> Iterator[type]:
    if inspect.isclass(kind):
        yield kind
    for each in get_args(kind):
        yield from _classes(each)


def _is_private(cls: type) -> bool:
    ours = cls.__module__.startswith("tocsin.core.contracts") and not is_typeddict(cls)
    return ours and cls.__name__ not in tocsin.__all__


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
