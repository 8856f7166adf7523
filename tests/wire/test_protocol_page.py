"""`PROTOCOL.md` and the code say the same."""

import re
import typing
from pathlib import Path

import msgpack
import msgspec
import pytest

from broker.outbox import COUNTERS
from wire import errors, messages
from wire.settings import Settings

PAGE = Path(messages.__file__).with_name("PROTOCOL.md").read_text()

MESSAGES = sorted(
    {
        kind
        for union in (
            messages.ToBroker,
            messages.FromBroker,
            messages.WorkerToBroker,
            messages.BrokerToWorker,
        )
        for kind in typing.get_args(union)
    },
    key=lambda kind: kind.__name__,
)


def test_it_names_the_version():
    assert f"**Version {messages.PROTOCOL_VERSION}.**" in PAGE


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_and_field_is_described(kind):
    assert f"`{kind.__struct_config__.tag}`" in PAGE
    for name in set(kind.__struct_fields__) - {"v"}:
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "kind", [messages.Options, messages.Source, messages.Person, messages.Note, messages.WorkerStatus]
)
def test_every_part_is_described(kind):
    for name in kind.__struct_fields__:
        assert f"`{name}`" in PAGE


def test_every_array_of_a_result_is_described():
    described = re.findall(r"^ {8}(\w+) +\(", messages.Result.__doc__, re.MULTILINE)
    assert len(described) > 5
    for name in described:
        assert f"| `{name}` |" in PAGE


def test_every_error_is_described():
    for kind in errors.PoseError.__subclasses__():
        assert f"`{kind.code}`" in PAGE


def test_every_counter_is_described():
    for name in COUNTERS:
        assert f"`{name}`" in PAGE


def test_every_setting_it_names_exists():
    named = {name.removeprefix("POSE_").lower() for name in re.findall(r"POSE_[A-Z_]+", PAGE)}
    assert named <= set(Settings.__struct_fields__)


def test_the_header_shown_byte_by_byte_is_one():
    block = PAGE.split("### One header")[1].split("The order of keys")[0]
    # The bytes stand in the first columns of the indented lines, their meaning after them.
    lines = [line[4:44] for line in block.splitlines() if line.startswith("    ")]
    shown = bytes.fromhex("".join(re.findall(r"\b[0-9a-f]{2}\b", " ".join(lines))))
    assert msgpack.unpackb(shown) == {
        "type": "frame",
        "v": 1,
        "request_id": bytes(range(16)),
        "frame_number": 7,
        "deadline_ms": 110_000,
        "session_id": "dance",
    }
    decoded = messages.Decoder(messages.ToBroker)(shown)
    assert decoded == msgspec.convert(msgpack.unpackb(shown), messages.Frame)
