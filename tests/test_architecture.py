"""The architecture is a test: who may import whom, and that every module has its test file."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {
    "entrenous": ROOT / "src" / "entrenous",
    "entrenous_wire": ROOT / "src" / "entrenous_wire",
    "entrenous_signaling": ROOT / "signaling" / "entrenous_signaling",
}

# Longest prefix wins. What is not named here may not be imported; a package may always import itself.
ARROWS: dict[str, tuple[str, ...]] = {
    "entrenous_wire": (),
    "entrenous_signaling": ("entrenous_wire",),
    "entrenous.errors": (),
    "entrenous.config": ("entrenous.errors", "entrenous_wire.limits"),
    "entrenous.protocol": ("entrenous_wire", "entrenous.errors"),
    "entrenous.crypto": (
        "entrenous.errors",
        "entrenous_wire.addresses",
        "entrenous_wire.certificate",
        "entrenous_wire.limits",
    ),
    "entrenous.media": ("entrenous.crypto.sframe", "entrenous.config", "entrenous.errors", "entrenous.assets"),
    "entrenous.link": (
        "entrenous_wire",
        "entrenous.protocol",
        "entrenous.config",
        "entrenous.errors",
        "entrenous.link_transport",
        "entrenous.link_ways",
    ),
    "entrenous.link_transport": ("entrenous_wire", "entrenous.config", "entrenous.link_ways"),
    "entrenous.link_ways": ("entrenous_wire", "entrenous.protocol", "entrenous.config", "entrenous.errors"),
    "entrenous": ("entrenous", "entrenous_wire"),
    "entrenous.doctor": (
        "entrenous.account",
        "entrenous.config",
        "entrenous.crypto",
        "entrenous.errors",
        "entrenous.link",
        "entrenous.media.codecs.base",
        "entrenous.media.devices",
        "entrenous.media.settings",
        "entrenous.media.transport",
        "entrenous.profile",
        "entrenous_wire",
    ),
    "entrenous.cli": ("entrenous:public",),
    "entrenous.bots": ("entrenous:public",),
}

# Libraries that one module alone may touch.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "aioice": ("entrenous.media.transport",),
    "ifaddr": ("entrenous.network_watch", "entrenous.media.transport"),
    "aiohttp": (
        "entrenous.link_transport",
        "entrenous.link_ways",
        "entrenous_signaling.app",
        "entrenous_signaling.edge",
        "entrenous_signaling.frames",
        "entrenous_signaling.pages",
        "entrenous_signaling.visitors",
    ),
    "prometheus_client": ("entrenous_signaling.metrics",),
    "sounddevice": ("entrenous.media.devices",),
    "sqlalchemy": ("entrenous_signaling.store",),
    "alembic": ("entrenous_signaling.store.upgrading", "entrenous_signaling.store.migrations"),
    "psycopg": ("entrenous_signaling.store.postgresql",),
    "click": ("entrenous.cli", "entrenous_signaling.cli"),
    "rich": ("entrenous.cli", "entrenous_signaling.cli"),
    "segno": ("entrenous.cli",),
}

PURE = (
    "entrenous.doctor.facts",
    "entrenous.doctor.findings",
    "entrenous.doctor.judge_loop",
    "entrenous.doctor.judge_machine",
    "entrenous.doctor.judge_nat",
    "entrenous.doctor.judge_peer",
    "entrenous.doctor.judge_relays",
    "entrenous.doctor.judge_server",
    "entrenous.protocol",
    "entrenous.netlink",
    "entrenous.media.codec_choice",
    "entrenous.media.allocation",
    "entrenous.media.congestion",
    "entrenous.media.departures",
    "entrenous.media.feedback",
    "entrenous.media.jitter",
    "entrenous.media.pacer",
    "entrenous.media.picture_ladder",
    "entrenous_signaling.accounts",
    "entrenous_signaling.addresses",
    "entrenous_signaling.admission",
    "entrenous_signaling.hub",
    "entrenous_signaling.answers",
    "entrenous_signaling.auth",
    "entrenous_signaling.call_messages",
    "entrenous_signaling.calls",
    "entrenous_signaling.cluster.cluster",
    "entrenous_signaling.cluster.directory",
    "entrenous_signaling.cluster.elsewhere",
    "entrenous_signaling.cluster.envelopes",
    "entrenous_signaling.cluster.exchange",
    "entrenous_signaling.cluster.lane",
    "entrenous_signaling.cluster.peers",
    "entrenous_signaling.cluster.recheck",
    "entrenous_signaling.cluster.state",
    "entrenous_signaling.cluster.bus",
    "entrenous_signaling.cluster.nats_protocol",
    "entrenous_signaling.cluster.seal",
    "entrenous_signaling.cluster.settings",
    "entrenous_signaling.commands",
    "entrenous_signaling.connection",
    "entrenous_signaling.control_messages",
    "entrenous_signaling.call_presence",
    "entrenous_signaling.clock_watch",
    "entrenous_signaling.counters",
    "entrenous_signaling.deletions",
    "entrenous_signaling.distributions",
    "entrenous_signaling.ended_calls",
    "entrenous_signaling.housekeeping",
    "entrenous_signaling.letters",
    "entrenous_signaling.limits",
    "entrenous_signaling.lobby",
    "entrenous_signaling.mailbox",
    "entrenous_signaling.meters",
    "entrenous_signaling.outputs",
    "entrenous_signaling.proxies",
    "entrenous_signaling.retention",
    "entrenous_signaling.router",
    "entrenous_signaling.services",
    "entrenous_signaling.settings",
    "entrenous_signaling.store.requests",
    "entrenous_signaling.store.stages",
    "entrenous_signaling.timers",
    "entrenous_signaling.turn",
    "entrenous.crypto.call_secrets",
    "entrenous.crypto.handshake",
    "entrenous.crypto.sealed",
    "entrenous.crypto.sframe",
)
IMPURE_MODULES = {"asyncio", "time", "random", "secrets", "socket", "threading", "os", "datetime"}


def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def imports_of(name: str, path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Every imported module with the names taken from it, relative imports resolved, TYPE_CHECKING ones included."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parent = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{parent}.{base}" if base else parent
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.append((whole, ()) if whole in MODULES else (base, (alias.name,)))
    return found


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def rule_for(name: str) -> str:
    return max((prefix for prefix in ARROWS if within(name, prefix)), key=len)


@pytest.mark.parametrize("name", MODULES)
def test_imports_follow_the_arrows(name: str) -> None:
    import entrenous

    rule = rule_for(name)
    for target, taken in imports_of(name, MODULES[name]):
        if not any(within(target, package) for package in SOURCES):
            continue
        if rule != "entrenous" and within(target, rule):
            continue
        allowed = ARROWS[rule]
        if "entrenous:public" in allowed:
            assert target == "entrenous", f"{name} must use the public API, not {target}"
            assert set(taken) <= set(entrenous.__all__), f"{name} takes names that are not public: {taken}"
            continue
        assert any(within(target, prefix) for prefix in allowed), f"{name} must not import {target}"
        if rule == "entrenous":
            assert not any(within(target, f"entrenous.{part}") for part in ("cli", "bots", "desktop")), (
                f"{name} must not import {target}"
            )


@pytest.mark.parametrize("name", MODULES)
def test_a_library_with_one_home_is_imported_there_only(name: str) -> None:
    for target, _ in imports_of(name, MODULES[name]):
        for library, homes in ONLY_IN.items():
            if within(target, library):
                assert any(within(name, home) for home in homes), f"{target} belongs to {homes}, not to {name}"


@pytest.mark.parametrize("name", [name for name in MODULES if any(within(name, pure) for pure in PURE)])
def test_pure_modules_have_no_clock_no_chance_and_no_io(name: str) -> None:
    impure = {target for target, _ in imports_of(name, MODULES[name]) if target.split(".")[0] in IMPURE_MODULES}
    assert not impure, f"{name} is pure and must not import {impure}"


def test_every_module_has_its_test_file() -> None:
    here = {
        "entrenous": ROOT / "tests",
        "entrenous_wire": ROOT / "tests" / "wire",
        "entrenous_signaling": ROOT / "tests" / "signaling",
    }
    missing = []
    for name, path in MODULES.items():
        if path.name in ("__init__.py", "__main__.py") or "migrations" in path.parts:
            continue
        package, *parts = name.split(".")
        test = here[package].joinpath(*parts[:-1], f"test_{parts[-1]}.py")
        if not test.exists():
            missing.append(f"{name} → {test.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)


def test_the_server_loads_nothing_of_the_node() -> None:
    code = "import entrenous_signaling.cli, entrenous_signaling.app, sys; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for forbidden in ("entrenous", "av", "aiortc", "aioice", "sounddevice"):
        assert forbidden not in loaded


def test_the_node_loads_sound_devices_lazily() -> None:
    code = "import entrenous, entrenous.cli, sys; print('sounddevice' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
