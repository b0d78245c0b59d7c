"""Are the private names that this package uses still there?

aioice and aiortc publish too little to steer a connection, so some of their private methods are overridden and
some private attributes read. The table below is all of it. Attributes are looked for in the compiled
constructor, which needs no event loop, socket or certificate.
"""

from __future__ import annotations

import importlib.metadata

from aioice import ice, turn
from aiortc import rtcdtlstransport, rtcsctptransport

METHODS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (
        ice.Connection,
        (
            "_add_remote_candidate",
            "_check_periodic",
            "_end_remote_candidates",
            "_pair_remote_candidate",
            "_remote_candidates_expected",
            "build_request",
            "check_incoming",
            "check_start_task",
            "data_received",
            "query_consent",
            "sort_check_list",
        ),
    ),
    (
        ice.StunProtocol,
        ("connection_lost", "connection_made", "datagram_received", "error_received", "request", "send_stun"),
    ),
    (turn.TurnTransport, ("close",)),
    (
        rtcdtlstransport.RTCDtlsTransport,
        ("_register_data_receiver", "_send_data", "_set_role", "_validate_peer_identity", "_write_ssl"),
    ),
    (
        rtcsctptransport.RTCSctpTransport,
        ("_data_channel_receive", "_handle_data", "_mark_received", "_receive_data_chunk"),
    ),
)

ATTRIBUTES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (
        ice.Connection,
        (
            "_check_list",
            "_check_list_done",
            "_closing",
            "_local_candidates",
            "_local_candidates_end",
            "_local_candidates_start",
            "_nominated",
            "_protocols",
            "_query_consent_task",
            "_queue",
            "_remote_candidates",
            "_remote_candidates_end",
        ),
    ),
    (turn.TurnTransport, ("_TurnTransport__close_task", "_TurnTransport__inner_protocol")),
    (rtcdtlstransport.RTCDtlsTransport, ("_rx_srtp", "_ssl", "_task", "_tx_srtp")),
    (rtcsctptransport.RTCSctpTransport, ("_advertised_rwnd", "_sack_needed")),
)

FUNCTIONS = (
    (ice, ("get_host_addresses", "relayed_candidate", "server_reflexive_candidate")),
    (rtcdtlstransport, ("certificate_digest",)),
)


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
    """Raise ImportError when the installed aioice or aiortc lack something that is used here."""
    missing = missing_names()
    if missing:
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("aioice", "aiortc"))
        raise ImportError(
            f"The installed {versions} do not have {', '.join(missing)}: install the versions that this "
            "distribution asks for."
        )
