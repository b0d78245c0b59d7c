"""The cluster: whether each NATS server can be reached, and lets this node use the subjects of the cluster."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from entrenous_signaling.cluster.bus import subject_of
from entrenous_signaling.cluster.envelopes import NODE_BYTES
from entrenous_signaling.cluster.joining import nats_access
from entrenous_signaling.cluster.nats_connection import NatsAccess, NatsError, Trouble, connect
from entrenous_signaling.cluster.settings import NatsPlace
from entrenous_signaling.config import ConfigError, ServerConfig

from .findings import Finding, Level, error, ok

_SUBJECT = "cluster"


def check_cluster(config: ServerConfig) -> Iterator[Finding]:
    """Connect to each NATS server as a node does, and listen for a moment on a subject that nobody uses.

    Args:
        config: a checked configuration; without a cluster there is nothing to say.
    """
    if not config.cluster.nats:
        return
    try:
        access = nats_access(config)
    except ConfigError as problem:
        yield error(_SUBJECT, str(problem), "See to the file, as the user that runs the server.")
        return
    subjects = [subject_of(config.cluster.prefix, node) for node in (None, secrets.token_bytes(NODE_BYTES))]
    troubles = {place: _trouble(place, access, subjects) for place in access.places}
    for place, trouble in troubles.items():
        if trouble is None:
            yield ok(_SUBJECT, f"NATS at {place} lets this node in, and use {config.cluster.prefix}.*.")
        else:
            finding = _finding(place, config, trouble)
            is_spare = None in troubles.values()
            yield replace(finding, level=Level.WARNING) if is_spare else finding


def _trouble(place: NatsPlace, access: NatsAccess, subjects: list[str]) -> Trouble | None:
    try:
        asyncio.run(_try(place, access, subjects))
    except NatsError as problem:
        return problem.trouble
    return None


async def _try(place: NatsPlace, access: NatsAccess, subjects: list[str]) -> None:
    connection = await connect(place, access, subjects, _ignore)
    await connection.close()


def _ignore(subject: str, parcel: bytes) -> None:
    """What running nodes say meanwhile is not for us."""


def _finding(place: NatsPlace, config: ServerConfig, trouble: Trouble) -> Finding:
    match trouble:
        case Trouble.UNREACHABLE:
            return error(
                _SUBJECT,
                f"Nobody answers at {place}.",
                "See whether nats-server runs there, and what firewalls let by.",
            )
        case Trouble.NO_NATS:
            return error(_SUBJECT, f"What answers at {place} is no NATS server.", "Correct cluster.nats.")
        case Trouble.NO_TLS:
            return error(
                _SUBJECT,
                f"NATS at {place} speaks no TLS; nothing was said to it.",
                "Give it a certificate: `tls { cert_file: …, key_file: … }` in its configuration.",
            )
        case Trouble.UNTRUSTED:
            return error(
                _SUBJECT,
                f"The certificate of NATS at {place} is not for that name, has expired, or nobody that is known here "
                "stands behind it.",
                "Name its authority as cluster.ca_file.",
            )
        case Trouble.CREDENTIALS:
            return error(
                _SUBJECT,
                f"NATS at {place} does not know this node.",
                "Compare cluster.credentials_file with the users in its configuration.",
            )
        case Trouble.PERMISSIONS:
            return error(
                _SUBJECT,
                f"NATS at {place} does not let this node use the subjects of the cluster.",
                f'Let its user publish and subscribe: "{config.cluster.prefix}.>".',
            )
        case Trouble.TOO_SMALL:
            return error(
                _SUBJECT,
                f"NATS at {place} takes no messages as large as nodes send.",
                "Leave max_payload of its configuration at 1MB.",
            )
        case _:
            assert_never(trouble)
