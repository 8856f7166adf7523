"""Tokens are made, known again, changed under a running service, and never written down."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from http_edge import tokens
from http_edge.tokens import Tokens


def tokens_file(directory: Path, *lines: str) -> Path:
    path = directory / "tokens"
    path.write_text("".join(lines))
    return path


def make(path: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.token", name],
        env={**os.environ, "POSE_TOKENS_FILE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_token_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    first, second = make(path, "alice"), make(path, "alice")

    assert first.returncode == second.returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    for made in (first, second):  # a name may have several
        token = made.stdout.strip()
        assert len(token) >= 43
        assert token not in path.read_text()
        assert Tokens(path).owner(token) == "alice"


def test_a_line_is_added_to_a_file_whatever_its_end(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, tokens.line("bob", "b").rstrip("\n"))
    token = make(path, "alice").stdout.strip()

    assert [Tokens(path).owner(text) for text in (token, "b")] == ["alice", "bob"]


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a.b", "a b", "ä", "x" * 33, "a\n"])
def test_what_is_no_name_gets_no_token(tmp_path: Path, name: str) -> None:
    made = make(tmp_path / "tokens", name)

    assert (made.returncode, made.stdout) == (2, "")
    assert not (tmp_path / "tokens").exists()


def test_the_command_needs_to_know_the_file() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tools.token", "alice"],
        env={name: value for name, value in os.environ.items() if name != "POSE_TOKENS_FILE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
    assert "POSE_TOKENS_FILE" in made.stderr


def test_only_the_whole_token_is_known(tmp_path: Path) -> None:
    known = Tokens(tokens_file(tmp_path, tokens.line("alice", "secret"), tokens.line("bob", "other")))

    assert known.owner("secret") == "alice"
    assert known.owner("other") == "bob"
    for wrong in ("", "secre", "secrets", "Secret", "sécret", tokens.digest_of("secret").hex()):
        assert known.owner(wrong) is None


def test_every_entry_is_compared_whichever_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return known == given

    monkeypatch.setattr(tokens.hmac, "compare_digest", compare)
    names = ["a", "b", "c"]
    known = Tokens(tokens_file(tmp_path, *(tokens.line(name, name) for name in names)))
    for token in (*names, "nobody's"):
        compared.clear()
        known.owner(token)
        assert compared == [tokens.digest_of(name) for name in names]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, tokens.line("alice", "a"))
    known = Tokens(path)
    path.write_text("# nobody\n\n" + tokens.line("bob", "b"))

    assert (known.owner("a"), known.owner("b")) == (None, "bob")


def test_a_file_that_breaks_changes_nothing_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tokens_file(tmp_path, tokens.line("alice", "a"))
    known = Tokens(path)
    path.write_text("alice a-token-by-mistake\n")
    assert [known.owner("a"), known.owner("a")] == ["alice", "alice"]
    path.unlink()
    assert [known.owner("a"), known.owner("a")] == ["alice", "alice"]

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "line 1" in caplog.text
    assert "a-token-by-mistake" not in caplog.text


@pytest.mark.parametrize(
    "written", ["alice", "alice secret", "alice sha256:12", f"a.b sha256:{'0' * 64}", f"a md5:{'0' * 64}"]
)
def test_a_file_that_is_none_stops_the_service(tmp_path: Path, written: str) -> None:
    path = tokens_file(tmp_path, "\n", written)
    ended = subprocess.run(
        [sys.executable, "-m", "http_edge"],
        env={**os.environ, "POSE_TOKENS_FILE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert f"{path}: line 2" in ended.stderr
