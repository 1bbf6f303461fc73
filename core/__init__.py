"""The core of tocsin.

The path of an observation, from a due check to the provider's answer. The test
``tests/test_tour.py`` follows one through these files:

1. ``checks/scheduler.py``      starts a check when it is due
2. ``checks/check_runner.py``   runs the probe: timeout, retries, errors of the probe or of tocsin
3. ``monitor/executor.py``      passes the observation as an event, and performs the effects
4. ``monitor/monitor.py``       computes the effects of an event, without input or output
5. ``alerts/engine.py``         all alerts: how a verdict changes them
6. ``alerts/evaluator.py``      runs the rules on a target's recent history
7. ``alerts/state_machine.py``  the life cycle of one alert
8. ``monitor/deliveries.py``    routes changes to channels, and tracks their delivery
9. ``notify/channel.py``        forms messages of the queued rows, and tries to deliver them
10. ``notify/deliver.py``       passes a message to the notifier, and reads the answer

None of these files is longer than 200 lines.

Around that path: ``journal`` (stores every change before anything is sent), ``contracts`` and
``plugin`` (the plugin interfaces; loading and isolating plugins), ``peers`` (TLS, streams and more
for plugins that talk to peers), ``config`` (``tocsin.toml`` and
the environment, as frozen settings), ``checks/inventory.py`` and ``checks/source_supervisor.py``
(the targets and checks that exist), ``history`` (access to the plugin that keeps it), ``http`` (the
API), ``cli`` (the command line), ``app.py`` (connects all parts). Picture:
``docs/architecture.md``.

Plugin authors need none of these names: all that is public is in :mod:`tocsin`.
"""
