"""Where tocsin reads from: a directory that one happens to stand in decides nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.running import Running
from tests.store.helpers import NOWHERE
from tocsin import api_client
from tocsin.core.cli.client import ApiClient
from tocsin.core.cli.context import Context, Failure
from tocsin.core.cli.main import cli as commands
from tocsin.core.config import ConfigError, find_config, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.runtime.data_dir import data_directory

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to others needs root")
TOCSIN = [sys.executable, "-c", "from tocsin.core.cli.main import main; main()"]
PROOF = '[targets.t.checks.c]\nprobe = "backup-script"\ncommand = ["/usr/bin/touch", "{}"]\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the caller's own, in which the caller stands."""
    place = tmp_path / "here"
    place.mkdir(mode=0o755)
    monkeypatch.chdir(place)
    return place


class Thief(ThreadingHTTPServer):
    """A server that keeps the tokens it is sent."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        thief = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                thief.tokens.append(self.headers.get("Authorization", ""))
                self.send_response(500)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def thief() -> Iterator[Thief]:
    server = Thief()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an admin token."""
    place = tmp_path / "data"
    place.mkdir(mode=0o700)
    (place / "admin.token").write_text("tocsin_admin\n")
    (place / "admin.token").chmod(0o600)
    return place


def command(*arguments: str, data: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run tocsin where the test stands."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TOCSIN_", "DATABASE_"))}
    return subprocess.run(
        [*TOCSIN, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**clean, "TOCSIN_DATA_DIR": str(data), "DOCKER_HOST": "unix:///nowhere", **env},
    )  # fmt: skip


def refusal(env: dict[str, str] | None = None) -> str:
    """Why the file that lies here is not read."""
    with pytest.raises(ConfigError) as caught:
        find_config(None, env or {})
    return str(caught.value.problems[0])


def test_a_file_of_ones_own_is_found(here: Path) -> None:
    """./tocsin.toml is read where it and its directory are the caller's, and nobody else can write
    them."""
    assert find_config(None, {}) != Path("tocsin.toml")
    (here / "tocsin.toml").write_text('interval = "7s"\n')
    (here / "tocsin.toml").chmod(0o644)
    found = find_config(None, {})
    assert found == Path("tocsin.toml")
    assert load_config(found, {}, PluginManager(PluginSettings())).interval == 7
    here.chmod(0o1777)
    assert find_config(None, {}) == found  # sticky: nobody else can put another one in its place


@pytest.mark.slow
@as_root
@pytest.mark.parametrize("owner", [NOBODY, 1000])
def test_a_strangers_file_is_refused(here: Path, tmp_path: Path, owner: int, data: Path) -> None:
    """Its program does not run; one sentence says whose it is and how to have it all the same."""
    proof = tmp_path / "proof"
    (here / "tocsin.toml").write_text(PROOF.format(proof))
    os.chown(here / "tocsin.toml", owner, owner)
    for arguments in (("check",), ("run",), ("config", "show"), ("replay",), ("plugins",)):
        done = command(*arguments, data=data)
        assert done.returncode == 2, (arguments, done.stderr)
        assert "tocsin --config ./tocsin.toml" in done.stderr
        assert "Traceback" not in done.stderr
    assert not proof.exists()
    done = command("--config", "./tocsin.toml", "check", data=data)
    assert proof.exists(), done.stderr


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_refused(here: Path, mode: int) -> None:
    """Whatever is in it may be theirs."""
    file = here / "tocsin.toml"
    file.write_text("")
    file.chmod(mode)
    assert "chmod go-w . tocsin.toml" in refusal()
    assert find_config(Path("tocsin.toml"), {}) == Path("tocsin.toml")
    assert find_config(None, {"TOCSIN_CONFIG": "tocsin.toml"}) == Path("tocsin.toml")


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_directory_that_others_can_write_is_refused(here: Path, mode: int) -> None:
    """They can put another file in its place, and move the caller's own files about."""
    (here / "tocsin.toml").write_text("")
    here.chmod(mode)
    assert "directory" in refusal()
    assert "chmod go-w . tocsin.toml" in refusal()  # once for both, as with a umask of 002


@as_root
def test_a_strangers_directory_is_refused_whatever_lies_in_it(here: Path, tmp_path: Path) -> None:
    """Its owner can link or move files of the caller into it."""
    (here / "tocsin.toml").write_text("")
    os.chown(here, NOBODY, NOBODY)
    assert "directory" in refusal()
    os.chown(here, 0, 0)
    here.chmod(0o1777)
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    (here / "tocsin.toml").unlink()
    (here / "tocsin.toml").symlink_to(mine)
    assert "symbolic link" in refusal()
    here.chmod(0o755)
    assert find_config(None, {}) == Path("tocsin.toml")
    os.chown(mine, NOBODY, NOBODY)
    assert "belongs to" in refusal()


