"""Trying a relay out: allocations that are made, used and given back at once, for the doctor.

A call's own client gathers, keeps and refreshes; here each step is taken alone, so that it can be said which one fails
and with what code. The messages are those of aioice: a fault of our own client cannot hide itself behind them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from aioice import stun, turn

from .bases import source_for
from .servers import ServerAddress

Datagram = tuple[bytes, tuple[str, int]]
"""What came, and from where."""

MAX_WAITING: Final = 256
"""Datagrams that wait to be read; more are dropped."""

_LIFETIME: Final = 600
_CHANNEL_SECONDS: Final = 500
_CLOSE_SECONDS: Final = 1.0


class AllocationRefused(Exception):  # noqa: N818 - names the event
    """The relay answered that it will not.

    Args:
        code: the STUN error code (RFC 8656 §19).
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"STUN error {code}")
        self.code = code


class NotTurn(Exception):  # noqa: N818 - names the condition
    """Somebody listens there and talks, or hangs up, but speaks no TURN."""


class Allocation:
    """A relayed address, as long as it is open. Made by `open`.

    Attributes:
        mapped: our own address as the relay sees it.
        relayed: the address that others send to.
    """

    def __init__(self, protocol: _Client) -> None:
        self._protocol = protocol
        self._received: asyncio.Queue[Datagram] = asyncio.Queue(MAX_WAITING)
        self.mapped = ("", 0)
        self.relayed = ("", 0)

    @classmethod
    async def open(cls, server: ServerAddress, address: str, tls: ssl.SSLContext | None, timeout: float) -> Allocation:
        """Connect to a relay and have an address allocated.

        Args:
            server: its URL, parsed, with credentials.
            address: which of the IP addresses of its host.
            tls: whom to trust, where the URL asks for TLS.
            timeout: seconds for all of it.

        Raises:
            AllocationRefused: it answers, and refuses.
            NotTurn: what answers is no relay.
            ssl.SSLError: TLS failed. OSError: nothing could be reached. TimeoutError: nothing came back.
        """
        async with asyncio.timeout(timeout):
            protocol = await _connect(server, address, tls)
            allocation = cls(protocol)
            protocol.arrived = allocation._arrived
            try:
                allocation.relayed = await protocol.answered(protocol.connect())
                allocation.mapped = protocol.mapped_address or ("", 0)
            except BaseException:
                protocol.transport.close()
                raise
        return allocation

    async def permit(self, address: tuple[str, int]) -> None:
        """Let datagrams of an address in, and ours go to it; raises AllocationRefused or TimeoutError."""
        request = stun.Message(message_method=stun.Method.CREATE_PERMISSION, message_class=stun.Class.REQUEST)
        request.attributes["XOR-PEER-ADDRESS"] = address
        await self._protocol.answered(self._protocol.request_with_retry(request))

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram from the relayed address; the address must have been permitted."""
        indication = stun.Message(message_method=stun.Method.SEND, message_class=stun.Class.INDICATION)
        indication.attributes["XOR-PEER-ADDRESS"] = address
        indication.attributes["DATA"] = data
        self._protocol.send_stun(indication, address)

    async def receive(self) -> Datagram:
        """The next datagram that came to the relayed address."""
        return await self._received.get()

    async def close(self) -> None:
        """Give the relayed address back; a relay that does not answer forgets it by itself."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._protocol.delete()
        except TimeoutError:
            pass
        finally:
            self._protocol.transport.close()

    def _arrived(self, data: bytes, address: tuple[str, int]) -> None:
        if not self._received.full():
            self._received.put_nowait((data, address))


