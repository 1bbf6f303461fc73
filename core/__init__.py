"""The core of tocsin.

The way of an observation, from a check that is due to the provider's answer. The test
``tests/test_tour.py`` follows one through these files:

1. ``scheduler.py``             begins a check when it is due
2. ``runner.py``                has the probe look: deadline, retries, whose fault a failure is
3. ``monitor/executor.py``      takes the observation as an event, and performs what follows
4. ``monitor/monitor.py``       what follows from an event: one function without input or output
5. ``alerts/engine.py``         what the rules make of a target's recent past
6. ``alerts/step.py``           the life of an alert
7. ``monitor/deliveries.py``    who is to be told, was told and could not be
8. ``journal.py``               holds what changed, before anything is sent
9. ``pipeline/channel.py``      forms messages of what waits, and tries them
10. ``pipeline/deliver.py``     hands a message to the notifier, and reads the answer

Beside that way: ``config`` (``tocsin.toml`` and the environment, as frozen settings), ``inventory``
and ``sources`` (which targets and checks there are), ``store`` (history), ``api`` (the HTTP API),
``cli`` (the command line), ``app`` (puts all parts together). Picture: ``docs/architecture.md``.

Plugin authors need none of these names: all that is public is in :mod:`tocsin`.
"""
