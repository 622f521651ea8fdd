"""The part of a workspace's configuration that applies to clouds only: location, ingress, labels and budget."""

import datetime
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloister.errors import InputError
from infra.configuration import addresses
from infra.configuration.validation import NAME, Validator

BACKENDS = ("azure", "gcp")
ENDPOINTS = PRIVATE, PUBLIC = "private", "public"
REGISTRY_PROJECT = "cloister-registry"

WORKSPACE_LABEL, MANAGER_LABEL, MANAGER = "cloister-workspace", "managed-by", "cloister"
# In Azure, Cloister stores facts about a VM in tags; the endpoint among them is where a run is asked for.
_RESERVED = "cloister-"

KEYS = ("azure", "gcp", "endpoint", "public", "labels", "budget")
"""Keys of ``cloister:workspace`` that a local workspace must not have."""

WIDEST = 8
"""The shortest prefix of an IPv4 network that one organisation may own: an old class A."""

_OWN = ipaddress.IPv4Network(addresses.NETWORK)
# No source addresses: RFC 1122, 3927 (the clouds' metadata services), 5771 and 1112, and Azure's hosts.
_NO_SOURCE = tuple(
    ipaddress.IPv4Network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32")
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
LOCATION = re.compile(r"[a-z][a-z0-9]{2,62}\Z")
# Google Cloud, Resource Manager, "Creating and managing projects": 6 to 30 characters, no hyphen at the end.
PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]\Z")
REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+\Z")
UUID_FORMAT = "an ID like 00000000-0000-0000-0000-000000000000 in lowercase"
LOCATION_FORMAT = "a location such as westeurope"
PROJECT_FORMAT = "a project ID (6 to 30 lowercase letters, digits and '-', starting with a letter)"
_ORGANIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_BILLING_ACCOUNT = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}\Z")
_CONTACT = re.compile(r"[^@\s,;<>\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z")
_MIDNIGHT = " 00:00:00 +0000 UTC"
_FIRST_OF_A_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])-01\Z")
# The stricter of both clouds, so that a label means the same on each: Google Cloud, "Requirements for labels"
# (lower-case letters, digits, '_', '-'; a key begins with a letter; 64 of them) and Azure, "Use tags to organize your
# Azure resources" (50 of them), but a key of a vault has 15 at most (Azure Key Vault, "About keys": key tags). Two are
# Cloister's own.
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{1,63}\Z")
_MOST_LABELS = 13
# Azure REST API, Budgets: at most five notifications, thresholds up to 1000 percent, at most 50 addresses.
_MOST_ALERTS, _HIGHEST_ALERT, _MOST_CONTACTS = 5, 1000, 50
_LARGEST_AMOUNT = 1_000_000_000


@dataclass(frozen=True)
class AzureConfiguration:
    """``subscription`` and ``tenant`` are UUIDs; ``registry`` is the stack that published the image. ``orchestrator``
    is the object ID of the tenant's Confidential VM Orchestrator; only a signed image needs it ("" if not set).
    """

    subscription: str
    tenant: str
    location: str
    registry: str
    orchestrator: str = ""


@dataclass(frozen=True)
class GcpConfiguration:
    """``registry`` is the stack that published the image."""

    project: str
    region: str
    registry: str


@dataclass(frozen=True)
class BudgetConfiguration:
    """A monthly budget."""

    amount: int
    """Per month, in ``currency``."""
    currency: str
    alerts: tuple[int, ...]
    """Percentages of ``amount``."""
    start: str
    """``YYYY-MM-01``; Azure only, else ""."""
    contacts: tuple[str, ...]
    """Email addresses; Azure only, else ()."""
    billing_account: str
    """GCP only, else ""."""


def azure(validator: Validator, value: Any) -> AzureConfiguration:
    """``workspace.azure``."""
    path = "workspace.azure"
    required = ("subscription", "tenant", "location", "registry")
    fields = validator.mapping(value, path, required=required, optional=("orchestrator",))
    return AzureConfiguration(
        subscription=validator.matching(fields, "subscription", path, UUID, UUID_FORMAT),
        tenant=validator.matching(fields, "tenant", path, UUID, UUID_FORMAT),
        location=validator.matching(fields, "location", path, LOCATION, LOCATION_FORMAT),
        registry=_registry(validator, fields, path),
        orchestrator=validator.matching(fields, "orchestrator", path, UUID, UUID_FORMAT),
    )


def gcp(validator: Validator, value: Any) -> GcpConfiguration:
    """``workspace.gcp``."""
    path = "workspace.gcp"
    fields = validator.mapping(value, path, required=("project", "region", "registry"))
    return GcpConfiguration(
        project=validator.matching(fields, "project", path, PROJECT, PROJECT_FORMAT),
        region=validator.matching(fields, "region", path, REGION, "a region such as europe-west4"),
        registry=_registry(validator, fields, path),
    )


def _registry(validator: Validator, fields: Mapping[str, Any], path: str) -> str:
    text = validator.string(fields, "registry", f"{path}.registry")
    parts = text.split("/")
    good = len(parts) == 3 and _ORGANIZATION.match(parts[0]) and parts[1] == REGISTRY_PROJECT and NAME.match(parts[2])
    if text and not good:
        validator.add(
            f"{path}.registry", f"must be the full name of a stack, organization/{REGISTRY_PROJECT}/NAME, not {text!r}."
        )
    return text


