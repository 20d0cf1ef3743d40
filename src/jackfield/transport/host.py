"""Host names: one spelling for comparing them, and which of them are this machine.

Pure: knows no settings, resolves nothing and opens nothing.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address


def normal_host(text: str) -> str:
    """`text` in the one spelling that hosts are compared in: lower case, no port, no brackets, no final dot, punycode."""
    host = _without_port(text.strip()).rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` spells in full, or None for a name. `127.1` and `0x7f000001` are names here."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_loopback_name(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def is_loopback(host: str) -> bool:
    """Whether `host` (as `normal_host` spells it) is this machine by its very name; no resolver is asked."""
    address = literal_address(host)
    if address is None:
        return is_loopback_name(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    head, colon, tail = text.rpartition(":")
    if colon and ":" not in head and tail.isdigit():
        return head
    return text
