"""Addresses of CVMs follow from their names."""

import ipaddress

import pytest

from cloister.errors import InputError
from infra.configuration import addresses

NAMES = [f"cvm-{number}" for number in range(200)]


def test_every_cvm_has_its_own_unreserved_address():
    given = addresses.assign(NAMES)
    network = list(ipaddress.ip_network(addresses.NETWORK))
    assert sorted(given) == sorted(NAMES)
    assert sorted(given.values(), key=ipaddress.ip_address) == [str(one) for one in network[10:210]]


def test_the_address_follows_from_the_name():
    assert dict(addresses.assign(["trainer", "validator"])) == {"trainer": "10.99.0.186", "validator": "10.99.0.131"}


def test_adding_or_removing_a_cvm_changes_no_other_address():
    before = addresses.assign(["trainer", "validator"])
    assert addresses.assign(["first", "trainer", "middle", "validator", "last"]).items() >= before.items()
    assert addresses.assign(["validator"])["validator"] == before["validator"]


def test_earlier_of_two_colliding_names_keeps_the_address():
    alone = {name: addresses.assign([name])[name] for name in NAMES}
    place = alone["cvm-0"]
    twin = next(name for name in NAMES[1:] if alone[name] == place)
    both = addresses.assign(["cvm-0", twin])
    assert both["cvm-0"] == place
    assert both[twin] == str(ipaddress.ip_address(place) + 1)


def test_more_cvms_than_addresses_are_rejected():
    with pytest.raises(InputError, match="at most 200 CVMs, not 201"):
        addresses.assign([*NAMES, "one-more"])


def test_private_networks_do_not_come_over_the_internet():
    ingress = ["198.51.100.0/24", "10.1.0.0/16", "172.31.0.0/16", "172.32.0.0/16", "192.168.7.0/24", "0.0.0.0/0"]
    assert addresses.over_the_internet(ingress) == ("198.51.100.0/24", "172.32.0.0/16", "0.0.0.0/0")