@as_root
def test_the_file_is_judged_again_when_it_is_read(here: Path) -> None:
    """What was found is not read once it has become another's: also on a reload."""
    (here / "tocsin.toml").write_text("")
    found = find_config(None, {})
    os.chown(here / "tocsin.toml", NOBODY, NOBODY)
    with pytest.raises(ConfigError, match="belongs to"):
        load_config(found, {}, PluginManager(PluginSettings()))


def test_a_file_that_never_ends_is_refused(here: Path) -> None:
    """A pipe called tocsin.toml holds nobody up."""
    os.mkfifo(here / "tocsin.toml")
    assert find_config(None, {}) != Path("tocsin.toml")


ASKING: list[tuple[str, ...]] = [
    ("status",), ("alerts",), ("ack", "ffffffff"), ("silence", "list"), ("maintenance", "list"),
    ("logs", "web"), ("plugins", "--live"), ("test-notification",), ("doctor",),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ASKING)
def test_no_token_goes_to_where_the_directory_says(
    here: Path, data: Path, thief: Thief, arguments: tuple[str, ...]
) -> None:
    """./tocsin.toml, even of one's own (an unpacked archive is), names neither the API's address
    nor the data directory to commands that ask the API."""
    (here / "api.url").write_text(f"http://127.0.0.1:{thief.server_port}\n")
    (here / "tocsin.toml").write_text(
        f'data_dir = "{here}"\n[api]\nport = {thief.server_port}\n[sources.docker]\nenabled=false\n'
    )
    done = command(*arguments, data=data)
    assert "no tocsin" in done.stderr + done.stdout
    assert arguments == ("doctor",) or done.returncode != 0
    command(*arguments, data=data, TOCSIN_TOKEN="tocsin_mine")
    assert thief.tokens == []


@pytest.mark.slow
@as_root
def test_commands_that_ask_go_on_in_a_strangers_directory(here: Path, data: Path) -> None:
    """Its tocsin.toml does not keep anybody from asking."""
    (here / "tocsin.toml").write_text("not toml")
    os.chown(here / "tocsin.toml", NOBODY, NOBODY)
    assert command("status", data=data).stderr == (
        f"tocsin: no tocsin runs on {data}; start one with 'tocsin run', or name another with "
        "TOCSIN_URL\n"
    )
    assert command("token", "create", "ci", data=data).stdout.startswith("tocsin_")
    assert (data / "tokens.db").exists()


def test_tokens_are_not_made_where_the_directory_says(here: Path, data: Path) -> None:
    """The data directory of ./tocsin.toml is not the one whose tokens are changed; that is said."""
    (here / "tocsin.toml").write_text('data_dir = "elsewhere"\n')
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TOCSIN_", "DATABASE_"))}
    done = subprocess.run(
        [*TOCSIN, "token", "create", "ci"], capture_output=True, text=True, timeout=60, check=False,
        env={**clean, "XDG_DATA_HOME": str(data)},
    )  # fmt: skip
    assert done.returncode == 0
    assert "--config ./tocsin.toml" in done.stderr
    assert not (here / "elsewhere").exists()
    done = command("token", "create", "other", data=data)
    assert (done.returncode, done.stderr) == (0, ""), "TOCSIN_DATA_DIR counts more than any file"


def test_the_system_file_with_a_relative_place_means_beside_itself(
    here: Path, tmp_path: Path
) -> None:
    """data_dir = "data" of a named file lies beside that file, wherever one stands."""
    other = tmp_path / "etc"
    other.mkdir()
    (other / "t.toml").write_text('data_dir = "data"\n[log]\nfile = "log/tocsin.log"\n')
    settings = load_config(other / "t.toml", {}, PluginManager(PluginSettings()))
    assert settings.data_dir == other / "data"
    assert settings.log.file == other / "log/tocsin.log"
    assert Context(config=other / "t.toml", env={}).data_dir() == other / "data"
    env = {"XDG_DATA_HOME": "share", "HOME": "/home/x"}
    assert not load_config(None, env, PluginManager(PluginSettings())).data_dir.is_relative_to(here)


def client(data: Path, **env: str) -> ApiClient:
    return ApiClient(Context(env={"TOCSIN_DATA_DIR": str(data), **env}))


