"""Keys and sealed bytes: who somebody is, how a call is keyed, and what protects each message and frame.

No network, no clock and no randomness of its own beyond what the primitives draw: `now` and entropy are
passed in. Only `keystore` touches a disk. Every primitive is PyNaCl's (Ed25519, Argon2id, secretbox) or
`cryptography`'s (HPKE, HKDF, AES). Objects with counters (sealers, openers, channels, call secrets) belong to
one thread.
"""
