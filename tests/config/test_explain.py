"""What classes of plugins raise when they are made: told with the option that it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import pytest
from attrs import Attribute, Converter, Factory, field, frozen, validators

from tocsin.core.config.construct import construct
from tocsin.core.config.errors import Problems
from tocsin.core.config.structure import build

T = TypeVar("T")


def even(_: object, attribute: Attribute[int], value: int) -> None:
    if value % 2:
        raise ValueError(f"{attribute.name} must be even")


def short(text: str) -> str:
    if len(text) > 3:
        raise ValueError("must have at most 3 characters")
    return text.upper()


def above_first(instance: Any, _: object, value: int) -> None:
    if value <= instance.first:
        raise ValueError("must be above first")


def refuse(*_: object) -> Any:
    raise ValueError("not in this house")


def raises(error: Callable[[], BaseException]) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error()

    return fail


@attrs.define
class Plain:
    """A class with two fields that validate, as attrs makes them by default."""

    first: int = field(default=0, validator=even)
    second: int = field(default=0, validator=[even, above_first])


@frozen(kw_only=True)
class Converted:
    """A class whose converters run after the types were looked at."""

    before: int = field(default=0, validator=even)
    name: str = field(default="", converter=short)
    _hidden: str = field(
        default="",
        converter=Converter(refuse, takes_self=True),  # type: ignore[misc] # mypy knows functions
    )


@frozen(kw_only=True, slots=False)
class Whole:
    """A class that refuses what its fields take, one by one."""

    first: int = field(default=0, validator=even)
    second: int = field(default=0, converter=int)

    def __attrs_post_init__(self) -> None:
        if self.first == self.second:
            raise ValueError("first and second must differ")


@frozen(kw_only=True)
class Nest:
    """A class with attrs classes in a list and in a table."""

    several: list[Plain] = Factory(list)
    named: dict[str, Plain] = Factory(dict)


@frozen(kw_only=True)
class Box(Generic[T]):
    """A class of which a type is filled in by who uses it."""

    content: T
    size: int = field(default=0, validator=even)


@frozen(kw_only=True)
class Boxes:
    """A class with one of such a class."""

    box: Box[int]


def found(cls: type, table: dict[str, Any]) -> list[tuple[str, str]]:
    """Path and message of each problem with a table of options."""
    problems = Problems("tocsin.toml")
    assert build(cls, table, ("a",), problems) is None
    return [(problem.path, problem.message) for problem in problems.found]


def test_what_a_validator_raises_is_told_with_its_field() -> None:
    """The field of a plain attrs class is named; so is one that is validated against another."""
    assert found(Plain, {"first": 1}) == [("a.first", "first must be even")]
    assert found(Plain, {"first": 2, "second": 2}) == [("a.second", "must be above first")]


def test_every_field_that_is_refused_is_told() -> None:
    """attrs stops at the first validator that raises, in the order of the fields; tocsin asks the
    others, also if an option could not be read. What was not written is not named because of an
    error in another option."""
    first, second = ("a.first", "first must be even"), ("a.second", "second must be even")
    assert found(Plain, {"second": 3, "first": 1}) == [first, second]
    assert found(Plain, {"first": 3}) == [first]
    assert found(Plain, {"first": "x", "second": 3, "third": 3}) == [
        ("a.first", "expected a whole number, got 'x'"),
        ("a.third", "there is no such option; known are first, second"),
        second,
    ]


def test_what_a_converter_raises_is_told_with_its_field() -> None:
    """Converters run before any validator; one that takes the instance is found, too, and a
    field's name is told as it stands in the file."""
    before = ("a.before", "before must be even")
    assert found(Converted, {"before": 1, "name": "long"}) == [
        ("a.name", "must have at most 3 characters"), before,
    ]  # fmt: skip
    assert found(Converted, {"before": 1, "name": "abc", "_hidden": "x"}) == [
        ("a._hidden", "not in this house"), before,
    ]  # fmt: skip


