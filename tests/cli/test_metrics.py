"""The verb ``metrics``: OpenMetrics, JSON and the agent's log, for owners."""

import json

from tests.agent_runtime.operations.test_openmetrics import assert_openmetrics

WHERE = ("--workspace", "workspace.json", "--policy", "policy.json")


def test_owner_reads_metrics_and_log(cloister, machine, parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    shown = cloister("metrics", "--key", "lab.pem", *WHERE)
    assert shown.code == 0, shown.err
    assert_openmetrics(shown.out)

    found = json.loads(cloister("metrics", "--key", "lab.pem", *WHERE, "--log", "--json").out)
    assert {"name": "cloister_calls_total", "labels": {"method": "Metrics"}, "value": 2} in found["metrics"]
    assert [line["event"] for line in found["log"]] == ["agent-started"]


def test_only_owners_read_metrics(cloister, machine, parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    assert cloister("manifest", "manifest.yaml").code == 0
    assert cloister("run", "--key", "lab.pem", "--manifest", "manifest.json", *WHERE, "--detach").code == 0
    refused = cloister("metrics", "--key", "hospital-1.pem", *WHERE)
    assert (refused.code, refused.out) == (4, "")
    assert "requires the role owner" in refused.err
