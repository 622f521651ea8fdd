"""Boot configuration, manifests and descriptor: strictly parsed, and written back unchanged."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.protocol import canonical, schema, signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from cloister.protocol.manifest import Manifest


def _key() -> bytes:
    return signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())


_LAB, _H1, _H2 = _key(), _key(), _key()
_DIGEST = "ab" * 32


def _value():
    file = {"file": "train.py", "digest": _DIGEST, "size": 10}
    return {
        "version": 1,
        "id": "7" * 32,
        "name": "tumour",
        "description": "joint training",
        "parties": {name: {"key": canonical.to_base64(key)} for name, key in (("lab", _LAB), ("h1", _H1), ("h2", _H2))},
        "algorithm": {
            "provider": "lab",
            "kind": "python",
            "args": ["--epochs", "1"],
            "environment": {"SEED": "1"},
            "bundle": {**file, "file": "numpy.bundle"},
            **file,
        },
        "datasets": [
            {"name": "d1", "provider": "h1", "unpack": False, **file, "file": "d1.csv"},
            {"name": "d2", "provider": "h2", "unpack": True, "unpacked_size": 50, **file, "file": "d2.tar"},
        ],
        "results": {"consumers": ["lab"], "expires": 60, "max": 1000},
        "logs": {"readers": ["h1"], "max": 100, "release": "end"},
        "limits": {"time": 60, "memory": 1000, "cpus": 1, "processes": 8},
    }


SCHEMAS = Path(schema.__file__).parent / "schemas"

_NAME = "at most 63 lower-case letters, digits and '-', not starting or ending with '-'"
_FILE = "a file name without a folder and without control characters"
_KEY = "base64url without padding, at most 2048 characters"
_PCR = "a register number of the platform: 0 to 3, 5 to 8, 10 or 14"
_LEAST = {
    "policy": {
        "version": 1,
        "platforms": ["local"],
        "images": [
            {
                "flavor": "base",
                "debug": False,
                "manifest_digest": _DIGEST,
                "pcrs": dict.fromkeys(("4", "9", "11"), _DIGEST),
            }
        ],
        "boot_configuration": {"workspace": "w", "cvms": ["trainer"], "owners": [_DIGEST]},
    },
    "manifest-source": {
        "version": 1,
        "name": "tumour",
        "parties": {"lab": {"key": "lab.pub"}},
        "algorithm": {"provider": "lab", "kind": "python", "file": "train.py"},
        "datasets": [],
        "results": {"consumers": ["lab"], "expires": "1h", "max": 1},
        "limits": {"time": "1h", "memory": "1GiB", "cpus": 1, "processes": 1},
    },
}
"""The smallest valid documents."""


def test_manifest_round_trips_and_lists_assets_and_roles():
    manifest = Manifest.from_value(_value())
    assert manifest.value() == _value()
    assert Manifest.parse(manifest.encode()) == manifest
    assert [asset.name for asset in manifest.assets()] == ["algorithm", "bundle", "d1", "d2"]
    assert manifest.roles(_LAB) == ("algorithm-provider", "member", "result-consumer")
    assert manifest.roles(_H1) == ("dataset-provider", "log-reader", "member")
    assert manifest.roles(_key()) == ()


def _changed(*path, to=None, drop=False):
    value = copy.deepcopy(_value())
    place = value
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return value


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (_changed("surprise", to=1), "the document has the member 'surprise', which is not allowed"),
        (_changed("version", to=2), "version"),
        (_changed("version", to=True), "version"),
        (_changed("algorithm", "digest", drop=True), "digest"),
        (_changed("algorithm", "surprise", to=1), "algorithm"),
        (_changed("algorithm", "kind", to="binary"), "bundle needs kind python"),
        (_changed("algorithm", "file", to="../train.py"), "algorithm.file"),
        (_changed("algorithm", "file", to="a/b.py"), "algorithm.file"),
        (_changed("algorithm", "args", to=["a\nb"]), "algorithm.args"),
        (_changed("name", to="Tumour\n"), "name"),
        (_changed("description", to="a\x1b[2J"), "description"),
        (_changed("datasets", 0, "name", to="d2"), "two assets have the name 'd2'"),
        (_changed("datasets", 0, "name", to="bundle"), "two assets have the name 'bundle'"),
        (_changed("datasets", 0, "file", to="d2"), "would have the path datasets/d2"),
        (_changed("datasets", 0, "file", to="__init__.py"), "datasets.d1.file makes a Python package"),
        (_changed("datasets", 0, "provider", to="nobody"), "names 'nobody', which is not among the parties"),
        (_changed("datasets", 1, "unpacked_size", drop=True), "unpacked_size"),
        (_changed("datasets", 0, "unpacked_size", to=1), "unpacked_size"),
        (_changed("parties", "h2", "key", to=canonical.to_base64(_H1)), "h1 and h2 have the same key|h2 and h1"),
        (_changed("parties", "h2", "key", to="AAAA"), r"The manifest: parties\.h2\.key cannot be used: The public key"),
        (_changed("description", to="a\u202eb"), r"description contains the invisible character U\+202E"),
        (_changed("description", to="a\u2028b"), r"description contains the invisible character U\+2028"),
        (
            _changed("algorithm", "args", to=["a", "\u2029"]),
            r"algorithm\.args\.1 contains the invisible character U\+2029",
        ),
        (
            _changed("algorithm", "args", to=["\U000e0041"]),
            r"algorithm\.args\.0 contains the invisible character U\+E0041",
        ),
        (
            _changed("algorithm", "environment", to={"A": "\u200b"}),
            r"environment\.A contains the invisible character U\+200B",
        ),
        (_changed("results", "consumers", to=["lab", "lab"]), "names a party twice"),
        (_changed("results", "consumers", to=[]), "results.consumers"),
        (_changed("limits", "cpus", to=0), "limits.cpus"),
    ],
)
def test_invalid_manifest_is_rejected_with_the_place(value, place):
    with pytest.raises(FormatError, match=place):
        Manifest.from_value(value)


def test_boot_configuration_has_one_encoding():
    configuration = BootConfiguration("consortium", "trainer", ("00" * 32, "11" * 32))
    data = configuration.encode()
    assert data == (
        b'{"cvm":"trainer","owners":["' + b"00" * 32 + b'","' + b"11" * 32 + b'"],"version":1,"workspace":"consortium"}'
    )
    assert BootConfiguration.parse(data) == configuration
    with_disk = dataclasses.replace(configuration, scratch=200 << 30)
    assert BootConfiguration.parse(with_disk.encode()) == with_disk
    assert with_disk.digest() != configuration.digest()
    assert b"scratch" not in data
    swapped = data.replace(b"00" * 32, b"22" * 32)
    for wrong in (data + b" ", swapped, data.replace(b'"version":1', b'"version":1,"x":2'), b"{}", data[:-1]):
        with pytest.raises(FormatError):
            BootConfiguration.parse(wrong)


def test_image_manifest_round_trips():
    manifest = ImageManifest(
        flavor="base",
        debug=False,
        inputs={"lock": _DIGEST},
        outputs={"disk.raw": ImageOutput(_DIGEST, 5)},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), _DIGEST),
        packages={"torch": "2.6.0+debian", "scikit-learn": "1.4.2"},
    )
    assert ImageManifest.parse(manifest.encode()) == manifest
    with pytest.raises(FormatError):
        ImageManifest.parse(manifest.encode().replace(b'"debug":false', b'"debug":0'))


def test_register_number_has_one_spelling():
    """Python's ``$`` would accept "4" and "4" with a newline as two names of PCR 4; the last one would win."""
    pcrs = dict.fromkeys(("4", "9", "11", "12", "13", "4\n"), _DIGEST)
    value = {
        "version": 1,
        "flavor": "base",
        "debug": False,
        "packages": {},
        "inputs": {},
        "outputs": {},
        "measurements": {"pcrs": pcrs},
    }
    with pytest.raises(FormatError, match=r"measurements\.pcrs"):
        ImageManifest.parse(canonical.encode(value))