def test_what_a_class_raises_after_its_fields_is_told_at_the_table() -> None:
    """``__attrs_post_init__`` is about no field, even where fields have validators."""
    assert found(Whole, {"first": 2, "second": 2}) == [("a", "first and second must differ")]


def test_a_field_of_a_nested_class_is_told_with_its_whole_path() -> None:
    """Each refused table of a list or of tables by name is told, points in a key included."""
    table = {"several": [{}, {"first": 1}, {"second": 1}], "named": {"a.b": {"first": 3}}}
    assert found(Nest, table) == [
        ("a.several[0].second", "must be above first"),
        ("a.several[1].first", "first must be even"),
        ("a.several[2].second", "second must be even"),
        ('a.named."a.b".first', "first must be even"),
    ]


def test_a_generic_class_is_made_and_told() -> None:
    """A class with a type that is filled in works; the field that was refused is named."""
    problems = Problems("tocsin.toml")
    assert build(Boxes, {"box": {"content": 1}}, (), problems) == Boxes(box=Box(content=1))
    assert found(Boxes, {"box": {"content": 1, "size": 3}}) == [("a.box.size", "size must be even")]


class Nameless(ValueError):
    """An error that cannot be written."""

    def __str__(self) -> str:
        raise SystemExit(4)


@pytest.mark.parametrize(
    ("error", "told", "fault"),
    [
        (lambda: ValueError(Nameless()), [("a.wild", "ValueError")], False),
        (Nameless, [("a.wild", "Nameless")], False),
        (lambda: KeyError("other"), [("a.wild", "KeyError other")], False),
        (lambda: RuntimeError("no"), [], True),
        (lambda: SystemExit(3), [], True),
    ],
)
def test_whatever_a_validator_raises_is_a_problem(
    error: Callable[[], BaseException], told: list[tuple[str, str]], fault: bool
) -> None:
    """An error that cannot be written is told by its type; one that is not about options,
    ``SystemExit`` included, is the plugin's fault."""

    @frozen(kw_only=True)
    class Wild:
        wild: int = field(default=1, validator=raises(error))

    problems = Problems("tocsin.toml")
    made, reason = construct(Wild, {}, ("a",), problems)
    assert (made, reason is not None) == (None, fault)
    assert [(problem.path, problem.message) for problem in problems.found] == told


@frozen(kw_only=True)
class Standard:
    """A class with the standard validators of attrs."""

    least: int = field(default=1, validator=validators.ge(1))
    most: float = field(default=1, validator=validators.le(9))
    above: int = field(default=1, validator=validators.gt(0))
    below: int = field(default=1, validator=validators.lt(9))
    short: str = field(default="", validator=validators.max_len(3))
    some: tuple[int, ...] = field(default=(1,), validator=validators.min_len(1))
    one: str = field(default="b", validator=validators.in_(("b", "a")))
    word: str = field(default="a", validator=validators.matches_re("[a-z]+"))
    each: tuple[int, ...] = field(default=(), validator=validators.deep_iterable(validators.lt(5)))
    kind: int | str = field(default=1, validator=validators.instance_of(int))
    maybe: int | None = field(default=None, validator=validators.optional(validators.ge(2)))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("least", 0, "must be at least 1, not 0"),
        ("most", 10, "must be at most 9, not 10"),
        ("above", 0, "must be more than 0, not 0"),
        ("below", 9, "must be less than 9, not 9"),
        ("short", "abcd", "must have a length of at most 3, not 4"),
        ("some", [], "must have a length of at least 1, not 0"),
        ("one", "c", "must be one of 'a', 'b', not 'c'"),
        ("word", "7", "must match the regular expression '[a-z]+', not '7'"),
        ("each", [7], "must be less than 5, not 7"),
        ("kind", "x", "must be of type int, not 'x'"),
        ("maybe", 1, "must be at least 2, not 1"),
    ],
)
def test_what_validators_of_attrs_say_is_worded_as_other_messages(
    option: str, value: object, words: str
) -> None:
    """The name of the option is in the path, and the sentence says what to write."""
    assert found(Standard, {option: value}) == [(f"a.{option}", words)]
