"""The command line: one file per command, :mod:`main` puts them together."""
