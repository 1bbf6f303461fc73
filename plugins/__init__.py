"""The plugins that come with tocsin; each imports only the public :mod:`tocsin`."""
