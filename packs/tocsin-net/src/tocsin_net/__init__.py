"""Network probes for tocsin: ping, dns, tls, websocket, ssh-banner, smtp and imap.

Each probe is a plugin (an entry point) of its own: one that fails, or that a user disables, does
not affect the others.
"""
