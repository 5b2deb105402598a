"""Everything kept on disk: SQLite and small JSON files. No Qt, no torch."""
