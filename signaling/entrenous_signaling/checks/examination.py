"""All of it: what `check` says, in the order in which a server starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.control import ControlError, NoServerError, ask
from entrenous_signaling.control_messages import GetStatus, Status

from .certificate import check_certificate
from .cluster import check_cluster
from .database import check_database, check_database_clock, check_database_log
from .files import check_files
from .findings import Finding, ok, warning
from .machine import check_clock, check_data, check_open_files
from .network import check_name, check_ports
from .relay import check_relay


def examine(
    config: ServerConfig,
    file: Path | None,
    now: datetime,
    as_server: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Finding]:
    """Look at the configuration and at its surroundings; nothing is changed.

    Args:
        config: a checked configuration.
        file: where it was read from, if from a file.
        now: the time of day.
        as_server: within it this process is the user that the server runs as: root may read everything, and a database
            on the same machine knows who asks by the user.
    """
    with as_server():
        found = list(_what_the_server_opens(config, file, now))
    yield from found
    running, finding = _server(config)
    yield finding
    yield from check_ports(config, running=running)
    yield check_name(config)
    yield check_clock(now.timestamp())
    yield check_open_files(config)
    yield from check_relay(config, now.timestamp())


def _what_the_server_opens(config: ServerConfig, file: Path | None, now: datetime) -> Iterator[Finding]:
    yield from check_files(config, file)
    yield from check_certificate(config, now)
    yield from check_data(Path(config.data))
    yield check_database(config)
    yield from check_database_log(config)
    yield from check_database_clock(config, time.time)
    yield from check_cluster(config)


def _server(config: ServerConfig) -> tuple[bool, Finding]:
    try:
        status = ask(config.control_path, GetStatus(), Status)
    except NoServerError:
        return False, ok("server", "It is not running.")
    except ControlError as problem:
        return True, warning("server", str(problem), "Look as root or as the server's user.")
    if status.degraded:
        return True, warning("server", "It is running and cannot store anything.", "See the disk and the database.")
    if status.cut_off:
        return True, warning("server", "It is running and does not reach the other nodes.", "See NATS and the network.")
    if status.clock_differs:
        # It took the time of day when it started: the machine's own clock may be right again.
        what = "It is running with a clock that is not that of the other nodes."
        return True, warning("server", what, "Set this machine's clock, then restart the server.")
    if status.clock_set_by:
        what = f"This machine's clock was set by {status.clock_set_by:+,} seconds since the server's start."
        return True, warning(
            "server", what, "Restart the server when the clock is right: it judges certificates by it."
        )
    return True, ok("server", f"It is running, with {status.connections} connections.")
