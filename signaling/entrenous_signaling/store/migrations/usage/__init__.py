"""Steps of usage.sqlite3."""
