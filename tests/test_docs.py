"""The documents tell the truth: hooks are documented as they are, examples run."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import sqlite3
import subprocess
import sys
import tomllib
import types
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from click import Context

from tests.faults.fault import all_rows
from tests.running import free_port
from tocsin import (
    Notifier,
    Observer,
    Probe,
    PushProbe,
    Request,
    Reviewer,
    Role,
    Rule,
    Secret,
    Service,
    Source,
)
from tocsin.core.cli.new_plugin import contents_of
from tocsin.core.config import load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin import hookspecs
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.templates.context import of_digest, of_notice
from tocsin.core.testing.history import _Sample
from tocsin.testing import (
    RecordingContext,
    RecordingControls,
    RecordingSink,
    check_command_conformance,
    check_doctor_conformance,
    check_notifier_conformance,
    check_observer_conformance,
    check_panel_conformance,
    check_probe_conformance,
    check_push_conformance,
    check_reviewer_conformance,
    check_route_conformance,
    check_rule_conformance,
    check_service_conformance,
    check_source_conformance,
    message_of,
)

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "entry_points.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
TOML = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def hooks() -> dict[str, Any]:
    return {n: f for n, f in vars(hookspecs).items() if n.startswith("tocsin_")}


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    """Each hook has a heading with its signature, and no heading tells of a hook that is not."""
    headings = set(re.findall(r"^### `(tocsin_\w+.*)`$", GUIDE, re.MULTILINE))
    actual = {f"{name}{inspect.signature(hook)}".replace("'", "") for name, hook in hooks().items()}
    assert headings == actual


def example(number: int) -> types.ModuleType:
    module = types.ModuleType(f"example{number}")
    name = f"entry_points.md example {number}"
    exec(compile(PYTHON[number], name, "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.mark.parametrize("number", range(len(PYTHON)))
async def test_every_example_runs(number: int, tocsin_manager: Any, tmp_path: Path) -> None:
    """Each Python example is registered without a fault and passes the suite of its kind."""
    module = example(number)
    classes = [c for c in vars(module).values() if isinstance(c, type) and attrs.has(c)]
    own = [c for c in classes if c.__module__ == module.__name__]
    tests = [name for name in vars(module) if name.startswith("test_")]
    assert own or tests or {"tocsin_routes", "tocsin_commands"} & vars(module).keys()
    if any(name.startswith("tocsin_") for name in vars(module)):
        (record,) = tocsin_manager(example=module).records
        assert record.status == "ok", record.reason
    for cls in own:
        if issubclass(cls, Probe):
            options: dict[str, Any] = (
                {"host": "localhost"} if "host" in attrs.fields_dict(cls) else {}
            )
            await check_probe_conformance(cls(**options))
        elif issubclass(cls, PushProbe):
            check_push_conformance(cls())
        elif issubclass(cls, Source):
            sink = await check_source_conformance(cls())
            assert isinstance(sink, RecordingSink)
            assert sink.results
        elif issubclass(cls, Rule):
            check_rule_conformance(cls())
        elif issubclass(cls, Notifier):
            required: dict[str, Any] = {
                f.name: Secret("x") for f in attrs.fields(cls) if f.default is attrs.NOTHING
            }
            required |= {"spool": tmp_path} if "spool" in attrs.fields_dict(cls) else {}
            await check_notifier_conformance(cls(**required))
        elif issubclass(cls, Observer):
            await check_observer_conformance(cls())
        elif issubclass(cls, Reviewer):
            await check_reviewer_conformance(cls())
        elif issubclass(cls, Service):
            options = {"port": free_port()}
            assert await check_service_conformance(cls(**options), seconds=0.1) is None
    for command in getattr(module, "tocsin_commands", list)():
        check_command_conformance(command)
    for check in getattr(module, "tocsin_doctor", list)():
        await check_doctor_conformance(check)
    for route in getattr(module, "tocsin_routes", list)():
        request = Request(
            actor="tests", role=Role.VIEWER, path=dict.fromkeys(route.path_names, "a")
        )
        await check_route_conformance(route, request)
    for panel in getattr(module, "tocsin_panels", list)():
        probe = next(cls for cls in own if issubclass(cls, Probe))
        check_panel_conformance(panel, await check_probe_conformance(probe()))
    for name, function in vars(module).items():
        if name.startswith("test_"):
            await function()


def test_the_toml_examples_load(tmp_path: Path, tocsin_manager: Any) -> None:
    """The configuration examples are right, with the example plugins in place."""
    plugins = {f"p{n}": example(n) for n in range(len(PYTHON)) if "@hookimpl" in PYTHON[n]}
    manager = tocsin_manager(**plugins)
    for text in TOML:
        if "build-backend" in text:
            assert tomllib.loads(text)["project"]["entry-points"]["tocsin"]
            continue
        if "[tool." in text:
            made = tomllib.loads(contents_of("x", "probe")["pyproject.toml"])
            shown = tomllib.loads(text)
            assert shown["tool"] == made["tool"]
            assert shown["project"] == {
                "optional-dependencies": made["project"]["optional-dependencies"]
            }
            continue
        file = tmp_path / "tocsin.toml"
        file.write_text(text)
        settings = load_config(file, {}, manager)
        said = settings.targets or settings.sources or settings.channels
        assert said or any(
            f"[{kind}" in text
            for kind in ("rules.", "observers.", "reviewers.", "services.", "plugins]")
        )


def test_what_the_examples_declare_exists_without_configuration(tocsin_manager: Any) -> None:
    """The default rule of one, and the channel that the variables of another define."""
    plugins = {f"p{n}": example(n) for n in range(len(PYTHON)) if "@hookimpl" in PYTHON[n]}
    manager = tocsin_manager(**plugins)
    env = {"PAGER_HOST": "a", "PAGER_PASSWORD": "kQ9xLr2vTzWm4Hn8", "PAGER_NUMBERS": "1,2"}
    settings = load_config(None, env, manager)
    assert settings.warnings == ()
    assert getattr(settings.rules["very_slow"].rule, "seconds", None) == 30
    pager = settings.channels["pager"].notifier
    assert (getattr(pager, "host", None), getattr(pager, "numbers", None)) == ("a", (1, 2))


@pytest.mark.slow
def test_the_examples_have_strict_types(tmp_path: Path) -> None:
    """``mypy --strict`` finds nothing in any example, as it stands on the page."""
    for number, text in enumerate(PYTHON):
        (tmp_path / f"example_{number}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", tmp_path],
        env={**os.environ, "MYPYPATH": str(ROOT / "src")}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_example_that_listens_acts_for_those_it_knows(
    tmp_path: Path, tocsin_context: RecordingContext
) -> None:
    """It acknowledges, answers with the sentence of a refusal, and ignores other people."""
    number = next(n for n, text in enumerate(PYTHON) if "async def listen" in text)
    notifier = vars(example(number))["ModemNotifier"](spool=tmp_path, people=("49170",))
    runtime = await notifier.open(tocsin_context)
    message = message_of()
    await runtime.send(message)
    alert = message.notices[0].alert
    controls = RecordingControls(alerts={alert: "firing"})
    text = f"ack {str(alert)[-4:]}"
    assert await runtime.act(controls, text, "49170") == "acknowledged by 49170"
    assert "acknowledged already" in await runtime.act(controls, text, "49170")
    for sender in ("1-a", "49170-b"):
        (tmp_path / "incoming" / sender).write_text("what?")
    task = asyncio.create_task(runtime.listen(controls))
    async with asyncio.timeout(10):
        while list((tmp_path / "incoming").iterdir()):
            await asyncio.sleep(0.01)
        while "write" not in "".join(f.read_text() for f in (tmp_path / "outgoing").iterdir()):
            await asyncio.sleep(0.01)
    task.cancel()
    assert len(controls.done) == 1


def test_the_example_of_a_table_keeps_the_newest_revision_once() -> None:
    """A batch that is passed again changes nothing, an older revision neither."""
    number = next(n for n, text in enumerate(PYTHON) if "CREATE TABLE" in text)
    module = vars(example(number))
    database = sqlite3.connect(":memory:")
    database.executescript(module["SCHEMA"])
    table = module["Table"](database=database)
    for batch in (batches := _Sample(now=datetime(2026, 1, 15, tzinfo=UTC)).batches()):
        table.write(batch)
    table.write(batches[0])
    assert {alert.message for alert in table.of_kind("alert")} == {"no answer"}
    assert len(table.of_kind("observation")) == 120
    database.close()


def test_the_fields_of_templates_are_all_on_the_page() -> None:
    """Each field of a message about one alert or about several is in the chapter about them."""
    (chapter,) = re.findall(
        r"^#### Fields of templates\n(.*?)^###", GUIDE, re.DOTALL | re.MULTILINE
    )
    said = set(re.findall(r"`(\w+)`", chapter))
    message = message_of()
    fields = of_notice(message.notices[0], message, str).keys() | of_digest(message, str).keys()
    assert fields - said == set()


def test_the_first_example_is_as_short_as_promised() -> None:
    """A third-party probe takes fifteen lines of code."""
    code = [line for line in PYTHON[0].splitlines() if line.strip()]
    assert len(code) <= 15


def test_the_examples_of_configuration_load() -> None:
    """The example files are right as they are, and the reference names every section's default."""
    manager = PluginManager(PluginSettings())
    manager.load()
    reference = load_config(ROOT / "examples/tocsin.toml", {}, manager)
    plain = load_config(None, {}, manager)
    for section in (
        "interval",
        "timezone",
        "alerts",
        "rules",
        "own_alerts",
        "messages",
        "deadman",
        "maintenance",
        "api",
        "database",
        "log",
        "plugins",
    ):
        assert getattr(reference, section) == getattr(plain, section), section
    uplinks = [each.reviewers["uplink"].reviewer for each in (reference, plain)]
    assert uplinks[0] == uplinks[1]
    assert set(reference.sources) == {"docker"}
    assert not reference.warnings
    settings = load_config(ROOT / "examples/tradesystem/tocsin.toml", {}, manager)
    secrets = {f"{name}_URL": "https://example.org/hook" for name in ("SLACK", "DISCORD", "TEAMS")}
    secrets |= {
        "TELEGRAM_BOT_TOKEN": "123456:abcdefghijklmnopqrstuvwxyz0123456789", "NTFY_TOKEN": "tk_1",
        "TELEGRAM_CHAT_ID": "42", "SMTP_PASSWORD": "abcd efgh ijkl",
        "WEBHOOK_SECRET": "0123456789abcdef",
    }  # fmt: skip
    for file in sorted((ROOT / "examples/notifiers").glob("*.toml")):
        made = load_config(file, secrets, manager)
        assert made.channels or made.messages.templates
        assert not made.warnings
        assert all(channel.notifier is not None for channel in made.channels.values())
    containers = {t.name: t for t in settings.targets.values() if t.kind == "container"}
    assert len(containers) == 13
    assert not settings.warnings
    # As one service of the stack: the same matrix, its checks by labels or by the file.
    stack = yaml.safe_load((ROOT / "examples/tradesystem/system-monitor.yml").read_text())
    labels = {name: each.get("labels", {}) for name, each in stack["services"].items()}
    beside = load_config(
        ROOT / "examples/tradesystem/system-monitor.toml", {"POSTGRES_PASSWORD": "p"}, manager
    )
    assert not beside.warnings
    for name, target in containers.items():
        own = beside.targets[name]
        for word in ("kind", "critical", "depends_on", "expected"):
            assert getattr(own, word) == getattr(target, word), name
        asked = {key.removeprefix("tocsin.") for key in labels.get(name, {})} & {"http", "tcp"}
        assert {*own.checks, *asked} == set(target.checks), name
    assert "dashboard" in stack["services"]
    assert (
        "./system-monitor.toml:/etc/tocsin/tocsin.toml:ro"
        in (stack["services"]["system-monitor"]["volumes"])
    )


