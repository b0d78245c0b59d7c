"""The `[cluster]` table: NATS over TLS, secrets in files, and nothing half."""

from __future__ import annotations

from typing import Any

import pytest

from entrenous_signaling.cluster.settings import ClusterSettings, NatsPlace

WHOLE: dict[str, Any] = {"nats": ("tls://nats.example.org",), "secret_file": "secret"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("tls://nats.example.org", NatsPlace("nats.example.org", 4222, tls=True)),
        ("tls://[2001:db8::1]:4333", NatsPlace("2001:db8::1", 4333, tls=True)),
        ("nats://127.0.0.1:4333/", NatsPlace("127.0.0.1", 4333, tls=False)),
        ("nats://localhost", NatsPlace("localhost", 4222, tls=False)),
        ("nats://[::1]", NatsPlace("::1", 4222, tls=False)),
    ],
)
def test_a_place_is_a_host_and_a_port(url: str, place: NatsPlace) -> None:
    assert NatsPlace.parse(url) == place


def test_a_place_is_shown_as_it_is_written() -> None:
    assert [str(NatsPlace.parse(url)) for url in ("tls://a.example", "tls://[::1]:5")] == ["a.example:4222", "[::1]:5"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**WHOLE, "nats": ("nats.example.org:4222",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("http://nats.example.org",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("tls://",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("tls://host:what",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("tls://host:0",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("tls://host/path",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("tls://[host",)}, "tls://HOST:PORT"),
        ({**WHOLE, "nats": ("nats://192.0.2.7",)}, "in clear"),
        ({**WHOLE, "nats": ("nats://nats.example.org",)}, "in clear"),
        ({**WHOLE, "nats": ("tls://node:hush@host",)}, "credentials_file"),
        ({**WHOLE, "nats": ("tls://hush@host",)}, "credentials_file"),
        ({**WHOLE, "prefix": ""}, "cluster.prefix"),
        ({**WHOLE, "prefix": "a.b"}, "cluster.prefix"),
        ({**WHOLE, "prefix": "a b"}, "cluster.prefix"),
        ({**WHOLE, "prefix": ">"}, "cluster.prefix"),
        ({"nats": ("tls://host",)}, "secret_file is missing"),
        ({"secret_file": "s"}, "cluster.nats is missing"),
        ({"ca_file": "s"}, "cluster.nats is missing"),
    ],
)
def test_what_does_not_fit_is_a_sentence_without_secrets(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^cluster\.") as refused:
        ClusterSettings(**settings).check()
    assert words in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_server_may_be_alone_or_one_of_several() -> None:
    ClusterSettings().check()
    ClusterSettings(**WHOLE).check()
