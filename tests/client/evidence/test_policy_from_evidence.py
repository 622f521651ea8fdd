"""A policy is made from evidence that is complete, or that fetched collateral completes."""

import dataclasses
from pathlib import Path

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.evidence import Platform
from cloister.attestation.testkit import SnpMachine
from cloister.client.collateral.evidence_requests import Services
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence.first_policy import policy_from_evidence
from cloister.errors import InputError, ProofError
from cloister.protocol.imagemanifest import ImageManifest
from tests.client.collateral.conftest import Asking, asking, server
from tests.client.collateral.services import Reply, Server

__all__ = ["asking", "server"]

BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)


def test_policy_is_made_from_evidence_with_fetched_collateral(tmp_path: Path, server: Server, asking: Asking) -> None:
    machine = SnpMachine.create_at(asking.now)
    pcrs = {index: value.hex() for index, value in machine.image().pcrs.items()} | {12: "00" * 32, 13: "00" * 32}
    image, bundle = tmp_path / "manifest.json", tmp_path / "bundle"
    image.write_bytes(ImageManifest(flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs).encode())
    bundle.write_bytes(dataclasses.replace(machine.evidence(BINDING), collateral=()).encode_json())
    server.reply("/vcek/v1/Milan/crl", Reply(machine.crls[0]))
    roots = (machine.processor.amd.anchor(),)

    alone = policy_from_evidence(image, bundle, at=asking.now, roots=roots)
    assert "there is no list of that issuer" in " ".join(alone.rejected)
    assert server.asked == []

    nothing = CollateralSources(network=asking.network(), services=Services(keys=f"{server.address}/nothing"))
    with pytest.raises(ProofError, match="Cannot fetch the revocation list of Milan's root"):
        policy_from_evidence(image, bundle, collateral=nothing, at=asking.now)

    vendors = CollateralSources(network=asking.network(), services=Services(keys=server.address))
    started = policy_from_evidence(image, bundle, collateral=vendors, at=asking.now, roots=roots)
    assert started.policy.platforms == (Platform.SEV_SNP,)
    assert started.rejected == ()


def test_malformed_bundle_makes_no_policy(tmp_path: Path, asking: Asking) -> None:
    machine = SnpMachine.create_at(asking.now)
    pcrs = {index: value.hex() for index, value in machine.image().pcrs.items()} | {12: "00" * 32, 13: "00" * 32}
    image, bundle = tmp_path / "manifest.json", tmp_path / "bundle"
    image.write_bytes(ImageManifest(flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs).encode())
    evidence = machine.evidence(BINDING)
    assert evidence.snp_report is not None
    bundle.write_bytes(dataclasses.replace(evidence, snp_report=evidence.snp_report[:-1]).encode_json())

    with pytest.raises(InputError, match="has 1183 bytes"):
        policy_from_evidence(image, bundle, at=asking.now, roots=(machine.processor.amd.anchor(),))
