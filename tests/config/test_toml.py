"""Syntax errors, lines, and everything at once."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.conftest import Load, Shelves, Wrong
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.errors import Problems
from tocsin.core.config.statements import locate
from tocsin.core.config.toml import parse

FIVE_KINDS = """\
interval = "30s"

[targets.web.checks.port]
probe = "tcp"
host = web
port = 80

[targets.db]
critical = true
critcal = true

[targets.db.checks.port]
probe = "tcp"
host = "db"
port = "5432"

[targets.db.checks.name]
probe = "tpc"
host = "db"

[targets.db.checks.slow]
probe = "rich"
timeout = "3 parsecs"
"""


def test_five_kinds_of_error_are_reported_together(wrong: Wrong) -> None:
    """Syntax, unknown key, wrong type, unknown probe and bad duration each come with their place,
    and nothing else is reported."""
    problems = wrong(FIVE_KINDS)
    assert [(p.line, p.path) for p in problems] == [
        (5, ""),
        (10, "targets.db.critcal"),
        (15, "targets.db.checks.port.port"),
        (18, "targets.db.checks.name.probe"),
        (23, "targets.db.checks.slow.timeout"),
    ]
    told = [p.message for p in problems]
    assert told[0] == "this is not TOML: invalid value"
    assert told[1] == "there is no such option; did you mean 'critical'?"
    assert told[2] == "expected a whole number, got '5432'"
    assert told[3] == "no probe is called 'tpc'; did you mean 'tcp'?"
    assert "'3 parsecs' is not a duration" in told[4]
    assert all("tocsin.toml:" in str(p) for p in problems)


REST = '\n[targets.a.checks.c]\nprobe = "tcp"\nhost = "h"\nport = 1\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = [1, 2" + REST, 1),
        ('timezone = """UTC' + REST, 1),
        ('timezone = "UTC' + REST, 1),
        ("timezone = {a = 1," + REST, 1),
        ('[plugins]\ndisabled = [\n  "a",\n  "b" "c",\n]' + REST, 4),
        ("timezone = 'a' 'b'" + REST, 1),
        ("just words" + REST, 1),
        ("= 5" + REST, 1),
        ("interval = " + "1" * 5000 + REST, 1),
        ("timezone = " + "[" * 5000 + REST, 1),
        ('[targets.a.checks.c\nprobe = "tcp"\nhost = "h"\nport = 1\n', 1),
        ('[targets.a.checks.c]]\nprobe = "tcp"\nhost = "h"\nport = 1\n', 1),
        ('[targets.my web]\nprobe = "x"\n' + REST, 1),
        ('[targets.a.checks.c]\nprobe = tcp\nhost = "h"\nport = 1\n', 2),
        ('[targets.a.checks.c]\nprobe "tcp"\nhost = "h"\nport = 1\n', 2),
        ("interval = 5\ninterval = 6" + REST, 2),
        ("[api]\nport = 1\n[log]\n[api]\nport = 2\n" + REST, 4),
    ],
)
def test_one_syntax_error_is_one_problem(wrong: Wrong, text: str, line: int) -> None:
    """A syntax error is reported once, on the line where it begins, and drags no false error in."""
    problems = wrong(text)
    assert [p.line for p in problems] == [line], [str(p) for p in problems]


@pytest.mark.parametrize(
    "broken", ["x = [1, 2", 'x = """UTC', "x = {a = 1,", "[targets.b", "what is this"]
)
def test_errors_after_a_syntax_error_are_found(wrong: Wrong, broken: str) -> None:
    """What comes after a statement that is not TOML is still checked."""
    problems = wrong(broken + REST.replace("port = 1", 'port = "x"'))
    assert [p.path for p in problems] == ["", "targets.a.checks.c.port"]


def test_a_file_of_nonsense_is_reported_in_bounds(wrong: Wrong) -> None:
    """Hundreds of broken lines give a bounded number of problems."""
    assert 1 < len(wrong("nonsense\n" * 500)) <= 21


def test_a_byte_order_mark_and_crlf_are_no_errors(load: Load) -> None:
    """A file saved by a Windows editor is read."""
    assert load('\ufeffinterval = "10s"\r\ntimezone = "UTC"\r\n').interval == 10


def test_deep_tables_are_a_problem_not_a_crash(wrong: Wrong) -> None:
    """A key of thousands of parts is refused with a sentence."""
    assert "deep" in wrong("a" + ".a" * 3000 + " = 1")[0].message


LINES = '''\
top = 1
[a]
# [not.a.header]
b = 1
"quoted key" = 2
c.d = 3
e = { f = 1, g = { h = 2 } }
i = [
  "x = 1",
  "[z]",
]
j = """
[k]
l = 1
"""
m = \'\'\'
[n]\'\'\'
[o."p.q".r]
s = 1
[[t]]
u = 1
[[t]]
u = 2
[t.v]
w = 3
[[t.x]]
y = 4
'''


