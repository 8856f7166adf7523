"""A program that is asked what it takes, or given a word that it does not know, starts nothing."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = ("broker", "client", "http_edge", "tools", "workers")

#: Started by others of ours alone; wants what only who makes the open body has.
EXCEPTIONS = {"tools.doctor.devices", "tools.open_body"}


def programs() -> Iterator[str]:
    """The modules that are started by their names."""
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if '__name__ == "__main__"' in path.read_text():
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


@pytest.mark.filterwarnings("ignore:.* found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", sorted({*programs()} - EXCEPTIONS))
def test_help_and_a_misspelt_word_start_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSE_NO_SUCH_SETTING", "1")  # so who does not look at the words ends as well
    for word, status in ("--help", 0), ("--misspelt", 2):
        monkeypatch.setattr(sys, "argv", [name, word])

        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__", alter_sys=True)

        shown = capsys.readouterr()
        assert ended.value.code == status
        assert "usage: " in (shown.err if status else shown.out)
