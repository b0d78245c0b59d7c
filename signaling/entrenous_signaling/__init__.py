"""The operator's signaling server; `cli.main` starts it, `hub` is what it does."""
