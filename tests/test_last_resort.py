"""The end of the process: bounded, whatever threads do."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tocsin.core.cli import last_resort


def started(code: str) -> subprocess.Popen[str]:
    """A process that has printed its first line."""
    # By its file: the whole of tocsin takes a second to import.
    place = str(Path(last_resort.__file__).parent)
    head = (
        f"import asyncio, signal, sys, threading, time; sys.path.insert(0, {place!r})\n"
        "import last_resort; del sys.path[0]\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", head + dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_frozen_process_ends_after_a_signal(number: signal.Signals, loop: str) -> None:
    """The event loop stands still, since somebody holds a lock that it needs, and threads spin: the
    process ends all the same, a while after it was asked to."""
    process = started(f"""
        last_resort.STOP = 0.3
        def spin():
            while True:
                try:
                    while True: pass
                except BaseException: pass
        threading.Thread(target=spin).start()
        async def main():
            resort = last_resort.LastResort()
            loop = asyncio.get_running_loop()
            loop.add_signal_handler({int(number)}, lambda: None)
            resort.watch(signal.Signals({int(number)}))
            lock = threading.Lock()
            lock.acquire()
            print("ready", flush=True)
            lock.acquire()
        import {loop}
        {loop}.run(main())
    """)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "some threads did not end in time" in said


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_event_loop_hears_of_the_signal_as_well(loop: str) -> None:
    """A process that is well stops in order, with its own exit status."""
    process = started(f"""
        async def main():
            stop, resort = asyncio.Event(), last_resort.LastResort()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            resort.watch(signal.SIGTERM)
            print("ready", flush=True)
            await stop.wait()
            resort.call_off()
        import {loop}
        {loop}.run(main())
        sys.exit(7)
    """)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 7


def test_threads_that_are_left_keep_the_process_only_for_a_moment() -> None:
    """Once all was stopped, a thread of a plugin that sleeps for long, in a pool or by itself, does
    not keep the process; what was printed is written."""
    process = started("""
        from concurrent.futures import ThreadPoolExecutor
        last_resort.LEAVE = 0.2
        print("ready", flush=True)
        ThreadPoolExecutor().submit(time.sleep, 60)
        threading.Thread(target=time.sleep, args=(60,)).start()
        print("the last word")
        last_resort.leave(3)
        sys.exit(3)
    """)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert said == "the last word\n"
