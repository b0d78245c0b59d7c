"""The control socket of a running server: who may ask, and what becomes of what cannot be understood."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling import control_server
from entrenous_signaling.control import Answer, ControlError, NoServerError, ask, reachable
from entrenous_signaling.control_messages import (
    AccountRemoved,
    BeginDrain,
    ControlAnswer,
    ControlRequest,
    DrainBegun,
    RefusalCode,
    ReloadCertificate,
    RemoveAccountNow,
)
from entrenous_signaling.control_server import CLIENTS, LINE_BYTES, CommandError, ControlServer
from entrenous_signaling.listeners import ServeError


async def carry_out(request: ControlRequest) -> ControlAnswer:
    match request:
        case RemoveAccountNow(username="alice"):
            return AccountRemoved(devices=2, prekeys=6, messages=1, sessions=1)
        case RemoveAccountNow():
            raise CommandError(RefusalCode.UNKNOWN_ACCOUNT, "There is no such account.")
        case BeginDrain():
            return DrainBegun(connections=3, seconds=10.0)
        case ReloadCertificate():
            raise RuntimeError("alice")
        case _:
            await asyncio.Event().wait()
            raise AssertionError


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, carry_out)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def asked(path: Path, request: ControlRequest, kind: type[Answer]) -> Answer:
    return await asyncio.to_thread(ask, path, request, kind)


async def said(path: Path, text: bytes) -> list[dict[str, Any]]:
    """What is answered to these bytes, until the server closes."""
    with reachable(path) as short:
        reader, writer = await asyncio.open_unix_connection(short)
    writer.write(text)
    writer.write_eof()
    async with asyncio.timeout(60):
        answers = await reader.read()
    writer.close()
    return [json.loads(line) for line in answers.splitlines()]


async def test_commands_get_their_answers_and_refusals_are_sentences(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path):
        gone = await asked(path, RemoveAccountNow("alice"), AccountRemoved)
        assert gone == AccountRemoved(devices=2, prekeys=6, messages=1, sessions=1)
        assert await asked(path, BeginDrain(), DrainBegun) == DrainBegun(connections=3, seconds=10.0)
        with pytest.raises(ControlError, match=r"^There is no such account\.$"):
            await asked(path, RemoveAccountNow("nobody"), AccountRemoved)
        answers = await said(path, b'{"command": "drain"}\n{"command": "remove-account", "username": "x"}\n')
        assert [answer.get("code", "done") for answer in answers] == ["done", "unknown-account"]
    with pytest.raises(NoServerError):
        await asked(path, BeginDrain(), DrainBegun)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (b'{"command": "halt"}\n', ["unknown-command"]),
        (b'{"command": 7}\n{"command": "drain"}\n', ["malformed", "done"]),
        (b"{}\n", ["malformed"]),
        (b"hello\n", ["malformed"]),
        (b"\xff\xfe\n", ["malformed"]),
        (b"[" * 4000 + b"\n", ["malformed"]),
        (b'{"command": "remove-account", "username": 7}\n', ["malformed"]),
        (b'{"command": "drain"' + b" " * LINE_BYTES + b"}\n", ["too-long"]),
        (b'{"command": "reload"}\n', ["internal"]),
        (b'{"command": "drain"}', []),  # a line that does not end
        (b"", []),
    ],
)
async def test_what_is_no_command_is_answered_with_a_typed_refusal(
    text: bytes, codes: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path / "control.sock"):
        answers = await said(tmp_path / "control.sock", text)
    assert [answer.get("code", "done") for answer in answers] == codes
    assert "alice" not in caplog.text


async def test_who_says_nothing_and_what_takes_too_long_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "LINE_SECONDS", 0.05)
    monkeypatch.setattr(control_server, "ANSWER_SECONDS", 0.05)
    path = tmp_path / "control.sock"
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(path)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        monkeypatch.setattr(control_server, "LINE_SECONDS", 3600.0)
        assert [answer["code"] for answer in await said(path, b'{"command": "status"}\n')] == ["unavailable"]


async def test_the_file_is_for_its_user_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(ServeError, match="Another server answers"):
            await ControlServer(path, carry_out).start()
    assert not path.exists()


async def test_a_socket_that_cannot_be_removed_is_left(tmp_path: Path) -> None:
    async with serving(tmp_path / "control"):
        (tmp_path / "control").unlink()
        (tmp_path / "control").mkdir()
    assert (tmp_path / "control").is_dir()


async def test_what_a_killed_server_left_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))
    async with serving(path):
        assert await asked(path, BeginDrain(), DrainBegun)
    path.write_text("precious")
    with pytest.raises(ServeError, match="in the place of the control socket"):
        await ControlServer(path, carry_out).start()
    assert path.read_text() == "precious"
    with pytest.raises(ServeError, match="cannot be made"):
        await ControlServer(tmp_path / "nowhere" / "control.sock", carry_out).start()


async def test_the_socket_of_a_server_that_is_too_busy_to_answer_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "_PROBE_SECONDS", 0.05)
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(ServeError, match="cannot be made"):
            await ControlServer(path, carry_out).start()
    assert path.is_socket()


async def test_a_data_directory_with_a_long_name_works_too(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with serving(folder / "control.sock"):
        assert await asked(folder / "control.sock", BeginDrain(), DrainBegun)


async def test_a_ninth_client_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "LINE_SECONDS", 3600.0)
    path = tmp_path / "control.sock"
    async with serving(path):
        clients = [await asyncio.open_unix_connection(path) for _ in range(CLIENTS)]
        for _, writer in clients:
            writer.write(b'{"command": "drain"}\n')
        for reader, _ in clients:
            assert await reader.readline()
        reader, writer = await asyncio.open_unix_connection(path)
        async with asyncio.timeout(60):
            assert await reader.read() == b""  # another one would be waited for
        clients.append((reader, writer))
        for _, writer in clients:
            writer.close()


async def test_who_says_nothing_does_not_hold_up_the_end_and_who_waits_for_an_answer_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "LINE_SECONDS", 3600.0)
    monkeypatch.setattr(control_server, "ANSWER_SECONDS", 3600.0)
    asked_for, may_answer = asyncio.Event(), asyncio.Event()

    async def after_a_while(request: ControlRequest) -> ControlAnswer:
        asked_for.set()
        await may_answer.wait()
        return await carry_out(request)

    server = ControlServer(tmp_path / "control.sock", after_a_while)
    await server.start()
    silent, silent_writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    busy, busy_writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    busy_writer.write(b'{"command": "drain"}\n{"command": "drain"}\n')
    await asked_for.wait()
    closing = asyncio.create_task(server.close())
    async with asyncio.timeout(60):
        assert await silent.read() == b""
        assert not closing.done()
        may_answer.set()
        assert json.loads(await busy.read()) == {"connections": 3, "seconds": 10.0}  # and takes no further command
        await closing
    for writer in (silent_writer, busy_writer):
        writer.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_the_kernel_says_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the file's mode lets everybody in, another user is not answered."""
    folder = Path(f"/tmp/control-{os.getpid()}")  # the directories of pytest let nobody else in
    folder.mkdir()
    folder.chmod(0o755)
    path = folder / "control.sock"
    monkeypatch.setattr(control_server, "LINE_SECONDS", 3600.0)
    program = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "print(len(s.recv(1)))"
    )
    try:
        async with serving(path):
            path.chmod(0o666)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, str(path)), stdout=subprocess.PIPE
            )
            out, _ = await process.communicate()
            assert (process.returncode, out) == (0, b"0\n")
    finally:
        folder.rmdir()
