"""Evidence in, verdict out (RFC 9334 words): parsers, signature chains, event-log replay, policy, verdict.

Nothing here opens a socket, a file or a device, or reads the clock: what must be fetched comes through a
``Collateral`` object, the time through an argument.
"""
