"""Looking at the relays: each URL at each address, then what really goes round, and what the NAT does meanwhile."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from entrenous_wire.messages import Turn

from ..errors import ConfigError
from ..media.settings import IceServer
from ..media.transport.probe import Allocation, AllocationRefused, Datagram, NotTurn, UdpProbe
from ..media.transport.servers import ServerAddress, parse_server
from . import tls
from .facts import (
    EndpointFacts,
    LoopFacts,
    NameProblem,
    NatFacts,
    ReachProblem,
    RelayFacts,
    RelayProblem,
    Way,
)
from .look_server import reach_problem
from .names import NameUnresolved, resolve

ALLOCATE_SECONDS: Final = 3.5
"""How long a relay may take to allocate: room for two lost requests (RFC 8489 §6.2.1: after 0.5, then 1 s)."""

AT_A_TIME: Final = 3
"""Allocations that are open side by side: a relay allows a caller a handful."""

MAX_URLS: Final = 8

ASK_SECONDS: Final = 2.0
KNOCKS: Final = 6
KNOCK_SECONDS: Final = 0.1
KNOCK_GRACE: Final = 0.4
"""One datagram may be lost; six within 0.6 s, and the time for an answer from far away, are not."""

VOICE_PACKETS: Final = 50
VOICE_SECONDS: Final = 0.02
VOICE_BYTES: Final = 160
LARGE_PACKETS: Final = 5
LARGE_BYTES: Final = 1200
LOOP_GRACE: Final = 0.6

_ANY_PORT: Final = 9
"""A permission holds for all ports of an address (RFC 8656 §9); this one is named because one must be."""

_OUTSIDE = b"entrenous doctor: from outside "
_INSIDE = b"entrenous doctor: from the relay "
_STRANGER = b"entrenous doctor: from a stranger "


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """A relay URL at one of its addresses."""

    url: str
    server: ServerAddress
    address: str

    @property
    def way(self) -> Way:
        if self.server.tls:
            return Way.TLS
        return Way.UDP if self.server.transport == "udp" else Way.TCP


async def look_at_relays(turn: Turn, context: ssl.SSLContext, now: float, step: Callable[[str], None]) -> RelayFacts:
    """Try every URL out, then send through the best.

    Args:
        turn: the server's answer: URLs and credentials.
        context: whom to trust.
        now: Unix seconds by the clock of this machine.
        step: told what is done next.
    """
    facts = RelayFacts(seconds_left=seconds_left(turn, now))
    servers, unusable = [], []
    for url in turn.urls[:MAX_URLS]:
        try:
            servers.append((url, parse_server(IceServer(url, turn.username, turn.password))))
        except ConfigError:
            unusable.append(url)
    endpoints, nameless = await _resolve_all(servers)
    facts = replace(facts, unusable_urls=tuple(unusable), nameless=tuple(nameless))
    step("Asking each relay …")
    places = asyncio.Semaphore(AT_A_TIME)
    seen = await asyncio.gather(*(_try(endpoint, context, places) for endpoint in endpoints))
    facts = replace(facts, endpoints=tuple(seen))
    best = _best(endpoints, seen)
    if best is None:
        return facts
    step("Sending through the relay …")
    ends = [endpoint for endpoint in endpoints if endpoint.server.host == best.server.host]
    return await _look_at_loop(facts, best, ends, context)


def seconds_left(turn: Turn, now: float) -> float | None:
    """How long credentials hold by the clock of this machine; None where their user name does not say."""
    expiry = turn.username.partition(":")[0]
    return int(expiry) - now if expiry.isascii() and expiry.isdigit() else None


async def _resolve_all(
    servers: Sequence[tuple[str, ServerAddress]],
) -> tuple[list[_Endpoint], list[tuple[str, NameProblem]]]:
    endpoints: list[_Endpoint] = []
    nameless: list[tuple[str, NameProblem]] = []
    hosts = list(dict.fromkeys(server.host for _, server in servers))
    answers = await asyncio.gather(*(resolve(host) for host in hosts), return_exceptions=True)
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, NameUnresolved):
            nameless.append((host, answer.problem))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            endpoints += [
                _Endpoint(url, server, address) for url, server in servers if server.host == host for address in answer
            ]
    return endpoints, nameless


def _best(endpoints: Sequence[_Endpoint], seen: Sequence[EndpointFacts]) -> _Endpoint | None:
    """The endpoint that a call would prefer: UDP before TCP before TLS, IPv4 before IPv6."""
    working = [(endpoint, facts) for endpoint, facts in zip(endpoints, seen, strict=True) if facts.works]
    ways = list(Way)
    working.sort(key=lambda pair: (ways.index(pair[1].way), pair[1].is_ipv6))
    return working[0][0] if working else None


def _udp_beside(relayed: str, ends: Sequence[_Endpoint]) -> _Endpoint | None:
    """A UDP endpoint of the family of a relayed address; that it did not answer before is no reason not to ask."""
    for endpoint in ends:
        if endpoint.way is Way.UDP and (":" in endpoint.address) == (":" in relayed):
            return endpoint
    return None


async def _try(endpoint: _Endpoint, context: ssl.SSLContext, places: asyncio.Semaphore) -> EndpointFacts:
    """Allocate and give back."""
    facts = EndpointFacts(endpoint.url, endpoint.server.host, endpoint.way, endpoint.server.port, endpoint.address)
    async with places:
        try:
            allocation = await Allocation.open(endpoint.server, endpoint.address, context, ALLOCATE_SECONDS)
        except AllocationRefused as error:
            return replace(facts, refusal=error.code)
        except NotTurn:
            return replace(facts, problem=RelayProblem.NOT_TURN)
        except ssl.SSLError as error:
            return replace(facts, tls_problem=tls.problem_of(error))
        except TimeoutError:
            return replace(facts, problem=RelayProblem.TIMEOUT)
        except OSError as error:
            return replace(facts, problem=_PROBLEMS[reach_problem(error)])
        await allocation.close()
    return replace(facts, relayed=allocation.relayed[0])


_PROBLEMS = {
    ReachProblem.TIMEOUT: RelayProblem.TIMEOUT,
    ReachProblem.REFUSED: RelayProblem.REFUSED,
    ReachProblem.NO_ROUTE: RelayProblem.NO_ROUTE,
}


async def _look_at_loop(
    facts: RelayFacts, best: _Endpoint, ends: Sequence[_Endpoint], context: ssl.SSLContext
) -> RelayFacts:
    """Send from outside to a relayed address, from there to us, and from one relayed address to another."""
    async with AsyncExitStack() as stack:
        one, other = await asyncio.gather(_allocate(best, context, stack), _allocate(best, context, stack))
        if one is None or other is None:
            return facts  # it relayed a moment ago, and does no more: there is nothing certain to say about it
        loop = LoopFacts(best.way, relayed_is_the_relays=one.relayed[0] in {end.address for end in ends})
        try:
            probe = await UdpProbe.open(one.relayed[0])
        except OSError:
            pass  # there is no way to addresses of that family from here: it is tried between the two alone
        else:
            stack.callback(probe.close)
            mapped = await _ask_address(probe, _udp_beside(one.relayed[0], ends))
            loop, nat = await _look_from_outside(loop, one, other, probe, mapped)
            facts = replace(facts, nat=nat)
        try:
            loop = await _send_voice(loop, one, other)
        except AllocationRefused as error:
            loop = replace(loop, refusal=error.code)
        except (OSError, TimeoutError):
            pass  # that nothing came round is what the facts say already
    return replace(facts, loop=loop)


async def _allocate(endpoint: _Endpoint, context: ssl.SSLContext, stack: AsyncExitStack) -> Allocation | None:
    try:
        allocation = await Allocation.open(endpoint.server, endpoint.address, context, ALLOCATE_SECONDS)
    except (OSError, TimeoutError, NotTurn, AllocationRefused):
        return None
    stack.push_async_callback(allocation.close)
    return allocation


async def _look_from_outside(
    loop: LoopFacts, one: Allocation, other: Allocation, probe: UdpProbe, mapped: tuple[str, int] | None
) -> tuple[LoopFacts, NatFacts | None]:
    """Whether a socket of this machine and the relayed addresses reach each other, and what the NAT does to it.

    The order matters: a stranger is one to whom nothing was sent, and a firewall at the relay lets in what it has sent
    something to before.
    """
    ourselves = (one.mapped if mapped is None else mapped)[0]
    if (":" in ourselves) != (":" in one.relayed[0]):
        return loop, None  # the relay knows us by an address of the other family only
    strangers: bool | None = None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await asyncio.gather(one.permit((ourselves, _ANY_PORT)), other.permit((ourselves, _ANY_PORT)))
        if mapped is not None:
            strangers = await _knock_as_stranger(other, probe, mapped)
        seen_as = await _knock_from_outside(one, probe)
        target = seen_as or mapped
        outward = None if target is None else await _knock_from_inside(one, probe, target)
    except AllocationRefused as error:
        return replace(loop, refusal=error.code), _nat(probe.local, mapped, None, None)
    except (OSError, TimeoutError):
        return loop, _nat(probe.local, mapped, None, None)
    loop = replace(loop, inward=seen_as is not None, outward=outward)
    return loop, _nat(probe.local, mapped, seen_as, strangers)


async def _ask_address(probe: UdpProbe, udp: _Endpoint | None) -> tuple[str, int] | None:
    """What the relay's own port says our address is; None when no UDP comes back from there."""
    if udp is None:
        return None
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await probe.ask_address((udp.address, udp.server.port))
    except (TimeoutError, NotTurn, AllocationRefused):
        return None


