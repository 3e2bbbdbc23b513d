"""The parts of the SQLite rehearsal; sqlite.py next to this folder is the rehearsal itself."""
