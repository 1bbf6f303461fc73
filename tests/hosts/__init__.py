"""Plugin hosts, with plugins that are installed as those of strangers are."""
