"""`python -m entrenous.cli`, the same as `entrenous`."""

from .main import main

main()
