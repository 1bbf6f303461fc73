"""Rules, sources, notifiers, observers, routes and services that misbehave."""

from __future__ import annotations

from hostile_plugins.kinds import (
    BLOCKED,
    DIED,
    EXITED,
    notifier,
    observer,
    route,
    rule,
    service,
    source,
)

FOREVER = "while True: pass"

TABLE = (
    rule("rule-raises", "raises in each evaluate", "RuntimeError", 'raise RuntimeError("no")'),
    rule("rule-exit", "calls sys.exit in evaluate", EXITED, "sys.exit(3)"),
    rule("rule-os-exit", "calls os._exit in evaluate", DIED, "os._exit(7)", deadly=True),
    rule("rule-spin", "loops for ever in evaluate", BLOCKED, FOREVER),
    rule("rule-number", "returns a number", "int|Verdict|5", "return 5"),
    rule("rule-again", "wants to be asked again at once, and keeps 60,000 characters", "", """
return Verdict.clear(recheck_after=0.0, rule_state={"much": str(now) + "x" * 60_000})
"""),
    rule("rule-hoard", "keeps ten megabytes of state", "state|characters|bytes", """
return Verdict.clear(rule_state={"much": "x" * 10_000_000})
"""),
    rule("rule-applies", "sleeps an hour in applies", BLOCKED, """
def applies(self, target): time.sleep(3600)
def evaluate(self, history, now): return Verdict.clear()
"""),
    rule("rule-lookback", "sleeps an hour in lookback", BLOCKED, """
@property
def lookback(self): time.sleep(3600)
def evaluate(self, history, now): return Verdict.clear()
"""),
    source("source-ends", "ends at once, again and again", "end|return|run", "return"),
    source("source-raises", "raises in run", "RuntimeError", 'raise RuntimeError("no")'),
    source("source-spin", "loops for ever in run", BLOCKED, FOREVER),
    source("source-deaf", "swallows its cancellation, also at the end", "", """
while True:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
"""),
    source("source-lies", "reports, retires and renames targets of others", "", """
while True:
    for own in ("t0", "t1", "steady"):
        sink.observed(own, Result.down("a lie"))
        sink.retired(own, "a lie")
    sink.synced([])
    await asyncio.sleep(0.1)
"""),
    source("source-names", "reports targets with names that are none", "name", """
for name in (5, None, "a\\nb", "", "x" * 100_000, [], b"x", "\\ud800"):
    try:
        sink.discovered(Target(name=name, kind="ship"))
        sink.observed(name, Result.up())
    except Exception:
        pass
sink.synced(5)
await asyncio.sleep(3600)
"""),
    notifier("notifier-hang", "waits an hour in send", "answer|did not|within",
             "await asyncio.sleep(3600)"),
    notifier("notifier-spin", "loops for ever in send", BLOCKED, FOREVER),
    notifier("notifier-os-exit", "calls os._exit in send", DIED, "os._exit(7)", deadly=True),
    notifier("notifier-nan", "asks for a rest that is no number", "", """
error = NotifyError("later")
error.retry_after = float("nan")
raise error
"""),
    notifier("notifier-number", "returns a number", "int|Receipt|5", "return 5"),
    observer("observer-raises", "raises at each change", "RuntimeError",
             'raise RuntimeError("no")'),
    observer("observer-hang", "waits an hour at a change", "answer|did not|within",
             "await asyncio.sleep(3600)"),
    observer("observer-spin", "loops for ever at a change", BLOCKED, FOREVER),
    route("route-raises", "raises", "RuntimeError", """
async def it(request: Request) -> dict[str, object]:
    raise RuntimeError("no")
"""),
    route("route-hang", "waits an hour", "answer|did not|within", """
async def it(request: Request) -> dict[str, object]:
    await asyncio.sleep(3600)
"""),
    route("route-spin", "loops for ever", BLOCKED, """
async def it(request: Request) -> dict[str, object]:
    while True: pass
"""),
    route("route-huge", "answers a hundred megabytes", "large|MiB|bytes|long", """
async def it(request: Request) -> dict[str, object]:
    return {"much": "x" * 100_000_000}
"""),
    route("route-endless", "streams megabytes without end", "", """
async def it(request: Request) -> AsyncIterator[bytes]:
    while True: yield b"x" * 1_000_000
""", ', media="text/plain"'),
    service("service-raises", "raises in run", "RuntimeError", 'raise RuntimeError("no")'),
    service("service-spin", "loops for ever in run", BLOCKED, FOREVER),
    service("service-url", "sleeps an hour in url", "url|" + BLOCKED, """
def url(self): time.sleep(3600)
async def run(self, context): await asyncio.sleep(3600)
"""),
    service("service-deaf", "swallows its cancellation, also at the end", "", """
while True:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
"""),
)  # fmt: skip