def test_error_shows_no_control_character_of_a_name():
    event = {"version": 1, "sequence": 0, "previous": _DIGEST, "time": "", "uptime": 0, "kind": "failed"}
    event |= {"state": "Failed", "detail": {"\x1b]0;title\x07": 1}}
    with pytest.raises(FormatError) as refused:
        schema.validate("event", {"event": event, "signature": ""}, what="It")
    assert refused.value.message == "It: event.detail.\ufffd.0;title\ufffd must be text."


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (_changed("version", to=2), "version must be 1."),
        (_changed("version", to=True), "version must be an integer."),
        (_changed("algorithm", "digest", drop=True), "algorithm lacks digest."),
        (_changed("algorithm", "digest", to="AB"), "algorithm.digest must be 64 lower-case hexadecimal digits."),
        (_changed("algorithm", "kind", to="fortran"), "algorithm.kind must be one of binary, python, wasm, oci."),
        (_changed("algorithm", to=[]), "algorithm must be an object."),
        (_changed("datasets", 1, to="d2"), "datasets.1 must be an object."),
        (_changed("datasets", 1, "unpack", to="yes"), "datasets.1.unpack must be true or false."),
        (_changed("algorithm", "colour", to=1), "algorithm has the member 'colour', which is not allowed."),
        (_changed("\x1b" * 99, to=1), "the document has the member '" + "\ufffd" * 64 + "', which is not allowed."),
        (_changed("parties", "Lab", to={}), f"parties has the member 'Lab', but its name must be {_NAME}."),
        (_changed("name", to="Tumour"), f"name must be {_NAME}."),
        (_changed("description", to="a\nb"), "description must be text without control characters."),
        (_changed("description", to="a" * 4097), "description must have at most 4096 characters, not 4097."),
        (_changed("algorithm", "file", to="a/b"), f"algorithm.file must be {_FILE}."),
        (_changed("results", "consumers", to=[]), "results.consumers must have 1 to 256 entries, not 0."),
        (_changed("datasets", to=[None] * 257), "datasets must have at most 256 entries, not 257."),
        (_changed("parties", to={}), "parties must have 1 to 256 members, not 0."),
        (_changed("limits", "cpus", to=0), "limits.cpus must be 1 to 4096."),
        (_changed("logs", "max", to=67108865), "logs.max must be 0 to 67108864."),
        (_changed("parties", "lab", "key", to=""), f"parties.lab.key must be {_KEY}."),
    ],
)
def test_schema_error_is_a_plain_sentence(value, says):
    with pytest.raises(FormatError) as refused:
        Manifest.from_value(value)
    assert refused.value.message == f"The manifest: {says}"


