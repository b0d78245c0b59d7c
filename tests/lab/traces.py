"""What coturn leaves on the machine that it runs on."""

from __future__ import annotations

from pathlib import Path

PLACES_FOR_LOGS = ("/var/log", "/var/lib/turn", "/var/db", "/var/tmp", "/tmp", "/run", "/var/run")

HARMLESS = {b"socket: Protocol not supported"}
"""Three complaints about sockets of a kind that some kernels have not; they come before any setting is read."""


def left_behind(folder: Path, since: float) -> dict[Path, bytes]:
    """The files that were written since then where coturn writes files, and what is in them.

    Args:
        folder: in which it ran.
        since: seconds since the epoch.
    """
    found = {}
    candidates = [path for path in folder.iterdir() if path.name not in ("turnserver.conf", "cert.pem", "key.pem")]
    for place in map(Path, PLACES_FOR_LOGS):
        candidates += [path for path in place.glob("*turn*") if path != folder] if place.is_dir() else []
    for path in candidates:
        if path.is_file() and path.stat().st_mtime >= since:
            found[path] = path.read_bytes()
    return found
