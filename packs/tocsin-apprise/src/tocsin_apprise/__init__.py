"""A notifier for tocsin that sends messages through Apprise (https://github.com/caronc/apprise).

Reading order: ``notifier``, ``_deliveries``, ``_service``, ``_loading``, ``_reasons``,
``_records``, ``_masking``, ``_bodies``.
"""