@pytest.mark.parametrize(
    ("name", "place", "wrong", "says"),
    [
        ("policy", ("platforms",), ["local", "tdx", "local"], 'platforms has "local" more than once.'),
        ("policy", ("azure",), {}, "azure must have at least 1 member, not 0."),
        (
            "policy",
            ("snp",),
            {"minimum_tcb": {}, "minimum_abi": [1]},
            "snp.minimum_abi must have 2 entries, not 1.",
        ),
        (
            "policy",
            ("platform_pcrs",),
            {"4": _DIGEST},
            f"platform_pcrs has the member '4', but its name must be {_PCR}.",
        ),
        ("manifest-source", ("logs",), {"max": -1}, "logs.max must be at least 0."),
        ("manifest-source", ("logs",), {"max": []}, "logs.max must be an integer or text."),
        ("manifest-source", ("algorithm", "file"), "", "algorithm.file must have 1 to 1024 characters, not 0."),
    ],
)
def test_rare_schema_error_is_a_plain_sentence(name, place, wrong, says):
    value = copy.deepcopy(_LEAST[name])
    *before, last = place
    inner = value
    for step in before:
        inner = inner[step]
    inner[last] = wrong
    with pytest.raises(FormatError) as refused:
        schema.validate(name, value, what="It")
    assert refused.value.message == f"It: {says}"


