"""Reading what the algorithm printed."""

from dataclasses import dataclass

from cloister.client.connection.connection import Connection


@dataclass(frozen=True)
class AlgorithmOutput:
    """What the algorithm printed. ``truncated`` is true when it printed more than the manifest allows."""

    content: bytes
    truncated: bool


def read_logs(connection: Connection) -> AlgorithmOutput:
    """Read what the algorithm printed.

    Args:
        connection: of a log reader.

    Returns:
        The output. It comes from an untrusted program: replace control characters before printing it.

    Raises:
        CloisterError: the policy rejects the CVM, the manifest does not let this key read, or no agent answers.
    """
    chunks = connection.call(lambda session: list(session.logs()))
    return AlgorithmOutput(b"".join(chunk.data for chunk in chunks), any(chunk.truncated for chunk in chunks))
