"""The server's numbers as Prometheus reads them. METRICS is all of them; a label's values are those of an enum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from entrenous_wire.messages import ErrorCode, Kind

from .cluster.state import ALONE
from .distributions import Distribution
from .hub import Hub
from .meters import Access, Generation, Handshake, Meters, ParcelStep, RecordStep, UpgradeRefusal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BEGAN: Final = "process_start_time_seconds"

LabelValue = TypeVar("LabelValue", bound=Enum)


class Shape(Enum):
    """How Prometheus reads a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    """Its name ends in _total on the page."""
    HISTOGRAM = "histogram"
    """Its names end in _bucket (with the label `le`), _count and _sum on the page."""


@dataclass(frozen=True, slots=True)
class Published:
    """A metric.

    Args:
        shape: how it is read.
        text: what it says.
        labels: name of each label → the enum of its values.
    """

    shape: Shape
    text: str
    labels: Mapping[str, type[Enum]] = field(default_factory=dict)


class Queue(Enum):
    """Where something waits."""

    MESSAGES = "messages"
    """For the acknowledgement of the device that they are for."""
    STORE_READS = "store-reads"
    STORE_WRITES = "store-writes"
    FRAMES = "frames"
    """For the acknowledgement of another node of the cluster."""


METRICS: Final[Mapping[str, Published]] = {
    "entrenous_connections": Published(Shape.GAUGE, "Connections, logged in or not."),
    "entrenous_sessions": Published(Shape.GAUGE, "Sessions, connected or expected back."),
    "entrenous_open_records": Published(Shape.GAUGE, "Call records that are open."),
    "entrenous_queued": Published(Shape.GAUGE, "What waits, by queue.", {"queue": Queue}),
    "entrenous_accounts": Published(Shape.GAUGE, "Accounts in the database, counted each minute."),
    "entrenous_devices": Published(Shape.GAUGE, "Devices in the database, counted each minute."),
    "entrenous_stored_messages": Published(Shape.GAUGE, "Sealed messages in the database, counted each minute."),
    "entrenous_degraded": Published(Shape.GAUGE, "1 while the store does not store."),
    "entrenous_draining": Published(Shape.GAUGE, "1 while nodes are sent away."),
    "entrenous_certificate_expires": Published(Shape.GAUGE, "Unix seconds at which the certificate ends; 0 without."),
    "entrenous_logins": Published(Shape.COUNTER, "Sessions that began with a login."),
    "entrenous_resumes": Published(Shape.COUNTER, "Sessions that were resumed."),
    "entrenous_registrations": Published(Shape.COUNTER, "Registrations."),
    "entrenous_routed": Published(Shape.COUNTER, "Messages that were queued, by kind.", {"kind": Kind}),
    "entrenous_repeated": Published(Shape.COUNTER, "Messages that were said again and not routed again."),
    "entrenous_delivered": Published(Shape.COUNTER, "Messages that their receiver acknowledged."),
    "entrenous_lost": Published(Shape.COUNTER, "Messages whose receiver was not there in time."),
    "entrenous_claims_refused": Published(Shape.COUNTER, "Calls that were claimed without an open record."),
    "entrenous_store_failures": Published(Shape.COUNTER, "Store requests that could not be carried out."),
    "entrenous_refused": Published(Shape.COUNTER, "Errors that were answered, by code.", {"code": ErrorCode}),
    "entrenous_upgrades_refused": Published(
        Shape.COUNTER, "Connections that were not let in, by reason.", {"reason": UpgradeRefusal}
    ),
    "entrenous_slow_readers": Published(Shape.COUNTER, "Connections that were cut since their node did not read."),
    "entrenous_cut_off": Published(Shape.GAUGE, "1 while the bus to the other nodes of the cluster is not reached."),
    "entrenous_clock_ahead_seconds": Published(
        Shape.GAUGE, "By how much the clock was ahead of the database's at the last look; negative if it was behind."
    ),
    "entrenous_clock_set_seconds": Published(
        Shape.GAUGE, "By how much the machine's clock was set since the start; 0 if it was not, or by little."
    ),
    "entrenous_nodes": Published(Shape.GAUGE, "Other nodes of the cluster that are heard."),
    "entrenous_sessions_elsewhere": Published(Shape.GAUGE, "Sessions that other nodes of the cluster have."),
    "entrenous_nodes_lost": Published(Shape.COUNTER, "How often another node fell silent, or gave this one up."),
    "entrenous_parcels": Published(
        Shape.COUNTER, "Sealed parcels between nodes, by what became of them.", {"step": ParcelStep}
    ),
    "entrenous_cluster_dropped": Published(
        Shape.COUNTER, "What came from other nodes and was not understood, or too late: see their clocks."
    ),
    "entrenous_tls_handshakes": Published(
        Shape.COUNTER, "TLS handshakes that are over, by outcome.", {"outcome": Handshake}
    ),
    "entrenous_records": Published(Shape.COUNTER, "Call records, by what became of them.", {"step": RecordStep}),
    "entrenous_call_seconds": Published(Shape.HISTOGRAM, "How long calls took that have ended."),
    "entrenous_store_seconds": Published(
        Shape.HISTOGRAM, "From asking the store to its answer, by access.", {"access": Access}
    ),
    "entrenous_loop_lag_seconds": Published(Shape.HISTOGRAM, "By how much a timer of half a second was late."),
    "entrenous_gc_pause_seconds": Published(
        Shape.HISTOGRAM, "How long a collection of garbage took, by generation.", {"generation": Generation}
    ),
    "process_virtual_memory_bytes": Published(Shape.GAUGE, "Virtual memory size in bytes."),
    "process_resident_memory_bytes": Published(Shape.GAUGE, "Resident memory size in bytes."),
    "process_start_time_seconds": Published(Shape.GAUGE, "Unix seconds at which the server was started."),
    "process_cpu_seconds": Published(Shape.COUNTER, "Total user and system CPU time spent in seconds."),
    "process_open_fds": Published(Shape.GAUGE, "Number of open file descriptors."),
    "process_max_fds": Published(Shape.GAUGE, "Maximum number of open file descriptors."),
}
"""Every metric that there is, which a test compares with the page of a started server."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read off the running server at the moment.

    Args:
        store_reads, store_writes: requests that wait for their answer.
        accounts, devices, stored_messages: what the database held at the last count.
        degraded: whether the store does not store, or answers nothing.
        draining: whether nodes are sent away.
        certificate_expires: Unix seconds, or 0.
        began: Unix seconds at which the server was started.
    """

    store_reads: int
    store_writes: int
    accounts: int
    devices: int
    stored_messages: int
    degraded: bool
    draining: bool
    certificate_expires: int
    began: float


