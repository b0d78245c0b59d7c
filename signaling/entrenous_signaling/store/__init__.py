"""What the server keeps on disk: `requests` says what may be asked of it, `database` and `writer` do it."""
