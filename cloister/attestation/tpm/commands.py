"""TPM 2.0 commands over a transport: bytes of a command out, bytes of its response back.

Source: TCG, Trusted Platform Module Library, Part 3: Commands, revision 1.59. No device is opened here: the caller
passes a ``Transport``. Every authorization is the empty password. A response code other than 0 raises TpmError, a
malformed response MalformedEvidence.
"""

from collections.abc import Callable, Iterable

from cloister.attestation.errors import MalformedEvidence, TpmError
from cloister.attestation.reader import Reader
from cloister.attestation.tpm.structures import (
    ALG_ECDSA,
    ALG_NULL,
    ALG_RSASSA,
    ALG_SHA256,
    NV_AUTH_READ,
    NV_AUTH_WRITE,
    NV_NO_DA,
    NV_OWNER_READ,
    NV_OWNER_WRITE,
    SHA256_SIZE,
    EccPublic,
    NvPublic,
    PcrSelection,
    read_selections,
    sized,
)

Transport = Callable[[bytes], bytes]
"""Sends one command and returns its response."""

# Part 2: TPM_RH
OWNER = 0x40000001
ENDORSEMENT = 0x4000000B

_PASSWORD_SESSION = 0x40000009
_NO_SESSIONS = 0x8001
_SESSIONS = 0x8002
_HEADER = 10
_MAX_RESPONSE = 4096
_NV_CHUNK = 512
_MAX_NV = 8192
_PCRS_PER_READ = 8
_MAX_RSA = 512

# Part 2, TPM_RC: the TPM did not start the command (busy, or still testing itself); it must be sent again.
_RC_AGAIN = (0x90A, 0x922)
_MAX_TRIES = 8

# Part 2: TPM_CC
_COMMANDS = {
    "TPM2_NV_UndefineSpace": 0x122,
    "TPM2_NV_DefineSpace": 0x12A,
    "TPM2_CreatePrimary": 0x131,
    "TPM2_NV_Write": 0x137,
    "TPM2_Startup": 0x144,
    "TPM2_Shutdown": 0x145,
    "TPM2_NV_Read": 0x14E,
    "TPM2_Quote": 0x158,
    "TPM2_FlushContext": 0x165,
    "TPM2_NV_ReadPublic": 0x169,
    "TPM2_ReadPublic": 0x173,
    "TPM2_PCR_Read": 0x17E,
    "TPM2_PCR_Extend": 0x182,
}


def startup(transport: Transport) -> None:
    """TPM2_Startup(CLEAR). Only for a TPM that no firmware has started."""
    _call(transport, "TPM2_Startup", parameters=b"\0\0")


def shutdown(transport: Transport) -> None:
    """TPM2_Shutdown(CLEAR), so that the TPM writes its state before it is switched off."""
    _call(transport, "TPM2_Shutdown", parameters=b"\0\0")


def create_primary(transport: Transport, hierarchy: int, template: bytes) -> tuple[int, EccPublic]:
    """TPM2_CreatePrimary from ``template`` (TPMT_PUBLIC): its transient handle and its public area.

    The same template under the same hierarchy seed makes the same key every time.
    """
    sensitive = sized(sized(b"") + sized(b""))
    parameters = sensitive + sized(template) + sized(b"") + bytes(4)
    handles, reader = _call(transport, "TPM2_CreatePrimary", (hierarchy,), 1, parameters, response_handles=1)
    return handles[0], EccPublic.parse(reader.sized(2, _MAX_RESPONSE, "outPublic"))


def read_public(transport: Transport, handle: int) -> bytes:
    """TPM2_ReadPublic: the public area (TPMT_PUBLIC) of a loaded or persistent object, as the TPM sent it."""
    _, reader = _call(transport, "TPM2_ReadPublic", (handle,))
    return reader.sized(2, _MAX_RESPONSE, "outPublic")


def flush_context(transport: Transport, handle: int) -> None:
    """TPM2_FlushContext: unloads the transient object ``handle``."""
    _call(transport, "TPM2_FlushContext", parameters=handle.to_bytes(4))


def quote(transport: Transport, handle: int, qualifying: bytes, pcrs: Iterable[int]) -> tuple[bytes, bytes]:
    """TPM2_Quote over ``pcrs`` of the SHA-256 bank: (TPMS_ATTEST, TPMT_SIGNATURE), as the TPM sent them."""
    selection = PcrSelection(ALG_SHA256, tuple(pcrs)).marshal()
    # inScheme TPM_ALG_NULL: the key's own scheme.
    parameters = sized(qualifying) + ALG_NULL.to_bytes(2) + (1).to_bytes(4) + selection
    _, reader = _call(transport, "TPM2_Quote", (handle,), 1, parameters)
    attest = reader.sized(2, _MAX_RESPONSE, "quoted")
    start = reader.offset
    algorithm = reader.unsigned(2, "signature.sigAlg")
    signature = algorithm.to_bytes(2) + reader.take(2, "signature.hash")
    if algorithm == ALG_ECDSA:
        for part in ("r", "s"):
            signature += sized(reader.sized(2, SHA256_SIZE, f"signature.{part}"))
    elif algorithm == ALG_RSASSA:
        signature += sized(reader.sized(2, _MAX_RSA, "signature.sig"))
    else:
        wanted = f"ECDSA ({ALG_ECDSA:#06x}) or RSASSA ({ALG_RSASSA:#06x})"
        raise reader.malformed("signature.sigAlg", f"is {algorithm:#06x}, must be {wanted}", start)
    return attest, signature