BROKEN = """\
this is not toml
data_dir = "${GONE}"
[api]
port = "${GONE}"
"""


def unready(here: Path) -> Path:
    """A file in which what the commands look for cannot be read."""
    (here / "named.toml").write_text(BROKEN)
    return here / "named.toml"


@pytest.mark.parametrize("exists", [True, False])
def test_an_address_and_a_token_are_all_that_asking_needs(here: Path, exists: bool) -> None:
    """With TOCSIN_URL and TOCSIN_TOKEN no file is read: not one with a mistake and unset variables,
    nor one that is gone."""
    file = unready(here) if exists else here / "gone.toml"
    env = {"TOCSIN_URL": "http://127.0.0.1:2", "TOCSIN_TOKEN": "tocsin_mine"}
    assert ApiClient(Context(config=file, env=env)).url == "http://127.0.0.1:2"


def test_beside_a_data_directory_that_is_named_the_file_is_not_needed(
    here: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TOCSIN_DATA_DIR the running tocsin is found, and tokens are made, whatever the file and
    the variables for the API say."""
    env = {"TOCSIN_DATA_DIR": str(data), "TOCSIN_API_PORT": "x"}
    context = Context(config=unready(here), env=env)
    with data_directory(data):
        record(data, "http://127.0.0.1:1")
        assert ApiClient(context).url == "http://127.0.0.1:1"
    done = CliRunner().invoke(commands, ["-c", "named.toml", "token", "create", "ci"], env=env)
    assert done.output.startswith("tocsin_"), done.output


def test_only_what_is_looked_for_must_be_readable(here: Path, data: Path) -> None:
    """A mistake elsewhere in the file is no hindrance; where data_dir itself cannot be read, a few
    lines say where, and how to do without the file."""
    file = here / "named.toml"
    file.write_text(f'not toml\ndata_dir = "{data}"\n[api]\nport = "${{GONE}}"\n')
    assert Context(config=file, env={}).data_dir() == data
    for line, words in (
        ('data_dir = "${GONE}"', "named.toml:2: data_dir: the environment variable GONE is not"),
        ("data_dir = /var", "named.toml:2: this is not TOML"),
        ("data_dir = 3", "named.toml:2: data_dir: "),
    ):
        file.write_text(f"interval = 3\n{line}\n")
        with pytest.raises(
            Failure, match="set TOCSIN_URL and TOCSIN_TOKEN, or TOCSIN_DATA_DIR"
        ) as f:
            ApiClient(Context(config=file, env={"TOCSIN_TOKEN": "t"}))
        assert words in f.value.message
    file.write_text(f'data_dir = "{data}"\n[api]\nport = "${{GONE}}"\n')
    with pytest.raises(Failure, match=r"named.toml:3: api.port: the environment variable GONE"):
        ApiClient(Context(config=file, env={"TOCSIN_TOKEN": "t"}))


@click.command()
def asks() -> None:
    """Ask as a plugin's command does."""
    client = api_client()
    click.echo(f"{client.url} {client.token.reveal()} {client.token}")


def test_a_plugins_command_finds_the_tocsin_that_our_commands_find(
    here: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the options before the command, or from the environment; the token is not shown."""
    (data / "admin.token").write_text("tocsin_admin\n")
    (data / "admin.token").chmod(0o600)
    (here / "named.toml").write_text(f'data_dir = "{data}"\n')
    with data_directory(data):
        record(data, "http://127.0.0.1:7")
        found = CliRunner().invoke(asks, obj=Context(config=here / "named.toml", env={}))
        assert found.output == "http://127.0.0.1:7 tocsin_admin ***\n", found.output
    monkeypatch.setenv("TOCSIN_URL", "http://127.0.0.1:8/")
    monkeypatch.setenv("TOCSIN_TOKEN", "tocsin_mine")
    assert CliRunner().invoke(asks).output == "http://127.0.0.1:8 tocsin_mine ***\n"
    assert api_client().url == "http://127.0.0.1:8"  # also outside of a command


def test_a_plugins_command_that_finds_none_says_why(data: Path) -> None:
    """In the words of tocsin's own commands, with status 1."""
    done = CliRunner().invoke(asks, obj=Context(env={"TOCSIN_DATA_DIR": str(data)}))
    assert done.exit_code == 1
    assert "start one with 'tocsin run', or name another with TOCSIN_URL" in done.output


def test_a_plugins_command_imports_little_more_than_click() -> None:
    """Finding and asking the running tocsin imports neither plugins nor libraries of the core."""
    program = "import sys, tocsin; tocsin.api_client; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "tocsin.core.cli.client" in modules
    assert not {"aiohttp", "pluggy", "asyncpg", "msgspec"} & set(modules)


def record(data: Path, url: str) -> None:
    (data / "api.url").write_text(url + "\n")
    (data / "api.url").chmod(0o600)


def test_the_address_is_that_of_the_tocsin_that_runs(data: Path, here: Path) -> None:
    """While tocsin runs on a data directory its record says where it is; once it does not, a port
    that somebody else may have taken since is sent nothing."""
    record(data, "http://127.0.0.1:1")
    with pytest.raises(Failure, match="no tocsin runs"):
        client(data)
    with data_directory(data):
        with pytest.raises(Failure, match="file with its address is missing"):
            client(data)  # what a killed one left behind is gone
        record(data, "http://127.0.0.1:1")
        assert client(data).url == "http://127.0.0.1:1"
        assert client(data, TOCSIN_URL="http://127.0.0.1:2/").url == "http://127.0.0.1:2"
    assert client(data, TOCSIN_URL="http://127.0.0.1:2").url == "http://127.0.0.1:2"


@as_root
@pytest.mark.parametrize("name", ["api.url", "admin.token"])
@pytest.mark.parametrize("how", ["owner", "mode", "link"])
def test_what_the_data_directorys_owner_did_not_write_is_not_used(
    data: Path, here: Path, name: str, how: str, thief: Thief
) -> None:
    """A record or token that another user put there, could have written, or links to is refused."""
    with data_directory(data):
        record(data, f"http://127.0.0.1:{thief.server_port}")
        if how == "owner":
            os.chown(data / name, NOBODY, NOBODY)
        elif how == "mode":
            (data / name).chmod(0o666)
        else:
            (data / name).rename(data / "other")
            (data / name).symlink_to("other")
        with pytest.raises(Failure, match="TOCSIN_URL" if name == "api.url" else "TOCSIN_TOKEN"):
            client(data)
    assert thief.tokens == []


@as_root
def test_a_data_directory_of_another_user_is_not_started_in(data: Path) -> None:
    """Its owner could have laid links there over which tocsin's files would be written."""
    os.chown(data, NOBODY, NOBODY)
    with pytest.raises(Exception, match="belongs to"), data_directory(data):
        pass


@pytest.mark.slow
def test_the_quick_start_works(tmp_path: Path, here: Path) -> None:
    """tocsin runs with a ./tocsin.toml of one's own and any port; beside it, in the same place, the
    commands find it without a word. Its record and token are its owner's alone."""
    # Nothing of an embedded PostgreSQL is left behind by the kill.
    env = {"DATABASE_URL": NOWHERE}
    with Running(tmp_path, "[sources.docker]\nenabled = false\n", env) as running:
        done = command("status", "--json", data=running.data)
        assert '"summary"' in done.stdout, done.stderr
        for name in ("api.url", "admin.token", "lock"):
            assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o600, name
        assert running.process is not None
        running.process.kill()
        running.process.wait()
        assert "no tocsin runs" in command("status", data=running.data).stderr


def test_nothing_is_imported_from_where_one_stands(here: Path, data: Path) -> None:
    """Packages, modules and plugins that lie in the directory are none of tocsin's."""
    for name in ("tocsin", "attrs", "click"):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("raise SystemExit('imported from here')")
    for name in ("sitecustomize", "usercustomize", "uvloop", "evil"):
        (here / f"{name}.py").write_text("raise SystemExit('imported from here')")
    (here / "evil-1.dist-info").mkdir()
    (here / "evil-1.dist-info/METADATA").write_text("Name: evil\nVersion: 1\n")
    (here / "evil-1.dist-info/entry_points.txt").write_text("[tocsin]\nevil = evil\n")
    script = Path(sys.executable).with_name("tocsin")
    done = subprocess.run(
        [script, "plugins"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "TOCSIN_DATA_DIR": str(data)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "evil" not in done.stdout


async def test_the_dashboards_process_imports_nothing_from_where_it_works(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its working directory is not on its path."""
    from tocsin.dashboard import process

    asked: list[Any] = []

    async def start(*command: str, **_: Any) -> None:
        asked.extend(command)
        raise OSError

    monkeypatch.setattr("asyncio.create_subprocess_exec", start)
    settings = process.Settings(
        host="127.0.0.1", port=0, base_path="", sign_in=False, hosts=[], any_host=False,
        api_url="", token_file="",
    )  # fmt: skip
    with pytest.raises(OSError):
        await process.serve(settings, here)
    assert asked[1:3] == ["-P", "-m"]
