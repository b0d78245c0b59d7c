"""The search is proven: a canary that is planted in any place, in any form, is found there."""

from __future__ import annotations

import base64
import json
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web

from entrenous_signaling.store.database import Databases, migrate
from entrenous_signaling.store.postgresql import PostgresSchemas
from lab.postgres import Cluster
from world.canaries import (
    Canary,
    forms_of_address,
    forms_of_octets,
    forms_of_text,
    mark,
    mark_text,
    search,
    search_masked,
)
from world.operator import answering
from world.reach import reachable
from world.seizure import COMMANDS, control_answers, exports_of, files_of, memory_of, pages_of
from world.working_day import ADDRESSES, canaries

OCTETS, TEXT = mark("a test of the search"), mark_text("a test of the search")
NOISE = bytes(range(256)) * 8
CANARIES = [Canary.octets("octets", OCTETS), Canary.text("text", TEXT), Canary.address("address", ADDRESSES[0])]


def found(places: dict[str, bytes]) -> set[tuple[str, str, str]]:
    traces = [trace for place, data in places.items() for trace in search(place, data, CANARIES)]
    return {(trace.place, trace.what, trace.form) for trace in traces}


def whats(places: dict[str, bytes]) -> set[str]:
    return {what for _, what, _ in found(places)}


# --- forms ---


@pytest.mark.parametrize("form", sorted(forms_of_octets(OCTETS)))
def test_octets_are_found_in_every_form(form: str) -> None:
    assert whats({"": NOISE + forms_of_octets(OCTETS)[form] + NOISE}) == {"octets"}


@pytest.mark.parametrize("form", sorted(forms_of_text(TEXT)))
def test_a_text_is_found_in_every_form(form: str) -> None:
    assert whats({"": NOISE + forms_of_text(TEXT)[form] + NOISE}) == {"text"}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_found_in_every_form(address: str) -> None:
    looked_for = [Canary.address("address", address)]
    for form, data in forms_of_address(address).items():
        if len(data) >= 6 or form == "packed":
            assert search("", NOISE + data + NOISE, looked_for), form


@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("after", range(3))
def test_what_is_written_among_other_things_is_found(before: int, after: int) -> None:
    """As the encoders of others write it, and not as ours does: whole, with something around it."""
    value = os.urandom(before) + OCTETS + os.urandom(after)
    for written in (
        base64.b64encode(value),
        base64.urlsafe_b64encode(value),
        base64.b32encode(value),
        value.hex().encode(),
        json.dumps({"body": base64.b64encode(value).decode()}).encode(),
        json.dumps(list(value)).encode(),
        repr({"id": OCTETS}).encode(),
        json.dumps({"id": OCTETS.decode("latin-1")}).encode(),
    ):
        assert whats({"": written}) == {"octets"}
    for written in (f'{{"to":"{TEXT}@host"}}', f"user={TEXT.upper()}", TEXT.encode().hex()):
        assert "text" in whats({"": written.encode()})
    assert "text" in whats({"": TEXT.encode("utf-16")})
    assert "text" in whats({"": TEXT.encode("utf-32")})


def test_what_a_clients_frame_hides_below_its_mask_is_found() -> None:
    payload = f'{{"to":"{TEXT}","call":"{base64.b64encode(OCTETS).decode()}"}}'.encode()
    for start in range(4):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[(start + at) % 4] for at, byte in enumerate(payload))
        if any(mask):
            assert whats({"": NOISE + masked}) == set()
            assert {trace.what for trace in search_masked("", NOISE + masked, CANARIES)} == {"octets", "text"}
    assert search_masked("", NOISE + payload, CANARIES) == []  # which `search` finds


def test_nothing_is_found_where_there_is_nothing() -> None:
    noise = NOISE + os.urandom(1 << 20)
    assert search("", noise, canaries(), memory=True) == []
    assert search_masked("", noise, canaries()) == []


def test_a_bare_address_counts_in_memory_where_the_system_would_write_it() -> None:
    packed = ip_address(ADDRESSES[0]).packed
    for data, counts in ((NOISE + packed, False), (packed + NOISE + b"\x02\x00\x1f\x90" + packed, True)):
        assert bool(search("", data, CANARIES, memory=True)) is counts


def test_marks_are_of_one_kind_alone() -> None:
    every = canaries()
    for one in every:
        data = b" ".join(one.forms.values())
        kinds = {trace.what for trace in search("", data, every)}
        assert kinds == {one.what}, one.what


# --- places ---