WRITTEN = ("verdict", "raw-verdict", "output")
"""Schemas, and folders of them, of documents that only Cloister writes."""
NAMES = (str(path.relative_to(SCHEMAS)).removesuffix(".schema.json") for path in SCHEMAS.rglob("*.json"))
READ = sorted(name for name in NAMES if name.partition("/")[0] not in WRITTEN)
SAID = {
    *("additionalProperties", "required", "const", "enum", "type", "pattern", "minimum", "maximum", "uniqueItems"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
}
SILENT = {"$schema", "$defs", "$ref", "title", "description", "properties", "patternProperties", "items"}


def rules(value):
    """Each rule of a schema with its value, without the names of members."""
    for rule, wanted in value.items():
        yield rule, wanted
        if rule in ("properties", "patternProperties", "$defs"):
            for inner in wanted.values():
                yield from rules(inner)
        elif isinstance(wanted, dict):
            yield from rules(wanted)


@pytest.mark.parametrize("name", READ)
def test_every_schema_rule_has_words(name):
    found = list(rules(schema.load(name)))
    assert {rule for rule, _ in found} <= SAID | SILENT
    patterns = [wanted for rule, wanted in found if rule == "pattern"]
    patterns += [pattern for rule, wanted in found if rule == "patternProperties" for pattern in wanted]
    assert [pattern for pattern in patterns if pattern in schema.form(pattern)] == []


def test_variable_name_with_newline_is_rejected():
    value = _value()
    value["algorithm"]["environment"] = {"SEED\n": "1"}
    with pytest.raises(FormatError, match=r"algorithm\.environment"):
        Manifest.from_value(value)


_DESCRIPTOR = Descriptor(
    workspace="w",
    backend="local",
    flavor="base",
    image=_DIGEST,
    members=(MemberEntry("lab", _LAB, ("owner",)),),
    cvms=(CvmEntry("trainer", "127.0.0.1:6110", "local", BootConfiguration("w", "trainer", ("00" * 32,))),),
    authority=b"certificate",
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workspace": "other"}, "is for the CVM trainer of the workspace w"),
        ({"cvms": (dataclasses.replace(_DESCRIPTOR.cvms[0], name="other"),)}, "of other is for the CVM trainer"),
        ({"cvms": _DESCRIPTOR.cvms * 2}, "two cvms have the same name"),
        ({"members": (*_DESCRIPTOR.members, MemberEntry("lab", _H1, ()))}, "two members have the same name"),
        ({"members": (MemberEntry("lab", b"no key", ()),)}, "the key of lab cannot be used"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_contradictory_descriptor_is_rejected(changes, message):
    with pytest.raises(FormatError, match=message):
        Descriptor.parse(dataclasses.replace(_DESCRIPTOR, **changes).encode())


def test_descriptor_with_exchanged_boot_configuration_is_rejected():
    assert Descriptor.parse(_DESCRIPTOR.encode()) == _DESCRIPTOR
    value = _DESCRIPTOR.value()
    value["cvms"][0]["boot_configuration"]["owners"] = ["11" * 32]
    with pytest.raises(FormatError, match="boot configuration of trainer has the digest"):
        Descriptor.from_value(value)


@pytest.mark.parametrize("path", sorted(SCHEMAS.rglob("*.json")), ids=lambda path: path.name)
def test_schema_has_no_member_twice(path: Path) -> None:
    """Python's parser takes the last one, other parsers refuse the file."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(pairs)) == len(pairs), [name for name, _ in pairs]
        return dict(pairs)

    json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=members)