class UdpProbe(asyncio.DatagramProtocol):
    """A UDP socket that can ask a relay's port how it looks from there. Made by `open`."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[Datagram] = asyncio.Queue(MAX_WAITING)
        self._transactions: dict[bytes, stun.Transaction] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls, toward: str) -> UdpProbe:
        """Open a socket on the address that this machine would use toward `toward`; raises OSError."""
        local = source_for(toward, socket.AF_INET6 if ":" in toward else socket.AF_INET)
        if local is None:
            raise OSError(errno.ENETUNREACH, "there is no way there")
        _, probe = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=(local, 0))
        return probe

    @property
    def local(self) -> tuple[str, int]:
        """Its own address."""
        assert self._transport is not None  # `open` returns once it is connected
        name: tuple[Any, ...] = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    async def ask_address(self, server: tuple[str, int]) -> tuple[str, int]:
        """Our address as a STUN server sees it (RFC 8489 §7); raises AllocationRefused, NotTurn or TimeoutError."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        transaction = stun.Transaction(request, server, self)
        self._transactions[request.transaction_id] = transaction
        try:
            response, _ = await transaction.run()
            mapped: tuple[str, int] = response.attributes["XOR-MAPPED-ADDRESS"]
        except stun.TransactionFailed as error:
            raise AllocationRefused(error.response.error_code or 0) from None
        except stun.TransactionTimeout:
            raise TimeoutError from None
        except KeyError:
            raise NotTurn from None
        finally:
            del self._transactions[request.transaction_id]
        return mapped

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send a datagram."""
        assert self._transport is not None
        self._transport.sendto(data, address)

    async def receive(self) -> Datagram:
        """The next datagram that is no answer to a question of ours."""
        return await self._received.get()

    def close(self) -> None:
        """Close the socket."""
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Sort answers from other datagrams."""
        try:
            message = stun.parse_message(data)
        except ValueError:
            if not self._received.full():
                self._received.put_nowait((data, (addr[0], addr[1])))
            return
        if (waiting := self._transactions.get(message.transaction_id)) is not None:
            waiting.response_received(message, (addr[0], addr[1]))

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        """What a transaction sends with."""
        self.send(bytes(message), addr)


class _Answers:
    """What both clients add to those of aioice: data of any permitted peer, and an end to waiting when all is lost."""

    arrived: Callable[[bytes, tuple[str, int]], None]
    _gone: asyncio.Future[BaseException]

    def prepare(self) -> None:
        """Called when the client is made."""
        self.arrived = lambda data, address: None
        self._gone = asyncio.get_running_loop().create_future()

    def is_gone(self, error: BaseException) -> None:
        """No answer will come any more, and why."""
        if not self._gone.done():
            self._gone.set_result(error)

    async def answered(self, asking: Any) -> Any:
        """The answer to a request; raises AllocationRefused, TimeoutError, or why the connection is gone."""
        task = asyncio.ensure_future(asking)
        try:
            await asyncio.wait((task, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self._gone.result()
            return task.result()
        except stun.TransactionFailed as error:
            raise AllocationRefused(error.response.error_code or 0) from None
        except stun.TransactionTimeout:
            raise TimeoutError from None
        finally:
            task.cancel()

    def heard_nonsense(self) -> None:
        """Something came that is no STUN; a datagram may come from anybody."""

    def take_data(self, data: bytes) -> bool:
        """Hand over what a peer sent; whether `data` was that."""
        if len(data) < stun.HEADER_LENGTH or turn.is_channel_data(data):
            return False
        try:
            message = stun.parse_message(data)
        except ValueError:
            self.heard_nonsense()
            return True
        if (message.message_method, message.message_class) != (stun.Method.DATA, stun.Class.INDICATION):
            return False
        if "DATA" in message.attributes and "XOR-PEER-ADDRESS" in message.attributes:
            self.arrived(message.attributes["DATA"], message.attributes["XOR-PEER-ADDRESS"])
        return True


class _UdpClient(_Answers, turn.TurnClientUdpProtocol):
    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        if isinstance(data, str) or not self.take_data(data):
            super().datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.is_gone(exc)


class _TcpClient(_Answers, turn.TurnClientTcpProtocol):
    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/"):  # a web server where a relay should be; its letters look like channel data
            self.is_gone(NotTurn())
            return
        super().data_received(data)

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        if isinstance(data, str) or not self.take_data(data):
            super().datagram_received(data, addr)

    def heard_nonsense(self) -> None:
        self.is_gone(NotTurn())

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone(exc or NotTurn())
        super().connection_lost(exc)


_Client = _UdpClient | _TcpClient


async def _connect(server: ServerAddress, address: str, tls: ssl.SSLContext | None) -> _Client:
    loop = asyncio.get_running_loop()
    where = (address, server.port)
    arguments = (where, server.username, server.password, _LIFETIME, _CHANNEL_SECONDS)

    def udp() -> _UdpClient:
        client = _UdpClient(*arguments)
        client.prepare()
        return client

    def tcp() -> _TcpClient:
        client = _TcpClient(*arguments)
        client.prepare()
        return client

    protocol: _Client
    if server.transport == "udp":
        _, protocol = await loop.create_datagram_endpoint(udp, remote_addr=where)
    elif server.tls:
        _, protocol = await loop.create_connection(tcp, address, server.port, ssl=tls, server_hostname=server.host)
    else:
        _, protocol = await loop.create_connection(tcp, address, server.port)
    return protocol
