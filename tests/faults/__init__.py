"""Faults: a real tocsin among real peers, a fault, and a judge of what its people were told.

    make faults ARGS="killed postgres-frozen --runs 5"

A run starts ``tocsin run``, a PostgreSQL, scripted targets and two receivers of webhooks as
processes, lets a seeded script fail some of the targets, injects the row's fault meanwhile, heals
it, waits until all is well, and stops tocsin. The judge (``judge``) then compares what the targets
really answered with what the receivers accepted, and with history.

To add a row, add a class with a ``name`` to a module of ``rows`` (a new module is found by itself):

    class ReceiverBusy(Fault):
        \"\"\"The receiver of one channel answers each message with 429.\"\"\"

        name = "receiver-busy"
        deaf = frozenset({"ops"})

        def inject(self, world: World) -> None:
            world.receivers["ops"].answer(429)

        def heal(self, world: World) -> None:
            world.receivers["ops"].answer(200)

``Fault`` says what else a row may have: peers of its own (``prepare``), configuration, steps of its
own in place of one injection and one heal. See ``rows.killed`` and ``rows.engine`` for these. What
a row promises is the judge's, which is the same for all: a row never excuses anything but by
``rings``, ``deaf``, ``blind`` and ``refused``. When the judge or the script changes what is
counted, raise ``results.VERSION``: runs of an older one are then not summed with newer ones.

Reading order: ``script``, ``targets``, ``receiver``, ``world``, ``fault``, ``rows``, ``run``,
``evidence``, ``records``, ``owed``, ``judge``, ``results``, ``__main__``.
"""
