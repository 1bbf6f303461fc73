"""The testing kit for plugin authors, which tocsin's own tests also use."""