def _nat(
    local: tuple[str, int], mapped: tuple[str, int] | None, seen_as: tuple[str, int] | None, strangers: bool | None
) -> NatFacts | None:
    if mapped is None:
        return None
    return NatFacts(
        translated=mapped != local,
        same_toward_others=None if seen_as is None else seen_as == mapped,
        lets_strangers_in=strangers,
        local=f"{local[0]} port {local[1]}",
        mapped=f"{mapped[0]} port {mapped[1]}",
    )


async def _knock_as_stranger(other: Allocation, probe: UdpProbe, mapped: tuple[str, int]) -> bool:
    """Whether what comes from a port that the probe never sent to is let in."""
    return await _knock(lambda mark: other.send(mark, mapped), probe.receive, _STRANGER) is not None


async def _knock_from_outside(one: Allocation, probe: UdpProbe) -> tuple[str, int] | None:
    """From where the relayed address sees the probe; None when nothing comes there."""
    return await _knock(lambda mark: probe.send(mark, one.relayed), one.receive, _OUTSIDE)


async def _knock_from_inside(one: Allocation, probe: UdpProbe, target: tuple[str, int]) -> bool:
    """Whether the relayed address reaches the probe, which has sent to it before."""
    return await _knock(lambda mark: one.send(mark, target), probe.receive, _INSIDE) is not None


