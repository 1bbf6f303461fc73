"""The journal: all state that must survive a restart, in one local file."""
