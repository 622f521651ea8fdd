"""Limits on what peers may use of the machine. docs/agent.md lists the same numbers with their reasons."""

from dataclasses import dataclass

from cloister.protocol import names


@dataclass(frozen=True)
class Limits:
    """Limits before BindSession are global, those after it are per key."""

    connections: int = 2048
    """Open TCP connections."""

    streams_per_connection: int = 16
    """Concurrent HTTP/2 streams."""

    handshake_seconds: int = 20
    """Time for a TLS handshake."""

    idle_connection_seconds: int = 30
    """Time until a connection without calls is closed."""

    ping_seconds: int = 60
    """Time between keepalive pings."""

    ping_answer_seconds: int = 20
    """Time for the answer to a ping."""

    header_bytes: int = 16 * 1024
    """Size of a call's metadata."""

    calls: int = 192
    """Concurrent calls. Each has its own thread."""

    waiting_calls: int = 32
    """Of these, calls whose first frame has not arrived."""

    long_calls: int = 96
    """Of these, uploads, downloads, events and logs. The other threads stay free for short calls."""

    calls_per_key: int = 16
    """Concurrent calls of one key."""

    followers_per_key: int = 4
    """Of these, calls that follow events or logs. They may last as long as the computation."""

    followers: int = 64
    """Such calls of all keys. The other long calls stay free: what is followed would not happen without uploads."""

    stream_window: int = 256 * 1024
    """Bytes that a peer may send before its call is read: HTTP/2's window of each connection and stream. While a frame
    is read, the rest of it may come, too: 1.25 MiB in a round trip.
    """

    buffers: int = 24
    """Buffers of 1 MiB for the bytes of all uploads, between their decryption and the file."""

    first_frame_seconds: float = 10
    """Time for the first frame of a call."""

    call_seconds: float = 30
    """Time for a short call."""

    idle_stream_seconds: float = 60
    """Time until a peer that neither sends nor receives is dropped. Waiting for an event does not count."""

    pending_sessions: int = 1024
    """Sessions that are open but not bound."""

    pending_seconds: float = 120
    """Time to bind an open session."""

    sessions: int = 2048
    """Bound sessions."""

    sessions_per_key: int = 16
    """Bound sessions of one key."""

    session_idle_seconds: float = 3600
    """Time until a session without calls ends."""

    bind_bytes: int = 16 * 1024
    """Size of the message that binds a session."""

    quote_queue: int = 16
    """Calls that wait for evidence."""

    quote_wait_seconds: float = 20
    """Time that such a call waits."""

    consents_per_asset: int = 128
    """Consents to one asset."""

    consents: int = 2048
    """Consents to all assets, which share this number equally. The result contains them."""

    hold_seconds: int = 24 * 3600
    """Time that a held run waits for the owner after the last asset."""

    result_files: int = 4096
    """Files in a result."""

    result_entries: int = 8192
    """Files and folders in a result: what is looked at, before anything is known about it."""

    result_names: int = names.RESULT_NAMES
    """Bytes of all paths in a result. The receipt contains them."""

    reserved_memory: int = 256 * 1024 * 1024
    """Bytes of free memory that a manifest cannot use: the agent, the runner and the kernel need them. Peers can make
    the agent hold a window and a frame for each call that is read, about 2 MiB."""
