"""Which addresses outbound requests may reach: public ones, and what the operator allows by name."""

import ipaddress
import socket
from collections.abc import Iterable

import msgspec

from engine.core.failure import Fail
from engine.errors import ConfigurationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REMEMBERED = 1000  # hosts

# Networks that are not on the internet but which `ipaddress` calls global in some Python versions.
REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service is 100.100.100.200
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata service is 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b:1::/48",  # NAT64 of a site
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local
    )
)
# IPv6 networks that carry an IPv4 address in the given bits from the right.
CARRIERS = (
    (ipaddress.IPv6Network("::/96"), 0),  # compatible
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # translated
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)


class BlockedAddress(Fail):
    """The address is not public and nobody has allowed it."""

    def __init__(self, host: str, port: int, address: Address | None = None) -> None:
        where = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
        what = where if address is None or str(address) == host else f"{where} ({address})"
        super().__init__(
            f"{what} is a private or otherwise special address, and requests to those are refused; "
            f"if this is meant, allow it: HOOKWRIGHT_ALLOW_HOSTS={where}",
            type="blocked_address",
        )


class Rule(msgspec.Struct, frozen=True):
    """One entry of allow_hosts: a name or a network, and a port or any."""

    name: str | None = None
    network: Network | None = None
    port: int | None = None


class AddressRules:
    """The operator's allowed hosts: `host`, `host:port`, `10.0.0.0/8`, `127.0.0.1:9900`, `[::1]:9900`."""

    def __init__(self, allow_hosts: Iterable[str] = ()) -> None:
        self._rules = tuple(_rule(entry) for entry in allow_hosts)
        self._passed: set[tuple[str, int]] = set()  # literals that were found good, or names

    def check(self, host: str, port: int, address: Address) -> None:
        """BlockedAddress unless a connection to this address, found for this host, is allowed."""
        if is_public(address):
            return
        name = host.rstrip(".").lower()
        for rule in self._rules:
            if rule.port is not None and rule.port != port:
                continue
            if rule.name == name or (rule.network is not None and _carried(address) in rule.network):
                return
        raise BlockedAddress(host, port, address)

    def check_literal(self, host: str, port: int) -> None:
        """The same for a host that is written as an address, in whatever spelling; names pass."""
        if (host, port) in self._passed:
            return
        address = parse_address(host)
        if address is not None:
            self.check(host, port, address)
        if len(self._passed) >= REMEMBERED:
            self._passed.clear()
        self._passed.add((host, port))


def parse_address(host: str) -> Address | None:
    """The address a host text stands for, also 0177.0.0.1, 2130706433, 0x7f.1 and [::1]; None: it is a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text.rstrip(".")))
    except (OSError, UnicodeError, ValueError):
        return None


def is_public(address: Address) -> bool:
    """Whether the address is an ordinary one on the internet."""
    address = _carried(address)
    if any(address in network for network in REFUSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, ipaddress.IPv6Address):
        for network, shift in CARRIERS:
            if address in network and address not in (ipaddress.IPv6Address("::"), ipaddress.IPv6Address("::1")):
                return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _rule(entry: str) -> Rule:
    text = entry.strip()
    try:
        return Rule(network=ipaddress.ip_network(text.strip("[]"), strict=False))
    except ValueError:
        pass
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, ""
    if (colon and not (port.isdigit() and 0 < int(port) < 65536)) or not host or set(host) & set("/@ *?#"):
        raise ConfigurationError(
            f"allow_hosts: {entry!r} is not a host, host:port, address or network, such as "
            "`intranet.example`, `localhost:9900`, `10.0.0.0/8`, `[::1]:9900`"
        )
    number = int(port) if port else None
    try:
        return Rule(network=ipaddress.ip_network(host.strip("[]")), port=number)
    except ValueError:
        return Rule(name=host.rstrip(".").lower(), port=number)
