"""The proof, replayed over a repository's past releases: what `plan` would have said of each of them.

tags.py picks and orders the releases, checkout.py compares the migrations of neighbours, bases.py holds the
scratch databases, verdict.py judges a release from the engine's answers, replay.py walks. Nothing here reads
a repository or knows an engine: the composition (app/backtesting.py) brings trees, catalogues and a server.
"""
