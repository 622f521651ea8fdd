"""The verb ``page``: what it prints, how it ends, and what it says before it serves anything."""

import http.client
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from cloister import client
from cloister.attestation.policy.policy import Policy

WHERE = ("--workspace", "workspace.json", "--policy", "policy.json", "--key", "lab.pem")


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_while_a_browser_is_open(machine, folder, sent):
    command = [sys.executable, "-m", "cloister", "page", *WHERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        address = urlsplit(re.fullmatch(r"Page      (http://127\.0\.0\.1:\d+/\S+/enter\?token=\S+)\n", first)[1])
        entered = get(address.netloc, f"{address.path}?{address.query}").getresponse()
        cookie = entered.getheader("Set-Cookie").split(";")[0]
        root = address.path.removesuffix("enter")
        stream = get(address.netloc, f"{root}trial/main/live", cookie).getresponse()
        assert stream.readline() == b"event: parts\n"
        idle = get(address.netloc, f"{root}page.js", cookie).getresponse()
        assert idle.status == 200

        process.send_signal(sent)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGTERM)
    assert b"event: end\n" in stream.read()
    assert ("The page has ended; the machines go on." in errors) == (sent == signal.SIGINT)
    # No access log, no token a second time, no traceback.
    assert not re.search(r"GET|HTTP|token|Traceback", rest + errors)


def get(host, path, cookie=""):
    """A connection on which the request was sent."""
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    return connection


def test_without_its_packages_it_says_what_to_install(cloister, folder, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "uvicorn" else found(name, *more)
    )
    done = cloister("page")
    assert done.code == 2
    assert "pip install './WHEEL[page]'" in done.err
    assert "not installed: uvicorn." in done.err


def write(folder, name, policy: Policy):
    (folder / name).write_bytes(policy.encode())


REFUSED = {
    "no policy": (["--workspace", "workspace.json", "--key", "lab.pem"], "No policy is set"),
    "no workspace": (["--policy", "policy.json", "--key", "lab.pem"], "No workspace is set"),
    "no key": (["--policy", "policy.json", "--workspace", "workspace.json"], "No key is set"),
    "policy of another workspace": (
        ["--policy", "other.json", "--workspace", "workspace.json", "--key", "lab.pem"],
        "The policy other.json is for the workspace elsewhere; the workspace descriptors are of trial.",
    ),
    "two policies of one workspace": (
        [*WHERE, "--policy", "same.json"],
        "Two policies are for the workspace trial: policy.json and same.json.",
    ),
    "the same workspace twice": (
        [*WHERE, "--workspace", "copy.json"],
        "Two workspace descriptors are for the workspace",
    ),
    "not a policy": (["--policy", "workspace.json", *WHERE[:2], "--key", "lab.pem"], "workspace.json"),
    "not a manifest": ([*WHERE, "--manifest", "policy.json"], "policy.json"),
    "not a port": ([*WHERE, "--port", "70000"], "70000 is not a port."),
    "negative port": ([*WHERE, "--port=-1"], "-1 is not a port."),
    "no number": ([*WHERE, "--port", "http"], "http"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input_is_one_sentence(cloister, machine, folder, case):
    write(folder, "other.json", machine.other_policy(workspace="elsewhere"))
    write(folder, "same.json", machine.policy)
    (folder / "copy.json").write_bytes((folder / "workspace.json").read_bytes())
    options, says = REFUSED[case]
    done = cloister("page", *options)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err


def test_port_in_use_is_said(cloister, machine, folder):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = cloister("page", *WHERE, "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "cannot use port" in done.err


def test_list_of_verbs_needs_none_of_its_packages():
    program = "import sys; from cloister.cli import VERBS; print({'starlette', 'uvicorn', 'jinja2'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout.strip() == "set()"


def test_address_is_printed_as_json(machine, folder, cloister, monkeypatch):
    def serve(machines, key, *, port, reader, opened):
        opened("http://127.0.0.1:1/x/enter?token=y")

    monkeypatch.setattr(client, "serve_page", serve, raising=False)

    said = json.loads(cloister("page", *WHERE, "--json").out)

    assert said == {"address": "http://127.0.0.1:1/x/enter?token=y", "machines": ["trial/main"]}
