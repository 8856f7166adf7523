"""Nobody else gets at the runtime directory: it is made private, and another user's is refused."""

import os
import stat

import pytest

from wire import runtime_dir
from wire.settings import Settings


def test_the_runtime_directory_is_private(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    for path in (shared, tmp_path / "new" / "below"):
        made = runtime_dir.make(Settings(runtime_dir=str(path)))
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_another_users_runtime_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime_dir.os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(PermissionError, match="POSE_RUNTIME_DIR"):
        runtime_dir.make(Settings(runtime_dir=str(tmp_path)))
