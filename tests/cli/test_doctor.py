"""The verb ``doctor``: a line for each check, remedies, exit code."""

import json

from cloister import cli
from tests.client.parties import Parties


def test_doctor_prints_each_check_and_fails_for_what_is_missing(cloister, machine, parties: Parties, monkeypatch):
    # Another test may have imported the checkout's tasks.
    monkeypatch.setattr(cli.doctor, "_examine_checkout", None)
    done = cloister("doctor", "--json")
    checks = {one["name"]: one for one in json.loads(done.out)}
    assert done.code == 1
    assert "key, policy, workspace." in done.err  # the output of a test may have any encoding
    assert not checks["policy"]["good"]
    assert not checks["member"]["checked"]

    for name, file in {"KEY": "lab.pem", "POLICY": "policy.json", "WORKSPACE": "workspace.json"}.items():
        monkeypatch.setenv(f"CLOISTER_{name}", str(parties.folder / file))
    done = cloister("doctor")
    assert "ok   member: your key is that of the member lab: owner\n" in done.out
    assert "ok   agent: TLS 1.3, key " in done.out
    assert "-    manifest: not checked: no manifest is set" in done.out
