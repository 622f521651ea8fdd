"""A computation goes to another workspace as one file without data, and its receiver is told what is missing."""

import dataclasses
import hashlib
import json
import zipfile

import pytest

from cloister.client.computation.manifest import write_manifest
from cloister.client.exchange import package
from cloister.client.exchange.importing import import_computation
from cloister.client.exchange.package import export_computation
from cloister.client.exchange.source import written_form
from cloister.errors import ChangedFileError, CloisterError, InputError
from cloister.protocol import archive
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.manifest import Manifest


def terms(manifest):
    value = manifest.value()
    return {name: part for name, part in value.items() if name != "id"}


@pytest.fixture
def exported(parties, tmp_path):
    manifest = parties.manifest()
    path = tmp_path / "covid19.cloister"
    export_computation(manifest, path)
    return manifest, path


def kinds(result):
    return [(one.kind, one.name) for one in result.missing]


def test_imported_manifest_says_the_same_and_is_another_computation(exported, tmp_path):
    manifest, path = exported

    done = import_computation(path, tmp_path / "there")

    again = write_manifest(done.source, tmp_path / "there" / "computation.json").manifest
    assert terms(again) == terms(manifest)
    assert again.id != manifest.id
    assert kinds(done) == [
        ("algorithm", "algorithm"),
        ("dataset", "h1"),
        ("dataset", "h2"),
        ("workspace", ""),
        ("policy", ""),
    ]


FILE = {"file": "train.py", "digest": "ab" * 32, "size": 10}
MANIFESTS = {
    "bundle and files": {
        "algorithm": {
            **FILE,
            "provider": "lab",
            "kind": "python",
            "args": ["yes", "012", "a: b", "- c", "\u00e9", "{x}", "null"],
            "environment": {"SEED": "1", "YES": "no"},
            "bundle": {**FILE, "file": "train.py"},
            "files": [
                {**FILE, "file": "config.json", "name": "one", "at": "a/config.json"},
                {**FILE, "file": "config.json", "name": "two", "at": "b/config.json"},
            ],
        }
    },
    "container": {
        "algorithm": {
            **FILE,
            "provider": "lab",
            "kind": "oci",
            "args": [],
            "environment": {},
            "container": {"digest": "cd" * 32, "unpacked_size": 1000},
        }
    },
    "unpacked data": {
        "datasets": [
            {**FILE, "file": "train.py", "name": "h1", "provider": "hospital-1", "unpack": True, "unpacked_size": 50}
        ]
    },
    "approval, live logs": {
        "logs": {"readers": ["lab"], "max": 100, "release": "live"},
        "limits": {"time": 1, "memory": 2**28, "cpus": 1, "processes": 2, "scratch": 2**30},
    },
    "approval": {
        "results": {"consumers": ["lab"], "expires": 1, "max": 1, "approval": {"by": ["lab"], "sees": "files"}}
    },
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_every_member_of_a_manifest_comes_back(parties, tmp_path, what):
    manifest = Manifest.from_value(parties.manifest().value() | MANIFESTS[what])
    source = tmp_path / "empty" / "computation.yaml"
    source.parent.mkdir()
    source.write_bytes(written_form(manifest))

    again = write_manifest(source, source.with_suffix(".json")).manifest

    assert terms(again) == terms(manifest)


def test_added_parts_arrive_and_data_and_private_keys_never_do(parties, tmp_path):
    (parties.folder / "helper.py").write_text("NAME = 1\n")
    parties.edit("  kind: python", "  kind: python\n  files:\n    - {file: helper.py, at: helper.py}")
    manifest, path = parties.manifest(), tmp_path / "x.cloister"

    parts = export_computation(
        manifest,
        path,
        algorithm=parties.folder / "train.py",
        files={"helper-py": parties.folder / "helper.py"},
    )

    assert parts == ("assets/algorithm", "assets/helper-py", "manifest.json", "origin.json")
    content = path.read_bytes()
    for secret in (*(parties.folder / f"{name}.pem" for name in parties.keys), parties.files["h1"]):
        assert secret.read_bytes()[:200] not in content
    done = import_computation(path, tmp_path / "there")
    again = write_manifest(done.source, tmp_path / "there" / "computation.json").manifest
    assert terms(again) == terms(manifest)
    assert [kind for kind, _ in kinds(done)] == ["dataset", "dataset", "workspace", "policy"]
    with pytest.raises(InputError, match="no file 'h1' of the algorithm"):
        export_computation(manifest, path, files={"h1": parties.files["h1"]})
    (parties.folder / "train.py").write_text("changed\n")
    with pytest.raises(InputError, match="is not what the manifest says"):
        export_computation(manifest, path, algorithm=parties.folder / "train.py")
    assert path.read_bytes() == content


def test_receiver_is_told_of_keys_image_policy_and_rules(machine, tmp_path):
    parties, manifest = machine.parties, machine.parties.manifest()
    path, rule = tmp_path / "x.cloister", tmp_path / "nightly.yaml"
    rule.write_text("version: 1\n")
    export_computation(manifest, path, policy=machine.policy, rules=[rule])
    descriptor = Descriptor.parse((parties.folder / "workspace.json").read_bytes())
    lab, first, *_ = descriptor.members
    other = dataclasses.replace(
        descriptor,
        workspace="elsewhere",
        image="ef" * 32,
        members=(lab, dataclasses.replace(first, key=parties.keys["stranger"].public)),
        cvms=(),
    )

    done = import_computation(
        path, tmp_path / "there", workspace=other, policy=machine.policy, key=parties.keys["stranger"].public
    )

    assert kinds(done)[3:] == [
        ("key", "own"),
        ("key", "hospital-1"),
        ("key", "hospital-2"),
        ("image", "base"),
        ("policy", ""),
        ("rule", "nightly.yaml"),
    ]
    said = {(one.kind, one.name): one.text for one in done.missing}
    assert parties.keys["hospital-1"].id in said["key", "hospital-1"]
    assert parties.keys["stranger"].id in said["key", "hospital-1"]
    assert "is not a member of the workspace elsewhere" in said["key", "hospital-2"]
    assert machine.policy.images[0].manifest_digest.hex() in said["image", "base"]
    assert (tmp_path / "there" / "exported" / "policy.json").read_bytes() == machine.policy.encode()
    assert not (tmp_path / "there" / "policy.json").exists()


def test_existing_files_are_never_replaced(exported, tmp_path):
    _, path = exported
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "computation.yaml").write_text("mine")

    with pytest.raises(InputError, match="has files"):
        import_computation(path, folder)

    assert (folder / "computation.yaml").read_text() == "mine"


