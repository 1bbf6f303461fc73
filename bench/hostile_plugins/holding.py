"""Plugins that keep Python's interpreter, or the processor, for themselves."""

from __future__ import annotations

from hostile_plugins.kinds import BLOCKED, notifier, observer, probe, rule

TABLE = (
    probe("gil-regex", "matches a catastrophic regular expression", BLOCKED,
          're.match(r"(a+)+$", "a" * 27 + "b")\nreturn Result.up()', deadly=True),
    probe("gil-power", "raises a number to a huge power", BLOCKED,
          "3 ** 20_000_000\nreturn Result.up()", deadly=True),
    probe("gil-ctypes", "sleeps 5 s in C, holding the GIL", BLOCKED,
          "ctypes.PyDLL(None).sleep(5)\nreturn Result.up()", deadly=True),
    probe("gil-forever", "sleeps an hour in C, holding the GIL", BLOCKED,
          "ctypes.PyDLL(None).sleep(3600)", deadly=True),
    probe("gil-sort", "sorts ten million numbers in one call", BLOCKED,
          "sorted(range(10_000_000), key=lambda n: -n)[0]\nreturn Result.up()", deadly=True),
    rule("gil-rule", "matches a catastrophic regular expression in a rule", BLOCKED,
         're.match(r"(a+)+$", "a" * 27 + "b")\nreturn Verdict.clear()', deadly=True),
    notifier("gil-notifier", "raises a number to a huge power in send", BLOCKED,
             "3 ** 20_000_000\nreturn Receipt()", deadly=True),
    observer("gil-observer", "sleeps 5 s in C in changed, holding the GIL", BLOCKED,
             "ctypes.PyDLL(None).sleep(5)", deadly=True),
    probe("spin-threads", "starts 20 threads that loop for ever", "thread|cpu|processor|block", """
def spin():
    while True: pass
if threading.active_count() < 60:
    for _ in range(20): threading.Thread(target=spin, daemon=True).start()
return Result.up()
""", deadly=True),
    probe("spin-switch", "sets the switch interval to 10 s and loops", BLOCKED, """
sys.setswitchinterval(10)
while True: pass
""", deadly=True),
)  # fmt: skip
