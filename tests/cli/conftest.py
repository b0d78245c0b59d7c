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
from entrenous.cli.main import main
from entrenous.cli.options import new_config, save_config

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


@pytest.fixture
def process() -> Callable[..., Ran]:
    """Run a command as a process of its own, without a terminal."""

    def run(*arguments: str | Path, **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "entrenous.cli", *map(str, arguments)],
            env={**os.environ, "ENTRENOUS_PASSPHRASE": PASSPHRASE, **environment},
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