def rezip(path, change):
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    change(parts)
    with path.open("wb") as file:
        archive.write_zip(file, parts.items())


def consistent(parts, name, data):
    """Add a part with its digest in the origin: a receiver cannot know who wrote the file."""
    parts[name] = data
    origin = json.loads(parts["origin.json"])
    origin["digests"][name] = hashlib.sha256(data).hexdigest()
    parts["origin.json"] = json.dumps(origin, sort_keys=True, separators=(",", ":")).encode()


ABUSES = {
    "another manifest": lambda parts: parts.update(
        {"manifest.json": parts["manifest.json"].replace(b"covid19", b"covid20")}
    ),
    "no manifest": lambda parts: parts.pop("manifest.json"),
    "no origin": lambda parts: parts.pop("origin.json"),
    "a part more": lambda parts: parts.update({"rules/a.yaml": b"x"}),
    "an unknown part": lambda parts: consistent(parts, "data/h1.csv", b"x"),
    "a hidden folder": lambda parts: consistent(parts, "rules/a/b.yaml", b"x"),
    "a dataset": lambda parts: consistent(parts, "assets/h1", b"x"),
    "another program": lambda parts: parts.update({"assets/algorithm": b"import os"}),
    "a policy that is too large": lambda parts: consistent(parts, "policy.json", b" " * (17 * 1024 * 1024)),
    "too many rules": lambda parts: [consistent(parts, f"rules/{number}.yaml", b"x") for number in range(70)],
    "an origin of another form": lambda parts: parts.update({"origin.json": b"{}"}),
}


@pytest.mark.parametrize("what", ABUSES)
def test_changed_package_leaves_nothing(exported, tmp_path, what):
    _, path = exported
    rezip(path, ABUSES[what])

    with pytest.raises(CloisterError):
        import_computation(path, tmp_path / "there")

    assert not (tmp_path / "there").exists()


def test_nothing_of_a_package_with_many_parts_is_held_in_memory(exported, tmp_path, monkeypatch):
    _, path = exported
    rezip(path, lambda parts: parts.update({f"rules/{number}.yaml": b"x" for number in range(9000)}))
    read: list[str] = []
    real = package._read
    monkeypatch.setattr(package, "_read", lambda packed, name, limit: read.append(name) or real(packed, name, limit))

    with pytest.raises(ChangedFileError, match="has other parts than its"):
        import_computation(path, tmp_path / "there")

    assert read == ["origin.json", "manifest.json"]


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04" + b"\0" * 100, b"{}", b"\x7fELF"])
def test_other_file_is_not_a_package(tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)

    with pytest.raises(CloisterError):
        import_computation(path, tmp_path / "there")
    with pytest.raises(CloisterError):
        import_computation(tmp_path / "absent", tmp_path / "there")


def test_export_is_the_same_every_time(exported, tmp_path):
    manifest, path = exported
    again = tmp_path / "again.cloister"

    export_computation(manifest, again)

    assert again.read_bytes() == path.read_bytes()
