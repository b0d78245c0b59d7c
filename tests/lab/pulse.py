"""A private PulseAudio: what is played on its null sink is heard by its microphone.

PortAudio reads its environment once, when it is first used, so whoever is to hear this sound card must be a process
of its own, started with `SoundCard.environment`.

A second server stands for a headset. Where it does not run, nothing of that name opens and it is not listed, and when
it ends, streams on it die: as with a device that is pulled out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MISSING = next(
    (
        reason
        for program, reason in (("pulseaudio", "pulseaudio is not installed"), ("pactl", "pactl is not installed"))
        if shutil.which(program) is None
    ),
    None,
)
"""Why there can be no sound card here, None when there can."""

HEADSET = "headset"

_ASOUNDRC = """
pcm.!default {{ type pulse }}
ctl.!default {{ type pulse }}
pcm.entrenous {{ type pulse hint {{ show on description "entrenous test card" }} }}
pcm.{headset} {{ type pulse server "unix:{headset_socket}" hint {{ show on description "headset" }} }}
"""


@dataclass(frozen=True)
class SoundCard:
    """A running PulseAudio."""

    environment: dict[str, str]
    folder: Path

    def pactl(self, *arguments: str) -> str:
        """Tell the server something; what it answers."""
        done = subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    @contextmanager
    def headset(self) -> Iterator[None]:
        """Plug the headset in; at the end it is pulled out."""
        with _server(self.environment, self.folder / HEADSET, rate=48_000):
            yield


@contextmanager
def sound_card(rate: int = 48_000) -> Iterator[SoundCard]:
    """Run a PulseAudio with one null sink, whose monitor is the default microphone, in a folder of its own.

    Args:
        rate: samples a second of the null sink.
    """
    folder = Path(tempfile.mkdtemp(prefix="entrenous-pulse-"))
    socket = folder / "native"
    (folder / ".asoundrc").write_text(_ASOUNDRC.format(headset=HEADSET, headset_socket=folder / HEADSET))
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ},
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_SERVER": f"unix:{socket}",
    }
    try:
        with _server(environment, socket, rate):
            yield SoundCard(environment, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _server(environment: dict[str, str], socket: Path, rate: int) -> Iterator[None]:
    environment = {**environment, "PULSE_SERVER": f"unix:{socket}", "PULSE_RUNTIME_PATH": f"{socket}-runtime"}
    modules = [
        f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
        f"module-null-sink sink_name=speaker rate={rate} channels=1",
        "module-remap-source master=speaker.monitor source_name=microphone",
    ]
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    command += [f"--load={module}" for module in modules]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until_ready(environment)
            yield
        finally:
            server.kill()  # asked to end, it takes seconds while somebody is connected
            socket.unlink(missing_ok=True)


def _wait_until_ready(environment: dict[str, str]) -> None:
    """Ask until the server answers: it has no other way to say that it is up."""
    deadline = time.monotonic() + 60
    while True:
        asked = subprocess.run(
            ["pactl", "set-default-source", "microphone"], env=environment, capture_output=True, check=False, timeout=60
        )
        if asked.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"PulseAudio does not start: {asked.stderr.decode()}")
        time.sleep(0.05)
