"""``tocsin new-plugin``: what it writes for each kind, and which names it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from tests.test_packaging import copy_sources
from tocsin.core.cli.context import Context
from tocsin.core.cli.main import cli
from tocsin.core.cli.new_plugin import KINDS, LONGEST, contents_of
from tocsin.core.config import load_config
from tocsin.core.plugin import hookspecs
from tocsin.core.plugin.api import API
from tocsin.core.plugin.manager import PluginManager, tocsin_version

BIN = Path(sys.executable).parent
VARIANTS = [(kind, False) for kind in KINDS] + [(kind, True) for kind in KINDS if KINDS[kind].opens]


def create(place: Path, *arguments: str) -> tuple[int, str]:
    """Run the command, which must not depend on this machine's plugins; its status and output."""
    context = Context(env={"TOCSIN_PLUGINS_DISABLED": "dashboard"})
    done = CliRunner().invoke(
        cli, ["new-plugin", *arguments, "--into", str(place)], obj=context, catch_exceptions=False
    )
    return done.exit_code, done.output


def made(place: Path, kind: str, stateful: bool, name: str = "my-own") -> Path:
    """Create a plugin of a kind; its folder."""
    code, output = create(place, name, "--kind", kind, *["--stateful"] * stateful)
    assert code == 0, output
    return place / f"tocsin-{name}"


def configuration(folder: Path) -> str:
    """The example of tocsin.toml in a plugin's README."""
    (text,) = re.findall(r"```toml\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return str(text)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ModuleType]:
    """Import the module of a new plugin without installing it."""

    def imported(folder: Path) -> ModuleType:
        (path,) = (folder / "src").iterdir()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return imported


@pytest.mark.parametrize(("kind", "stateful"), VARIANTS)
def test_every_kind_is_a_plugin_whose_readme_is_right(
    kind: str, stateful: bool, tmp_path: Path, load: Callable[[Path], ModuleType],
    tocsin_manager: Callable[..., PluginManager],
) -> None:  # fmt: skip
    """It registers without a fault, names the API that it is written for, bounds what it needs,
    and the configuration in its README loads."""
    folder = made(tmp_path, kind, stateful)
    module = load(folder)
    assert module.tocsin_api == str(API)
    manager = tocsin_manager(**{"my-own": module})
    (record,) = manager.records
    assert record.status == "ok", record.reason
    assert record.kinds == (KINDS[kind].provides or kind,)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["tocsin"] == {"my-own": module.__name__}
    assert project["dependencies"][0] == "tocsin>=0.1,<0.3"
    file = tmp_path / "tocsin.toml"
    file.write_text(configuration(folder))
    assert "my-own" in file.read_text()
    assert not load_config(file, {}, manager).warnings
    readme = (folder / "README.md").read_text()
    joined = re.findall(r"^ {4}.*\n[^ \n].*$", readme, re.MULTILINE)
    assert joined == [], "a blank line ends a code block"


def test_every_hook_has_a_kind() -> None:
    """A hook that is new needs a template."""
    hooks = {name for name in vars(hookspecs) if name.startswith("tocsin_")}
    texts = "".join(text for kind in KINDS for text in contents_of("x", kind).values())
    assert set(re.findall(r"def (tocsin_\w+)\(", texts)) == hooks


@pytest.mark.parametrize("name", ["x", f"a{'b' * (LONGEST - 1)}"])
def test_every_kind_is_formatted_whatever_its_name(name: str, tmp_path: Path) -> None:
    """Ruff, with the settings that the plugin comes with, finds nothing for the shortest and the
    longest name; nothing in it is Any."""
    folders = [made(tmp_path / f"{kind}-{stateful}", kind, stateful, name)
               for kind, stateful in VARIANTS]  # fmt: skip
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [BIN / "ruff", *command, *folders], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    for path in tmp_path.rglob("*.py"):
        assert not re.search(r"\bAny\b|noqa|type: ignore", path.read_text()), path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Bad Name"], "'Bad Name' is not a plugin name; use lower-case letters"),
        (["2fa"], "'2fa' is not a plugin name"),
        (["a_b"], "'a_b' is not a plugin name"),
        (["../x"], "'../x' is not a plugin name"),
        (["é"], "'é' is not a plugin name"),
        (["tocsin-dns"], "leave out 'tocsin-', which is put before the name: 'dns'"),
        (["a" * (LONGEST + 1)], f"is longer than {LONGEST} characters"),
        (["http"], "the name 'http' is taken by the plugin 'http' of tocsin"),
        (["down", "--kind", "route"], "the name 'down' is taken by the plugin 'down' of tocsin"),
        (["replicas", "--kind", "rule"], "'replicas' is taken by a rule of the plugin 'down'"),
        (["status", "--kind", "command"], "'status' is taken by the command 'tocsin status'"),
        (["x", "--kind", "rule", "--stateful"], "a rule has no runtime; --stateful is for these"),
        (["x", "--kind", "thing"], "'thing' is not one of 'probe', 'push-probe', 'source'"),
    ],
)
def test_what_cannot_be_a_plugin_is_refused(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    """One sentence says why, and nothing is written."""
    code, output = create(tmp_path, *arguments)
    assert code == 2
    assert words in output
    assert len([line for line in output.splitlines() if "tocsin: " in line]) <= 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_kind_is_free(tmp_path: Path) -> None:
    """A probe may be called like a command of tocsin, or like a rule of a plugin."""
    assert create(tmp_path, "status")[0] == 0
    assert create(tmp_path, "replicas")[0] == 0


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    """The same is true of a file, and of a folder that cannot be created."""
    folder = made(tmp_path, "rule", False)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert create(tmp_path, "my-own") == (
        1, f"tocsin: {folder} already exists; choose another name, or remove it\n",
    )  # fmt: skip
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "file").touch()
    code, output = create(tmp_path / "file" / "below", "my-own")
    assert code == 1
    assert "cannot be created (Not a directory)" in output


