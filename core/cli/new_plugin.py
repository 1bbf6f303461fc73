"""The command ``tocsin new-plugin``: creates a folder with a working plugin and its test."""

from __future__ import annotations

import re
from pathlib import Path

import click

from tocsin.core.cli.context import Failure

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "tocsin-{name}"
version = "0.1.0"
description = "A probe for tocsin."
requires-python = ">=3.11"
dependencies = ["tocsin"]

[project.optional-dependencies]
test = ["pytest", "pytest-asyncio"]

[project.entry-points.tocsin]
{name} = "tocsin_{module}"

[tool.setuptools]
py-modules = ["tocsin_{module}"]

[tool.pytest.ini_options]
asyncio_mode = "auto"
"""

_MODULE = '''\
"""A probe for tocsin."""

from attrs import frozen
from tocsin import Probe, Result, Target, hookimpl


@frozen(kw_only=True)
class {cls}(Probe):
    """Describe in one line what it checks. Fields are the check's options in tocsin.toml."""

    greeting: str = "hello"

    async def check(self, target: Target) -> Result:
        text = f"{{self.greeting}}, {{target.name}}"
        return Result.up(text, metrics={{"letters": len(target.name)}})


@hookimpl
def tocsin_probes():
    return {{"{name}": {cls}}}
'''

_TEST = '''\
"""Tests of the {name} probe."""

import pytest
from tocsin import Status, Target
from tocsin.testing import check_probe_conformance

from tocsin_{module} import {cls}


async def test_it_sees_a_target_that_is_up():
    """A healthy target is up, with its metric."""
    result = await {cls}().check(Target(name="web"))
    assert result.status is Status.UP
    assert result.metrics == {{"letters": 3}}


async def test_it_keeps_to_the_contract():
    """It passes the suite that tocsin's own probes pass."""
    await check_probe_conformance({cls}())
'''

_README = """\
# tocsin-{name}

A probe for [tocsin](https://pypi.org/project/tocsin/).

    pip install -e '.[test]'   # install it into tocsin's environment
    pytest                     # its tests
    tocsin plugins             # it is listed

Use it in `tocsin.toml`:

    [targets.web.checks.{name}]
    probe = "{name}"
    greeting = "hello"
"""


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="The folder in which tocsin-NAME is created.",
)
def new_plugin(name: str, into: Path) -> None:
    """Create a folder tocsin-NAME with a working probe, its test and its packaging."""
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{name!r} is not a plugin name; use lower-case letters, digits and hyphens", 2
        )
    folder = into / f"tocsin-{name}"
    module = name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "cls": "".join(part.title() for part in name.split("-")) + "Probe",
    }
    files = {
        "pyproject.toml": _PYPROJECT,
        f"tocsin_{module}.py": _MODULE,
        f"test_{module}.py": _TEST.replace("import pytest\n", ""),
        "README.md": _README,
    }
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text.format(**words))
    except FileExistsError:
        raise Failure(f"{folder} already exists; choose another name, or remove it") from None
    except OSError as error:
        raise Failure(f"{folder} cannot be written ({error.strerror})") from error
    click.echo(
        f"{folder} was created: pip install -e '{folder}[test]', then 'tocsin plugins' lists it"
    )
