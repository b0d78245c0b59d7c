"""`python -m entrenous.cli`, the same as `entrenous`."""

from .program import main

main()
