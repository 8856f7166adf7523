"""Keys for a broker on tcp, and for whoever may come."""

import socket
from pathlib import Path

from tests.broker.running import Peer
from tools.keys import write
from wire.keys import SecretKey
from wire.links import make_key


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sealed:
    """A broker that listens on tcp as well, and the keys of whoever may come."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.keys = directory / "keys"
        self.allowed = directory / "allowed"
        self.allowed.mkdir()
        self.client_port, self.worker_port = free_port(), free_port()
        self._key = make_key("broker", "broker")
        key_file, self.broker_key_file = write(self._key, self.keys)
        self.client = self.allow("client", "edge")
        self.worker = self.allow("worker", "gpu")
        self.settings = {
            "frames_listen": f"tcp://127.0.0.1:{self.client_port}",
            "workers_listen": f"tcp://127.0.0.1:{self.worker_port}",
            "key_file": key_file,
            "allowed_keys": self.allowed,
            "handshake_s": 0.3,
            **settings,
        }

    def allow(self, role: str, name: str) -> tuple[bytes, bytes]:
        """A new key that is let in from now on, or soon."""
        key = make_key(role, name)
        self.let_in(key)
        return key.public.key, key.secret

    def let_in(self, key: SecretKey) -> None:
        name = key.public.name
        beside = self.allowed / f"{name}.new"
        beside.write_text(key.public.line())
        beside.rename(self.allowed / f"{name}.public")

    def revoke(self, name: str) -> None:
        (self.allowed / f"{name}.public").unlink()

    def as_settings(self, role: str, name: str) -> dict[str, str]:
        """`POSE_` variables of a program elsewhere, whose key is new."""
        key = make_key(role, name)
        self.let_in(key)
        key_file, _ = write(key, self.keys)
        return {
            "POSE_FRAMES_ENDPOINT": f"tcp://127.0.0.1:{self.client_port}",
            "POSE_WORKERS_ENDPOINT": f"tcp://127.0.0.1:{self.worker_port}",
            "POSE_KEY_FILE": str(key_file),
            "POSE_BROKER_KEY_FILE": str(self.broker_key_file),
        }

    def as_client(self, own_key: tuple[bytes, bytes] | None = None, *, port: int | None = None) -> Peer:
        return self.peer(port or self.client_port, own_key or self.client)

    def as_worker(self, own_key: tuple[bytes, bytes] | None = None) -> Peer:
        return self.peer(self.worker_port, own_key or self.worker)

    def peer(self, port: int, own_key: tuple[bytes, bytes]) -> Peer:
        return Peer(f"tcp://127.0.0.1:{port}", own_key=own_key, broker_key=self._key.public.key)
