"""The core's end of the nursery, from which plugin hosts are forked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping

import psutil
from attrs import define, field, frozen

from tocsin.core.hosts.process_tree import children_of, end_tree
from tocsin.core.plugin.faults import PluginFault

START_WITHIN = 30.0
"""Seconds within which the nursery has to start, or a host to be forked."""

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV",
    "PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH",
)  # fmt: skip
"""Variables of the environment that hosts get. Secrets come over the connection, one by one."""


@frozen
class Child:
    """A host's process, and the core's ends of what connects it.

    Attributes:
        process: the process.
        control: for loading plugins and constructing options.
        calls: for all other calls.
        output: what it writes to its standard output and error.
    """

    process: psutil.Process
    control: socket.socket
    calls: socket.socket
    output: int


@define
class Nursery:
    """Starts hosts. May be used from any thread.

    Attributes:
        env: the environment of tocsin.
    """

    env: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _connection: socket.socket | None = field(init=False, default=None)
    _hosts: set[int] = field(init=False, factory=set)
    """Numbers of the processes of hosts."""

    @property
    def pid(self) -> int | None:
        """Return the number of its process; None if it does not run."""
        return None if self._process is None else self._process.pid

    def start_host(self) -> Child:
        """Start a host.

        Raises:
            PluginFault: no process can be started.
        """
        with self._lock:
            try:
                return self._start_host()
            except (OSError, psutil.Error) as error:
                raise PluginFault(f"has no process to run in: {error}") from error

    def _start_host(self) -> Child:
        connection = self._connected()
        control, its_control = socket.socketpair()
        calls, its_calls = socket.socketpair()
        output, its_output = os.pipe()
        try:
            its = (its_control.fileno(), its_calls.fileno(), its_output)
            pid = self._ask(connection, 0, its)
            if not pid:
                raise OSError("no process can be forked")
            self._hosts.add(pid)
            return Child(psutil.Process(pid), control, calls, output)
        except (OSError, psutil.Error):
            control.close()
            calls.close()
            os.close(output)
            raise
        finally:
            its_control.close()
            its_calls.close()
            os.close(its_output)

    def _ask(self, connection: socket.socket, number: int, files: tuple[int, ...] = ()) -> int:
        """Send a request, and return the answer. If the connection fails, so do all hosts: their
        processes end with the nursery.

        Raises:
            OSError: the connection failed.
        """
        try:
            socket.send_fds(connection, [number.to_bytes(4, "big")], files)
            answer = connection.recv(4, socket.MSG_WAITALL)
        except OSError:
            self._end()
            raise
        if len(answer) < 4:
            self._end()
            raise OSError("the process that starts plugin hosts has ended")
        return int.from_bytes(answer, "big")

    def how_ended(self, child: psutil.Process) -> str:
        """Return how a host that has closed its connections ended, as a clause."""
        with self._lock:
            if self._connection is None:
                return "ended with the process that starts plugin hosts"
            try:
                status = self._ask(self._connection, child.pid)
            except OSError:
                return "ended with the process that starts plugin hosts"
        if not os.WIFSIGNALED(status):
            return f"ended by itself with the exit code {os.waitstatus_to_exitcode(status)}"
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal
            name = f"signal {number}"
        return f"was ended by {name}" + (" (lack of memory?)" if name == "SIGKILL" else "")

    def _connected(self) -> socket.socket:
        if self._connection is not None and self._process is not None:
            if self._process.poll() is None:
                return self._connection
            self._end()
        connection, its = socket.socketpair()
        connection.settimeout(START_WITHIN)
        env = {name: self.env[name] for name in PASSED_ON if name in self.env}
        env |= {name: value for name, value in self.env.items() if name.startswith("LC_")}
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tocsin.core.hosted", str(its.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                start_new_session=True,
                env=env,
            )
        self._connection = connection
        return connection

    def end_host(self, child: Child) -> None:
        """End a host with its process tree, and what others have left behind."""
        end_tree(child.process)
        self._hosts.discard(child.process.pid)
        self.sweep()

    def sweep(self) -> None:
        """End what hosts left behind when they died: children of the nursery that are no hosts."""
        with self._lock:  # no host is being started meanwhile
            if self._process is None:
                return
            left = [pid for pid in children_of(self._process.pid) if pid not in self._hosts]
        for pid in left:
            with contextlib.suppress(psutil.Error):
                end_tree(psutil.Process(pid))

    def stop(self) -> None:
        """End the nursery; hosts that still run end with it."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
