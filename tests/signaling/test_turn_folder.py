"""What lies in `turn-config/`: the example is what the README's settings make, and the unit is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.turn_config import render
from entrenous_signaling.turn_settings import TurnSettings

FOLDER = Path(__file__).parents[2] / "turn-config"
README = (FOLDER / "README.md").read_text()


def example_settings() -> ServerConfig:
    blocks: list[str] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    return msgspec.convert(tomllib.loads(blocks[0]), ServerConfig)


def test_the_example_is_what_the_settings_of_the_readme_make() -> None:
    assert (FOLDER / "turnserver.conf.example").read_text() == render(example_settings().turn)


def test_the_defaults_that_the_readme_names_are_those_of_the_code() -> None:
    turn = TurnSettings()
    for said in (
        f"`user_quota` ({turn.user_quota})",
        f"`total_quota` ({turn.total_quota})",
        f"`session_bytes_per_second` ({turn.session_bytes_per_second:,})",
        f"{turn.min_port}–{turn.max_port} UDP",
        f"{turn.port} UDP and TCP",
        f"{turn.tls_port} TCP",
    ):
        assert said in README
    rate = ServerConfig().limits.relay_rate
    assert f"one in {1 / rate.per_second:.0f} seconds, {rate.burst:.0f} at once" in README
    assert f"more than {rate.burst + 600 * rate.per_second:.0f} sets" in README
    assert all(url.partition("?")[0] in README for url in example_settings().relay_urls)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn's turnserver is not installed")
def test_the_unit_is_a_right_one() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", FOLDER / "entrenous-turn.service"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_keeps_what_is_said_out_of_the_journal_and_reads_a_private_configuration() -> None:
    unit = (FOLDER / "entrenous-turn.service").read_text()
    for line in ("StandardOutput=null", "StandardError=null", "User=turnserver", "NoNewPrivileges=yes"):
        assert f"\n{line}\n" in unit
    assert "LoadCredential=turnserver.conf:/etc/entrenous/turnserver.conf" in unit
