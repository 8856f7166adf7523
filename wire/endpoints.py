"""Which ZeroMQ endpoints may be used: ipc, tcp on the loopback, and tcp anywhere where it is encrypted.

Frames of strangers' videos do not leave the machine in clear.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

_KEY = "?key="


class Listen(NamedTuple):
    """An endpoint that the broker binds, and the file of the secret key that it is served with there.

    An empty `key_file` stands for none.
    """

    endpoint: str
    key_file: str


def check_endpoint(endpoint: str, *, encrypted: bool = False) -> str:
    """`endpoint` itself. Raises `ValueError` with the reason why it may not be used."""
    transport, separator, address = endpoint.partition("://")
    if not separator or not address:
        raise ValueError(f"{endpoint!r} is not a ZeroMQ endpoint such as ipc:///path or tcp://127.0.0.1:5555")
    if transport == "ipc":
        return endpoint
    if transport != "tcp":
        raise ValueError(f"{endpoint!r}: only ipc and tcp are served")
    host = address.rpartition(":")[0].strip("[]")
    if not encrypted and not _is_loopback(host):
        raise ValueError(
            f"{endpoint!r} leaves this machine's loopback, and frames would travel unencrypted; "
            "use ipc or tcp://127.0.0.1, or make keys: docs/security.md"
        )
    return endpoint


def check_endpoints(endpoints: str | Sequence[str], *, encrypted: bool) -> list[str]:
    """One endpoint, or several, as a list. Raises `ValueError` as `check_endpoint` does."""
    named = [endpoints] if isinstance(endpoints, str) else endpoints
    return [check_endpoint(endpoint, encrypted=encrypted) for endpoint in named]


def is_tcp(endpoint: str) -> bool:
    """Whether keys can encrypt it; what is sent over ipc never leaves the machine."""
    return endpoint.startswith("tcp://")


def listens(written: str, *, key_file: str) -> list[Listen]:
    """The endpoints of a setting such as `tcp://0.0.0.0:5557,tcp://0.0.0.0:5567?key=next.secret`.

    `key_file` is for those that name none. Raises `ValueError` for what is not tcp, or has no key.
    """
    found = []
    for entry in filter(None, map(str.strip, written.split(","))):
        endpoint, _, own_key_file = entry.partition(_KEY)
        if not is_tcp(endpoint):
            raise ValueError(f"{entry!r}: only tcp:// is listened to for other machines")
        if not (own_key_file or key_file):
            raise ValueError(f"{entry!r} has no key: set POSE_KEY_FILE to the broker's (docs/security.md)")
        found.append(Listen(check_endpoint(endpoint, encrypted=True), own_key_file or key_file))
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, an interface or `*`: it may be anything
        return False
