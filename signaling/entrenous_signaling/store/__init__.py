"""What the server keeps on disk: `requests` says what may be asked, `writer` does it, `database` says where."""
