"""From the configuration to a node that can reach the others."""

from __future__ import annotations

import random
import secrets
import ssl
from pathlib import Path

from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.meters import Meters

from .courier import Courier
from .nats_bus import NatsBus
from .nats_connection import NatsAccess
from .nats_protocol import Credentials
from .seal import SALT_BYTES, Seal


def make_courier(config: ServerConfig, node: bytes, meters: Meters) -> Courier:
    """What reaches the other nodes of the cluster that the configuration names.

    Args:
        config: a checked configuration with a cluster.
        node: names this start of this server.
        meters: where parcels are counted.

    Raises:
        ConfigError: a secret or a certificate cannot be read.
    """
    seal = Seal(config.cluster_secret(), secrets.token_bytes(SALT_BYTES))
    bus = NatsBus(nats_access(config), random.random)
    return Courier(bus, seal, config.cluster.prefix, node, meters)


def nats_access(config: ServerConfig) -> NatsAccess:
    """How NATS is reached.

    Raises:
        ConfigError: the credentials or the certificate of the authority cannot be read.
    """
    line = config.cluster_credentials()
    return NatsAccess(
        tuple(config.cluster.places()),
        Credentials() if line is None else Credentials.parse(line),
        _tls(config.cluster.ca_file),
    )


def _tls(ca_file: str) -> ssl.SSLContext:
    """TLS 1.3 with a certificate that the named authority, or one that this machine knows, stands behind."""
    try:
        context = ssl.create_default_context(cafile=Path(ca_file) if ca_file else None)
    except OSError as error:  # ssl.SSLError too, whose text names no file
        raise ConfigError(f"cluster.ca_file: {ca_file} is no PEM file that can be read: {error.strerror}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
