"""The parts of the local platform; local.py next to this folder is the platform itself.

`router` and `launcher` are programs of their own, started without site-packages to be quick. They, and what
they import, use the standard library alone.
"""
