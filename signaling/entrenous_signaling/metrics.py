"""The hub's numbers as Prometheus reads them; the only labels are enums of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from entrenous_wire.messages import ErrorCode, Kind

from .hub import Hub

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class HubCollector(Collector):
    """Reads the hub when it is asked.

    Args:
        hub: whose numbers.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def collect(self) -> Iterator[Metric]:
        """All metrics, each code and kind with a value from the start."""
        hub, counters = self._hub, self._hub.counters
        for name, text, value in (
            ("connections", "Connections, logged in or not.", hub.connections),
            ("sessions", "Sessions, connected or expected back.", hub.sessions),
            ("queued_messages", "Messages that wait for an acknowledgement.", hub.queued),
            ("open_records", "Call records that are open.", hub.open_records),
            ("degraded", "1 when the store refuses to store.", int(hub.degraded)),
        ):
            yield GaugeMetricFamily(f"entrenous_{name}", text, value=value)
        for name, text, value in (
            ("logins", "Sessions that began with a login.", counters.logins),
            ("resumes", "Sessions that were resumed.", counters.resumes),
            ("registrations", "Registrations.", counters.registrations),
            ("repeated", "Messages that were said again and not routed again.", counters.repeated),
            ("delivered", "Messages that their receiver acknowledged.", counters.delivered),
            ("lost", "Messages whose receiver was not there in time.", counters.lost),
            ("claims_refused", "Calls that were claimed without an open record.", counters.claims_refused),
            ("store_failures", "Store requests that could not be carried out.", counters.store_failures),
        ):
            yield CounterMetricFamily(f"entrenous_{name}", text, value=value)
        routed = CounterMetricFamily("entrenous_routed", "Messages that were queued, by kind.", labels=["kind"])
        for kind in Kind:
            routed.add_metric([kind.value], counters.routed[kind])
        yield routed
        refused = CounterMetricFamily("entrenous_refused", "Errors that were answered, by code.", labels=["code"])
        for code in ErrorCode:
            refused.add_metric([code.value], counters.refused[code])
        yield refused


def render(hub: Hub) -> bytes:
    """The whole page, in CONTENT_TYPE."""
    registry = CollectorRegistry()
    registry.register(HubCollector(hub))
    return generate_latest(registry)
