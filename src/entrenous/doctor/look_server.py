"""Looking at the way to the signaling server, step by step: name, TCP, TLS, HTTP, greeting. Nothing is signed here.

The link of a node does all of it in one go and says in one sentence that it failed; here each step is taken alone, over
plain streams, so that it can be said which one fails and what the answer was.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import http.client
import io
import os
import ssl
import time
from dataclasses import dataclass, replace
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from entrenous_wire import codec, limits
from entrenous_wire.messages import Hello

from . import tls
from .facts import Attempt, ReachProblem, ServerFacts, TlsProblem
from .names import NameUnresolved, resolve

CONNECT_SECONDS: Final = 3.0
TLS_SECONDS: Final = 4.0
HTTP_SECONDS: Final = 4.0
PORTAL_SECONDS: Final = 2.0
MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 2 * 1024

_WEB_PORT: Final = 80
_FULL = b'{"error": "full"}'  # as a server says it in one word, for programs
_NETWORK_LOGIN_REQUIRED: Final = 511  # RFC 6585 §6

_NO_ANSWER = (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, http.client.HTTPException)
"""What asking for a page raises when what comes back is nothing, or no HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an HTTP answer, and the beginning of what follows.

    Args:
        status: of the answer.
        headers: of the answer.
        clock_ahead: seconds by which this machine's clock is ahead of its `Date`.
    """

    status: int
    headers: Message
    clock_ahead: float | None


async def look_at_server(url: str, context: ssl.SSLContext) -> ServerFacts:
    """Go as far towards a signaling server as it lets us.

    Args:
        url: `wss://host[:port]` or `ws://host[:port]`.
        context: whom to trust.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_tls = parts.scheme == "wss"
    port = parts.port or (443 if is_tls else 80)
    facts = ServerFacts(host)
    try:
        addresses = await resolve(host)
    except NameUnresolved as error:
        return replace(facts, name_problem=error.problem)
    attempts = await asyncio.gather(*(_try(address, port) for address in addresses))
    facts = replace(facts, attempts=tuple(attempts))
    reached = next((attempt.address for attempt in attempts if attempt.problem is None), None)
    if reached is None:
        return replace(facts, portal=await _is_behind_portal(host, addresses))
    try:
        async with asyncio.timeout(TLS_SECONDS):
            streams = await asyncio.open_connection(
                reached, port, ssl=context if is_tls else None, server_hostname=host if is_tls else None
            )
    except ssl.SSLError as error:
        facts = replace(facts, tls_problem=tls.problem_of(error))
        if tls.is_about_time(facts.tls_problem):  # it may hold by a clock that is right
            facts = await _ask_time(facts, reached, port)
    except (OSError, TimeoutError):
        facts = replace(facts, tls_problem=TlsProblem.FAILED if is_tls else None)
    else:
        facts = await _ask(facts, *streams, parts.netloc)
    if facts.status is None or 300 <= facts.status < 400:
        return replace(facts, portal=await _is_behind_portal(host, addresses))
    return facts


