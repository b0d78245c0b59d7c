"""Where the doctor is put to the test: a whole service in the laboratory, healthy unless a fault is asked for.

A `Clinic` holds what takes time to make and never changes: authorities and certificates, accounts, and a clock that is
off. A `Scene` is one laboratory with a server, a relay and a patient in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from entrenous import Profile
from lab.certificates import Authority, write
from lab.coturn import SECRET, lab_settings, running_coturn
from lab.network import Access, Families, Host, Link, Nat, Network

HERE: Final = Path(__file__).parent
PASSPHRASE: Final = "a passphrase of a test"
SERVER, RELAY = "signal.lab", "turn.lab"
BOB, CAROL = f"bob@{SERVER}", f"carol@{SERVER}"
START_SECONDS: Final = 60.0
DOCTOR_SECONDS: Final = 90.0

RELAY_URLS: Final = (
    f"turn:{RELAY}:3478?transport=udp",
    f"turn:{RELAY}:3478?transport=tcp",
    f"turns:{RELAY}:443?transport=tcp",
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a scene differs from a healthy one.

    Args:
        nat, families, link: of the patient's home.
        server: what listens in the place of the server: `entrenous`, `nothing`, or a program of `STAND_INS`.
        server_certificate, relay_certificate: kinds of `Clinic.certificates`.
        server_data: `full`, `empty`, or `other`, where somebody else is bob.
        server_settings: further keys of its TOML file.
        relay_urls: that the server names; none for no relay.
        has_relay: whether one runs.
        relay_secret: that the relay knows.
        relay_changes: fields of its `TurnSettings`.
        relay_text: a last change to its configuration.
        server_shift, patient_shift: seconds by which a clock is off.
        profile: `bob`, `nobody`, `damaged`, or `bob-knowing-carol`, `bob-knowing-another-carol`.
        passphrase: that is given.
        arguments: of the doctor; `{authority}` stands for the PEM file of the authority.
        sound: whether to look at the sound devices: there are none here.
        injure: done to the laboratory once all is up.
    """

    nat: Nat = Nat.PORT_RESTRICTED
    families: Families = Families.V4
    link: Link | None = None
    server: str = "entrenous"
    server_certificate: str = "good"
    server_data: str = "full"
    server_settings: dict[str, object] = field(default_factory=dict)
    relay_urls: tuple[str, ...] = RELAY_URLS
    has_relay: bool = True
    relay_certificate: str = "good"
    relay_secret: str = SECRET
    relay_changes: dict[str, object] = field(default_factory=dict)
    relay_text: Callable[[str], str] = lambda text: text
    server_shift: int = 0
    patient_shift: int = 0
    profile: str = "bob"
    passphrase: str = PASSPHRASE
    arguments: tuple[str, ...] = ()
    sound: bool = False
    injure: Callable[[Scene], Awaitable[None]] | None = None

    @property
    def needs_shifted_clock(self) -> bool:
        """Whether it cannot be had without a C compiler."""
        return bool(self.server_shift or self.patient_shift)


