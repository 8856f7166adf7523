"""Keys come from files that nobody else can read or change, and are refused with the reason."""

import os

import pytest

from tools import keys as tool
from wire.keys import check_listening, for_endpoint, read_allowed, read_public, read_secret, version
from wire.links import make_key
from wire.settings import Settings


@pytest.fixture
def edge():
    return make_key("client", "edge-1")


@pytest.fixture
def files(edge, tmp_path):
    """Its secret and its public file."""
    return tool.write(edge, tmp_path / "keys")


def test_what_is_written_is_read_again(edge, files):
    secret, public = files
    assert read_secret(secret, role="client") == edge
    assert read_public(public, role="client") == edge.public


def test_a_secret_is_not_shown(edge):
    assert edge.secret.decode() not in repr(edge)
    assert edge.public.name in repr(edge)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o606])
def test_a_secret_that_others_can_read_or_write_is_refused(files, mode):
    files[0].chmod(mode)
    with pytest.raises(ValueError, match=rf"edge-1.secret: others can .* \({mode:04o}|mode {mode:04o}"):
        read_secret(files[0], role="client")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777])
def test_a_secret_in_a_folder_that_others_can_look_into_is_refused(files, mode):
    files[0].parent.chmod(mode)
    with pytest.raises(ValueError, match=f"keys: others can look into it .*{mode:04o}.*chmod 700"):
        read_secret(files[0], role="client")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_secret_of_another_user_is_refused(files):
    os.chown(files[0], 12345, -1)
    with pytest.raises(ValueError, match="belongs to another user"):
        read_secret(files[0], role="client")


def test_a_key_of_another_role_is_refused_by_its_name(files):
    with pytest.raises(ValueError, match="the key of a client, edge-1; here a worker's is needed"):
        read_secret(files[0], role="worker")
    with pytest.raises(ValueError, match="the key of a client, edge-1; here a broker's is needed"):
        read_public(files[1], role="broker")


@pytest.mark.parametrize("content", ["", "client edge-1\n", "{line}{line}", "client edge-1 {short}\n"])
def test_a_file_that_holds_no_key_is_refused_and_not_shown(edge, files, content):
    secret = edge.secret.decode()
    files[0].write_text(content.replace("{line}", edge.line()).replace("{short}", secret[:-1]))
    with pytest.raises(ValueError, match="not one line of the form") as refused:
        read_secret(files[0], role="client")
    assert secret[:-1] not in str(refused.value)


def test_a_list_is_a_folder_or_a_file_with_remarks(tmp_path):
    listed = [make_key("client", "a").public, make_key("worker", "b").public]
    one = tmp_path / "allowed"
    one.write_text("# who may\n\n" + "".join(key.line() for key in listed))
    assert read_allowed(one).keys == tuple(listed)
    folder = tmp_path / "folder"
    folder.mkdir()
    for key in listed:
        (folder / f"{key.name}.public").write_text(key.line())
    (folder / "notes.txt").write_text("not a key")
    assert read_allowed(folder).keys == tuple(listed)


def test_what_cannot_be_read_lets_nobody_in_and_is_told_but_not_shown(edge, tmp_path):
    listed = tmp_path / "allowed"
    listed.write_text(edge.line() + edge.public.line())  # a secret, by mistake
    allowed = read_allowed(listed)
    assert allowed.keys == (edge.public,)
    assert len(allowed.unreadable) == 1
    assert edge.secret.decode() not in allowed.unreadable[0]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_list_that_others_can_write_is_refused(files, what):
    folder, file = files[1].parent, files[1]
    (folder if what == "folder" else file).chmod(0o777 if what == "folder" else 0o666)
    with pytest.raises(ValueError, match="others can write it"):
        read_allowed(folder)


def test_every_change_of_a_list_shows_in_its_version(files, edge, tmp_path):
    folder = files[1].parent
    seen = [version(folder)]
    (folder / "b.public").write_text(edge.public.line())
    seen.append(version(folder))
    (folder / "b.public").write_text(edge.public.line() * 2)
    seen.append(version(folder))
    (folder / "b.public").unlink()
    seen.append(version(folder))
    assert len(set(seen)) == len(seen)
    assert version(folder) == seen[-1]
    assert version(tmp_path / "nowhere") == version(tmp_path / "nowhere")


def test_what_stays_on_this_machine_needs_no_keys():
    for endpoint in ("ipc:///run/x", "tcp://127.0.0.1:5557", "tcp://localhost:5557", "tcp://[::1]:5557"):
        assert for_endpoint(endpoint, Settings(), role="client") is None


@pytest.mark.parametrize("endpoint", ["tcp://10.0.0.1:5557", "tcp://broker:5557", "tcp://[2001:db8::1]:5557"])
def test_what_leaves_this_machine_needs_both_keys(endpoint, files, tmp_path):
    _, broker_public = tool.write(make_key("broker", "b"), tmp_path / "broker")
    with pytest.raises(ValueError, match=r"would travel unencrypted; .*docs/security.md"):
        for_endpoint(endpoint, Settings(key_file=str(files[0])), role="client")
    with pytest.raises(ValueError, match="POSE_KEY_FILE is not set"):
        for_endpoint(endpoint, Settings(broker_key_file=str(broker_public)), role="client")
    both = Settings(key_file=str(files[0]), broker_key_file=str(broker_public))
    keys = for_endpoint(endpoint, both, role="client")
    assert (keys.own.public.name, keys.broker.name) == ("edge-1", "b")


def test_what_a_broker_needs_to_listen_for_others_is_there_or_named(files, tmp_path):
    client, allowed = files
    broker, _ = tool.write(make_key("broker", "b"), tmp_path / "broker")
    whole = {"workers_listen": "tcp://0.0.0.0:5558", "key_file": str(broker), "allowed_keys": str(allowed)}
    check_listening(Settings())
    check_listening(Settings(**whole))
    for wrong, reason in [
        ({"key_file": ""}, "has no key: set POSE_KEY_FILE"),
        ({"key_file": str(client)}, "the key of a client"),
        ({"allowed_keys": ""}, "POSE_ALLOWED_KEYS is not set"),
        ({"allowed_keys": str(client)}, "not of the form ROLE NAME PUBLIC"),
        ({"workers_listen": "ipc:///tmp/x"}, "only tcp:// is listened to"),
    ]:
        with pytest.raises(ValueError, match=reason):
            check_listening(Settings(**{**whole, **wrong}))


def test_the_command_makes_a_private_pair_and_says_what_goes_where(tmp_path, capsys):
    folder = tmp_path / "new"
    assert tool.main(["new", "gpu-1", "--role", "worker", "--dir", str(folder)]) == 0
    said = capsys.readouterr().out
    key = read_secret(folder / "gpu-1.secret", role="worker")
    assert read_public(folder / "gpu-1.public", role="worker") == key.public
    assert "POSE_KEY_FILE" in said
    assert "POSE_ALLOWED_KEYS" in said
    assert key.secret.decode() not in said
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_command_replaces_no_key_and_takes_no_strange_name(tmp_path, capsys):
    new = ["new", "gpu-1", "--role", "worker", "--dir", str(tmp_path)]
    assert tool.main(new) == 0
    before = (tmp_path / "gpu-1.secret").read_text()
    assert tool.main(new) == tool.EXIT_WRONG
    assert (tmp_path / "gpu-1.secret").read_text() == before
    assert tool.main(["new", "../x", "--role", "worker", "--dir", str(tmp_path)]) == tool.EXIT_WRONG
    assert "no name" in capsys.readouterr().err