async def _knock(
    send: Callable[[bytes], None], receive: Callable[[], Awaitable[Datagram]], mark: bytes
) -> tuple[str, int] | None:
    """Send a few marked datagrams until one has arrived, and say from where; None when none does."""

    async def listen() -> tuple[str, int]:
        while True:
            data, source = await receive()
            if data.startswith(mark):
                return source

    listening = asyncio.ensure_future(listen())
    try:
        for number in range(KNOCKS):
            send(mark + b"%d" % number)
            await asyncio.wait((listening,), timeout=KNOCK_SECONDS if number < KNOCKS - 1 else KNOCK_GRACE)
            if listening.done():
                return listening.result()
        return None
    finally:
        listening.cancel()


async def _send_voice(loop: LoopFacts, one: Allocation, other: Allocation) -> LoopFacts:
    """Send what a second of a call would, from one relayed address to the other."""
    async with asyncio.timeout(ASK_SECONDS):
        await asyncio.gather(one.permit(other.relayed), other.permit(one.relayed))
    sent_at: dict[int, float] = {}
    took: dict[int, float] = {}
    total = VOICE_PACKETS + LARGE_PACKETS

    async def listen() -> None:
        while len(took) < total:
            data, _ = await other.receive()
            number = int.from_bytes(data[:4], "big")
            if number in sent_at and number not in took:
                took[number] = time.monotonic() - sent_at[number]

    listening = asyncio.ensure_future(listen())
    began = time.monotonic()
    for number in range(total):
        await asyncio.sleep(max(0.0, began + number * VOICE_SECONDS - time.monotonic()))
        sent_at[number] = time.monotonic()
        size = VOICE_BYTES if number < VOICE_PACKETS else LARGE_BYTES
        one.send(number.to_bytes(4, "big") + bytes(size - 4), other.relayed)
    await asyncio.wait((listening,), timeout=LOOP_GRACE)
    listening.cancel()
    small = [seconds for number, seconds in took.items() if number < VOICE_PACKETS]
    return replace(
        loop,
        sent=VOICE_PACKETS,
        received=len(small),
        milliseconds=1000 * statistics.median(small) if small else None,
        large_sent=LARGE_PACKETS,
        large_received=len(took) - len(small),
    )
