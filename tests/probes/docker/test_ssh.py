"""An engine by ssh://, through a real sshd to the real Docker Engine."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import need
from tests.probes.docker.lab import IMAGE, Lab, docker, reached, watching
from tocsin import Reason, Status, Target
from tocsin.plugins.probes.backup_script import BackupScriptProbe
from tocsin.plugins.probes.docker_health import source as source_module
from tocsin.plugins.probes.docker_health.source import DockerSource, DockerWatch
from tocsin.testing import RecordingSink, check_source_conformance

pytestmark = pytest.mark.docker


class Sshd:
    """A real sshd on loopback that lets this user in by a key in a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.program = need("sshd")
        self.home = directory / "home"
        self.keys = self.home / ".ssh"
        self.keys.mkdir(parents=True, mode=0o700)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host_key = directory / "host_key"
        for file in (self.host_key, self.keys / "id_ed25519"):
            subprocess.run(
                [need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True
            )
        self.known = self.keys / "known_hosts"
        public = self.host_key.with_suffix(".pub").read_text()
        self.known.write_text(f"[127.0.0.1]:{self.port} {public}")
        self.config = directory / "sshd_config"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def start(self, *more: str) -> None:
        """Start it; ``more`` are further lines of its configuration."""
        lines = (
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}",
            "PidFile none", f"AuthorizedKeysFile {self.keys}/id_ed25519.pub", "StrictModes no",
            "PasswordAuthentication no", "PermitRootLogin prohibit-password",
            # Not the start-up files of this user's shell: they may take their time.
            f"SetEnv PATH={os.environ['PATH']} HOME={self.home}", *more,
        )  # fmt: skip
        self.config.write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it gives up its privileges
        self.process = subprocess.Popen(
            [self.program, "-D", "-e", "-f", str(self.config)], stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, "sshd ended"
                time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """Stop it and every connection it has, as a host that is switched off."""
        if self.process is not None:
            own = psutil.Process(self.process.pid)
            for one in [*own.children(recursive=True), own]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    made = Sshd(tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield made
    made.stop()


async def trouble(url: str) -> str:
    """What a source says of an engine that cannot be queried."""
    sink = RecordingSink()
    task = asyncio.create_task(DockerWatch(DockerSource(host=url)).run("nas", 5.0, sink))
    try:
        await sink.until(lambda: sink.troubles)
    finally:
        task.cancel()
        await asyncio.wait({task})
    return sink.troubles[0]


async def test_an_engine_is_watched_by_ssh(
    lab: Lab, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inventory, events, logs and usage come by ssh as by the socket, many calls at once; and a
    stream of events on which nothing happens for longer than a call may take goes on."""
    monkeypatch.setattr(source_module, "CALL_TIMEOUT", 2)
    sshd.start()
    for number in range(12):
        lab.run(f"idle-{number}", "sleep", "1000")
    script = "echo hello; sleep 1000"
    docker("run", "-d", "--name", lab.name("web"), IMAGE, "sh", "-c", script)
    async with watching(lab, host=sshd.url) as (source, sink):
        await reached(sink, lab.name("web"), Reason.RUNNING)
        assert len(sink.targets) == 13
        assert [line.text for line in await source.logs(lab.name("web"), 5)] == ["hello"]
        await asyncio.sleep(3)  # longer than a call may take: the point of it
        await asyncio.to_thread(docker, "kill", lab.name("web"))
        await reached(sink, lab.name("web"), Reason.STOPPED)
        assert not sink.troubles


async def test_a_host_that_goes_and_comes_back(lab: Lab, sshd: Sshd) -> None:
    """A host that is gone is told in a sentence; once it is back, so is the watch."""
    sshd.start()
    lab.run("web", "sleep", "1000")
    async with watching(lab, host=sshd.url) as (_, sink):
        sshd.stop()
        await sink.until(lambda: sink.troubles)
        inventories = len(sink.inventories)
        sshd.start()
        await sink.until(lambda: len(sink.inventories) > inventories)
        await asyncio.to_thread(docker, "kill", lab.name("web"))
        await reached(sink, lab.name("web"), Reason.STOPPED)
    assert f"the Docker Engine at {sshd.url} cannot be queried" in sink.troubles[0]


async def test_a_host_that_does_not_let_tocsin_in(sshd: Sshd) -> None:
    """A stranger's host, a key that is not accepted, a host without docker, a host that does not
    answer: each is told in a sentence, and never a crash."""
    sshd.start()
    known = sshd.known.read_text()
    sshd.known.write_text("")
    assert "not found in known_hosts" in await trouble(sshd.url)
    sshd.known.write_text(known)
    sshd.stop()
    sshd.start("PubkeyAuthentication no")
    assert "uthentication" in await trouble(sshd.url)
    sshd.stop()
    sshd.start("ForceCommand /bin/false")
    assert "the SSH login works, but 'docker system dial-stdio'" in await trouble(sshd.url)
    sshd.stop()
    assert "cannot be queried" in await trouble(sshd.url)


async def test_it_keeps_to_the_contract_by_ssh(sshd: Sshd) -> None:
    """The source passes its suite by ssh, too: it ends when cancelled and leaves no thread."""
    sshd.start()
    await check_source_conformance(DockerSource(host=sshd.url))


async def test_a_program_runs_in_a_container_by_ssh(lab: Lab, sshd: Sshd) -> None:
    """A check inside a container of that engine; a host that is away makes it unknown."""
    sshd.start()
    name = lab.run("in", "sleep", "1000")
    probe = BackupScriptProbe(
        command=("/bin/echo", "OK - inside"), container=name, docker_host=sshd.url
    )
    result = await probe.check(Target(name="t"))
    assert (result.status, result.message) == (Status.UP, "OK - inside")
    sshd.known.write_text("")
    assert (await probe.check(Target(name="t"))).status is Status.UNKNOWN


def tocsin_without_paramiko(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\n"
        "sys.modules['paramiko'] = None\n"
        "from tocsin.core.cli.main import main\n"
        f"sys.argv = ['tocsin', *{args!r}]\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, **env}, timeout=120,
    )  # fmt: skip


def test_what_is_not_installed_is_told_with_the_remedy(tmp_path: Path) -> None:
    """Without the extra an ssh:// address is an error of its option, in one sentence."""
    file = tmp_path / "tocsin.toml"
    file.write_text(
        '[sources.nas]\nprobe = "docker-health"\nhost = "ssh://watch@nas"\n'
        '[targets.t.checks.c]\nprobe = "backup-script"\ncommand = ["/bin/true"]\n'
        'container = "c"\ndocker_host = "ssh://watch@nas"\n'
    )
    done = tocsin_without_paramiko("-c", str(file), "config", "check")
    assert done.returncode == 2
    remedy = "ssh:// needs paramiko, which is not installed: pip install 'tocsin[ssh]'"
    told = " ".join((done.stdout + done.stderr).split())
    assert told.count(remedy) == 2, told
    file.write_text("")
    doctor = tocsin_without_paramiko(
        "-c", str(file), "doctor", DOCKER_HOST="ssh://watch@nas", TOCSIN_DATA_DIR=str(tmp_path)
    )
    assert remedy in " ".join(doctor.stdout.split()), doctor.stdout
