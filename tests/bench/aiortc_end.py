"""One end of a call of plain aiortc in a process of its own, told what to do like `world.nodeproc`, to measure beside.

The two ends are signalled by whoever runs them, at once and without a server, which favours aiortc.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import AudioFrame, AudioResampler

from entrenous import BLOCK_SAMPLES, SAMPLE_RATE
from lab.network import Network
from lab.network.programs import TURN_NAME
from world.hearing import ToneEar
from world.nodeproc import NodeProcess

from .plain_aiortc import ToneTrack

_LINE = 1 << 22
_LIFETIME = 3600


def turn_servers(secret: str, transport: str) -> list[dict[str, str]]:
    """STUN and TURN servers as aiortc takes them: one of each is all that it uses.

    Args:
        secret: shared with coturn.
        transport: of TURN: `udp`, `tcp` or `tls`.
    """
    username = f"{int(time.time()) + _LIFETIME}:bench"
    password = base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()
    turn = f"turns:{TURN_NAME}:443" if transport == "tls" else f"turn:{TURN_NAME}:3478?transport={transport}"
    return [{"urls": f"stun:{TURN_NAME}:3478"}, {"urls": turn, "username": username, "credential": password}]


@asynccontextmanager
async def running_end(
    lab: Network, home: str, servers: Sequence[dict[str, str]], *, authority: Path, tone: float, hear: float
) -> AsyncIterator[NodeProcess]:
    """Start one end in a home of a lab; it is killed afterwards, since closing may take it a minute.

    Args:
        lab: has that home.
        home: its name.
        servers: see `turn_servers`.
        authority: who signed the certificate of the TURN server.
        tone, hear: what it sends and what it listens for, Hz.
    """
    arguments = json.dumps({"servers": list(servers), "tone": tone, "hear": hear})
    search = os.pathsep.join((str(Path(__file__).parents[1]), *sys.path))
    process = await asyncio.create_subprocess_exec(
        *lab.host(home).command(sys.executable, "-m", "bench.aiortc_end", arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": search, "SSL_CERT_FILE": str(authority)},
        limit=_LINE,
    )
    end = NodeProcess(process)
    try:
        await end.expect("Ready")
        yield end
    finally:
        await end.kill()


class _End:
    def __init__(self, servers: Sequence[dict[str, str]], tone: float, hear: float) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration([RTCIceServer(**server) for server in servers]))
        self._tone = tone
        self._ear = ToneEar(hear)
        self._tasks: list[asyncio.Task[None]] = []
        self._connection.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._listen(track))))
        self._connection.on("connectionstatechange", lambda: _say("State", state=self._connection.connectionState))

    async def obey(self, command: dict[str, str]) -> None:
        connection = self._connection
        match command["do"]:
            case "offer":
                connection.addTrack(ToneTrack(self._tone))
                await connection.setLocalDescription(await connection.createOffer())
                _say("Offer", sdp=connection.localDescription.sdp)
            case "answer":
                connection.addTrack(ToneTrack(self._tone))
                await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "offer"))
                await connection.setLocalDescription(await connection.createAnswer())
                _say("Answer", sdp=connection.localDescription.sdp)
            case "take":
                await connection.setRemoteDescription(RTCSessionDescription(command["sdp"], "answer"))
            case "heard":
                _say("Heard", blocks=[block for block in self._ear.blocks if block[0] >= float(command["since"])])
            case unknown:
                raise ValueError(unknown)

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler("s16", "mono", SAMPLE_RATE, frame_size=BLOCK_SAMPLES)
        while True:
            frame = await track.recv()
            assert isinstance(frame, AudioFrame)
            for block in resampler.resample(frame):
                self._ear.play(block.to_ndarray()[0], time.monotonic())


def _say(event: str, **details: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **details}), flush=True)


async def _main(servers: Sequence[dict[str, str]], tone: float, hear: float) -> None:
    lines = asyncio.StreamReader(limit=_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    end = _End(servers, tone, hear)
    tasks = []
    _say("Ready")
    while line := await lines.readline():
        tasks.append(asyncio.ensure_future(end.obey(json.loads(line))))


if __name__ == "__main__":
    asyncio.run(_main(**json.loads(sys.argv[1])))
