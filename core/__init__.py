"""The core of tocsin.

The way of an observation, from a check that is due to the provider's answer. The test
``tests/test_tour.py`` follows one through these files:

1. ``checks/scheduler.py``      begins a check when it is due
2. ``checks/check_runner.py``   has the probe look: deadline, retries, whose fault a failure is
3. ``monitor/executor.py``      takes the observation as an event, and performs what follows
4. ``monitor/monitor.py``       what follows from an event: one function without input or output
5. ``alerts/engine.py``         all alerts: what a verdict changes in them and in others
6. ``alerts/evaluator.py``      what the rules say of a target's recent past
7. ``alerts/state_machine.py``  the life of one alert
8. ``monitor/deliveries.py``    which channels notify whom, have notified and could not
9. ``notify/channel.py``        forms messages of what waits, and tries them
10. ``notify/deliver.py``       hands a message to the notifier, and reads the answer

None of these files is longer than 200 lines.

Beside that way: ``journal`` (holds what changed, before anything is sent), ``contracts`` and
``plugin`` (what plugins implement; finding and surviving them), ``config`` (``tocsin.toml`` and the
environment, as frozen settings), ``checks/inventory.py`` and ``checks/source_supervisor.py`` (which
targets and checks there are), ``store`` (history), ``http`` (the API), ``cli`` (the command line),
``app.py`` (puts all parts together). Picture: ``docs/architecture.md``.

Plugin authors need none of these names: all that is public is in :mod:`tocsin`.
"""
