"""A UDP socket that is emptied whenever it is read, with the kernel's time of arrival.

asyncio reads one datagram for each turn of the loop and cannot say when it came. While a picture is encoded or the
machine is busy, a loop is late by tens of milliseconds; taken for jitter of the network, that would cost delay.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from typing import Any, Protocol

MAX_BURST = 64
"""Datagrams read before others get a turn."""

RECEIVE_BUFFER = 512 * 1024
"""Bytes that the kernel may hold while the event loop is busy: a key frame with room to spare."""

_MAX_DATAGRAM = 2048
_TIMESPEC = struct.Struct("@ll")
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
        address: the local IP address; the port is drawn by the kernel.
        receiver: gets every datagram.

    Raises:
        OSError: the address is not ours, or no socket is left.
        NotImplementedError: this event loop cannot watch a socket.
    """

    def __init__(self, address: str, receiver: Receiver) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._is_closing = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if sys.platform == "linux":
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.bind((address, 0))
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
        if self._is_closing:
            return
        try:
            self._socket.sendto(data, addr)
        except BlockingIOError:
            return
        except OSError as error:
            self._receiver.error_received(error)

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
                data, control, _, addr = self._socket.recvmsg(_MAX_DATAGRAM, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                return
            except OSError as error:
                self._receiver.error_received(error)
                return
            self._receiver.datagram_arrived(data, addr, arrival(control, time.monotonic(), time.time()))


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