def test_every_key_is_found_on_its_line() -> None:
    """Headers, dotted and quoted keys, inline tables, arrays of tables; strings are no keys."""
    assert locate(LINES) == {
        ("top",): 1,
        ("a",): 2,
        ("a", "b"): 4,
        ("a", "quoted key"): 5,
        ("a", "c"): 6,
        ("a", "c", "d"): 6,
        ("a", "e"): 7,
        ("a", "i"): 8,
        ("a", "j"): 12,
        ("a", "m"): 16,
        ("o",): 18,
        ("o", "p.q"): 18,
        ("o", "p.q", "r"): 18,
        ("o", "p.q", "r", "s"): 19,
        ("t",): 20,
        ("t", "[0]"): 20,
        ("t", "[0]", "u"): 21,
        ("t", "[1]"): 22,
        ("t", "[1]", "u"): 23,
        ("t", "[1]", "v"): 24,
        ("t", "[1]", "v", "w"): 25,
        ("t", "[1]", "x"): 26,
        ("t", "[1]", "x", "[0]"): 26,
        ("t", "[1]", "x", "[0]", "y"): 27,
    }


_KEYS = st.sampled_from(
    ["interval", "timezone", "probe", "host", "port", "enabled", "disabled", "a.b", '"q r"', "x"]
)
_VALUES = st.sampled_from(
    [
        "1", "-1", "1.5", "nan", "inf", "true", '"30s"', '"${X}"', '"${"', "[]", "{}", "[1, 'a']",
        '{probe = "tcp"}', "1979-05-27", "07:32:00", '"""', "'''", '"unclosed', "[", "{",
        "9" * 5000,
        '"tcp"', '"rich"', '"exiting"', "[[[]]]", '"\\u0000"', '"\\ud800"',
    ]
)  # fmt: skip
_HEADERS = st.sampled_from(
    [
        "[targets.a]", "[targets.a.checks.b]", "[targets.a.checks.b", "[[targets]]",
        "[sources.docker]",
        "[plugins]", "[api]", "[log]", "[database]", "[channels.x]", "[rules.x]",
        "[rules.container_down]", "[maintenance.x]", "[alerts]",
        "[targets.a.rules.container_down]", "[deadman]", "[targets]", '[targets."a/b"]',
        "[targets.a.expected]", "[actions]", "]", "[]", "[targets.'']",
    ]
)  # fmt: skip
_TOMLISH = st.lists(
    st.one_of(
        _HEADERS,
        st.tuples(_KEYS, _VALUES).map(" = ".join),
        st.text(st.sampled_from("abc=[]{}\"'#\\\n.,1- \x00\x85\u2028é"), max_size=12),
    ),
    max_size=12,
).map("\n".join)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=_TOMLISH)
def test_any_text_loads_or_is_a_config_error(load: Load, text: str) -> None:
    """Whatever stands in the file, it loads or raises ConfigError with at least one sentence."""
    try:
        load(text)
    except ConfigError as error:
        told = [problem.message for problem in error.problems]
    else:
        return
    assert told
    assert all(told)


@settings(max_examples=200, deadline=None)
@given(text=_TOMLISH)
def test_what_is_toml_is_read_as_it_stands(text: str) -> None:
    """A text that is TOML gives what tomllib gives, and no problem; one that is not gives some."""
    problems = Problems("f")
    try:
        expected = tomllib.loads(text)
    except (ValueError, RecursionError):
        parse(text, problems)
        assert problems.found
    else:
        assert repr(parse(text, problems)) == repr(expected)
        assert not problems.found


def test_without_a_file_the_defaults_hold(catalog: Shelves) -> None:
    """No file and no environment is a complete configuration."""
    found = load_config(None, {}, catalog)
    assert (found.file, found.interval, found.timezone, found.alerts.cooldown) == (
        None, 30.0, "UTC", 900.0,
    )  # fmt: skip
    assert (found.api.host, found.api.port) == ("127.0.0.1", 8095)


def test_a_file_that_is_not_text_is_one_problem(tmp_path: Path, catalog: Shelves) -> None:
    """Bytes that are not UTF-8, and a path that is a directory, are told in a sentence."""
    path = tmp_path / "tocsin.toml"
    path.write_bytes(b"interval = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path, {}, catalog)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {}, catalog)


@pytest.mark.parametrize("line", ["q{}x", "a{} b", "[{}", "[a{}b", "'{}", 'x = "{}" y', "[[a {}"])
def test_a_line_of_any_length_costs_no_time(wrong: Wrong, line: str) -> None:
    """A file is read over again to find all that is wrong with it, each line in proportion to its
    length."""
    began = time.thread_time()
    assert wrong(f"[api]\nport = 1\n{line.format(' ' * 40_000)}\n[alerts]\n")
    assert time.thread_time() - began < 2.0
