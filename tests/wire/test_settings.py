"""Settings are read once, refuse what they do not know, and name the variable that is wrong."""

import os

import msgspec
import pytest

from tools import settings_table
from wire.settings import Settings, load


def test_everything_has_a_default():
    assert load({}) == Settings()


def test_a_worker_has_no_more_threads_than_processors_that_it_may_use():
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert load({}).threads == 1
    finally:
        os.sched_setaffinity(0, usable)


def test_values_are_read_as_their_types():
    given = load({"POSE_PORT": "0", "POSE_HEARTBEAT_S": "0.5", "POSE_HOST": "127.0.0.1"})
    assert (given.port, given.heartbeat_s, given.host) == (0, 0.5, "127.0.0.1")


def test_other_variables_are_no_concern_of_ours():
    assert load({"PATH": "/bin", "HOME": "/", "XPOSE_PORT": "1"}) == Settings()


@pytest.mark.parametrize("name", ["POSE_PROT", "POSE_", "POSE_PORT_"])
def test_an_unknown_name_is_refused_and_named(name):
    with pytest.raises(ValueError, match=rf"unknown setting {name}; known: .*POSE_PORT"):
        load({"POSE_HOST": "::", name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSE_PORT", "http"),
        ("POSE_PORT", "65536"),
        ("POSE_PORT", "-1"),
        ("POSE_WORKERS", "0"),
        ("POSE_WORKERS", "2.5"),
        ("POSE_WORKERS", ""),
        ("POSE_HEARTBEAT_S", "0"),
        ("POSE_HEARTBEAT_S", "soon"),
        ("POSE_MAX_BODY_BYTES", "1MB"),
        ("POSE_LOG_LEVEL", "loud"),
        ("POSE_LOG_FORMAT", "xml"),
        ("POSE_ADMIN_LISTEN", "5001"),
        ("POSE_ADMIN_LISTEN", "127.0.0.1:http"),
        ("POSE_TOKEN_FRAMES_PER_S", "-1"),
        ("POSE_TOKEN_FRAMES_PER_S", "nan"),
        ("POSE_OBSERVER", "crystal-ball"),
    ],
)
def test_a_bad_value_names_its_variable(name, value):
    with pytest.raises(ValueError, match=name):
        load({"POSE_HOST": "::", name: value})


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("", None),
        ("127.0.0.1:5001", ("127.0.0.1", 5001)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:5001", ("::1", 5001)),
    ],
)
def test_operators_may_be_listened_to_elsewhere(written, address):
    assert load({"POSE_ADMIN_LISTEN": written}).admin_address() == address


def test_operators_cannot_be_listened_to_on_a_port_that_there_is_not():
    with pytest.raises(ValueError, match="POSE_ADMIN_LISTEN: there is no port 65536"):
        load({"POSE_ADMIN_LISTEN": "127.0.0.1:65536"})


@pytest.mark.parametrize("name", ["POSE_PORT", "POSE_ADMIN_LISTEN"])
def test_several_edges_need_a_port_that_they_all_know(name):
    with pytest.raises(ValueError, match="POSE_EDGES: several cannot share a free port"):
        load({"POSE_EDGES": "2", name: {"POSE_PORT": "0"}.get(name, "localhost:0")})


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        load({}).port = 1


def test_endpoints_lie_in_the_runtime_directory_unless_told_otherwise():
    given = load({"POSE_RUNTIME_DIR": "/run/pose", "POSE_WORKERS_ENDPOINT": "tcp://127.0.0.1:5556"})
    assert given.frames_address() == "ipc:///run/pose/frames.ipc"
    assert given.workers_address() == "tcp://127.0.0.1:5556"


def test_every_setting_is_described():
    for field in msgspec.inspect.type_info(Settings).fields:
        assert field.type.extra_json_schema["description"], field.name


def test_the_readme_lists_every_setting_as_it_is():
    assert settings_table.current() == settings_table.table()
