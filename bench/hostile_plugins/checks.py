"""Probes that misbehave in their checks."""

from __future__ import annotations

from hostile_plugins.kinds import BLOCKED, DIED, EXITED, probe

EVIL = '''
class Evil(str):
    """Text of which nothing can be asked."""
    __hash__ = str.__hash__
    def __eq__(self, other): raise SystemExit(5)
    def __repr__(self): raise RuntimeError("no words")
    def __str__(self): return self
    def __len__(self): raise KeyboardInterrupt
    def __format__(self, spec): raise GeneratorExit
'''

RUNTIME = '''
class Open(ProbeRuntime):
    """Never closes."""
    async def check(self, target): return Result.up()
    async def close(self):
        while True:
            try: await asyncio.sleep(3600)
            except asyncio.CancelledError: pass
'''

TABLE = (
    probe("check-raises", "raises in each check", "RuntimeError", 'raise RuntimeError("no")'),
    probe("check-exit", "calls sys.exit in each check", EXITED, "sys.exit(3)"),
    probe("check-os-exit", "calls os._exit in a check", DIED, "os._exit(7)", deadly=True),
    probe("check-base", "raises BaseException", "BaseException", 'raise BaseException("no")'),
    probe("check-interrupt", "raises KeyboardInterrupt", "KeyboardInterrupt",
          "raise KeyboardInterrupt"),
    probe("check-generator", "raises GeneratorExit", "GeneratorExit", "raise GeneratorExit"),
    probe("check-stop", "raises StopIteration", "StopIteration", "raise StopIteration"),
    probe("check-cancelled", "raises CancelledError by itself", "CancelledError",
          "raise asyncio.CancelledError"),
    probe("check-recursion", "recurses without end", "RecursionError",
          "down = lambda: down()\ndown()"),
    probe("check-mute", "raises an error whose text raises", "Mute", "raise Mute"),
    probe("check-hang", "waits an hour", "answer|did not|within", "await asyncio.sleep(3600)"),
    probe("check-deaf", "swallows its cancellation", "cancel", """
while True:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
"""),
    probe("check-sleep", "sleeps an hour without await", BLOCKED, "time.sleep(3600)"),
    probe("check-read", "reads from a socket that nobody writes to", BLOCKED,
          "one, other = socket.socketpair()\none.recv(1)"),
    probe("check-spin", "loops for ever", BLOCKED, "while True: pass"),
    probe("check-thread-raises", "starts a thread that raises", "", """
threading.Thread(target=lambda: 1 / 0).start()
return Result.up()
"""),
    probe("check-thread-exits", "starts a thread that calls os._exit", DIED, """
threading.Thread(target=os._exit, args=(7,)).start()
return Result.up()
""", deadly=True),
    probe("check-nan", "returns metrics that are no numbers", "metric", """
return Result.up(metrics={"a": float("nan"), "b": 10**400, "c": "much", "d": float("inf")})
"""),
    probe("check-number", "returns a number", "int|Result|5", "return 5"),
    probe("check-huge", "returns a result of a hundred megabytes",
          "attributes|large|long|block", """
return Result.up("x" * 20_000_000, attributes={str(n): "y" * 80 for n in range(1_000_000)})
"""),
    probe("check-deep", "returns a result that is nested 100,000 deep, and holds itself",
          "attributes|deep|sent", """
deep = here = {}
for _ in range(100_000):
    here["a"] = here = {}
here["a"] = deep
return Result.up(attributes=deep)
"""),
    probe("check-evil", "returns texts of a class that raises whatever is asked",
          "message|metric|raised", "return Result.up(Evil(\"x\"), metrics={Evil(\"y\"): 1.0})",
          EVIL),
    probe("check-del", "leaves objects behind whose __del__ raises", "", """
class Late:
    def __del__(self): raise RuntimeError("late")
for _ in range(50): Late()
return Result.up()
"""),
    probe("open-hang", "waits an hour in open", "open|within", """
async def open(self, context):
    await asyncio.sleep(3600)
"""),
    probe("open-sleep", "sleeps an hour in open without await", "open|" + BLOCKED, """
async def open(self, context):
    time.sleep(3600)
"""),
    probe("close-deaf", "never ends its close, and swallows the cancellation", "", """
async def open(self, context):
    return Open()
""", RUNTIME),
)  # fmt: skip
