"""Fuzzing: what strangers write, by the hundred thousand, and a judge of what tocsin does with it.

    make fuzz ARGS="labels answers --cases 100000 --jobs 2"

A case is made from its kind, seed and number alone, so that any can be had again:
``python -m tests.fuzz labels --seed 1 --only 4711`` runs one and prints it. Cases run in batches
against real parts of tocsin in this process (``world``); a batch in which something is wrong is run
again case by case, to name the one that did it. The judge (``judge``) counts

- tracebacks: an exception that is none of the documented ones, a log record with a traceback, a
  plugin or source that failed, a bystander that is no longer seen;
- callbacks of the event loop that take over 100 ms of CPU of its thread (not of the clock: others
  use this machine, too);
- planted secrets in any log, answer, message, row or page.

Finished blocks of cases are appended to results.jsonl in .fuzz, with commit and seed; what a clean
commit has done is not done again, and runs are summed. To add a kind, add a class to ``kinds``.

Reading order: ``inputs``, ``judge``, ``world``, ``kinds``, ``block``, ``results``, ``__main__``.
"""
