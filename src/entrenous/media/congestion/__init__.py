"""Congestion control of a session's sending half: what the path carries, from transport-wide feedback (pure).

::

    feedback ─► history ─► groups ─► trendline ─► aimd ─┐
                   ├─────► throughput, queueing, drain ─┼─► controller ─► rate, probes
                   ├─────► loss ────────────────────────┤
                   └─────► probing ─────────────────────┘

The delay part follows draft-ietf-rmcat-gcc-02 with the trendline filter that succeeded its Kalman filter.
"""
