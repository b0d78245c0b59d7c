"""A real PostgreSQL of our own: a cluster in a temporary folder, reached through a Unix socket and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_PROGRAMS = (Path("/usr/lib/postgresql/15/bin"), Path("/usr/lib/postgresql/16/bin"), Path("/usr/lib/postgresql/17/bin"))
_USER = "postgres"
_DATABASE = "entrenous"
_MEMORY = Path("/dev/shm")
_START_SECONDS = 60.0


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, or None when PostgreSQL or its driver is not installed."""
    try:
        import psycopg  # noqa: F401 - to see whether it is there
    except ImportError:
        return None
    return next((folder for folder in _PROGRAMS if (folder / "initdb").exists()), None)


def socket_in(folder: Path) -> Path:
    """The name under which clients look for a server in a folder."""
    return folder / ".s.PGSQL.5432"


class Cluster:
    """A cluster that can be stopped, frozen and started again.

    Args:
        folder: for its data and its socket; the user that PostgreSQL runs as owns it.
        programs: the folder of its programs.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        run = ["initdb", "-D", str(self._data), "-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-U", _USER]
        subprocess.run(self._command(run), check=True, stdout=subprocess.DEVNULL)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log"

    @property
    def socket(self) -> Path:
        """Where it takes connections."""
        return socket_in(self.folder)

    def url(self, database: str, through: Path | None = None) -> str:
        """Where a database is, as the server's configuration says it.

        Args:
            database: its name.
            through: the folder of another socket that leads to it.
        """
        return f"postgresql://{_USER}@/{database}?host={quote(str(through or self.folder), safe='')}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        command = ["postgres", "-D", str(self._data), "-k", str(self.folder), "-c", "listen_addresses="]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command(command), stdout=log, stderr=log)
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)  # a process that starts has no event to wait for

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends its connections, SIGQUIT leaves it as a power cut would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let none of its processes run, so that it takes what is sent and answers nothing."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        pids = [self._process.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def empty(self) -> str:
        """An empty database, the same one every time; its name is returned."""
        if not self.execute("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{_DATABASE}'"):
            self.execute("postgres", f"CREATE DATABASE {_DATABASE}")
        self.execute(_DATABASE, "SET lock_timeout = '10s'; DROP SCHEMA IF EXISTS accounts, usage CASCADE")
        return _DATABASE

    def execute(self, database: str, statement: str) -> Sequence[tuple[Any, ...]]:
        """Carry out a statement as the operator of the cluster would; the rows that it returns."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        import psycopg

        try:
            self.execute("postgres", "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _command(self, command: Sequence[str]) -> list[str]:
        """PostgreSQL refuses to run as root; and it ends with what has started it, whatever happens to that."""
        change = ["--reuid", _USER, "--regid", _USER, "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *change, "--pdeathsig", "INT", str(self._programs / command[0]), *command[1:]]


@contextmanager
def running_cluster(*, on_disk: bool = False) -> Iterator[Cluster]:
    """A cluster that has started; it is stopped and deleted at the end. Where none is installed, the test is skipped.

    Args:
        on_disk: write to a real disk, where each commit takes its time, and not to memory that looks like one.
    """
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL or psycopg is not installed")
    folder = Path(tempfile.mkdtemp(prefix="entrenous-pg-", dir=_MEMORY if _MEMORY.is_dir() and not on_disk else None))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER, _USER)
        cluster = Cluster(folder, programs)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)
