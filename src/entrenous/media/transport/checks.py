"""Are the private names that this package uses still there?

aiortc publishes too little to steer a connection, so some of its private methods are overridden and some private
attributes read. The table below is all of it; of aioice nothing private is used. Attributes are looked for in the
compiled constructor, which needs no event loop, socket or certificate.
"""

from __future__ import annotations

import importlib.metadata

from aiortc import rtcdtlstransport, rtcsctptransport

METHODS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (
        rtcdtlstransport.RTCDtlsTransport,
        ("_register_data_receiver", "_send_data", "_set_role", "_validate_peer_identity", "_write_ssl"),
    ),
    (
        rtcsctptransport.RTCSctpTransport,
        (
            "_data_channel_receive",
            "_handle_data",
            "_mark_received",
            "_receive_data_chunk",
            "_send_chunk",
            "_t1_expired",
            "_t3_expired",
        ),
    ),
)

ATTRIBUTES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (rtcdtlstransport.RTCDtlsTransport, ("_rx_srtp", "_ssl", "_task", "_tx_srtp")),
    (
        rtcsctptransport.RTCSctpTransport,
        ("_advertised_rwnd", "_remote_verification_tag", "_rto", "_sack_needed", "_t1_failures", "_t3_handle"),
    ),
)

FUNCTIONS = ((rtcdtlstransport, ("certificate_digest",)),)


def missing_names() -> list[str]:
    """The dotted names of the tables that the installed libraries do not have."""
    missing = [f"{owner.__name__}.{name}" for owner, names in METHODS for name in names if not hasattr(owner, name)]
    for owner, names in ATTRIBUTES:
        assigned = owner.__init__.__code__.co_names  # type: ignore[misc]  # these constructors are plain functions
        missing += [f"{owner.__name__}.{name}" for name in names if name not in assigned]
    for module, functions in FUNCTIONS:
        missing += [f"{module.__name__}.{name}" for name in functions if not hasattr(module, name)]
    return missing


def check_libraries() -> None:
    """Raise ImportError when the installed aiortc lacks something that is used here."""
    missing = missing_names()
    if missing:
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("aioice", "aiortc"))
        raise ImportError(
            f"The installed {versions} do not have {', '.join(missing)}: install the versions that this "
            "distribution asks for."
        )
