"""`python -m entrenous_signaling`."""

from .cli import main

main()
