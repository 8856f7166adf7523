"""The recorded numbers that parity tests compare with, and the variants that they come in.

A recording is a file `NAME_VARIANT.npz`. What it was made from (weights, body, pictures) is made again
from its variant by `tests/fixtures/rules.py`, so a folder may hold other variants than ours:
`FIXTURES=folder pytest tests/parity`. Without `FIXTURES` the copies in `tests/fixtures` count.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

COPIES = Path(__file__).parents[1] / "fixtures"


@dataclass(frozen=True)
class Recording:
    """One file: `recording["pred_cam"]` is an array of it, `recording.variant` what to give to the rules."""

    name: str
    variant: str
    file: Path

    def __getitem__(self, key: str) -> npt.NDArray:
        with np.load(self.file, allow_pickle=False) as arrays:
            return arrays[key]

    def __contains__(self, key: str) -> bool:
        with np.load(self.file, allow_pickle=False) as arrays:
            return key in arrays


def folder() -> Path:
    """Where the recordings are; example pictures lie beside them."""
    return Path(os.environ.get("FIXTURES") or COPIES)


def recordings(name: str) -> list[Recording]:
    """Every variant of `name` in the folder. Raises `FileNotFoundError` if our own copy is missing."""
    found = [
        Recording(name, variant, file)
        for file in sorted(folder().glob(f"{name}_*.npz"))
        for stem, _, variant in [file.stem.rpartition("_")]
        if stem == name
    ]
    if not found and folder() == COPIES:
        raise FileNotFoundError(f"no {name}_*.npz in {COPIES}")
    return found


def recorded(*names: str) -> pytest.MarkDecorator:
    """Run the test once for every variant of each name, as its argument `recording`; skip it without any."""
    return pytest.mark.parametrize(
        "recording",
        [pytest.param(each, id=each.file.stem) for name in names for each in recordings(name)],
    )