def test_the_changelog_knows_this_version() -> None:
    """The version that is installed has an entry."""
    assert f"## {version('tocsin')}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_names_only_commands_that_exist() -> None:
    """Every ``tocsin …`` command in the README is one."""
    from tocsin.core.plugin.own_commands import COMMANDS

    text = (ROOT / "README.md").read_text()
    used = set(re.findall(r"`tocsin ([a-z-]+)", text)) | set(
        re.findall(r"^ +tocsin ([a-z][a-z-]+)", text, re.MULTILINE)
    )
    assert used
    assert used <= COMMANDS.keys()


def test_the_help_says_of_each_command_what_its_own_help_says() -> None:
    """The list of commands, which is shown without importing them, has their first sentences."""
    from tocsin.core.cli.main import cli
    from tocsin.core.plugin.own_commands import COMMANDS

    context = Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}
    assert {name: c.get_short_help_str(500) for name, c in commands.items() if c} == COMMANDS


@pytest.mark.parametrize("package", ["tocsin", "tocsin.core.config"])
def test_a_package_has_each_of_its_names(package: str) -> None:
    """What it says that it has can be had, though it imports its modules on demand."""
    module = import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    with pytest.raises(AttributeError, match="nonsense"):
        module.nonsense  # noqa: B018


SECURITY = (ROOT / "docs/security.md").read_text()


