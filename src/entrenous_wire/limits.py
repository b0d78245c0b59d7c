"""The bounds that node and server agree on; whoever breaks one gets a typed error, never silence."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
"""The wire protocol's version; the server offers what it speaks in `Hello.versions`."""

SUBPROTOCOL: Final = "entrenous.v1"
"""The WebSocket subprotocol."""

SIGNAL_PATH: Final = "/v1/signal"
"""Where the WebSocket lives on the server."""

MAX_FRAME_BYTES: Final = 66 * 1024
"""The longest text frame either side accepts: the largest body as base64 (64 KiB), and 2 KiB around it."""

BODY_SIZES: Final = (1024, 2048, 4096, 8192, 16384, 32768, 49152)
"""The only lengths a sealed body may have, in bytes: what a length tells is one of seven values."""

MAX_DEVICES: Final = 8
"""Devices that one account may have at a time."""

MAX_PREKEYS: Final = 2
"""Prekeys a device publishes at a time: this week's, and last week's for 48 hours."""

MAX_PREKEY_BYTES: Final = 2048
"""The longest encoding of one signed prekey."""

MAX_CERTIFICATE_BYTES: Final = 512
"""The longest encoding of one device certificate."""

MAX_LIVE_CALLS: Final = 16
"""Calls that one device may claim to be in when it comes back."""

LETTERS_IN_FLIGHT: Final = 16
"""Stored messages that are said to a device and not taken yet."""

MAX_TAKEN: Final = 64
"""Stored messages that a device may say at a time it has taken."""

MAX_LETTER_DAYS: Final = 90
"""Days for which a stored message may wait at most: what is older was kept by somebody else."""

MESSAGE_ID_BYTES: Final = 16
CALL_ID_BYTES: Final = 16
NONCE_BYTES: Final = 32
RECORD_TOKEN_BYTES: Final = 16
SESSION_TOKEN_BYTES: Final = 32

ACK_SECONDS: Final = 0.02
"""How long a node gathers acknowledgements of signals; what calls begin and end with is acknowledged at once."""

ACK_MESSAGES: Final = 8
"""After how many messages a node acknowledges them at once."""

ACK_BYTES: Final = 32 * 1024
"""After how many bytes of bodies a node acknowledges them at once: a quarter of what servers let out unacknowledged."""

MAX_DELIVERED: Final = 64
"""Messages of which a device is told at a time that they have arrived."""

LOGIN_SECONDS: Final = 5.0
"""How long a connection may take to log in, and how long a nonce is good for."""

SESSION_GRACE_SECONDS: Final = 60.0
"""How long a dropped session keeps its queue, and how long a call's record waits for its ends."""

HEARTBEAT_SECONDS: Final = 20.0
"""WebSocket ping interval; a silent peer is found within 1.5 of it."""