class ServerCollector(Collector):
    """Reads everything when it is asked, each label with all its values from the start.

    Args:
        hub, meters: what has been counted.
        readings: what is read off at the moment.
    """

    def __init__(self, hub: Hub, meters: Meters, readings: Readings) -> None:
        self._hub = hub
        self._meters = meters
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """All of METRICS but what the process takes."""
        hub, readings, counters, meters = self._hub, self._readings, self._hub.counters, self._meters
        cluster = hub.cluster_state or ALONE
        yield _gauge("entrenous_connections", hub.connections)
        yield _gauge("entrenous_sessions", hub.sessions)
        yield _gauge("entrenous_open_records", hub.open_records)
        waiting = {
            Queue.MESSAGES: hub.queued,
            Queue.STORE_READS: readings.store_reads,
            Queue.STORE_WRITES: readings.store_writes,
            Queue.FRAMES: cluster.waiting,
        }
        yield _labelled("entrenous_queued", waiting)
        yield _gauge("entrenous_accounts", readings.accounts)
        yield _gauge("entrenous_devices", readings.devices)
        yield _gauge("entrenous_stored_messages", readings.stored_messages)
        yield _gauge("entrenous_degraded", readings.degraded)
        yield _gauge("entrenous_draining", readings.draining)
        yield _gauge("entrenous_certificate_expires", readings.certificate_expires)
        yield _counter("entrenous_logins", counters.logins)
        yield _counter("entrenous_resumes", counters.resumes)
        yield _counter("entrenous_registrations", counters.registrations)
        yield _labelled("entrenous_routed", counters.routed)
        yield _counter("entrenous_repeated", counters.repeated)
        yield _counter("entrenous_delivered", counters.delivered)
        yield _counter("entrenous_lost", counters.lost)
        yield _counter("entrenous_claims_refused", counters.claims_refused)
        yield _counter("entrenous_store_failures", counters.store_failures)
        yield _labelled("entrenous_refused", counters.refused)
        yield _labelled("entrenous_upgrades_refused", meters.upgrades_refused)
        yield _counter("entrenous_slow_readers", meters.cuts)
        yield _gauge("entrenous_cut_off", not cluster.connected)
        yield _gauge("entrenous_clock_ahead_seconds", hub.clock.ahead)
        yield _gauge("entrenous_clock_set_seconds", hub.clock_set_by)
        yield _gauge("entrenous_nodes", cluster.nodes)
        yield _gauge("entrenous_sessions_elsewhere", cluster.sessions)
        yield _counter("entrenous_nodes_lost", cluster.lost_nodes)
        yield _labelled("entrenous_parcels", meters.parcels)
        yield _counter("entrenous_cluster_dropped", cluster.dropped)
        yield _labelled("entrenous_tls_handshakes", meters.handshakes)
        yield _labelled("entrenous_records", meters.records)
        yield _histogram("entrenous_call_seconds", [((), meters.call_seconds)])
        yield _histogram("entrenous_store_seconds", _by_label(meters.store_seconds))
        yield _histogram("entrenous_loop_lag_seconds", [((), meters.lag_seconds)])
        yield _histogram("entrenous_gc_pause_seconds", _by_label(meters.pause_seconds))
        # Not read off the process: a hardened unit (ProcSubset=pid) hides when the machine was started.
        yield _gauge(_BEGAN, readings.began)