def test_the_security_page_has_the_roles_as_they_are() -> None:
    """Each route that is not a viewer's stands in the row of its role; viewers only read."""
    from tocsin.core.http import ROUTES

    rows = dict(re.findall(r"^\| (none|viewer|operator|admin) \| (.+) \|$", SECURITY, re.MULTILINE))
    said = {role: set(re.findall(r"`([A-Z]+ /[^`]+)`", text)) for role, text in rows.items()}
    actual: dict[str, set[str]] = {role: set() for role in rows}
    for route in ROUTES:
        role = "none" if route.role is None else route.role.value
        if role == "viewer":
            assert route.method == "GET", route.path
        else:
            actual[role].add(f"{route.method} {route.path}")
    assert said == actual


def test_the_security_page_names_what_labels_may_ask_for() -> None:
    """The probes that labels may use are those of the page."""
    manager = PluginManager(PluginSettings())
    manager.load()
    allowed = sorted(name for name, entry in manager.probes.items() if entry.cls.by_label)
    assert f"`{'`, `'.join(allowed[:-1])}` and `{allowed[-1]}`" in SECURITY.replace("\n", " ")


def test_the_security_page_names_every_file_of_the_data_directory() -> None:
    """Their names in the code are those of the page, and the mode of a token is what it says."""
    from tocsin.core.runtime.data_dir import API_URL

    source = "".join(p.read_text() for p in (ROOT / "core").rglob("*.py"))
    made = set(re.findall(r'(?:data_dir|path|directory) / "([a-z.]+)"', source))
    for name in {*made, API_URL} - {"log", "postmaster.pid"}:
        assert f"`{name}" in SECURITY, name


def test_the_readme_leads_to_the_security_page() -> None:
    """Both are found from there, and name each other."""
    readme = (ROOT / "README.md").read_text()
    assert "docs/security.md" in readme
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()
    assert "SECURITY.md" in SECURITY


def test_the_page_on_reliability_has_every_fault() -> None:
    """Each row of ``make faults``, in the words of its own docstring."""
    page = (ROOT / "docs/reliability.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert listed == {name: " ".join(str(row.__doc__).split()) for name, row in all_rows().items()}
    assert "docs/reliability.md" in (ROOT / "README.md").read_text()
