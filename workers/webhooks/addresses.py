"""Which addresses a callback may go to. A caller must not reach through us what he cannot reach
himself: this machine, its link, the cloud's metadata. Private networks are where users live."""

import asyncio
import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254")))


class AddressRefused(OSError):
    """The callback goes nowhere, however often it is tried."""


def check_url(url: str) -> URL:
    """Raises AddressRefused for a URL that is no plain http or https one."""
    try:
        parsed = URL(url)
    except ValueError as error:
        raise AddressRefused(f"{url[:200]} is not a URL: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise AddressRefused(f"{url[:200]} is not an absolute http or https URL")
    if parsed.user is not None or parsed.password is not None:
        raise AddressRefused("the callback's URL holds credentials; protect it by a signature")
    return parsed


def check_address(text: str, *, loopback_allowed: bool) -> None:
    """Raises AddressRefused."""
    address: IPv4Address | IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        if not loopback_allowed:
            raise AddressRefused(
                f"{address} is this machine itself, which callbacks reach only where vmclone runs "
                "its own servers"
            )
    elif address in METADATA or address.is_link_local:
        raise AddressRefused(f"{address} is a link-local or metadata address")
    elif address.is_multicast or address.is_unspecified or address == IPv4Address(0xFFFFFFFF):
        raise AddressRefused(f"{address} is not the address of one machine")


class JudgingResolver(AbstractResolver):
    """Resolves, judges, and gives out the very addresses that were judged: no name is resolved a
    second time in between."""

    def __init__(self, *, loopback_allowed: bool) -> None:
        self._loopback_allowed = loopback_allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM
        )
        for _, _, _, _, address in found:
            check_address(str(address[0]), loopback_allowed=self._loopback_allowed)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=int(kind),
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""
