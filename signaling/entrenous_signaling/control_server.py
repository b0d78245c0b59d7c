"""The running server's end of the control socket; `control` is the other one.

Whoever may open the socket may remove accounts and end the server. So its file is 0600 from the moment it is there, and
the kernel is asked who is at the other end (SO_PEERCRED): the server's own user or root, nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from .control import reachable
from .control_messages import ControlAnswer, ControlRefusal, ControlRequest, RefusalCode
from .listeners import ServeError
from .logs import log_internal_error

LINE_BYTES: Final = 4096
"""The longest command."""
LINE_SECONDS: Final = 5.0
"""How long a client may take to say a command, and to take its answer."""
ANSWER_SECONDS: Final = 8.0
"""How long a command may take; `control.ask` waits a little longer, so that it hears of it."""
CLIENTS: Final = 8
"""Clients at a time; the ninth is sent away."""

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ROOT: Final = 0
_PROBE_SECONDS: Final = 1.0

_decoder: Final[msgspec.json.Decoder[ControlRequest]] = msgspec.json.Decoder(ControlRequest)
_encoder: Final = msgspec.json.Encoder()


class CommandError(Exception):
    """A command is not carried out.

    Args:
        code: why, for programs.
        sentence: why, for the operator.
    """

    def __init__(self, code: RefusalCode, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = ControlRefusal(sentence, code)


class ControlServer:
    """Takes commands at a Unix socket.

    Args:
        path: where the socket is to be; what an earlier server left there is replaced.
        carry_out: does what a command asks for; raises CommandError.
    """

    def __init__(self, path: Path, carry_out: Callable[[ControlRequest], Awaitable[ControlAnswer]]) -> None:
        self._path = path
        self._carry_out = carry_out
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ServeError: the socket cannot be made, or another server answers at it.
        """
        listener = _bind(self._path)
        self._server = await asyncio.start_unix_server(self._client, sock=listener, limit=LINE_BYTES)

    async def close(self) -> None:
        """Take no more commands, and remove the socket; commands that are being carried out get their answer."""
        if self._server is None:
            return
        self._closing = True
        self._server.close()
        with contextlib.suppress(OSError):  # the next server replaces it
            self._path.unlink()
        for client in self._silent:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=ANSWER_SECONDS)
        for client in self._clients:
            client.cancel()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # streams run their callback as a task
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        try:
            if len(self._clients) <= CLIENTS and _is_allowed(writer):
                await self._converse(reader, writer)
            writer.close()
        except (TimeoutError, OSError, asyncio.CancelledError):
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one line after the other, until the client has no more or one cannot be told from the next."""
        going_on = True
        while going_on and not self._closing:
            answer: ControlAnswer | ControlRefusal
            try:
                line = await self._next_line(reader)
            except asyncio.LimitOverrunError:
                answer = ControlRefusal(f"A command has at most {LINE_BYTES} bytes.", RefusalCode.TOO_LONG)
                going_on = False
            except asyncio.IncompleteReadError:
                return
            else:
                answer = await self._answer(line)
            writer.write(_encoder.encode(answer) + b"\n")
            async with asyncio.timeout(LINE_SECONDS):
                await writer.drain()

    async def _next_line(self, reader: asyncio.StreamReader) -> bytes:
        """Wait for a command; when the server closes meanwhile, this task is cancelled.

        Raises:
            TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError: there is none.
        """
        task = asyncio.current_task()
        assert task is not None  # as in _client
        self._silent.add(task)
        try:
            async with asyncio.timeout(LINE_SECONDS):
                return await reader.readuntil()
        finally:
            self._silent.discard(task)

    async def _answer(self, line: bytes) -> ControlAnswer | ControlRefusal:
        try:
            request = _decode(line)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._carry_out(request)
        except CommandError as refusal:
            return refusal.answer
        except TimeoutError:
            return ControlRefusal("The server could not do it in time: try again.", RefusalCode.UNAVAILABLE)
        except Exception as error:  # one command goes wrong, the server goes on
            log_internal_error(error)
            return ControlRefusal("The server made a mistake: its log says where.", RefusalCode.INTERNAL)


def _decode(line: bytes) -> ControlRequest:
    """Read a command.

    Raises:
        CommandError: it is none.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if str(error).startswith("Invalid value") and str(error).endswith("`$.command`"):
            raise CommandError(RefusalCode.UNKNOWN_COMMAND, "This server does not know that command.") from None
        raise CommandError(
            RefusalCode.MALFORMED, "A command is one JSON object a line, with the key `command` and its fields."
        ) from None


def _is_allowed(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return user in (os.geteuid(), _ROOT)


def _bind(path: Path) -> socket.socket:
    """A listening Unix socket that this user alone may open.

    Raises:
        ServeError: it cannot be made, or somebody answers there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(path) as short:
            _remove_left_over(path, short)
            mask = os.umask(0o177)
            try:
                listener.bind(short)
            finally:
                os.umask(mask)
        listener.listen(CLIENTS)
    except OSError as error:
        listener.close()
        raise ServeError(f"The control socket {path} cannot be made: {error.strerror or error}.") from None
    except ServeError:
        listener.close()
        raise
    return listener


def _remove_left_over(path: Path, short: str) -> None:
    """Remove the socket of a server that was killed.

    Raises:
        ServeError: a server answers there, or it is no socket.
        OSError: it cannot be removed.
    """
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise ServeError(f"{path} is in the place of the control socket: remove it, or set control_socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ServeError(f"Another server answers at {path}: stop it, or set control_socket.")