def ingress(validator: Validator, value: Any, *, public: bool) -> tuple[str, ...]:
    """``workspace.ingress``: IPv4 networks, because a CVM has only an IPv4 address."""
    networks: list[tuple[str, ipaddress.IPv4Network]] = []
    for path, source in validator.entries(value, "workspace.ingress"):
        network = validator.attempt(path, lambda text=source: parse_network(text))
        if network is None:
            continue
        if network.version != 4:
            validator.add(path, f"{source} is an IPv6 network; CVMs have IPv4 addresses only.")
        elif network.subnet_of(_OWN):
            validator.add(
                path, f"{source} is inside {_OWN}, the workspace's own network, whose CVMs open no connections."
            )
        elif any(network.subnet_of(one) for one in _NO_SOURCE):
            validator.add(path, f"{source} is reserved; no packet has such a source address.")
        else:
            networks.append((path, network))
    validator.unique([str(network) for _, network in networks], "workspace.ingress", "network")
    _refuse_overlaps(validator, networks)
    if not public:
        for wide in too_wide([network for _, network in networks]):
            validator.add("workspace.ingress", f"admits all of {wide}. List narrower networks, or set public: true.")
    return tuple(str(network) for _, network in networks)


def _refuse_overlaps(validator: Validator, networks: list[tuple[str, ipaddress.IPv4Network]]) -> None:
    """Azure rejects a rule with both (answer 400 OverlappingSubnetsNotPermittedInSecurityRule)."""
    for path, network in networks:
        whole = next((one for _, one in networks if one != network and network.subnet_of(one)), None)
        if whole is not None:
            validator.add(path, f"{network} is inside {whole}, which is also listed. Omit it.")


def too_wide(networks: list[ipaddress.IPv4Network]) -> list[ipaddress.IPv4Network]:
    """The parts of ``networks``, merged, that are wider than ``/8``: two halves of the internet are the internet."""
    return [network for network in ipaddress.collapse_addresses(networks) if network.prefixlen < WIDEST]


def parse_network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An IP network. Raises InputError, also for an address with host bits set."""
    try:
        return ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InputError(f"invalid network {text!r}; write for example 198.51.100.0/24.") from error


def labels(validator: Validator, value: Any, path: str = "workspace.labels") -> dict[str, str]:
    """The labels at ``path``, without those that Cloister adds to every resource."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        validator.add(path, "must be a mapping of labels to values.")
        return {}
    if len(value) > _MOST_LABELS:
        validator.add(path, f"{len(value)} entries; at most {_MOST_LABELS} are allowed.")
    for name, text in value.items():
        if not isinstance(name, str) or not _LABEL_KEY.match(name):
            validator.add(
                path, f"invalid label {name!r}; use lowercase letters, digits, '_' and '-', starting with a letter."
            )
        elif name == MANAGER_LABEL or name.startswith(_RESERVED):
            validator.add(f"{path}.{name}", "is reserved: Cloister sets it.")
        if not isinstance(text, str) or not _LABEL_VALUE.match(text):
            validator.add(
                f"{path}.{name}", f"invalid value {text!r}; use lowercase letters, digits, '_' and '-', in quotes."
            )
    return {str(name): str(text) for name, text in value.items()}


def budget(validator: Validator, value: Any, backend: str) -> BudgetConfiguration | None:
    """``workspace.budget``. None when it is not set."""
    if value is None:
        return None
    path = "workspace.budget"
    own = ("contacts", "start") if backend == "azure" else ("billing_account",)
    fields = validator.mapping(value, path, required=("amount", "currency", "alerts", *own))
    return BudgetConfiguration(
        amount=validator.integer(fields, "amount", path, default=0, allowed=range(1, _LARGEST_AMOUNT + 1)),
        currency=validator.matching(fields, "currency", path, _CURRENCY, "a currency such as EUR"),
        alerts=_alerts(validator, fields.get("alerts")),
        start=_start(validator, fields, path),
        contacts=_contacts(validator, fields.get("contacts")),
        billing_account=validator.matching(
            fields, "billing_account", path, _BILLING_ACCOUNT, "a billing account like 012345-6789AB-CDEF01"
        ),
    )


def _start(validator: Validator, fields: Mapping[str, Any], path: str) -> str:
    """``start`` as a string. YAML turns an unquoted date into a date, the engine into a string with a time."""
    value = fields.get("start")
    text = value.isoformat() if isinstance(value, datetime.date) else str(value).removesuffix(_MIDNIGHT)
    if text != value and _FIRST_OF_A_MONTH.match(text):
        validator.add(f"{path}.start", f"YAML reads {text} as a date; write it in quotes: '{text}'.")
        return ""
    expected = "the first day of a month, such as '2026-12-01', in quotes"
    return validator.matching({"start": None if value is None else text}, "start", path, _FIRST_OF_A_MONTH, expected)


def _alerts(validator: Validator, value: Any) -> tuple[int, ...]:
    path = "workspace.budget.alerts"
    alerts = []
    for place, percent in validator.entries(value, path):
        if isinstance(percent, bool) or not isinstance(percent, int) or not 0 < percent <= _HIGHEST_ALERT:
            validator.add(place, f"must be an integer from 1 to {_HIGHEST_ALERT} (percent), not {percent!r}.")
        else:
            alerts.append(percent)
    if len(alerts) > _MOST_ALERTS:
        validator.add(path, f"{len(alerts)} entries; at most {_MOST_ALERTS} are allowed.")
    validator.unique([str(percent) for percent in alerts], path, "percent")
    return tuple(sorted(alerts))


def _contacts(validator: Validator, value: Any) -> tuple[str, ...]:
    path = "workspace.budget.contacts"
    contacts = []
    for place, address in validator.entries(value, path):
        if not isinstance(address, str) or not _CONTACT.match(address):
            validator.add(place, f"invalid email address {address!r}.")
        else:
            contacts.append(address)
    if len(contacts) > _MOST_CONTACTS:
        validator.add(path, f"{len(contacts)} entries; at most {_MOST_CONTACTS} are allowed.")
    return tuple(contacts)