class Clinic:
    """What all scenes share.

    Args:
        folder: of its own, readable by the relay's user.

    Attributes:
        shim: the library that shifts a clock; None where there is no C compiler.
        usual_line: the patient's line where a setup asks for no other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"
        self.shim: Path | None = None
        self.usual_line = Link()

    @property
    def authority(self) -> Path:
        """The PEM file of the authority that everybody trusts."""
        return self.certificates / "authority.pem"

    async def prepare(self) -> None:
        """Issue certificates, build the clock, register the accounts."""
        self._issue()
        if shutil.which("cc"):
            self.shim = self.folder / "shifted_clock.so"
            await _run("cc", "-shared", "-fPIC", "-O1", "-o", self.shim, HERE / "shifted_clock.c", "-ldl")
        async with Network(patient=Nat.NONE) as lab:
            await asyncio.gather(
                self._register(lab.host("signal"), "full", {"bob": "bob", "carol": "carol"}),
                self._register(lab.host("turn"), "other", {"other-bob": "bob", "other-carol": "carol"}),
            )
        (self.folder / "empty").mkdir()
        self._make_profiles()

    def environment(self, shift: int = 0) -> dict[str, str]:
        """Of a program whose clock is off."""
        environment = {**os.environ, "ENTRENOUS_PASSPHRASE": PASSPHRASE}
        if shift:
            environment |= {"LD_PRELOAD": str(self.shim), "CLOCK_SHIFT": str(shift)}
        return environment

    async def _register(self, host: Host, data: str, people: dict[str, str]) -> None:
        """Let people register with a server that keeps what it learns in a folder.

        The host plays both ends: `signal.lab` is told to be the machine itself.
        """
        hosts = Path("/etc/netns") / host.namespace / "hosts"
        hosts.write_text(f"127.0.0.1 localhost {SERVER}\n")
        async with self.server(host, self.folder / data, "good", {}):
            accounts = [f"{name}@{SERVER}={self.folder / profile}" for profile, name in people.items()]
            await host.run(
                *("env", f"ENTRENOUS_PASSPHRASE={PASSPHRASE}", sys.executable, "-c", _REGISTER),
                *(self.authority, *accounts),
            )

    @asynccontextmanager
    async def server(
        self, host: Host, data: Path, certificate: str, settings: dict[str, object], shift: int = 0
    ) -> AsyncIterator[None]:
        """A signaling server that listens."""
        certificates = self.certificates / f"{SERVER}-{certificate}"
        options = {"listen": "[::]:443", "name": SERVER, "data": str(data)}
        options |= {"tls_cert": str(certificates / "cert.pem"), "tls_key": str(certificates / "key.pem")}
        file = data.with_suffix(".toml")
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in {**options, **settings}.items()))
        with data.with_suffix(".log").open("wb") as log:
            process = await host.start(
                *(sys.executable, "-m", "entrenous_signaling", "serve", "--config", file, "--json"),
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment(shift),
            )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                if not await process.stdout.readline():
                    raise RuntimeError(data.with_suffix(".log").read_text())
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def _make_profiles(self) -> None:
        """Variations of bob."""
        for name, contact in (("bob-knowing-carol", "carol"), ("bob-knowing-another-carol", "other-carol")):
            card = Profile.open(self.folder / contact, PASSPHRASE).card
            copy = shutil.copytree(self.folder / "bob", self.folder / name)
            Profile.open(copy, PASSPHRASE).contacts.add(str(card))
        damaged = shutil.copytree(self.folder / "bob", self.folder / "damaged")
        keys = damaged / "keys.box"
        keys.write_bytes(keys.read_bytes()[:-40])
        (self.folder / "nobody").mkdir()

    def _issue(self) -> None:
        self.certificates.mkdir(mode=0o755)
        authority, stranger = Authority("The authority of the lab"), Authority("Somebody")
        self.authority.write_bytes(authority.pem)
        day = timedelta(days=1)
        for host in (SERVER, RELAY):
            for kind, issuer, name, begin, end in (
                ("good", authority, host, -day, 2 * day),
                ("expired", authority, host, -9 * day, -2 * day),
                ("future", authority, host, 2 * day, 9 * day),
                ("fresh", authority, host, timedelta(minutes=-5), day),
                ("wrong-name", authority, "www.lab", -day, 2 * day),
                ("untrusted", stranger, host, -day, 2 * day),
            ):
                folder = self.certificates / f"{host}-{kind}"
                folder.mkdir(mode=0o755)
                write(folder, issuer.issue(name, begin=begin, end=end))


@dataclass
class Scene:
    """One laboratory, as a setup asks for it."""

    clinic: Clinic
    setup: Setup
    lab: Network
    folder: Path
    stack: AsyncExitStack

    @property
    def patient(self) -> Host:
        """Where the doctor runs."""
        return self.lab.host("patient")

    async def start_script(self, host: Host, script: str, *arguments: object) -> None:
        """Start a Python script in a host, and wait for its first line."""
        process = await host.start(sys.executable, "-c", script, *arguments, stdout=subprocess.PIPE)
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            assert await process.stdout.readline(), "the script did not start"

    async def rules(self, host: str, text: str) -> None:
        """Add nftables rules to a host."""
        await self.lab.host(host).run("nft", "-f", "-", text=text)

    async def doctor(self) -> dict[str, Any]:
        """What the doctor says, as it says it with --json; `exit` is added, its exit code."""
        setup = self.setup
        arguments = [
            "--profile",
            self.folder / setup.profile,
            "--json",
            *(text.format(authority=self.clinic.authority) for text in setup.arguments),
        ]
        if not setup.sound:
            arguments.append("--no-sound")
        process = await self.patient.start(
            *(sys.executable, "-m", "entrenous.cli", "doctor", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.clinic.environment(setup.patient_shift) | {"ENTRENOUS_PASSPHRASE": setup.passphrase},
        )
        async with asyncio.timeout(DOCTOR_SECONDS):
            out, err = await process.communicate()
        said: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {}
        if "findings" not in said:
            raise RuntimeError(f"the doctor failed: {err.decode()}")
        return {**said, "exit": process.returncode}


@asynccontextmanager
async def scene(clinic: Clinic, setup: Setup) -> AsyncIterator[Scene]:
    """Build a laboratory with everything that the setup wants in it, and take it down afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="entrenous-scene-")))
        if (clinic.folder / setup.profile).exists():
            shutil.copytree(clinic.folder / setup.profile, folder / setup.profile)
        home = Access(setup.nat, setup.families, setup.link or clinic.usual_line)
        lab = await stack.enter_async_context(Network(patient=home))
        here = Scene(clinic, setup, lab, folder, stack)
        await asyncio.gather(_start_server(here), _start_relay(here))
        if setup.injure is not None:
            await setup.injure(here)
        yield here