class _Process(Collector):
    """What the process takes."""

    def __init__(self) -> None:
        self._all = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in self._all.collect() if metric.name != _BEGAN)


def render(hub: Hub, meters: Meters, readings: Readings) -> bytes:
    """The whole page, in CONTENT_TYPE."""
    registry = CollectorRegistry()
    registry.register(ServerCollector(hub, meters, readings))
    registry.register(_Process())
    return generate_latest(registry)


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, METRICS[name].text, value=float(value))


def _counter(name: str, value: float) -> Metric:
    return CounterMetricFamily(name, METRICS[name].text, value=float(value))


def _labelled(name: str, values: Mapping[LabelValue, int]) -> Metric:
    """A metric of one label, with each value that its enum has."""
    published = METRICS[name]
    ((label, kinds),) = published.labels.items()
    make = GaugeMetricFamily if published.shape is Shape.GAUGE else CounterMetricFamily
    family = make(name, published.text, labels=[label])
    found = {kind.value: count for kind, count in values.items()}
    for kind in kinds:
        family.add_metric([kind.value], float(found.get(kind.value, 0)))
    return family


def _histogram(name: str, values: Iterable[tuple[tuple[str, ...], Distribution]]) -> Metric:
    published = METRICS[name]
    family = HistogramMetricFamily(name, published.text, labels=list(published.labels))
    for labels, distribution in values:
        family.add_metric(list(labels), distribution.buckets(), sum_value=distribution.total)
    return family


def _by_label(values: Mapping[LabelValue, Distribution]) -> list[tuple[tuple[str, ...], Distribution]]:
    return [((kind.value,), distribution) for kind, distribution in values.items()]
