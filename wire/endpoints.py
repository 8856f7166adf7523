"""Which ZeroMQ endpoints may be used: ipc, and tcp on the loopback.

Frames of strangers' videos travel unencrypted, so they do not leave the machine.
"""

from ipaddress import ip_address


def check_endpoint(endpoint: str) -> str:
    """`endpoint` itself. Raises `ValueError` with the reason why it may not be used."""
    transport, separator, address = endpoint.partition("://")
    if not separator or not address:
        raise ValueError(f"{endpoint!r} is not a ZeroMQ endpoint such as ipc:///path or tcp://127.0.0.1:5555")
    if transport == "ipc":
        return endpoint
    if transport != "tcp":
        raise ValueError(f"{endpoint!r}: only ipc and tcp are served")
    host = address.rpartition(":")[0].strip("[]")
    if not _is_loopback(host):
        raise ValueError(
            f"{endpoint!r} leaves this machine's loopback, and frames would travel unencrypted; "
            "use ipc or tcp://127.0.0.1"
        )
    return endpoint


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, an interface or `*`: it may be anything
        return False
