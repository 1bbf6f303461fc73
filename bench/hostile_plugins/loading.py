"""Plugins that misbehave before anything runs: at import, in a hook, in a constructor."""

from __future__ import annotations

from hostile_plugins.kinds import BLOCKED, DIED, EXITED, module, observer, probe

GOOD = """
@frozen(kw_only=True)
class It(Probe):
    async def check(self, target):
        return Result.up()
"""
HOOK = """
@hookimpl
def tocsin_probes():
"""

TABLE = (
    module("import-error", "imports what is not there", "nothing_of", "import nothing_of_this"),
    module("import-syntax", "is no Python", "SyntaxError", "def :"),
    module("import-base", "raises BaseException at import", "BaseException",
           'raise BaseException("no")'),
    module("import-exit", "calls sys.exit at import", EXITED, "sys.exit(3)"),
    module("import-os-exit", "calls os._exit at import", DIED, "os._exit(7)", deadly=True),
    module("import-hang", "sleeps an hour at import", BLOCKED, "time.sleep(3600)"),
    module("import-spin", "loops for ever at import", BLOCKED, "while True: pass"),
    module("import-gil", "holds the GIL for 30 s at import", BLOCKED + "|provides nothing",
           "ctypes.PyDLL(None).sleep(30)", deadly=True),
    module("import-prints", "prints 20,000 lines at import, half of them on stderr", "", f"""
for n in range(10_000):
    print("look at me", n)
    print("look at me", n, file=sys.stderr)
{GOOD}{HOOK}    return {{NAME: It}}
"""),
    module("import-mute", "raises an error whose text raises", "Mute", "raise Mute"),
    module("import-recursion", "recurses without end at import", "RecursionError",
           "def down(): down()\ndown()"),
    module("import-long-error", "raises an error with a text of 50 MB", "ValueError",
           'raise ValueError("x" * 50_000_000)'),
    module("import-segfault", "reads address 0 at import", DIED, "ctypes.string_at(0)",
           deadly=True),
    module("import-abort", "calls abort() at import", DIED, "os.abort()", deadly=True),
    module("hook-raises", "raises in its hook", "ZeroDivisionError", f"{HOOK}    return 1 / 0"),
    module("hook-exit", "calls sys.exit in its hook", EXITED, f"{HOOK}    sys.exit(3)"),
    module("hook-os-exit", "calls os._exit in its hook", DIED, f"{HOOK}    os._exit(7)",
           deadly=True),
    module("hook-hang", "sleeps an hour in its hook", BLOCKED, f"{HOOK}    time.sleep(3600)"),
    module("hook-argument", "wants an argument that no hook has", "planet",
           "@hookimpl\ndef tocsin_probes(planet): return {}"),
    module("hook-async", "has a hook that is a coroutine", "async",
           "@hookimpl\nasync def tocsin_probes(): return {}"),
    module("hook-number", "returns a number from its hook", "int|mapping|5",
           f"{HOOK}    return 5"),
    module("hook-takes", "provides a probe of a name that is taken", "http",
           f'{GOOD}{HOOK}    return {{"http": It}}'),
    module("hook-unhashable", "returns a mapping with a list for a name", "name|unhashable", f"""
class Odd(Mapping):
    def __len__(self): return 1
    def __iter__(self): return iter([[]])
    def __getitem__(self, key): return It
    def items(self): return [([], It)]
{GOOD}{HOOK}    return Odd()
"""),
    module("hook-endless", "returns a mapping that has no end", "within|too many|end", f"""
class Endless(Mapping):
    def __len__(self): return 1
    def __iter__(self):
        for n in range(10**9):
            time.sleep(0.001)
            yield f"{{NAME}}-{{n}}"
    def __getitem__(self, key): return It
    def items(self): return ((key, It) for key in self)
{GOOD}{HOOK}    return Endless()
"""),
    module("hook-repr", "returns a class without words", EXITED + "|class|Odd|written", f"""
class Meta(type):
    def __repr__(cls): raise SystemExit(4)
{HOOK}    return {{NAME: Meta("Odd", (), {{}})}}
"""),
    observer("init-raises", "raises in its constructor", "RuntimeError", """
def __attrs_post_init__(self):
    raise RuntimeError("not today")
async def changed(self, change): ...
"""),
    observer("init-hang", "sleeps an hour in its constructor", BLOCKED, """
def __attrs_post_init__(self):
    time.sleep(3600)
async def changed(self, change): ...
"""),
    observer("init-os-exit", "calls os._exit in its constructor", DIED, """
def __attrs_post_init__(self):
    os._exit(7)
async def changed(self, change): ...
""", deadly=True),
    probe("validator-hang", "sleeps an hour in a validator", BLOCKED, """
it = field(default=1, type=int, validator=lambda *_: time.sleep(3600))
async def check(self, target):
    return Result.up()
"""),
    probe("validator-exit", "calls sys.exit in a validator", EXITED, """
it = field(default=1, type=int, validator=lambda *_: sys.exit(3))
async def check(self, target):
    return Result.up()
"""),
)  # fmt: skip
