"""Where a version's queries are read. One file a source; its name is the key under `queries:` in a plan.

A source returns what the client really sends, as near as it can be known, and an obstacle where it cannot: a
query that is missing here is one that nobody asks the engine about.
"""
