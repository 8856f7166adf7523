"""The file of the mean body."""

import numpy as np
import pytest

from body.mean import MeanBodyRefused, read_mean
from tests.fixtures import rules


def test_the_mean_body_is_read_as_float32(tmp_path):
    path = tmp_path / "smpl_mean_params.npz"
    mean = rules.mean_params("a")
    np.savez(path, **{name: values.astype(np.float64) for name, values in mean.items()})
    read = read_mean(path)
    assert read.keys() == mean.keys()
    for name, values in mean.items():
        np.testing.assert_array_equal(read[name], values, strict=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"cam": np.zeros(4)}, "cam is not 3 numbers", id="another size"),
        pytest.param({"shape": np.full(10, np.nan)}, "shape is not 10 numbers", id="no numbers"),
        pytest.param({"pose": np.array(["a"] * 144)}, "not a mean body", id="text"),
        pytest.param({"pose": np.array([{}] * 144, dtype=object)}, "not a mean body", id="Python objects"),
    ],
)
def test_what_is_no_mean_body_is_refused_by_name(tmp_path, change, why):
    path = tmp_path / "smpl_mean_params.npz"
    np.savez(path, **(rules.mean_params("a") | change))
    with pytest.raises(MeanBodyRefused, match=rf"smpl_mean_params\.npz.*{why}"):
        read_mean(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x80\x04N."])
def test_a_broken_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "smpl_mean_params.npz"
    path.write_bytes(content)
    with pytest.raises(MeanBodyRefused, match=r"smpl_mean_params\.npz is not a mean body"):
        read_mean(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MeanBodyRefused, match=r"smpl_mean_params\.npz is missing"):
        read_mean(tmp_path / "smpl_mean_params.npz")
