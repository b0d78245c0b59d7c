"""The metrics page: METRICS and nothing else, with labels that are enums."""

from __future__ import annotations

import os
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrenous_signaling import metrics
from entrenous_signaling.meters import Access, Handshake, Meters, ParcelStep, RecordStep, UpgradeRefusal
from entrenous_signaling.metrics import METRICS, Readings, Shape, render
from entrenous_wire.messages import Kind
from world.hubworld import HubWorld, account
from world.serverproc import running_server

ALICE, BOB = account("alice"), account("bob")
READINGS = Readings(
    store_reads=1,
    store_writes=2,
    accounts=3,
    devices=4,
    stored_messages=5,
    degraded=True,
    draining=True,
    certificate_expires=1_800_000_000,
    began=1_700_000_000.0,
)

PUBLISHED = {
    "entrenous_accounts": (),
    "entrenous_call_seconds": (),
    "entrenous_certificate_expires": (),
    "entrenous_claims_refused": (),
    "entrenous_cluster_dropped": (),
    "entrenous_connections": (),
    "entrenous_cut_off": (),
    "entrenous_degraded": (),
    "entrenous_delivered": (),
    "entrenous_devices": (),
    "entrenous_draining": (),
    "entrenous_gc_pause_seconds": ("generation",),
    "entrenous_logins": (),
    "entrenous_loop_lag_seconds": (),
    "entrenous_lost": (),
    "entrenous_clock_ahead_seconds": (),
    "entrenous_clock_set_seconds": (),
    "entrenous_nodes": (),
    "entrenous_nodes_lost": (),
    "entrenous_open_records": (),
    "entrenous_parcels": ("step",),
    "entrenous_queued": ("queue",),
    "entrenous_records": ("step",),
    "entrenous_refused": ("code",),
    "entrenous_registrations": (),
    "entrenous_repeated": (),
    "entrenous_resumes": (),
    "entrenous_routed": ("kind",),
    "entrenous_sessions": (),
    "entrenous_sessions_elsewhere": (),
    "entrenous_slow_readers": (),
    "entrenous_store_failures": (),
    "entrenous_store_seconds": ("access",),
    "entrenous_stored_messages": (),
    "entrenous_tls_handshakes": ("outcome",),
    "entrenous_upgrades_refused": ("reason",),
    "process_cpu_seconds": (),
    "process_max_fds": (),
    "process_open_fds": (),
    "process_resident_memory_bytes": (),
    "process_start_time_seconds": (),
    "process_virtual_memory_bytes": (),
}
"""What operators can see. A name or a label more needs a look at what it tells of whom."""


def test_a_metric_or_label_more_is_seen_here() -> None:
    assert {name: tuple(published.labels) for name, published in METRICS.items()} == PUBLISHED


def test_what_happened_is_counted() -> None:
    world, meters = HubWorld(), Meters()
    alice = world.register(ALICE)
    world.register(BOB)
    alice.say(ALICE.send(1, BOB, Kind.RING), ALICE.send(1, BOB, Kind.RING))
    meters.upgrades_refused[UpgradeRefusal.FULL] += 7
    meters.handshakes[Handshake.RESUMED] += 8
    meters.records[RecordStep.CLOSED] += 9
    meters.cuts += 1
    meters.parcels[ParcelStep.DROPPED] += 2
    meters.call_seconds.observe(42)
    meters.store_seconds[Access.WRITE].observe(0.002)
    meters.lag_seconds.observe(0.3)
    page = render(world.hub, meters, READINGS).decode().splitlines()
    for line in (
        "entrenous_connections 2.0",
        "entrenous_registrations_total 2.0",
        'entrenous_queued{queue="messages"} 1.0',
        'entrenous_queued{queue="store-reads"} 1.0',
        'entrenous_queued{queue="store-writes"} 2.0',
        "entrenous_accounts 3.0",
        "entrenous_devices 4.0",
        "entrenous_stored_messages 5.0",
        "entrenous_draining 1.0",
        "entrenous_certificate_expires 1.8e+09",
        'entrenous_routed_total{kind="ring"} 1.0',
        "entrenous_repeated_total 1.0",
        'entrenous_refused_total{code="offline"} 0.0',
        'entrenous_upgrades_refused_total{reason="full"} 7.0',
        'entrenous_tls_handshakes_total{outcome="resumed"} 8.0',
        'entrenous_tls_handshakes_total{outcome="refused"} 0.0',
        'entrenous_records_total{step="closed"} 9.0',
        "entrenous_slow_readers_total 1.0",
        'entrenous_parcels_total{step="dropped"} 2.0',
        'entrenous_queued{queue="frames"} 0.0',
        "entrenous_cut_off 0.0",
        "entrenous_nodes 0.0",
        'entrenous_call_seconds_bucket{le="30.0"} 0.0',
        'entrenous_call_seconds_bucket{le="60.0"} 1.0',
        'entrenous_call_seconds_bucket{le="+Inf"} 1.0',
        "entrenous_call_seconds_sum 42.0",
        'entrenous_store_seconds_count{access="write"} 1.0',
        'entrenous_store_seconds_count{access="read"} 0.0',
        "entrenous_loop_lag_seconds_sum 0.3",
        "entrenous_degraded 1.0",
        "process_start_time_seconds 1.7e+09",
    ):
        assert line in page, line


def check_page(page: str) -> None:
    """Each metric with its shape and its labels, each label with the values of its enum; nothing is missing."""
    seen = set()
    for family in text_string_to_metric_families(page):
        published = METRICS[family.name]
        seen.add(family.name)
        assert family.type == published.shape.value, family.name
        values: dict[str, set[str]] = {label: set() for label in published.labels}
        for sample in family.samples:
            labels = dict(sample.labels)
            if published.shape is Shape.HISTOGRAM and sample.name.endswith("_bucket"):
                float(labels.pop("le"))
            assert labels.keys() == values.keys(), sample.name
            for label, value in labels.items():
                values[label].add(value)
        for label, kinds in published.labels.items():
            assert values[label] == {kind.value for kind in kinds}, (family.name, label)
    assert seen == METRICS.keys()


def test_a_page_has_all_metrics_and_nothing_else() -> None:
    check_page(render(HubWorld().hub, Meters(), READINGS).decode())


async def test_so_has_the_page_of_a_started_server(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, admin_listen="127.0.0.1:0") as server,
        aiohttp.ClientSession() as session,
        session.get(f"http://{server.admin}/metrics") as answer,
    ):
        assert answer.headers["Content-Type"] == metrics.CONTENT_TYPE
        check_page(await answer.text())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the process is read from there")
def test_the_process_says_how_much_it_takes() -> None:
    page = render(HubWorld().hub, Meters(), READINGS).decode()
    found = {sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples}
    assert 0 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_resident_memory_bytes"] > os.sysconf("SC_PAGE_SIZE")
