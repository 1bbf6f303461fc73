"""Plugins that change the process that they run in.

One process cannot contain most of this: what a plugin sets here is set for all, and nothing tells
who did it.
"""

from __future__ import annotations

from hostile_plugins.kinds import BLOCKED, DIED, Hostile, probe


def once(name: str, does: str, named: str, body: str) -> Hostile:
    """A probe that does this in its first check, and is up."""
    check = f"if not DONE:\n    DONE.append(1)\n    {body}\nreturn Result.up()"
    return probe(name, does, named, check, "DONE = []", deadly=True)


TABLE = (
    once("loop-stops", "stops its event loop", "loop|ended|did not",
         "asyncio.get_running_loop().stop()"),
    once("loop-closes", "closes its event loop's selector", "loop|raised|ended|did not",
         "asyncio.get_running_loop()._selector.close()"),
    once("signals-c", "has SIGINT and SIGTERM ignored, by C's signal()", "",
         "[ctypes.CDLL(None).signal(n, 1) for n in (2, 15)]"),
    once("interrupts-main", "interrupts the main thread", "",
         "import _thread; _thread.interrupt_main()"),
    once("throws", "raises SystemExit in all other threads", "", """[
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(t.ident), ctypes.py_object(SystemExit))
        for t in threading.enumerate() if t is not threading.current_thread()]"""),
    once("cwd-umask", "changes to / and sets the umask to 0", "", 'os.chdir("/"); os.umask(0)'),
    once("environ", "empties the environment", "", "os.environ.clear()"),
    once("sys-path", "empties sys.path, sys.meta_path and sys.path_hooks", "",
         "sys.path.clear(); sys.meta_path.clear(); sys.path_hooks.clear()"),
    once("sys-modules", "empties sys.modules", "", "sys.modules.clear()"),
    once("excepthook", "sets hooks that end the process, then raises in a thread", DIED,
         "threading.excepthook = sys.excepthook = sys.unraisablehook = lambda *_: os._exit(7); "
         "threading.Thread(target=lambda: 1 / 0).start()"),
    once("recursion", "sets the recursion limit to 60", "", "sys.setrecursionlimit(60)"),
    once("patch-time", "has time.time, time.monotonic and perf_counter stand still", "",
         "time.time = time.monotonic = time.perf_counter = lambda: 1e9"),
    once("patch-socket", "has every new socket raise", "", """
    def no(*_, **__): raise OSError(24, "no")
    socket.socket.__init__ = no"""),
    once("patch-asyncio", "has asyncio.sleep and asyncio.wait never return", "", """
    real = asyncio.sleep
    async def never(*_, **__): await asyncio.Event().wait()
    asyncio.sleep = asyncio.wait = asyncio.wait_for = never"""),
    once("patch-builtins", "has len and isinstance raise", "", """
    def no(*_): raise RuntimeError("no")
    builtins.len = builtins.isinstance = no"""),
    once("patch-json", "has json.dumps and json.loads raise", "",
         "json.dumps = json.loads = None"),
    once("patch-tocsin", "has every result of tocsin say that it is up", "",
         "Result.down = Result.up"),
    once("closes-012", "closes descriptors 0 to 2", "", "os.closerange(0, 3)"),
    once("closes-all", "closes all descriptors", DIED + "|descriptor|loop",
         "os.closerange(3, 20_000)"),
    once("opens-over", "puts /dev/null over descriptors 3 to 99",
         DIED + "|descriptor|loop",
         'null = os.open("/dev/null", os.O_RDWR); [os.dup2(null, n) for n in range(3, 100)]'),
    once("gc-off", "switches the collector off and makes 200 MB of rings", "",
         """gc.disable()
    for _ in range(200):
        ring = [bytearray(1_000_000)]
        ring.append(ring)"""),
    once("rlimits", "allows no more files, and no more memory",
         "", """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))
    resource.setrlimit(resource.RLIMIT_AS, (2**20, 2**20))"""),
    once("dumps", "dumps all stacks on stderr 20 times a second, for 600 s", "",
         "faulthandler.dump_traceback_later(0.05, repeat=True)"),
    once("dumps-exit", "ends the process by faulthandler", DIED,
         "faulthandler.dump_traceback_later(0.2, exit=True)"),
    once("segfault", "reads address 0", DIED, "ctypes.string_at(0)"),
    once("frees", "frees what is not its own", DIED,
         "ctypes.CDLL(None).free(ctypes.c_void_p(id(NAME)))"),
    once("abort", "calls abort()", DIED, "os.abort()"),
    once("stops-self", "sends SIGSTOP to its own process", BLOCKED + "|stopped",
         "os.kill(os.getpid(), signal.SIGSTOP)"),
    once("kills-self", "sends SIGKILL to its own process", DIED,
         "os.kill(os.getpid(), signal.SIGKILL)"),
    once("terms-self", "sends SIGTERM to its own process, which does not heed it", "",
         "os.kill(os.getpid(), signal.SIGTERM)"),
    once("execs", "becomes another program", BLOCKED, 'os.execvp("sleep", ["sleep", "30"])'),
    once("exits-atexit", "registers a function that hangs when the process ends", "",
         "import atexit; atexit.register(time.sleep, 3600)"),
    once("trace", "has a thread without end that is no daemon", "",
         "threading.Thread(target=time.sleep, args=(600,)).start()"),
)  # fmt: skip
