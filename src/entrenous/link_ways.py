"""The ways to a signaling server: whom to trust, whether there is a way at all, and why one did not work."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

import aiohttp
import aiohttp.abc

from entrenous_wire.messages import ErrorCode

from .config import NodeConfig
from .errors import ConfigError, RequestRefused, ServerUnreachable
from .protocol import session_outputs as told

ATTEMPTS: Final = 2
"""How often each address of the server is tried side by side."""

_NO_WAY_OUT: Final = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def tls_context(config: NodeConfig) -> ssl.SSLContext | bool:
    """How to check the server's certificate; raises ConfigError when the file of authorities cannot be used."""
    if not config.url.startswith("wss://"):
        return True
    try:
        # With a file of its own the context does not trust the system's authorities.
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"The certificate authorities in {config.ca_file} cannot be used: {error}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class PersistentResolver(aiohttp.ThreadedResolver):
    """Names each address of a host more than once, so that a connection does not hang on one lost packet.

    The connector tries the addresses that it is given a quarter of a second apart, and takes the first that answers
    (Happy Eyeballs, RFC 8305). A lost SYN is sent again only after a second (RFC 6298 §2), just when the network has
    changed and packets get lost. A host that is named by its address is not resolved, and tried once.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """The addresses of a host; raises OSError like any other resolver."""
        return ATTEMPTS * await super().resolve(host, port, family)


def is_ours(name: tuple[str, int, *tuple[int, ...]] | None) -> bool:
    """Whether the local address of a socket still belongs to this machine."""
    if name is None:
        return False
    try:
        with socket.socket(socket.AF_INET6 if ":" in name[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((name[0], 0, *name[2:]))
    except OSError:
        return False
    return True


def is_without_network(error: Exception) -> bool:
    """Whether a failure says something about our network and nothing about the server."""
    return isinstance(error, OSError) and error.errno in _NO_WAY_OUT


def why_not_connected(error: Exception, server: str) -> str:
    """One sentence for a connection that did not come about; the next step is the caller's to add."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {server} is not valid for it, or its authority is not trusted."
        case aiohttp.ClientConnectorDNSError():
            return f"The name {server} cannot be resolved."
        case aiohttp.ClientSSLError():
            return f"TLS with {server} failed."
        case aiohttp.WSServerHandshakeError(status=503 | 429):
            return f"{server} has too much to do now."
        case aiohttp.WSServerHandshakeError():
            return f"{server} answers, but it is no entrenous server (HTTP {error.status})."
        case TimeoutError():
            return f"{server} did not answer in time."
        case _:
            return f"{server} cannot be reached."


def retry_after(error: Exception) -> float:
    """For how many seconds a server that refused the upgrade asked not to be tried again; 0.0 when it did not.

    Only whole seconds are understood, not a date (RFC 9110 §10.2.3).
    """
    if not isinstance(error, aiohttp.WSServerHandshakeError) or error.headers is None:
        return 0.0
    asked = error.headers.get("Retry-After", "")
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0


def refusal(failed: told.RequestFailed) -> Exception:
    """The error that whoever made a request gets."""
    if failed.code is ErrorCode.UNAVAILABLE:
        return ServerUnreachable(failed.sentence)
    return RequestRefused(failed.code.value, failed.sentence, failed.retry_after)


def given_up(output: told.GaveUp) -> Exception:
    """The error that whoever opened the link gets."""
    if output.code is None:
        return ServerUnreachable(output.sentence)
    return RequestRefused(output.code.value, output.sentence)
