"""`python -m entrenous.cli`, the same as `entrenous`."""

from . import main

main()
