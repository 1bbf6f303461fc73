"""The command line. Each command has a module; :mod:`main` joins them."""