def pcr_read(transport: Transport, pcrs: Iterable[int]) -> dict[int, bytes]:
    """TPM2_PCR_Read, as often as needed: SHA-256 bank, value by index."""
    wanted = sorted(set(pcrs))
    values: dict[int, bytes] = {}
    for start in range(0, len(wanted), _PCRS_PER_READ):
        part = tuple(wanted[start : start + _PCRS_PER_READ])
        parameters = (1).to_bytes(4) + PcrSelection(ALG_SHA256, part).marshal()
        _, reader = _call(transport, "TPM2_PCR_Read", parameters=parameters)
        reader.unsigned(4, "pcrUpdateCounter")
        selections = read_selections(reader, "pcrSelectionOut")
        count = reader.unsigned(4, "pcrValues.count")
        if selections != (PcrSelection(ALG_SHA256, part),) or count != len(part):
            raise reader.malformed("pcrSelectionOut", f"is not the SHA-256 bank of PCRs {part}; is it allocated?")
        for index in part:
            value = reader.sized(2, SHA256_SIZE, f"pcrValues[{index}]")
            if len(value) != SHA256_SIZE:
                raise reader.malformed(f"pcrValues[{index}]", f"has {len(value)} bytes, must have {SHA256_SIZE}")
            values[index] = value
    return values


def pcr_extend(transport: Transport, index: int, digest: bytes) -> None:
    """TPM2_PCR_Extend of the SHA-256 bank with ``digest`` (32 bytes)."""
    parameters = (1).to_bytes(4) + ALG_SHA256.to_bytes(2) + digest
    _call(transport, "TPM2_PCR_Extend", (index,), 1, parameters)


def nv_define(transport: Transport, index: int, size: int) -> None:
    """TPM2_NV_DefineSpace by the owner: ``size`` bytes that anyone may read with the empty password."""
    attributes = NV_OWNER_WRITE | NV_AUTH_WRITE | NV_OWNER_READ | NV_AUTH_READ | NV_NO_DA
    public = NvPublic(index, ALG_SHA256, attributes, b"", size).marshal()
    _call(transport, "TPM2_NV_DefineSpace", (OWNER,), 1, sized(b"") + sized(public))


def nv_undefine(transport: Transport, index: int) -> None:
    """TPM2_NV_UndefineSpace by the owner."""
    _call(transport, "TPM2_NV_UndefineSpace", (OWNER, index), 1)


def nv_write(transport: Transport, index: int, data: bytes) -> None:
    """TPM2_NV_Write by the owner, in pieces that every TPM accepts."""
    for start in range(0, len(data), _NV_CHUNK):
        piece = data[start : start + _NV_CHUNK]
        _call(transport, "TPM2_NV_Write", (OWNER, index), 1, sized(piece) + start.to_bytes(2))


def nv_read_public(transport: Transport, index: int) -> NvPublic:
    """TPM2_NV_ReadPublic."""
    _, reader = _call(transport, "TPM2_NV_ReadPublic", (index,))
    return NvPublic.parse(reader.sized(2, _MAX_RESPONSE, "nvPublic"))


def nv_read(transport: Transport, index: int) -> bytes:
    """TPM2_NV_Read by the owner: the whole index. Raises MalformedEvidence for one of more than 8 KiB."""
    size = nv_read_public(transport, index).size
    if size > _MAX_NV:
        raise MalformedEvidence("TPMS_NV_PUBLIC.dataSize", 0, f"is {size}, at most {_MAX_NV} bytes are read")
    data = b""
    while len(data) < size:
        wanted = min(_NV_CHUNK, size - len(data))
        parameters = wanted.to_bytes(2) + len(data).to_bytes(2)
        _, reader = _call(transport, "TPM2_NV_Read", (OWNER, index), 1, parameters)
        piece = reader.sized(2, wanted, "data")
        if len(piece) != wanted:
            raise reader.malformed("data", f"has {len(piece)} bytes, {wanted} were asked for")
        data += piece
    return data


def _call(
    transport: Transport,
    name: str,
    handles: tuple[int, ...] = (),
    authorizations: int = 0,
    parameters: bytes = b"",
    *,
    response_handles: int = 0,
) -> tuple[tuple[int, ...], Reader]:
    """Sends one command. Returns the handles in its response, and a reader at its parameters."""
    body = b"".join(handle.to_bytes(4) for handle in handles)
    if authorizations:
        session = _PASSWORD_SESSION.to_bytes(4) + bytes(5)
        body += (len(session) * authorizations).to_bytes(4) + session * authorizations
    body += parameters
    tag = _SESSIONS if authorizations else _NO_SESSIONS
    header = tag.to_bytes(2) + (_HEADER + len(body)).to_bytes(4) + _COMMANDS[name].to_bytes(4)

    reader, code = _exchange(transport, name, header + body)
    tries = 1
    while code in _RC_AGAIN and tries < _MAX_TRIES:
        reader, code = _exchange(transport, name, header + body)
        tries += 1
    if code:
        raise TpmError(name, code)
    found = tuple(reader.unsigned(4, "handle") for _ in range(response_handles))
    if authorizations:
        reader.unsigned(4, "parameterSize")
    return found, reader


def _exchange(transport: Transport, name: str, command: bytes) -> tuple[Reader, int]:
    """A reader after the header of the response, and the response code."""
    response = transport(command)
    reader = Reader(response, f"{name} response")
    reader.unsigned(2, "tag")
    size = reader.unsigned(4, "responseSize")
    if size != len(response) or size > _MAX_RESPONSE:
        raise reader.malformed(
            "responseSize", f"is {size}, the response has {len(response)} bytes, at most {_MAX_RESPONSE} are allowed", 2
        )
    return reader, reader.unsigned(4, "responseCode")
