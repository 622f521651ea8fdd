"""The guest's scripts on simulated system files: platform, network, how the agent waits for init, the machine's end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.build.source import CHECKOUT

GUEST = CHECKOUT / "image/guest"
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
LEASE = {"interface": "net7", "ip": "10.99.0.10", "subnet": "255.255.255.0", "router": "10.99.0.1"}


def shell(script: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments], capture_output=True, text=True, env=environment or {}, check=False
    )


def machine(
    folder: Path, *, asset: str | None = None, product: str | None = None, fw_cfg: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the guest's platform detection with these firmware tables."""
    tables = folder / "class/dmi/id"
    tables.mkdir(parents=True)
    for name, value in (("chassis_asset_tag", asset), ("product_name", product)):
        if value is not None:
            (tables / name).write_text(f"{value}\n")
    if fw_cfg:
        (folder / "bus/acpi/devices/QEMU0002:00").mkdir(parents=True)
    return shell(f'. {GUEST}/hardware && platform "$1"', str(folder))


@pytest.mark.parametrize(
    ("tables", "platform"),
    [
        ({"asset": AZURE_TAG, "product": "Virtual Machine"}, "azure"),
        ({"product": "Google Compute Engine"}, "gcp"),
        ({"product": "Standard PC (Q35 + ICH9, 2009)", "fw_cfg": True}, "local"),
        ({"fw_cfg": True}, "local"),
        # The tables of a cloud take precedence over the local backend's device.
        ({"asset": AZURE_TAG, "fw_cfg": True}, "azure"),
        ({"product": "Google Compute Engine", "fw_cfg": True}, "gcp"),
    ],
)
def test_platform_is_detected_from_firmware_tables(tmp_path: Path, tables: dict[str, str], platform: str) -> None:
    found = machine(tmp_path, **tables)
    assert (found.returncode, found.stdout) == (0, f"{platform}\n")


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"asset": "", "product": ""},
        {"product": "HVM domU"},
        {"product": "Google"},
        {"product": "Google Compute Engine 2"},
        {"asset": f"{AZURE_TAG}0", "product": "Virtual Machine"},
        {"product": "$(echo gcp)"},
    ],
)
def test_unknown_firmware_tables_give_no_platform(tmp_path: Path, tables: dict[str, str]) -> None:
    found = machine(tmp_path, **tables)
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize(
    ("device", "flags", "kind"),
    [(True, "fpu sse2", "snp"), (False, "fpu tdx_guest sse2", "tdx"), (False, "fpu tdx_guest_not", "")],
)
def test_security_module_is_the_one_that_the_kernel_detected(
    tmp_path: Path, device: bool, flags: str, kind: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    if device:
        (tmp_path / "bus/platform/devices/sev-guest").mkdir(parents=True)
    found = shell(f'. {GUEST}/hardware && security_module "$1" "$1"', str(tmp_path))
    assert (found.returncode, found.stdout.strip()) == (0 if kind else 1, kind)


def configured(event: str, **lease: str) -> list[str]:
    """The network commands that the script runs on an event of udhcpc."""
    script = f'ip() {{ echo "$*"; }}; set -- {event}; . {GUEST}/network'
    return shell(script, environment=lease).stdout.splitlines()


def test_an_interface_is_brought_up_without_an_address() -> None:
    assert configured("deconfig", interface="net7") == ["address flush dev net7", "link set net7 up"]


@pytest.mark.parametrize("event", ["bound", "renew"])
def test_a_lease_gives_an_address_and_a_route(event: str) -> None:
    assert configured(event, **LEASE) == [
        "address flush dev net7",
        "address add 10.99.0.10/255.255.255.0 dev net7",
        "route replace default via 10.99.0.1 dev net7",
    ]


def test_router_outside_of_the_subnet_is_reached_on_the_link() -> None:
    """As on Google Cloud: an address with a /32 subnet, and an MTU."""
    assert configured("bound", **LEASE | {"subnet": "255.255.255.255", "mtu": "1460"}) == [
        "address flush dev net7",
        "address add 10.99.0.10/255.255.255.255 dev net7",
        "link set net7 mtu 1460",
        "route replace 10.99.0.1 dev net7",
        "route replace default via 10.99.0.1 dev net7",
    ]


@pytest.mark.parametrize("mtu", ["", "68", "1279", "9001", "65535", "1500 up", "-1500", "14x0"])
def test_mtu_outside_of_the_valid_range_is_ignored(mtu: str) -> None:
    assert not [line for line in configured("bound", **LEASE, mtu=mtu) if "mtu" in line]


@pytest.mark.parametrize(
    "value", ["", "10.99.0", "10.99.0.1.1", "host", "10.99.0.1;reboot", "$(reboot)", "1.2.3.4 dev lo"]
)
def test_invalid_ipv4_address_is_ignored(value: str) -> None:
    assert configured("bound", **LEASE | {"ip": value}) == []
    assert configured("bound", **LEASE | {"subnet": value}) == []


@pytest.mark.parametrize("value", ["", "host", "10.99.0.1;reboot", "10.99.0"])
def test_invalid_router_address_is_ignored(value: str) -> None:
    assert configured("bound", **LEASE | {"router": value})[-1].startswith("address add")


def test_other_events_change_nothing() -> None:
    assert configured("nak", **LEASE) == configured("leasefail", **LEASE) == []


def installed(folder: Path, name: str) -> Path:
    """One of the guest's scripts, for a machine in ``folder``."""
    text = (GUEST / name).read_text()
    changes = {"/run/cloister": str(folder), "/usr/lib/cloister": str(folder), "/usr/bin/python3": sys.executable}
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / name
    path.write_text("usleep() { sleep 0.01; }\n" + text)
    return path


PROGRAM = """\
import pathlib, signal, sys
name = pathlib.Path(sys.argv[0]).stem
def note(word):
    with open(pathlib.Path(sys.argv[0]).with_name("order"), "a") as file:
        file.write(f"{name} {word}\\n")
def end(number, frame):
    note("told")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("started")
pathlib.Path(sys.argv[0]).with_name(name).touch()
while True:
    signal.pause()
"""


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Agent and runner, or what stands in for them, as init starts them."""
    (tmp_path / "milestone").touch()
    (tmp_path / "end").write_text(f"#!/bin/sh\necho power-off >>{tmp_path}/order\n")
    (tmp_path / "end").chmod(0o755)
    script, started = installed(tmp_path, "supervise"), {}
    for name in ("agent", "runner"):
        (tmp_path / f"{name}.py").write_text(PROGRAM)
        started[name] = subprocess.Popen(["sh", script, name], stderr=subprocess.DEVNULL)
        while not (tmp_path / name).exists() or not (tmp_path / f"{name}.pid").exists():
            os.sched_yield()
    yield started
    for one in started.values():
        one.wait()


def order(folder: Path) -> list[str]:
    return (folder / "order").read_text().splitlines()


def test_machine_that_is_asked_to_end_tells_first_the_agent_then_the_runner(
    tmp_path: Path, supervised: dict[str, subprocess.Popen[bytes]]
) -> None:
    """Then init ends it, off or on again as the host asked."""
    subprocess.run(["sh", installed(tmp_path, "shutdown")], check=True)
    assert [one.wait() for one in supervised.values()] == [0, 0]
    assert order(tmp_path) == ["agent started", "runner started", "agent told", "runner told"]


def test_machine_powers_off_when_a_program_ends_by_itself(
    tmp_path: Path, supervised: dict[str, subprocess.Popen[bytes]]
) -> None:
    for name, found in (("agent", ["agent told", "power-off"]), ("runner", ["runner told", "power-off"])):
        before = len(order(tmp_path))
        os.kill(int((tmp_path / f"{name}.pid").read_text()), signal.SIGTERM)
        supervised[name].wait()
        assert order(tmp_path)[before:] == found


def test_machine_that_is_still_starting_can_be_asked_to_end(tmp_path: Path) -> None:
    done = subprocess.run(["sh", installed(tmp_path, "shutdown")], check=False, capture_output=True)
    assert (tmp_path / "stopping").exists()
    assert done.stdout == b""


def started(script: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a script with the functions of the agent's first file, and this in the pipe from init."""
    names = f"import runpy, sys; sys.path.insert(0, {str(CHECKOUT)!r}); g = runpy.run_path({str(GUEST / 'agent.py')!r})"
    words = ["sh", "-c", 'exec "$@" 3<&0 </dev/null', "sh", sys.executable, "-c", f"{names}\n{script}"]
    return subprocess.run(words, input=said, capture_output=True, check=False)


@pytest.mark.parametrize(("said", "ended"), [(b"\n", 0), (b"", 1)], ids=["the machine is set up", "init has ended"])
def test_the_agent_starts_only_when_init_says_that_the_machine_is_set_up(said: bytes, ended: int) -> None:
    assert started("g['wait_until_hardened']()", said).returncode == ended


def test_the_agent_is_imported_without_what_it_does_not_use() -> None:
    done = started("g['imported'](); import gc; print(gc.isenabled(), {'asyncio', 'ssl'} & set(sys.modules))")
    assert (done.stdout, done.stderr) == (b"True set()\n", b"")


def test_a_program_with_the_reading_end_learns_that_init_has_ended(tmp_path: Path) -> None:
    """As in rc: a pipe with a name, whose writing end only init has."""
    script = (GUEST / "rc").read_text(encoding="utf-8")
    begin = script.index("mkfifo")
    lines = script[begin : script.index("exec 4<&-", begin)]
    waits = lines.replace("/run/cloister/hardened", str(tmp_path / "hardened"))
    waits = waits.replace("/usr/lib/cloister/supervise agent", "sh -c 'cat <&3'")
    assert "supervise" not in waits
    done = subprocess.run(["sh", "-c", f"{waits}waiting=$!; exec 3>&- 4<&-; wait $waiting"], timeout=20, check=False)
    assert done.returncode == 0