async def _try(address: str, port: int) -> Attempt:
    """Whether a TCP connection comes about."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return Attempt(address, ReachProblem.TIMEOUT)
    except OSError as error:
        return Attempt(address, reach_problem(error))
    writer.close()
    return Attempt(address)


def reach_problem(error: OSError) -> ReachProblem:
    """What an error of a socket says about the way there."""
    match error.errno:
        case errno.ECONNREFUSED | errno.ECONNRESET:
            return ReachProblem.REFUSED
        case errno.ENETUNREACH | errno.EHOSTUNREACH | errno.EADDRNOTAVAIL | errno.EACCES | errno.EPERM:
            return ReachProblem.NO_ROUTE
        case _:
            return ReachProblem.TIMEOUT


async def _ask_time(facts: ServerFacts, address: str, port: int) -> ServerFacts:
    """The same facts with the time by the clock of a server that is not believed yet, and what it means for its
    certificate.
    """
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=tls.unverified(), server_hostname=facts.host
            )
            try:
                certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                ahead = (await _get(reader, writer, facts.host, "/healthz")).clock_ahead
            finally:
                writer.close()
    except _NO_ANSWER:
        return facts
    holds = ahead is not None and tls.holds_at(certificate, time.time() - ahead)
    return replace(facts, clock_ahead=ahead, certificate_holds_by_its_date=holds)


async def _ask(
    facts: ServerFacts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
) -> ServerFacts:
    """Ask for the WebSocket and wait for the greeting; the connection is closed afterwards."""
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            answer = await _get(reader, writer, authority, limits.SIGNAL_PATH, _upgrade())
            facts = replace(facts, status=answer.status, clock_ahead=answer.clock_ahead)
            if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                return replace(facts, says_full=_FULL in await reader.read(MAX_BODY_BYTES))
            if answer.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
                return facts
            hello = await _read_hello(reader)
    except _NO_ANSWER:
        return facts
    finally:
        writer.close()
    if hello is None:
        return facts
    return replace(
        facts,
        server_name=hello.server,
        speaks_our_version=limits.PROTOCOL_VERSION in hello.versions,
        registration=hello.registration,
    )


def _upgrade() -> dict[str, str]:
    """The headers that ask for the WebSocket of our protocol (RFC 6455 §4.1)."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": limits.SUBPROTOCOL,
    }


async def _get(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    authority: str,
    path: str,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask for a page and read the head of the answer; raises HTTPException or ValueError for what is no HTTP."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in (headers or {"Connection": "close"}).items()]
    asked = time.time()
    writer.write("\r\n".join((*lines, "", "")).encode("ascii"))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the head of the answer is too long") from None
    now = (asked + time.time()) / 2
    first, _, rest = head[:MAX_HEAD_BYTES].partition(b"\r\n")
    protocol, _, status = first.decode("latin-1").partition(" ")
    if not protocol.startswith("HTTP/1.") or not status[:3].isdigit():
        raise ValueError("this is no HTTP")
    parsed = http.client.parse_headers(io.BytesIO(rest))
    return Answer(int(status[:3]), parsed, clock_ahead(parsed["Date"], now))


def clock_ahead(date: str | None, now: float) -> float | None:
    """Seconds by which `now` is ahead of an HTTP date; None where it is none.

    Args:
        date: the header, in whole seconds: half a second is added for what it leaves out.
        now: Unix seconds by the clock of this machine.
    """
    if date is None:
        return None
    try:
        return now - (parsedate_to_datetime(date).timestamp() + 0.5)
    except (ValueError, OverflowError):
        return None


async def _read_hello(reader: asyncio.StreamReader) -> Hello | None:
    """The server's first word, one unmasked text frame (RFC 6455 §5.2); None where it is something else."""
    head = await reader.readexactly(2)
    length = head[1]
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    if head[0] != 0x81 or length > limits.MAX_FRAME_BYTES or head[1] == 127:
        return None
    text = await reader.readexactly(length)
    try:
        message = codec.decode_from_server(text.decode())
    except (codec.WireError, UnicodeDecodeError):
        return None
    return message if isinstance(message, Hello) else None


async def _is_behind_portal(host: str, addresses: list[str]) -> bool:
    """Whether somebody answers plain HTTP in the place of the server and leads to another host, or asks for a login.

    That is what networks do that want a login on a web page first; whoever runs a web server leads to the same host.
    """
    for address in addresses:
        try:
            async with asyncio.timeout(PORTAL_SECONDS):
                reader, writer = await asyncio.open_connection(address, _WEB_PORT)
                try:
                    answer = await _get(reader, writer, host, "/")
                finally:
                    writer.close()
        except _NO_ANSWER:
            continue
        if leads_elsewhere(answer.status, answer.headers["Location"], host):
            return True
    return False


def leads_elsewhere(status: int, location: str | None, host: str) -> bool:
    """Whether an answer to plain HTTP is that of a portal."""
    if status == _NETWORK_LOGIN_REQUIRED:
        return True
    target = urlsplit(location or "").hostname
    return 300 <= status < 400 and target is not None and target != host