def test_a_plugin_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails meanwhile, no folder is left."""
    write = Path.write_text

    def fail(path: Path, *arguments: str, **named: str) -> int:
        if path.suffix == ".py":
            raise OSError(28, "No space left on device")
        return write(path, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", fail)
    code, output = create(tmp_path, "my-own")
    assert code == 1
    assert output.endswith("tocsin-my-own cannot be written (No space left on device)\n")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_configuration_does_not_matter(tmp_path: Path) -> None:
    """A plugin can be created beside it."""
    config = tmp_path / "tocsin.toml"
    config.write_text("[plugins\n")
    done = CliRunner().invoke(
        cli, ["--config", str(config), "new-plugin", "my-own", "--into", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output


def run(folder: Path, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without what this test's own environment has set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "TOCSIN"))}
    return subprocess.run(
        [str(word) for word in command], cwd=folder, env={**kept, **env}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_every_kind_works_where_only_wheels_are_installed(tmp_path: Path) -> None:
    """In an environment of its own, with a wheel of tocsin: each new plugin is installed and
    listed, its tests pass, ruff, mypy and pyright find nothing, and its configuration is valid."""
    uv = shutil.which("uv", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    env = {"PATH": f"{tmp_path}/env/bin{os.pathsep}{os.environ['PATH']}",
           "VIRTUAL_ENV": f"{tmp_path}/env", "MYPY_CACHE_DIR": f"{tmp_path}/mypy",
           "TOCSIN_DATA_DIR": f"{tmp_path}/data"}  # fmt: skip
    sources = copy_sources(tmp_path / "sources")
    wheel = tmp_path / f"tocsin-{tocsin_version()}-py3-none-any.whl"
    for command in (
        [uv, "build", "-q", "--wheel", "--out-dir", tmp_path, sources],
        [uv, "venv", "-q", "--python", sys.executable, tmp_path / "env"],
        [uv, "pip", "install", "-q", wheel],
    ):
        done = run(tmp_path, *command, **env)
        if "Failed to fetch" in done.stdout and "CI" not in os.environ:
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stdout
    folders = []
    for kind, stateful in VARIANTS:
        name = f"my-{kind}{'-stateful' * stateful}"
        options = ["--kind", kind, *["--stateful"] * stateful]
        done = run(tmp_path, "tocsin", "new-plugin", name, *options, **env)
        assert done.returncode == 0, done.stdout
        folders.append(tmp_path / f"tocsin-{name}")
    wanted = [f"{folder}[test]" for folder in folders]
    done = run(tmp_path, uv, "pip", "install", "-q", *wanted, **env)
    assert done.returncode == 0, done.stdout
    wrong = []
    for folder in folders:
        (folder / "tocsin.toml").write_text(configuration(folder))
        for line in (
            "ruff check", "ruff format --check", "mypy", "pyright",
            "tocsin --config tocsin.toml config check", "python -m pytest -q",
        ):  # fmt: skip
            done = run(folder, *line.split(), **env)
            if done.returncode != 0:
                wrong.append(f"{folder.name}: {line}: {done.stdout}")
    assert not wrong, "\n".join(wrong)
    # A history runs in tocsin's own process only, where its configuration names it.
    file = str(tmp_path / "tocsin-my-history" / "tocsin.toml")
    done = run(tmp_path, "tocsin", "--config", file, "plugins", "--json", **env)
    listed = json.loads(done.stdout)
    own = {item["distribution"]: item["status"] for item in listed if "my-" in item["name"]}
    assert own == {folder.name: "ok" for folder in folders}
    assert "Print the targets" in run(tmp_path, "tocsin", "my-command", "--help", **env).stdout


def test_the_guide_begins_with_the_command_for_each_kind() -> None:
    """entry_points.md has one line for each kind and each variant with a runtime."""
    guide = (Path(__file__).parents[1] / "entry_points.md").read_text()
    beginning = guide[: guide.index("```python")]
    named = set(re.findall(r"^    tocsin new-plugin [a-z-]+ *(.*?) *(?:#.*)?$", beginning, re.M))
    assert named == {f"--kind {kind}" for kind in KINDS if kind != "probe"} | {"", "--stateful"}
