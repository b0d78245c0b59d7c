"""Steps of accounts.sqlite3."""
