"""Which addresses may be reached."""

import ipaddress

import pytest

from engine.core.address import AddressRules, BlockedAddress, is_public, parse_address
from engine.errors import ConfigurationError


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0177.0.0.1",  # octal
        "2130706433",  # one number
        "0x7f000001",
        "0x7f.1",
        "127.0.0.1.",
        "[::1]",
        "::1",
        "0.0.0.0",
        "::",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # metadata service of most clouds
        "100.100.100.200",  # Alibaba's
        "168.63.129.16",  # Azure's
        "192.0.0.192",  # Oracle's
        "fd00:ec2::254",  # Amazon's
        "100.64.0.1",
        "198.18.0.1",  # benchmarks
        "192.0.2.1",  # documentation
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::ffff:127.0.0.1]",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b:1::1",
        "2002:7f00:1::",  # 6to4
        "2001:0:4136:e378::1",  # Teredo
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_addresses_are_refused_in_every_spelling(host: str) -> None:
    """An address that is not an ordinary public one is refused, however it is written."""
    with pytest.raises(BlockedAddress) as caught:
        AddressRules().check_literal(host, 80)
    assert caught.value.type == "blocked_address"
    assert "HOOKWRIGHT_ALLOW_HOSTS=" in caught.value.message


@pytest.mark.parametrize(
    "host",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "[2606:4700::1111]", "::ffff:8.8.8.8", "64:ff9b::808:808", "example.com"],
)
def test_public_addresses_and_names_pass(host: str) -> None:
    """Public addresses pass; names are checked when they are resolved."""
    AddressRules().check_literal(host, 443)


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "allowed"),
    [
        ("intranet.example", "intranet.example", 80, "10.0.0.1", True),
        ("intranet.example", "INTRANET.example.", 80, "10.0.0.1", True),
        ("intranet.example", "other.example", 80, "10.0.0.1", False),
        ("intranet.example", "x.intranet.example", 80, "10.0.0.1", False),  # no wildcards
        ("localhost:9900", "localhost", 9900, "127.0.0.1", True),
        ("localhost:9900", "localhost", 9901, "127.0.0.1", False),
        ("127.0.0.1:9900", "127.0.0.1", 9900, "127.0.0.1", True),
        ("127.0.0.1:9900", "localhost", 9900, "127.0.0.1", True),  # the address counts
        ("127.0.0.1:9900", "127.0.0.1", 80, "127.0.0.1", False),
        ("10.0.0.0/8", "a.example", 80, "10.255.0.1", True),
        ("10.0.0.0/8", "a.example", 80, "11.0.0.1", True),  # public anyway
        ("10.0.0.0/8", "a.example", 80, "192.168.0.1", False),
        ("10.0.0.0/8", "a.example", 80, "::ffff:10.0.0.1", True),
        ("[::1]:9900", "::1", 9900, "::1", True),
        ("::1", "::1", 1, "::1", True),
        ("fd00::/8", "db", 1, "fd12::1", True),
    ],
)
def test_the_operator_can_allow(entry: str, host: str, port: int, address: str, allowed: bool) -> None:
    """A name, a name with port, an address, or a network lets private addresses pass."""
    rules = AddressRules([entry])
    if allowed:
        rules.check(host, port, ipaddress.ip_address(address))
        return
    with pytest.raises(BlockedAddress):
        rules.check(host, port, ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "entry", ["http://x", "a b", "x:0", "x:99999", "x:port", ":80", "", "*.example.com", "10.0.0.0/33"]
)
def test_a_malformed_entry_is_a_configuration_error(entry: str) -> None:
    """What cannot be meant is refused at start and named."""
    with pytest.raises(ConfigurationError) as caught:
        AddressRules([entry])
    assert repr(entry) in str(caught.value)


def test_names_are_not_addresses() -> None:
    """A name is a name, also if it begins with digits."""
    assert parse_address("1password.com") is None
    assert parse_address("") is None
    assert is_public(ipaddress.ip_address("93.184.216.34"))
