"""Looking host names up without ever waiting longer than agreed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence
from typing import Final

from .facts import NameProblem

RESOLVE_SECONDS: Final = 4.0
"""How long a name server may take; the C library tries each of them twice, for five seconds a time."""

MAX_ADDRESSES: Final = 2
"""Addresses of each family that are tried."""


class NameUnresolved(Exception):  # noqa: N818 - names the condition
    """A host name has no address.

    Args:
        problem: why.
    """

    def __init__(self, problem: NameProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


async def resolve(host: str) -> list[str]:
    """The IP addresses of a host, at most MAX_ADDRESSES of each family; an IP address is its own.

    The look-up runs in a thread that ends with the process: it cannot be cancelled, and nobody shall wait for it.

    Raises:
        NameUnresolved: it has none, or no name server answers in time.
    """
    if is_ip_address(host):
        return [host]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str] | NameProblem] = loop.create_future()

    def settle(result: list[str] | NameProblem) -> None:
        if not answer.done():
            answer.set_result(result)

    def look_up() -> None:
        result = _look_up(host)
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=look_up, daemon=True).start()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            result = await answer
    except TimeoutError:
        result = NameProblem.SILENT
    if isinstance(result, NameProblem):
        raise NameUnresolved(result)
    return result


def _look_up(host: str) -> list[str] | NameProblem:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return NameProblem.SILENT if error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM) else NameProblem.UNKNOWN
    except (OSError, UnicodeError):
        return NameProblem.UNKNOWN
    return few_of_each([str(address[0]) for *_, address in found])


def few_of_each(addresses: Sequence[str]) -> list[str]:
    """The first MAX_ADDRESSES of each family, in their order, each once."""
    unique = list(dict.fromkeys(addresses))
    ipv4 = [address for address in unique if ":" not in address][:MAX_ADDRESSES]
    ipv6 = [address for address in unique if ":" in address][:MAX_ADDRESSES]
    return [address for address in unique if address in ipv4 or address in ipv6]


def is_ip_address(host: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
