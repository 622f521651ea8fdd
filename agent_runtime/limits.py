"""How much of the machine its peers may use. docs/agent.md has the same numbers with their reasons."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Counts, seconds and bytes. Before Bind a limit is global, after it per key."""

    connections: int = 2048
    streams_per_connection: int = 64
    handshake_seconds: int = 20
    idle_connection_seconds: int = 30
    ping_seconds: int = 60
    ping_answer_seconds: int = 20
    header_bytes: int = 16 * 1024

    calls: int = 192
    """Calls at one time; each has a thread of its own."""
    waiting_calls: int = 64
    """Of these, calls whose first frame has not come yet."""
    long_calls: int = 96
    """Of these, calls that last: uploads, downloads, events, logs. The rest stay free for short ones."""
    calls_per_key: int = 16
    followers_per_key: int = 4
    """Of these, calls that follow the events: they may last as long as the computation."""
    first_frame_seconds: float = 10
    call_seconds: float = 30
    idle_stream_seconds: float = 60
    """A peer that neither sends nor takes for so long is dropped; waiting for an event is not idleness."""

    pending_sessions: int = 1024
    pending_seconds: float = 120
    sessions: int = 2048
    sessions_per_key: int = 16
    session_idle_seconds: float = 3600
    bind_bytes: int = 16 * 1024

    quote_queue: int = 16
    quote_wait_seconds: float = 20

    consents_per_asset: int = 128
    consents: int = 2048
    """Of all assets together, because they travel in the result: each asset has an equal share of its own."""
    result_files: int = 4096
    result_depth: int = 32
    result_names: int = 512 * 1024
    """Bytes of all paths in a result together: they travel in its receipt."""

    reserved_memory: int = 256 * 1024 * 1024
    """Bytes of the free memory that a manifest cannot have: the agent, the runner and the kernel go on living there.
    The most that peers can make the agent hold is a frame or two of each call, some 2 MiB * 96."""