def plant_in_table(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO account VALUES (?, ?, 1)", (TEXT, NOISE + OCTETS))


def test_it_is_found_in_the_tables_of_sqlite(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    assert whats(files_of(tmp_path)) == set()
    plant_in_table(tmp_path / "accounts.sqlite3")
    assert whats(files_of(tmp_path)) == {"text", "octets"}


def test_it_is_found_in_what_sqlite_has_not_folded_in(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    with closing(sqlite3.connect(tmp_path / "accounts.sqlite3")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM account").fetchall()  # as long as it reads, the log stays
        plant_in_table(tmp_path / "accounts.sqlite3")
        places = {place for place, _, _ in found(files_of(tmp_path))}
    assert "accounts.sqlite3-wal" in places


def test_what_sqlite_has_deleted_without_care_is_found(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    plant_in_table(tmp_path / "accounts.sqlite3")
    with closing(sqlite3.connect(tmp_path / "accounts.sqlite3")) as connection:
        connection.execute("PRAGMA secure_delete=OFF")
        with connection:
            connection.execute("DELETE FROM account")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert "text" in whats(files_of(tmp_path))


def test_it_is_found_in_the_files_and_in_the_log_of_postgresql(tmp_path: Path, own_cluster: Cluster) -> None:
    databases = Databases(tmp_path, own_cluster.url(own_cluster.empty()))
    migrate(databases)
    planted = f"convert_to('{TEXT}', 'UTF8') || '\\x{OCTETS.hex()}'::bytea"
    database = "entrenous"
    before = own_cluster.log.stat().st_size
    own_cluster.execute(database, f"INSERT INTO accounts.account VALUES ('plain', {planted}, 1)")
    own_cluster.execute(database, "CHECKPOINT")
    places = {place for place, what, _ in found(files_of(own_cluster.folder)) if what == "octets"}
    assert any(place.startswith("data/base/") for place in places)
    assert any(place.startswith("data/pg_wal/") for place in places)
    own_cluster.execute(database, f"DO $$ BEGIN RAISE LOG 'a user named {TEXT} from {ADDRESSES[0]}'; END $$")
    assert whats({"log": own_cluster.log.read_bytes()[before:]}) == {"text", "address"}
    assert isinstance(databases.backend(), PostgresSchemas)


@pytest.mark.parametrize("formatter", [logging.Formatter("%(message)s"), logging.Formatter("%(args)s")])
def test_it_is_found_in_a_log(tmp_path: Path, formatter: logging.Formatter) -> None:
    handler = logging.FileHandler(tmp_path / "log")
    handler.setFormatter(formatter)
    with closing(handler):
        handler.emit(logging.LogRecord("a", 40, "", 0, "%s from %s said %r", (TEXT, ADDRESSES[0], OCTETS), None))
    assert whats(files_of(tmp_path)) == {"text", "address", "octets"}


async def test_it_is_found_on_pages_and_in_their_headers() -> None:
    async def page(request: web.Request) -> web.Response:
        if request.path == "/readyz":
            return web.Response(headers={"X-Client": ADDRESSES[0]})
        return web.Response(text=f'entrenous_sessions{{user="{TEXT}"}} 1.0\n')

    app = web.Application()
    app.router.add_get("/{any}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        pages = await pages_of(f"{host}:{port}")
    finally:
        await runner.cleanup()
    assert {(place, what) for place, what, _ in found(pages)} == {
        ("page /metrics", "text"),
        ("page /healthz", "text"),
        ("page /readyz", "address"),
    }


def test_it_is_found_in_answers_and_in_refusals(tmp_path: Path) -> None:
    for answer in ({"sessions": 1, "users": [TEXT]}, {"error": f"{TEXT} is not here."}):
        with answering(tmp_path / "control", answer):
            answers = control_answers(tmp_path / "control", COMMANDS[:1])
        assert whats({"": answers["answer to status"]}) == {"text"}
        (tmp_path / "control").unlink()


def test_it_is_found_in_exports_of_every_format(tmp_path: Path) -> None:
    migrate(Databases(tmp_path))
    start = 1_700_000_000
    with closing(sqlite3.connect(tmp_path / "usage.sqlite3")) as connection, connection:
        connection.execute("INSERT INTO call_record VALUES (?, 4711)", (start,))
    exports = exports_of(Databases(tmp_path))
    assert sorted(exports) == ["export as csv", "export as json", "export as parquet", "export as table"]
    duration = [Canary("duration", {"text": b"4711", "little endian": (4711).to_bytes(8, "little")})]
    assert {place for place, data in exports.items() if search(place, data, duration)} == set(exports)


HOLDER = """
import ctypes, sys
line = sys.stdin.readline().strip()
held = [bytes.fromhex(line), ctypes.create_string_buffer(bytes.fromhex(line))]
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder() -> Iterator[Callable[[bytes], int]]:
    """Starts a process that holds something in its memory; its process id."""
    processes = []

    def hold(value: bytes) -> int:
        process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(value.hex().encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"held\n"
        return process.pid

    yield hold
    for process in processes:
        process.communicate()


def test_it_is_found_in_the_memory_of_a_process_which_goes_on(holder: Callable[[bytes], int]) -> None:
    empty, full = holder(b"nothing"), holder(TEXT.encode() + OCTETS)
    assert whats(memory_of(empty)) == set()
    assert whats(memory_of(full)) == {"text", "octets"}
    os.kill(full, 0)
    assert "T" not in Path(f"/proc/{full}/stat").read_text().rpartition(")")[2].split()[0]


@dataclass
class Holds:
    inner: object


def test_what_an_object_leads_to_is_found_however_it_is_held() -> None:
    held = Holds(TEXT)

    def closed_over() -> object:
        return held

    for holding in (
        [TEXT],
        {TEXT: 1},
        {1: frozenset({TEXT})},
        closed_over,
        Holds([closed_over]),
        lambda value=held: value,
        held.__init__,
        (Canary.text(TEXT, "another"),),
    ):
        assert any(value == TEXT for _, value in reachable(Holds(holding))), holding
    assert list(reachable(Holds([1, None, json]))) == []
