"""A UDP socket that is emptied whenever it is read, with the kernel's time of arrival.

asyncio reads one datagram for each turn of the loop and cannot say when it came. While a picture is encoded or the
machine is busy, a loop is late by tens of milliseconds; taken for jitter of the network, that would cost delay.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
import time
from typing import Any, Protocol, cast

MAX_BURST = 64
"""Datagrams read before others get a turn."""

RECEIVE_BUFFER = 512 * 1024
"""Bytes that the kernel may hold while the event loop is busy: a key frame with room to spare."""

_MAX_DATAGRAM = 2048
_TIMESPEC = struct.Struct("@ll")
_CONTROL = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
"""Bytes for the time of arrival; where there is no such call, sockets are not read here either."""
_SO_TIMESTAMPNS = 35
"""Linux, asm-generic/socket.h; the option and the control message have the same number."""

_MAX_AGE = 5.0
"""Seconds in the kernel's queue beyond which a time of arrival is taken for a step of the wall clock."""


class Receiver(Protocol):
    """What a socket hands its datagrams to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""

    def error_received(self, exc: Exception) -> None:
        """A datagram could not be sent or received; the socket lives on."""

    def datagram_arrived(self, data: bytes, addr: tuple[Any, ...], at: float) -> None:
        """A datagram came at monotonic time `at`."""


class UdpTransport(asyncio.DatagramTransport):
    """A bound UDP socket on the running event loop.

    Args:
        address: the local IP address, None: the one that the system chooses for `remote`. The port is drawn by it.
        receiver: gets every datagram.
        remote: the only address that is sent to and heard, None: any.

    Raises:
        OSError: the address is not ours, or no socket is left.
        NotImplementedError: this event loop cannot watch a socket.
    """

    def __init__(self, address: str | None, receiver: Receiver, remote: tuple[str, int] | None = None) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._is_closing = False
        self._is_connected = remote is not None
        family = socket.AF_INET6 if ":" in (address or (remote or ("",))[0]) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if sys.platform == "linux":
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            if address is not None:
                self._socket.bind((address, 0))
            if remote is not None:
                self._socket.connect(remote)
            self._loop.add_reader(self._socket.fileno(), self._read)
        except BaseException:
            self._socket.close()
            raise
        self._sockname = self._socket.getsockname()
        receiver.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`sockname`: the local address."""
        return self._sockname if name == "sockname" else default

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._is_closing

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram; one that the kernel has no room for is lost, as on any path."""
        error = self.try_send(data, addr)
        if error is not None:
            self._receiver.error_received(error)

    def try_send(self, data: bytes, addr: tuple[str, int] | None = None) -> OSError | None:
        """Send one datagram, to `addr` unless the socket is connected; why it could not be sent, None when it was."""
        if self._is_closing:
            return OSError(errno.EBADF, "the socket is closed")
        try:
            if self._is_connected or addr is None:
                self._socket.send(data)
            else:
                self._socket.sendto(data, addr)
        except BlockingIOError:
            return None
        except OSError as error:
            return error
        return None

    def close(self) -> None:
        """Close the socket; `connection_lost` follows."""
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._loop.call_soon(self._receiver.connection_lost, None)

    def abort(self) -> None:
        """The same as `close`: nothing waits to be sent."""
        self.close()

    def _read(self) -> None:
        for _ in range(MAX_BURST):
            if self._is_closing:
                return
            try:
                data, control, _, addr = self._socket.recvmsg(_MAX_DATAGRAM, _CONTROL)
            except BlockingIOError:
                return
            except OSError as error:
                self._receiver.error_received(error)
                return
            self._receiver.datagram_arrived(data, addr, arrival(control, time.monotonic(), time.time()))


class LoopUdp(asyncio.DatagramProtocol):
    """The same over asyncio's own reader, for event loops that cannot watch a socket (that of Windows).

    Args:
        receiver: gets every datagram, stamped when asyncio hands it over.
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.DatagramTransport | None = None
        self._is_connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._is_connected = transport.get_extra_info("peername") is not None
        self._receiver.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._receiver.connection_lost(exc)

    def error_received(self, exc: Exception) -> None:
        """A datagram could not be sent or received."""
        self._receiver.error_received(exc)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """A datagram came a moment ago."""
        self._receiver.datagram_arrived(data, addr, time.monotonic())

    def get_extra_info(self, name: str) -> Any:
        """As a transport has it."""
        return None if self._transport is None else self._transport.get_extra_info(name)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._transport is None or self._transport.is_closing()

    def try_send(self, data: bytes, addr: tuple[str, int] | None = None) -> OSError | None:
        """Send one datagram; errors come later, by `error_received`."""
        if self._transport is None or self._transport.is_closing():
            return OSError(errno.EBADF, "the socket is closed")
        self._transport.sendto(data, None if self._is_connected else addr)
        return None

    def close(self) -> None:
        """Close the socket; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """The same at once."""
        if self._transport is not None:
            self._transport.abort()


async def open_udp(
    address: str | None, receiver: Receiver, remote: tuple[str, int] | None = None
) -> UdpTransport | LoopUdp:
    """Open a socket in the way that this event loop can; arguments and errors are those of `UdpTransport`."""
    try:
        return UdpTransport(address, receiver, remote)
    except NotImplementedError:
        local = None if address is None else (address, 0)
        loop = asyncio.get_running_loop()
        _, opened = await loop.create_datagram_endpoint(lambda: LoopUdp(receiver), local_addr=local, remote_addr=remote)
        return opened


def arrival(control: list[tuple[int, int, bytes]], now: float, wall: float) -> float:
    """The monotonic time at which the kernel took a datagram.

    Args:
        control: its control messages; the kernel stamps by the wall clock.
        now: the monotonic clock.
        wall: the wall clock of the same moment.

    Returns:
        The time of arrival, `now` when there is no stamp or the wall clock was set meanwhile.
    """
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(content)
            age = wall - (seconds + nanoseconds / 1e9)
            return now - age if 0.0 <= age <= _MAX_AGE else now
    return now