async def _start_server(here: Scene) -> None:
    setup, clinic, host = here.setup, here.clinic, here.lab.host("signal")
    if setup.server == "nothing":
        return
    if setup.server != "entrenous":
        certificates = clinic.certificates / f"{SERVER}-{setup.server_certificate}"
        await here.start_script(host, STAND_INS[setup.server], certificates / "cert.pem", certificates / "key.pem")
        return
    data = here.folder / "data"
    shutil.copytree(clinic.folder / setup.server_data, data)
    settings = dict(setup.server_settings)
    if setup.relay_urls:
        secret = here.folder / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        settings |= {"turn_urls": list(setup.relay_urls), "turn_secret_file": str(secret)}
    await here.stack.enter_async_context(
        clinic.server(host, data, setup.server_certificate, settings, setup.server_shift)
    )


async def _start_relay(here: Scene) -> None:
    setup, host = here.setup, here.lab.host("turn")
    if setup.has_relay:
        settings = lab_settings(
            host, here.clinic.certificates / f"{RELAY}-{setup.relay_certificate}", **setup.relay_changes
        )
        await here.stack.enter_async_context(
            running_coturn(host, settings, (setup.relay_secret,), change=setup.relay_text)
        )


_REGISTER = """
import sys
from entrenous.cli import main
authority, *accounts = sys.argv[1:]
for account in accounts:
    address, _, profile = account.partition("=")
    try:
        main(["register", address, "--profile", profile, "--ca-file", authority])
    except SystemExit as ended:
        if ended.code:
            raise
"""
"""Several accounts in one process: loading the program takes ten times as long as registering."""

_TLS_SERVER = """
import socket, ssl, sys, threading, time
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("", 443), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
def serve(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            answer(secured)
    except OSError:
        pass
def run():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

STAND_INS: Final = {
    "web": _TLS_SERVER
    + """
def answer(secured):
    secured.recv(4096)
    secured.sendall(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 3\\r\\n\\r\\nno\\n")
run()
""",
    "silent": _TLS_SERVER
    + """
def answer(secured):
    time.sleep(60)
run()
""",
    "proxy": _TLS_SERVER
    + """
def answer(secured):
    secured.recv(4096)
    secured.sendall(b"HTTP/1.1 502 Bad Gateway\\r\\nContent-Length: 0\\r\\n\\r\\n")
run()
""",
    "banner": """
import socket
listener = socket.create_server(("", 443), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    listener.accept()[0].sendall(b"SSH-2.0-OpenSSH_9.2\\r\\n")
""",
}
"""Programs that listen where the server should, for `Setup.server`."""


async def _run(*command: object, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(err.decode())
    return out.decode()
