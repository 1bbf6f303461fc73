"""The core of tocsin, one responsibility per module.

A reading order for newcomers:

1. ``model``       what is watched and what was seen (frozen data)
2. ``contracts``   base classes that plugins implement; ``hookspecs`` how they announce them
3. ``plugin_manager`` and ``isolation``  finding plugins, and surviving them
4. ``config``      ``tocsin.toml`` and the environment, into frozen settings
5. ``scheduler``, ``slots``, ``runner``, ``sources``  when and how things are observed;
   ``punctuality`` whether they are; ``shortage``, ``descriptors`` what tocsin itself may lack
6. ``state``, ``bus``  what is known now, and who is told of news
7. ``store``       history in PostgreSQL; ``embedded`` the database that comes along
8. ``api``, ``auth``  the HTTP API
9. ``app``         the composition root; ``cli`` the command line

Plugin authors need none of these names: all that is public is in :mod:`tocsin`.
"""
