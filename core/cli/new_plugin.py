"""The command ``tocsin new-plugin``: creates a folder with a plugin, its tests and its packaging.

What is written is in the files of ``scaffold``: one for each kind, and one for what all share. A
line ``=== PATH`` begins a file of the new plugin.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

import click
from attrs import frozen

from tocsin.core.cli.context import Context, Failure, pass_context

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

LONGEST = 30
"""Most characters of a name: the lines of the templates then have at most 100 characters."""


@frozen(kw_only=True)
class Kind:
    """A kind of plugin.

    Attributes:
        about: what it is, as the beginning of a sentence.
        suffix: end of the name of its class; with the name before it, it is none of tocsin's names.
        provides: the kind under which its name has to be unique; None: its name does not matter.
        opens: whether it may have a runtime.
    """

    about: str
    suffix: str = ""
    provides: str | None
    opens: bool = False


KINDS = {
    "probe": Kind(about="A probe", suffix="Probe", provides="probe", opens=True),
    "push-probe": Kind(about="A push probe", suffix="PushProbe", provides="probe"),
    "source": Kind(about="A source", suffix="Source", provides="source", opens=True),
    "rule": Kind(about="A rule", suffix="Rule", provides="rule"),
    "notifier": Kind(about="A notifier", suffix="Notifier", provides="notifier", opens=True),
    "observer": Kind(about="An observer", suffix="Observer", provides="observer", opens=True),
    "history": Kind(about="A history", suffix="History", provides="history"),
    "reviewer": Kind(about="A reviewer", suffix="Reviewer", provides="reviewer", opens=True),
    "service": Kind(about="A service", suffix="Service", provides="service"),
    "route": Kind(about="A route of the HTTP API", provides=None),
    "panel": Kind(about="A panel of the dashboard", provides=None),
    "doctor": Kind(about="A check of the installation", provides=None),
    "command": Kind(about="A command", provides="command"),
}

_REQUIREMENTS = {"aiohttp": "aiohttp>=3.12,<4", "attrs": "attrs>=24.2", "click": "click>=8.1,<9"}
"""What a plugin may import besides tocsin. tocsin, whose interface attrs is part of, bounds it."""


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="probe",
    show_default=True,
    help="What the plugin provides.",
)
@click.option(
    "--stateful",
    is_flag=True,
    help="Keep something from call to call: a probe, source, notifier, observer or reviewer with "
    "a runtime.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="The folder in which tocsin-NAME is created.",
)
@pass_context
def new_plugin(context: Context, name: str, kind: str, stateful: bool, into: Path) -> None:
    """Create a folder tocsin-NAME with a working plugin, its tests and its packaging."""
    if stateful and not KINDS[kind].opens:
        opening = ", ".join(other for other, each in KINDS.items() if each.opens)
        raise Failure(f"a {kind} has no runtime; --stateful is for these kinds: {opening}", 2)
    _check_name(name)
    if holder := _holder(name, kind, context):
        raise Failure(f"the name {name!r} is taken by {holder}; choose another one", 2)
    folder = into / f"tocsin-{name}"
    contents = contents_of(name, kind, stateful=stateful)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Failure(f"{folder} already exists; choose another name, or remove it") from None
    except OSError as error:
        raise Failure(f"{folder} cannot be created ({error.strerror})") from error
    try:
        for file, text in contents.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Failure(f"{folder} cannot be written ({error.strerror})") from error
    click.echo(
        f"{folder} was created: pip install -e '{folder}[test]', then 'tocsin plugins' lists it"
    )


def contents_of(name: str, kind: str, *, stateful: bool = False) -> dict[str, str]:
    """Return the contents of a new plugin's files, by their paths in its folder.

    Args:
        name: name of the plugin.
        kind: one of KINDS.
        stateful: whether it has a runtime.
    """
    from tocsin.core.plugin.api import API  # imported late: the help does without
    from tocsin.core.plugin.manager import tocsin_version

    sections: dict[str, str] = {}
    for template in ("common", f"{kind}-stateful" if stateful else kind):
        for path, text in _sections(template).items():
            sections[path] = sections.get(path, "") + text
    imported = set(re.findall(r"^(?:from|import) (\w+)", "".join(sections.values()), re.MULTILINE))
    needed = [text for module, text in _REQUIREMENTS.items() if module in imported]
    module = name.replace("-", "_")
    words: Mapping[str, str] = {
        "api": str(API),
        "name": name,
        "about": KINDS[kind].about,
        "short": module,
        "module": f"tocsin_{module}",
        "cls": "".join(part.capitalize() for part in name.split("-")) + KINDS[kind].suffix,
        "dependencies": ", ".join(f'"{each}"' for each in [_bounds(tocsin_version()), *needed]),
    }
    return {
        Template(path).substitute(words): Template(text).substitute(words)
        for path, text in sections.items()
    }


def _sections(template: str) -> dict[str, str]:
    """Return the parts of a template by the paths that begin them."""
    text = (files("tocsin.core.cli") / "scaffold" / f"{template}.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _bounds(version: str) -> str:
    """Return the requirement of tocsin: what is deprecated ends two minor versions later."""
    major, minor = map(int, version.split(".")[:2])
    return f"tocsin>={major}.{minor},<{major}.{minor + 2}"


def _check_name(name: str) -> None:
    if name.startswith("tocsin-"):
        raise Failure(f"leave out 'tocsin-', which is put before the name: {name[7:]!r}", 2)
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{name!r} is not a plugin name; use lower-case letters, digits and hyphens, and begin "
            "with a letter",
            2,
        )
    if len(name) > LONGEST:
        raise Failure(f"{name!r} is longer than {LONGEST} characters; choose a shorter name", 2)


def _holder(name: str, kind: str, context: Context) -> str | None:
    """Return what has the name already; None if nothing has."""
    from tocsin.core.plugin.own_commands import COMMANDS

    provides = KINDS[kind].provides
    if provides == "command" and name in COMMANDS:
        return f"the command 'tocsin {name}'"
    try:
        records = context.plugins().records
    except Failure:  # a broken configuration does not matter here
        return None
    for record in records:
        if record.name == name or record.distribution == f"tocsin-{name}":
            return f"the plugin {record.name!r} of {record.distribution}"
        for item in record.provides:
            if (item.kind, item.name) == (provides, name):
                return f"a {provides} of the plugin {record.name!r}"
    return None
