"""The files that come with the package: speech for the demonstration."""

from __future__ import annotations

from pathlib import Path


def asset_path(name: str) -> Path:
    """Where a file of this package lies.

    Args:
        name: `speech-a.opus` or `speech-b.opus`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(__file__).parent / name
    if not path.is_file():
        raise FileNotFoundError(f"entrenous has no asset named {name!r}")
    return path
