"""Plugin hosts: third-party plugins run in processes of their own, one for each distribution.

``wire`` defines the frames between the core and a host, ``peer`` one end of the connection, and
``methods`` what each end calls at the other. ``host`` starts, observes and ends one process,
``hosts`` all of them; ``proxies`` are the classes that stand for a plugin's classes. What runs in
the process is in :mod:`tocsin.core.hosted`.

A host contains faults, not malice: it runs as the same user as tocsin.
"""
