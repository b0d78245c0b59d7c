"""What the command-line tests share: running `entrenous` inside this process and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrenous import Address, Profile
from entrenous.cli.demo_run import DemoResult, End
from entrenous.cli.options import new_config, save_config
from entrenous.cli.program import main

PASSPHRASE = "four words in a row"


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The last JSON object it wrote."""
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def entrenous(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command inside this process."""
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = exited.value.code
        return Ran(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


# A server that is not there is tried again for a quarter of a minute; a test need not wait that long to be told so.
IMPATIENT = """
import entrenous.account, entrenous.presence, sys
entrenous.account.REGISTER_SECONDS = entrenous.presence.CONNECT_SECONDS = 0.5
from entrenous.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def process() -> Callable[..., Ran]:
    """Run a command as a process of its own, without a terminal."""

    def run(*arguments: str | Path) -> Ran:
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT, *map(str, arguments)],
            env={**os.environ, "ENTRENOUS_PASSPHRASE": PASSPHRASE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """The folder of an account that a server on a closed port would know."""
    folder = tmp_path / "bob"
    address = Address.parse("bob@127.0.0.1:9")
    Profile.create(folder, PASSPHRASE, address)
    save_config(new_config(address, profile=folder, server="ws://127.0.0.1:9", ca_file=None, invite=None), folder)
    return folder


def result_object(**changes: Any) -> dict[str, Any]:
    """A `result` object as `call` and `answer` write it."""
    stats = {
        "audio": {"sent": 100, "played": 98, "concealed": 1},
        "video": {"sent": 30, "decoded": 29, "width": 640, "height": 360},
        "frames_rejected": 0,
        "round_trip_ms": 1.5,
    }
    outcome = {"reason": "remote", "stage": "media", "sentence": "They hung up.", "seconds": 2.0}
    words = ["river", "lamp", "oak"]
    return {"words": words, "path": "direct", "timings": {}, "stats": stats, "outcome": outcome, **changes}


@pytest.fixture
def made_up() -> Callable[..., DemoResult]:
    """A demo's result that did not take a call."""

    def make(caller: dict[str, Any] | None = None, callee: dict[str, Any] | None = None) -> DemoResult:
        called = {"dialled": 10.0, "keys": 10.01, "alerting": 10.1, "active": 11.25}
        answered = {"accepted": 11.2, "active": 11.21, "first_audio": 11.35, "first_video": 11.3}
        called |= {"first_audio": 11.3, "first_video": 11.4}
        return DemoResult(
            End.of("alice", result_object(timings=called, **(caller or {})), (Path("a.ogg"),)),
            End.of("bob", result_object(timings=answered, **(callee or {})), (Path("b.ogg"),)),
            [{"start": "2026-01-01T00:00:00Z", "duration": 2}],
        )

    return make
