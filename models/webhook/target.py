"""Where webhooks may go: to addresses of the public internet, and where the installation allows.

A name is resolved for every connection, each of its addresses is checked, and the connection goes
to what was checked: a name cannot change its mind in between.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from models.base import require_length
from models.errors import BadUserInput
from models.settings import Network, allowed_target
from models.webhook.errors import WebhookTargetNotAllowed

URL_LENGTH_MAX = 2_000
HOST_LENGTH_MAX = 253
Address = IPv4Address | IPv6Address
PORTS = {"https": 443, "http": 80}

# What `urlsplit` would drop in silence, what other parsers take for a slash, what has to be
# percent-encoded, and what UTF-8 has not; a host may be written in any script.
_unusable = re.compile(r"[\x00-\x20\x7f-\x9f\\\ud800-\udfff]")
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_host = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
# Resolvers take 127.1, 0x7f000001, 0177.0.0.1 and 2130706433 for addresses of IPv4.
_number = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_NAT64 = IPv6Network("64:ff9b::/96")
# Not of the public internet, which some versions of `ipaddress` do not know.
# Source: the registries of special-purpose addresses of IANA, and RFC 7526.
_SPECIAL: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
)
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in the parts that a request is made of; the host is a name in ASCII or an address."""

    scheme: str
    host: str
    port: int
    path: str
    # Of the user part of the URL, if it has one.
    user: tuple[str, str] | None

    @property
    def address(self) -> Address | None:
        """The address that is the host, if it is no name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the installation lets webhooks reach inside of its own network."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Allowed":
        """Raise ValueError for what is neither a host's name nor a network."""
        read = [allowed_target(entry) for entry in entries]
        return cls(
            frozenset(each for each in read if isinstance(each, str)),
            tuple(each for each in read if not isinstance(each, str)),
        )

    def has_name(self, host: str) -> bool:
        return host in self.names

    def has(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self.networks
        )

    def lets_reach(self, target: Target, address: Address) -> bool:
        """Whether a connection for this target may be made to this address."""
        if self.has_name(target.host) or any(self.has(each) for each in _spellings(address)):
            return True
        return target.scheme == "https" and is_public(address)


_allowed = Allowed()


def allow(entries: Iterable[str]) -> None:
    """Let webhooks reach these host names and networks too (composition roots only).

    Raises ValueError for what is neither.
    """
    global _allowed  # noqa: PLW0603 - one per process, set before it serves
    _allowed = Allowed.of(entries)


def allowed() -> Allowed:
    return _allowed


def require_url(url: str) -> None:
    """Raise BadUserInput unless webhooks can be sent to this, WebhookTargetNotAllowed unless they
    may. What a name stands for is looked up, and checked, whenever it is connected to.
    """
    require_length(url, URL_LENGTH_MAX, path="input.url")
    try:
        target = parse(url)
    except ValueError as error:
        raise BadUserInput(f"The URL cannot be used: {error}.", path="input.url") from error
    if not _may_be_reached(target, _allowed):
        raise WebhookTargetNotAllowed


def parse(url: str) -> Target:
    """The parts of a URL; raises ValueError saying what is wrong with it."""
    if _unusable.search(url):
        raise ValueError(
            "it has a space, a control character, a backslash or half a character in it"
        )
    parts = _split(url)
    if parts.scheme not in PORTS:
        raise ValueError("it does not begin with https://")
    if "#" in url:
        raise ValueError("it has a fragment, which no server gets")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    if not path.isascii():
        raise ValueError("its path has to be percent-encoded")
    return Target(parts.scheme, _host_of(parts), _port_of(parts), path, _user_of(parts))


def is_public(address: Address) -> bool:
    """Whether an address, and each that travels inside of it, is of the public internet."""
    return all(_is_global(each) for each in _spellings(address))


def _may_be_reached(target: Target, allowed: Allowed) -> bool:
    if target.address is not None:
        return allowed.lets_reach(target, target.address)
    if allowed.has_name(target.host) or allowed.networks:
        return True
    is_local = target.host == "localhost" or target.host.endswith(".localhost")
    return target.scheme == "https" and not is_local


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError("its host is neither a name nor an address") from None


def _port_of(parts: SplitResult) -> int:
    try:
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("a port is 1 to 65535")
    return port


def _host_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    is_address = ":" in host
    host = host if is_address else _name_of(host)
    if is_address or _number.fullmatch(host.rpartition(".")[2]):
        try:
            address = ip_address(host)
        except ValueError:
            raise ValueError("its host is neither a name nor an address") from None
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise ValueError("its address names an interface")
        return str(address)
    return host


def _name_of(host: str) -> str:
    """A name in ASCII, without the full stop that may end it: certificates have none."""
    try:
        # Also what other scripts have for digits and full stops.
        host = host.encode("idna").decode().lower()
    except UnicodeError:
        raise ValueError("its host is not a name") from None
    host_name = host.removesuffix(".")
    if _host.fullmatch(host) is None or len(host_name) > HOST_LENGTH_MAX:
        raise ValueError("its host is not a name")
    return host_name


def _user_of(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None and parts.password is None:
        return None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if ":" in user:
        raise ValueError("a user's name has no colon")
    if _control.search(user + password):
        raise ValueError("a user has no control character in name or password")
    return user, password


def _spellings(address: Address) -> list[Address]:
    """An address, and those that it is another form of, or that it is translated to."""
    if isinstance(address, IPv4Address):
        return [address]
    inside: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inside.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    mapped = address.ipv4_mapped
    if mapped is not None:
        return [mapped]
    return [address, *(each for each in inside if each is not None)]


def _is_global(address: Address) -> bool:
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return False
    if any(address.version == it.version and address in it for it in _SPECIAL):
        return False
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return True  # what it is translated to is asked beside it
        if address in _NAT64_LOCAL or address.is_site_local or address.is_reserved:
            return False
    return address.is_global
