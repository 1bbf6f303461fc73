"""The sandbox of templates: Jinja's sandbox with a limit on what a template may cost.

Templates are rendered in the core's event loop, where nothing can interrupt them. What could take
long is therefore removed (macros, formats with a width, powers, repeated text), and what repeats is
counted: each iteration of a loop costs as many steps as its body has parts, each result as many as
its length.

Jinja's documentation asks to limit resources outside of the sandbox:
https://jinja.palletsprojects.com/en/stable/sandbox/#security-considerations
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tocsin.core.templates.budget import LONGEST_TEXT, STEPS, TooMuch, charge, limited, sized

LOADING = 100
"""Steps that loading another template costs."""

OUTPUT = 64_000
"""Longest message, in characters."""

METHODS = frozenset({
    "upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "rsplit",
    "splitlines", "partition", "rpartition", "startswith", "endswith", "removeprefix",
    "removesuffix", "isdigit", "isalpha", "isalnum", "count", "find", "get", "items", "keys",
    "values", "super", "cycle", "changed",
})  # fmt: skip
"""The methods that templates may call."""

FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "string", "sum",
    "title", "trim", "truncate", "unique", "upper", "wordcount",
})  # fmt: skip
"""The filters of Jinja that templates may use."""

_TURNS, _PAY, _SIZED = "tocsin turns", "tocsin pay", "tocsin sized"
"""Names of internal filters; they contain blanks, so templates cannot use them."""

_FORBIDDEN: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Macro, "macros"), (nodes.CallBlock, "call blocks"), (nodes.Import, "imports"),
    (nodes.FromImport, "imports"), (nodes.FilterBlock, "filter blocks"),
    (nodes.AssignBlock, "set blocks"), (nodes.Pow, "powers"),
)  # fmt: skip


def _pay(value: Any, cost: int) -> Any:
    charge(cost)
    return value


def _turns(value: Iterable[Any], cost: int) -> Iterator[Any]:
    for item in value:
        charge(cost)
        yield item


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter or test so that its arguments and its result are charged."""

    @functools.wraps(function)  # keeps the attributes that tell Jinja what to pass
    def call(*args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            sized(value)
        return sized(function(*args, **options))

    return call


def _join(value: Iterable[Any], by: str = "") -> str:
    """Join texts; unlike Jinja's filter it supports no attribute."""
    size, items = 0, []
    for item in value:
        items.append(text := str(sized(item)))
        size += len(text) + len(by)
        if size > LONGEST_TEXT:
            break
    return by.join(items)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text = str(text)
    if len(text) + text.count(old) * len(new) > LONGEST_TEXT:
        raise TooMuch(f"a text in it is longer than {LONGEST_TEXT:,} characters")
    return str(text.replace(old, new, count))


def _sum(value: Iterable[Any], attribute: str | int | None = None) -> Any:
    """Add numbers; unlike Jinja's filter it does not join lists, which takes quadratic time."""
    if attribute is not None:
        raise TooMuch("sum does not support an attribute here; write map(attribute=...)|sum")
    return sum(value)


def _round(value: Any, digits: int = 0) -> float:
    return round(float(value), max(-15, min(15, digits)))


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates cannot take long. Each context renders one at a time.

    Args:
        finalize: converts each printed value to text.
        loader: finds templates.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, finalize: Callable[[Any], Any], loader: jinja2.BaseLoader) -> None:
        @jinja2.pass_context  # so that nothing is evaluated during compilation
        def printed(_: Any, value: Any) -> Any:
            if not isinstance(sized(value), str | jinja2.Undefined | None):
                value = str(value)
                charge(len(value) // 20)
                value = value[:LONGEST_TEXT]
            text = finalize(value)
            charge(len(text) // 20 if isinstance(text, str) else 0)
            return text

        super().__init__(
            loader=loader, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined, finalize=printed, autoescape=False,
            auto_reload=False, optimized=False, cache_size=-1,
        )  # fmt: skip
        self.globals.clear()  # templates do not need range(10**9) and the like
        own: Mapping[str, Any] = {
            "join": _join, "replace": _replace, "round": _round, "sum": _sum,
        }  # fmt: skip
        self.filters = {
            name: _checked(own.get(name, function))
            for name, function in self.filters.items()
            if name in FILTERS
        }
        tests: Mapping[str, Any] = self.tests
        self.tests = {name: _checked(function) for name, function in tests.items()}
        self.filters |= {_TURNS: _turns, _PAY: _pay, _SIZED: sized}

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Add a filter; its arguments and its result are charged."""
        self.filters[name] = _checked(function)

    def bounded(self, template: jinja2.Template, fields: Mapping[str, Any]) -> str:
        """Render a template with these fields.

        Raises:
            TooMuch: the template exceeds a limit.
            Exception: whatever else is wrong with the template.
        """
        made: list[str] = []
        size = 0
        with limited(STEPS):
            for piece in template.generate(fields):
                made.append(piece)
                size += len(piece)
                if size > OUTPUT:
                    raise TooMuch(f"its text is longer than {OUTPUT:,} characters")
        return "".join(made)

    # Called by Jinja during compilation

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, *args: Any,
        **options: Any,
    ) -> str:  # fmt: skip
        """Reject what is forbidden, and insert charges for whatever can repeat."""

        def called(filter_name: str, value: Any, *given: object) -> Any:
            constants = [nodes.Const(g) for g in given]
            made = nodes.Filter(value, filter_name, constants, [], None, None)
            return made.set_lineno(value.lineno)

        node: Any  # its fields have various types
        part: Any
        for node in source.find_all(nodes.Node):
            what = next((said for kind, said in _FORBIDDEN if isinstance(node, kind)), None)
            if what is not None or (isinstance(node, nodes.For) and node.recursive):
                raise jinja2.TemplateSyntaxError(
                    f"{what or 'recursive loops'} cannot be used in a template of tocsin",
                    node.lineno, name, filename,
                )  # fmt: skip
        for node in list(source.find_all((nodes.For, nodes.Concat))):
            if isinstance(node, nodes.For):
                node.iter = called(_TURNS, node.iter, _weight(node))
            else:
                node.nodes = [called("join", nodes.List(node.nodes).set_lineno(node.lineno))]
        for part in [*source.find_all(nodes.Block), source]:
            empty = nodes.Const("").set_lineno(part.lineno)
            part.body.insert(0, nodes.Output([called(_PAY, empty, _weight(part))]))
        # Comparing equal lists visits all of their items.
        for part in source.find_all(nodes.Compare):
            for side in [part, *part.ops]:
                side.expr = called(_SIZED, side.expr)
        _wrap(source, lambda node: called(_SIZED, node))
        source.set_environment(self)
        return super()._generate(source, name, filename, *args, **options)

    # Called by templates while they are rendered

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers; texts and lists can only be joined, anything else is TooMuch."""
        for value in (left, right):
            if not isinstance(value, int | float) and not (
                operator == "+" and isinstance(value, str | list | tuple)
            ):
                raise TooMuch(
                    f"{operator} works with numbers only, not with {type(value).__name__}"
                )
        return sized(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **options: Any) -> Any:  # noqa: N805
        """Call one of :data:`METHODS`; anything else is a SecurityError."""
        name = getattr(__obj, "__name__", "")
        if name not in METHODS and not isinstance(__obj, BlockReference | jinja2.Undefined):
            raise SecurityError(f"{name or type(__obj).__name__}() cannot be called in a template")
        for value in (getattr(__obj, "__self__", None), *args, *options.values()):
            sized(value)
        return sized(super().call(__context, __obj, *args, **options))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a value. It is charged: filters take attribute paths of any length."""
        charge(1)
        return super().getitem(sized(obj) if isinstance(argument, slice) else obj, argument)

    def _load_template(self, *args: Any, **options: Any) -> jinja2.Template:
        charge(LOADING)
        return super()._load_template(*args, **options)


def _weight(node: nodes.Node) -> int:
    """Return the steps of one execution of a part of a template, without the loops in it."""
    return 1 + sum(
        1 + len(n.data) // 20 if isinstance(n, nodes.TemplateData) else 1
        for n in node.find_all(nodes.Node)
    )


def _wrap(node: nodes.Node, wrapped: Callable[[nodes.Expr], nodes.Expr]) -> None:
    """Charge lists and mappings where they are created; repeated doubling makes them large."""
    for field in node.fields:
        value = getattr(node, field)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, nodes.Node):
                _wrap(child, wrapped)

        def changed(child: Any) -> Any:
            made = isinstance(child, nodes.List | nodes.Dict) or (
                isinstance(child, nodes.Tuple) and child.ctx == "load"
            )
            return wrapped(child) if made else child

        setattr(
            node, field, [changed(c) for c in value] if isinstance(value, list) else changed(value)
        )
