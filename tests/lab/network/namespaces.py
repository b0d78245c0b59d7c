"""Network namespaces: hosts to run programs in, and taking them down whatever happens.

The names begin with the number of the process that made them, so what a killed process left can be told and swept.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_PREFIX = "entrenous-lab-"
_MOUNTED = Path("/run/netns")
_FILES = Path("/etc/netns")
_END_SECONDS = 2.0


class Unavailable(RuntimeError):  # noqa: N818 - a state of the machine, not an error of anybody
    """This machine cannot hold a lab; the message says why, in one line."""


class Host:
    """One namespace: a place to run programs in.

    Attributes:
        name: within the lab.
        namespace: the name that `ip netns` knows.
        ipv4, ipv6: the address that others reach it by, or the one on its own network behind a NAT; empty if none.
    """

    def __init__(self, lab: str, name: str) -> None:
        self.name = name
        self.namespace = f"{lab}-{name}"
        self.ipv4 = ""
        self.ipv6 = ""
        self._processes: list[asyncio.subprocess.Process] = []

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.ipv4} {self.ipv6}>"

    def command(self, *command: object) -> list[str]:
        """The command line that runs a program in this host."""
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    async def start(self, *command: object, **options: Any) -> asyncio.subprocess.Process:
        """Start a program here; the lab ends it if it is still there at the end.

        Args:
            command: program and arguments.
            options: of `asyncio.create_subprocess_exec`.
        """
        process = await asyncio.create_subprocess_exec(*self.command(*command), **options)
        self._processes.append(process)
        return process

    async def run(self, *command: object, text: str = "") -> str:
        """Run a program here to its end; returns what it printed, raises RuntimeError with it where it fails."""
        return await run(*self.command(*command), text=text)

    async def ip(self, *lines: str) -> None:
        """Carry out commands of ip(8), all in one batch."""
        await run("ip", "-n", self.namespace, "-batch", "-", text="\n".join(lines) + "\n")

    async def sysctl(self, **settings: object) -> None:
        """Write settings below /proc/sys/net; a double underscore stands for a slash."""
        lines = [f"echo {value} > /proc/sys/net/{name.replace('__', '/')}" for name, value in settings.items()]
        await self.run("sh", "-e", text="\n".join(lines))

    async def end_programs(self) -> None:
        """Ask what was started here to end; what does not is killed with the namespace."""
        running = [process for process in self._processes if process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.gather(*(process.wait() for process in running))


async def run(*command: str, text: str = "") -> str:
    """Run a program to its end; returns what it printed, raises RuntimeError with it where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate(text.encode())
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(err or out).decode().strip()}")
    return out.decode()


async def make_namespaces(hosts: Iterable[Host], names: Mapping[str, Sequence[str]]) -> None:
    """Make the namespaces of these hosts, their loopback up, IPv6 addresses usable at once.

    Args:
        hosts: all of the lab.
        names: addresses by name, for /etc/hosts as programs in there see it; no name server is asked.
    """
    lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    table = "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""])
    hosts = list(hosts)
    for host in hosts:
        folder = _FILES / host.namespace
        folder.mkdir(parents=True)
        (folder / "hosts").write_text(table)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
    await run("ip", "-batch", "-", text="".join(f"netns add {host.namespace}\n" for host in hosts))
    # Duplicate address detection would keep an address back for a second or two.
    settings = "cd /proc/sys/net/ipv6/conf; echo 0 > all/accept_dad; echo 0 > default/accept_dad; "
    settings += "echo 0 > default/accept_ra; ip link set lo up"
    await asyncio.gather(*(host.run("sh", "-ec", settings) for host in hosts))


def remove_namespaces(lab: str) -> None:
    """Kill what runs in the namespaces of a lab, and remove them; does not wait, so it works while all goes down."""
    mounted = [path for path in _listed() if path.name.startswith(f"{lab}-")]
    for pid in _inside(mounted):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    commands = "".join(f"netns del {path.name}\n" for path in mounted)
    subprocess.run(["ip", "-force", "-batch", "-"], input=commands, text=True, capture_output=True, check=False)
    for folder in _FILES.glob(f"{lab}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def lab_name(number: int) -> str:
    """The beginning of the names of all namespaces of the lab with this number in this process."""
    return f"{_PREFIX}{os.getpid()}.{number}"


def sweep() -> None:
    """Remove what labs have left whose process was killed."""
    left = {path.name for path in (*_listed(), *_FILES.glob(f"{_PREFIX}*")) if path.name.startswith(_PREFIX)}
    for lab in {name.removeprefix(_PREFIX).partition("-")[0] for name in left}:
        if not Path("/proc", lab.partition(".")[0]).exists():
            remove_namespaces(_PREFIX + lab)


@functools.cache
def why_unavailable() -> str | None:
    """Say in one line why no lab can be built here; None if one can (found by trying it once)."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "a network lab needs root on Linux"
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"a network lab needs the program {program}"
    lab = f"{_PREFIX}{os.getpid()}.0"
    probe = f"{lab}-probe"
    devices = "link add name lan type veth\nlink add name public type bridge\ntuntap add dev wan mode tun\n"
    rules = "table ip t { chain c { type nat hook postrouting priority srcnat; masquerade; }; }\n"
    try:
        for command, text in (
            (["ip", "netns", "add", probe], ""),
            (["ip", "-n", probe, "-batch", "-"], devices),
            (["ip", "netns", "exec", probe, "nft", "-f", "-"], rules),
        ):
            subprocess.run(command, input=text, text=True, capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        return "no network lab: " + str(error.stderr).strip().partition("\n")[0]
    except OSError as error:
        return f"no network lab: {error}"
    finally:
        remove_namespaces(lab)
    return None


def _listed() -> list[Path]:
    return list(_MOUNTED.iterdir()) if _MOUNTED.is_dir() else []


def _inside(namespaces: Iterable[Path]) -> list[int]:
    """Processes in these namespaces: each of them was started by a lab."""
    inodes, found = set(), []
    for path in namespaces:
        with contextlib.suppress(OSError):  # somebody else sweeps too
            inodes.add(path.stat().st_ino)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (entry / "ns" / "net").stat().st_ino in inodes:
                    found.append(int(entry.name))
    return found
