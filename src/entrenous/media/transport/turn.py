"""A TURN client (RFC 8656): one allocation, kept alive, and datagrams through it (pure, driven by `now`).

A channel is bound for every address that is sent to, since that also installs the permission; until the server
has confirmed it, datagrams go out as Send indications right behind the request, so that the first one costs no
round trip more than on a direct path. Allocation, permissions and channels are renewed long before they end, while
traffic goes on.

An allocation belongs to the addresses and ports between which it was made. A server that knows mobility (RFC 8016)
gives a ticket with it, which moves it, with its relayed address, permissions and channels, to where we are seen now.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from entrenous.errors import RemoteProtocolError

from .stun import Address, Attribute, Class, Message, Method, long_term_key, parse

MAX_PEERS = 64
"""Addresses that one allocation may be used for at a time."""

BINDING_LIFE = 120.0
"""Seconds after which a channel in use is bound again; its permission would end after 300 (RFC 8656 §9)."""

_CHANNEL_ENDS = 570.0
_REFUSED_FOR = 10.0
_URGENT_RETRY, _FIRST_RETRY, _MAX_RETRY = 0.05, 0.25, 2.0
_BINDING_PATIENCE = 5.0
_MAX_AUTHENTICATIONS = 3
_CHANNELS = range(0x4000, 0x5000)
_CHANNEL_HEADER = struct.Struct("!HH")
_UDP = 17 << 24
_IPV6 = 2 << 24
_UNAUTHORIZED, _MOBILITY_FORBIDDEN, _STALE_NONCE = 401, 405, 438


class TurnState(Enum):
    """What became of an allocation."""

    ALLOCATING = auto()
    READY = auto()
    REFUSED = auto()
    """The server answered that it will not."""
    DEAD = auto()
    """The server does not answer, or has forgotten it."""
    RELEASED = auto()


class Relayed(NamedTuple):
    """A datagram that came through the relay, and from where."""

    payload: bytes
    peer: Address


@dataclass(eq=False, slots=True)
class _Channel:
    number: int
    peer: Address
    used_at: float
    bound_at: float | None = None
    asked_at: float = float("-inf")
    refused_at: float = float("-inf")


@dataclass(eq=False, slots=True)
class _Request:
    method: Method
    attributes: dict[int, bytes]
    give_up_at: float
    channel: _Channel | None = None
    decides: bool = True
    """Whether the allocation is lost when this is refused or not answered."""
    encoded: bytes = b""
    sent_at: float = 0.0
    next_at: float = 0.0
    interval: float = 0.0
    authentications: int = 0
    signed: bool = False


class TurnClient:
    """One allocation.

    Args:
        username, password: the credential.
        ipv6: whether to ask for an IPv6 address (RFC 8656 §18.8) instead of an IPv4 one.
        reliable: whether the way to the server is a stream: then nothing is sent twice.
        draw: makes 12 random bytes (RFC 8489 §5).
    """

    def __init__(self, username: str, password: str, *, ipv6: bool, reliable: bool, draw: Callable[[], bytes]) -> None:
        self.state = TurnState.ALLOCATING
        self.relayed: Address | None = None
        """Where the peer reaches us."""
        self.mapped: Address | None = None
        """Where the server sees us."""
        self.rtt = _MAX_RETRY
        """Seconds that the server took for the last answer to a question that was asked once."""
        self.outgoing: list[bytes] = []
        """What is to be sent to the server now; the owner empties it."""
        self._username = username
        self._password = password
        self._ipv6 = ipv6
        self._reliable = reliable
        self._draw = draw
        self._realm = b""
        self._nonce = b""
        self._key: bytes | None = None
        self._requests: dict[bytes, _Request] = {}
        self._by_peer: dict[Address, _Channel] = {}
        self._by_number: dict[int, _Channel] = {}
        self._next_number = _CHANNELS.start
        self._ticket: bytes | None = None
        self._lifetime = 0.0
        self._expires_at = float("inf")
        self._refresh_at = float("inf")

    def __repr__(self) -> str:
        return f"<TurnClient {self.state.name}>"

    def allocate(self, now: float, patience: float) -> None:
        """Ask for an allocation; `state` tells what became of it, after `patience` seconds at the latest."""
        attributes = {int(Attribute.REQUESTED_TRANSPORT): _UDP.to_bytes(4, "big")}
        if self._ipv6:
            attributes[Attribute.REQUESTED_ADDRESS_FAMILY] = _IPV6.to_bytes(4, "big")
        if not self._reliable:
            # Over a stream, the server would hold for minutes what we left without a word.
            attributes[Attribute.MOBILITY_TICKET] = b""
        self._ask(Method.ALLOCATE, attributes, now, now + patience)

    @property
    def is_mobile(self) -> bool:
        """Whether the allocation can be moved to another socket."""
        return self.state is TurnState.READY and self._ticket is not None

    def probe(self, now: float, patience: float) -> None:
        """Find out whether the server still has the allocation and can be reached; `DEAD` when not.

        We may be seen at another address than before without knowing it: so the ticket goes out as well, which the
        server refuses where nothing has changed. While it is on its way, that is all that can be done.
        """
        moving = any(Attribute.MOBILITY_TICKET in each.attributes for each in self._requests.values())
        if self.state is not TurnState.READY or moving:
            return
        self._drop_refreshes()
        self._ask(Method.REFRESH, {}, now, now + patience)
        if self._ticket is not None:
            self._ask(Method.REFRESH, {Attribute.MOBILITY_TICKET: self._ticket}, now, now + patience, decides=False)

    def move(self, now: float, patience: float) -> None:
        """Take the allocation, which `is_mobile`, along to a new socket; `DEAD` after `patience` seconds if not."""
        assert self._ticket is not None
        self._drop_refreshes()
        self._ask(Method.REFRESH, {Attribute.MOBILITY_TICKET: self._ticket}, now, now + patience)

    def _drop_refreshes(self) -> None:
        self._refresh_at = float("inf")
        self._requests = {key: each for key, each in self._requests.items() if each.method is not Method.REFRESH}

    def release(self, now: float, patience: float) -> None:
        """Give the allocation back; `state` is RELEASED when the server knows, or after `patience` seconds."""
        if self.state is TurnState.ALLOCATING and self._key is not None:
            # What was asked for may be granted a moment from now, and would be held for minutes.
            self._ask(Method.REFRESH, {Attribute.LIFETIME: bytes(4)}, now, now + patience)
        if self.state is not TurnState.READY:
            self.state = TurnState.RELEASED
            return
        self._requests.clear()
        self._refresh_at = float("inf")
        self._ask(Method.REFRESH, {Attribute.LIFETIME: bytes(4)}, now, now + patience)

    def send(self, payload: bytes, peer: Address, now: float) -> bool:
        """Send a datagram to an address; False when the server does not let us."""
        if self.state is not TurnState.READY:
            return False
        channel = self._by_peer.get(peer) or self._open_channel(peer, now)
        if channel is None or now < channel.refused_at + _REFUSED_FOR:
            return False
        channel.used_at = now
        if channel.bound_at is not None and now >= channel.bound_at + _CHANNEL_ENDS:
            channel.bound_at = None
        if channel.bound_at is None:
            if now >= channel.asked_at + _BINDING_PATIENCE:
                self._bind(channel, now)
            self._indicate(payload, peer)
        else:
            data = _CHANNEL_HEADER.pack(channel.number, len(payload)) + payload
            self.outgoing.append(data + bytes(-len(data) % 4) if self._reliable else data)
        return True

    def receive(self, data: bytes, now: float) -> Relayed | None:
        """Take one message of the server.

        Returns:
            The datagram in it, when it carries one from an address that was sent to before.

        Raises:
            RemoteProtocolError: it is malformed.
        """
        if data and data[0] & 0xC0 == 0x40:
            return self._channel_data(data)
        message = parse(data)
        match message.kind:
            case Class.INDICATION:
                return self._indication(message)
            case Class.SUCCESS | Class.ERROR:
                self._answered(message, now)
        return None

    def poll(self, now: float) -> None:
        """Send again what was not answered, renew what would end, give up what took too long."""
        for transaction, request in list(self._requests.items()):
            if now >= request.give_up_at:
                del self._requests[transaction]
                self._gave_up(request)
            elif now >= request.next_at:
                self.outgoing.append(request.encoded)
                request.interval = min(_MAX_RETRY, 2 * request.interval)
                request.next_at = now + request.interval
        if self.state is not TurnState.READY:
            return
        if now >= self._expires_at:
            self.state = TurnState.DEAD
        elif now >= self._refresh_at:
            self._refresh_at = float("inf")
            self._ask(Method.REFRESH, {}, now, self._expires_at)
        for channel in self._by_peer.values():
            if self._wants_renewal(channel) and now >= self._renewal_at(channel):
                self._bind(channel, now)

    def deadline(self) -> float:
        """When to call `poll` at the latest."""
        times = [min(each.give_up_at, each.next_at) for each in self._requests.values()]
        if self.state is TurnState.READY:
            times += [self._expires_at, self._refresh_at]
            times += [self._renewal_at(each) for each in self._by_peer.values() if self._wants_renewal(each)]
        return min(times, default=float("inf"))

    # Requests

    def _ask(
        self, method: Method, attributes: dict[int, bytes], now: float, give_up_at: float, *, decides: bool = True
    ) -> None:
        self._transmit(_Request(method, attributes, give_up_at, decides=decides), now)

    def _transmit(self, request: _Request, now: float) -> None:
        message = Message(request.method, Class.REQUEST, self._draw(), dict(request.attributes))
        if request.channel is not None:
            message.put_number(Attribute.CHANNEL_NUMBER, request.channel.number << 16)
            message.put_address(Attribute.XOR_PEER_ADDRESS, request.channel.peer)
        if self._key is not None:
            message.attributes[Attribute.USERNAME] = self._username.encode()
            message.attributes[Attribute.REALM] = self._realm
            message.attributes[Attribute.NONCE] = self._nonce
        request.signed = self._key is not None
        request.encoded = message.encode(self._key)
        # A call waits for a refresh that moves it; the way there may have come into being only this moment.
        first = max(_URGENT_RETRY, 2 * self.rtt) if request.method is Method.REFRESH else _FIRST_RETRY
        request.interval = float("inf") if self._reliable else min(_FIRST_RETRY, first)
        request.sent_at, request.next_at = now, now + request.interval
        self._requests[message.transaction] = request
        self.outgoing.append(request.encoded)

    def _answered(self, message: Message, now: float) -> None:
        request = self._requests.get(message.transaction)
        if request is None or request.method is not message.method:
            return
        code = message.error_code if message.kind is Class.ERROR else None
        if request.next_at == request.sent_at + request.interval:
            self.rtt = now - request.sent_at
        wants_credentials = code in (_UNAUTHORIZED, _STALE_NONCE)
        # These two errors cannot be signed; nothing else is believed without (RFC 8489 §9.2.5).
        if self._key is not None and not wants_credentials and not message.is_authentic(self._key):
            return
        if wants_credentials and self._authenticate(message, request):
            del self._requests[message.transaction]
            request.authentications += 1
            self._transmit(request, now)
            return
        del self._requests[message.transaction]
        if message.kind is Class.ERROR:
            self._refused(request, code, now)
        else:
            self._granted(request, message, now)

    def _authenticate(self, message: Message, request: _Request) -> bool:
        """Take the server's realm and nonce; whether asking again can help."""
        nonce = message.attributes.get(Attribute.NONCE)
        realm = message.attributes.get(Attribute.REALM, self._realm)
        if nonce is None or request.authentications >= _MAX_AUTHENTICATIONS:
            return False
        if message.error_code == _UNAUTHORIZED and request.signed and realm == self._realm:
            return False
        self._nonce, self._realm = nonce, realm
        self._key = long_term_key(self._username, realm, self._password)
        return True

    def _granted(self, request: _Request, message: Message, now: float) -> None:
        if request.channel is not None:
            request.channel.bound_at = now
            request.channel.refused_at = float("-inf")
            return
        lifetime = message.number(Attribute.LIFETIME)
        self._ticket = message.attributes.get(Attribute.MOBILITY_TICKET) or self._ticket
        if request.method is Method.ALLOCATE:
            self.relayed = message.address(Attribute.XOR_RELAYED_ADDRESS)
            self.mapped = message.address(Attribute.XOR_MAPPED_ADDRESS)
            if self.relayed is None or not lifetime:
                self.state = TurnState.REFUSED
                return
            self.state = TurnState.READY
        elif Attribute.LIFETIME in request.attributes:
            self.state = TurnState.RELEASED
            return
        else:
            self._drop_refreshes()
            if Attribute.MOBILITY_TICKET in request.attributes:
                # coturn 4.6.1 names a new lifetime and goes on with the old one: only a plain request prolongs it.
                self._refresh_at = now
                return
        self._lifetime = float(lifetime or self._lifetime)
        self._expires_at = now + self._lifetime
        self._refresh_at = now + self._lifetime / 2

    def _refused(self, request: _Request, code: int | None, now: float) -> None:
        waiting = next((each for each in self._requests.values() if not each.decides), None)
        if request.channel is not None:
            request.channel.refused_at = now
        elif request.method is Method.ALLOCATE:
            self.state = TurnState.REFUSED
            if code == _MOBILITY_FORBIDDEN and request.attributes.pop(Attribute.MOBILITY_TICKET, None) is not None:
                self.state = TurnState.ALLOCATING
                self._ask(request.method, request.attributes, now, request.give_up_at)
        elif Attribute.LIFETIME in request.attributes:
            self.state = TurnState.RELEASED
        elif request.decides and waiting is not None:
            waiting.decides = True
        elif request.decides:
            self.state = TurnState.DEAD

    def _gave_up(self, request: _Request) -> None:
        if request.channel is None and request.decides:
            releasing = request.method is Method.REFRESH and Attribute.LIFETIME in request.attributes
            self.state = TurnState.RELEASED if releasing else TurnState.DEAD

    # Channels

    def _open_channel(self, peer: Address, now: float) -> _Channel | None:
        if self._next_number not in _CHANNELS:
            return None
        if len(self._by_peer) >= MAX_PEERS:
            oldest = min(self._by_peer.values(), key=lambda channel: channel.used_at)
            del self._by_peer[oldest.peer], self._by_number[oldest.number]
        channel = _Channel(self._next_number, peer, now)
        self._next_number += 1
        self._by_peer[peer] = self._by_number[channel.number] = channel
        return channel

    def _bind(self, channel: _Channel, now: float) -> None:
        channel.asked_at = now
        self._transmit(_Request(Method.CHANNEL_BIND, {}, now + _BINDING_PATIENCE, channel), now)

    def _wants_renewal(self, channel: _Channel) -> bool:
        return channel.bound_at is not None and channel.used_at > channel.bound_at

    def _renewal_at(self, channel: _Channel) -> float:
        bound_at = channel.bound_at or 0.0
        return bound_at + BINDING_LIFE if bound_at >= channel.asked_at else channel.asked_at + _BINDING_PATIENCE

    def _indicate(self, payload: bytes, peer: Address) -> None:
        message = Message(Method.SEND, Class.INDICATION, self._draw())
        message.put_address(Attribute.XOR_PEER_ADDRESS, peer)
        message.attributes[Attribute.DATA] = payload
        self.outgoing.append(message.encode())

    def _channel_data(self, data: bytes) -> Relayed | None:
        if len(data) < _CHANNEL_HEADER.size:
            raise RemoteProtocolError("The channel message is too short.")
        number, length = _CHANNEL_HEADER.unpack_from(data)
        if len(data) < _CHANNEL_HEADER.size + length:
            raise RemoteProtocolError("The channel message is cut off.")
        channel = self._by_number.get(number)
        return None if channel is None else Relayed(data[4 : 4 + length], channel.peer)

    def _indication(self, message: Message) -> Relayed | None:
        peer = message.address(Attribute.XOR_PEER_ADDRESS)
        payload = message.attributes.get(Attribute.DATA)
        if message.method is not Method.DATA or peer is None or payload is None:
            return None
        # A permission is for a host, so any port of one that was sent to may answer (RFC 8656 §11.4).
        if not any(known.host == peer.host for known in self._by_peer):
            return None
        return Relayed(payload, peer)
