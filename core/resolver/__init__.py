"""Lookups of host names that keep working as far as possible while the resolver does not answer."""
