"""A published checkpoint loads as it is, by name and shape, and nothing that lies in it is run."""

import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures import rules
from tests.parity.networks import TINY, hmr2
from tests.workers.hmr2.checkpoints import beside, saved, weights
from wire.errors import ModelNotLoaded
from workers import compute
from workers.checkpoint import Checkpoint, CheckpointRefused
from workers.compute import decide
from workers.hmr2.architecture import RELEASE
from workers.hmr2.network import Hmr2
from workers.hmr2.weights import assemble, open_network


def opened(path: Path, precision: str = "float32", **named: object) -> Hmr2:
    return open_network(path, TINY, where=decide("cpu", precision), **named)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return saved(tmp_path / "epoch=35.ckpt", weights(TINY) | beside(), monkeypatch)


def test_a_checkpoint_of_a_training_loads_without_the_packages_of_that_training(checkpoint: Path) -> None:
    assert not {"yacs", "pytorch_lightning", "lightning"} & sys.modules.keys()
    crops = torch.from_numpy(rules.hmr2_image("a", "tiny"))
    with torch.inference_mode():
        ours, theirs = opened(checkpoint)(crops), hmr2("tiny", "a")(crops)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_weights_are_found_as_far_into_a_file_as_those_of_the_release(checkpoint: Path) -> None:
    far = checkpoint.with_name("far.ckpt")
    with far.open("wb") as file:
        file.seek(2_700_000_000)  # a hole, which takes no place
        file.write(checkpoint.read_bytes())

    found = Checkpoint(far).tensors

    for name, weight in Checkpoint(checkpoint).tensors.items():
        assert torch.equal(found[name], weight)


def test_the_release_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        ours = {name: tuple(weight.shape) for name, weight in Hmr2(RELEASE).state_dict().items()}
    assert ours == dict(published())


def published() -> list[tuple[str, tuple[int, ...]]]:
    def affine(name: str, out: int, *into: int) -> list[tuple[str, tuple[int, ...]]]:
        return [(f"{name}.weight", (out, *into)), (f"{name}.bias", (out,))]

    names = [("backbone.pos_embed", (1, 193, 1280)), *affine("backbone.patch_embed.proj", 1280, 3, 16, 16)]
    for number in range(32):
        block = f"backbone.blocks.{number}"
        names += affine(f"{block}.norm1", 1280) + affine(f"{block}.norm2", 1280)
        names += affine(f"{block}.attn.qkv", 3840, 1280) + affine(f"{block}.attn.proj", 1280, 1280)
        names += affine(f"{block}.mlp.fc1", 5120, 1280) + affine(f"{block}.mlp.fc2", 1280, 5120)
    names += affine("backbone.last_norm", 1280)
    head = "smpl_head.transformer"
    names += [*affine(f"{head}.to_token_embedding", 1024, 1), (f"{head}.pos_embedding", (1, 1, 1024))]
    for number in range(6):
        layer = f"{head}.transformer.layers.{number}"
        for part in range(3):
            names += affine(f"{layer}.{part}.norm", 1024)
        names += [(f"{layer}.0.fn.to_qkv.weight", (1536, 1024))]
        names += [(f"{layer}.1.fn.to_kv.weight", (1024, 1280)), (f"{layer}.1.fn.to_q.weight", (512, 1024))]
        names += affine(f"{layer}.0.fn.to_out.0", 1024, 512) + affine(f"{layer}.1.fn.to_out.0", 1024, 512)
        names += affine(f"{layer}.2.fn.net.0", 1024, 1024) + affine(f"{layer}.2.fn.net.3", 1024, 1024)
    for part, count in (("pose", 144), ("shape", 10), ("cam", 3)):
        names += affine(f"smpl_head.dec{part}", count, 1024)
    means = (("body_pose", 144), ("betas", 10), ("cam", 3))
    return names + [(f"smpl_head.init_{part}", (1, count)) for part, count in means]


NAME = "backbone.blocks.1.mlp.fc1.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({NAME: None}, f"{NAME} is missing", id="a missing weight"),
        pytest.param(
            {NAME: torch.zeros(192, 47)},
            rf"{NAME} has shape \(192, 47\), the network's has \(192, 48\)",
            id="a weight of another shape",
        ),
        pytest.param(
            {NAME: torch.zeros(192, 48, dtype=torch.int64)}, f"{NAME} holds torch.int64", id="whole numbers"
        ),
        pytest.param(
            {"backbone.cls_token": torch.zeros(1)}, "backbone.cls_token belongs to no part", id="a stranger"
        ),
        pytest.param({NAME: "weights"}, f"{NAME}' is no tensor", id="a text for a weight"),
    ],
)
def test_other_weights_are_refused_by_name(
    change: dict[str, object], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {name: value for name, value in (weights(TINY) | change).items() if value is not None}
    path = saved(tmp_path / "other.ckpt", state, monkeypatch)
    with pytest.raises(CheckpointRefused, match=reason) as refusal:
        opened(path)
    assert str(path) in refusal.value.message
    assert isinstance(refusal.value, ModelNotLoaded)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def test_an_unexpected_class_is_refused_by_name_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Call(Path.touch, tmp_path / "touched")
    path = saved(
        tmp_path / "trap.ckpt", weights(TINY), monkeypatch, hyper_parameters=[trap, Call(eval, "1/0")]
    )
    with pytest.raises(CheckpointRefused, match=r"names __builtin__\.getattr, which is not allowed"):
        opened(path)
    assert not (tmp_path / "touched").exists()


def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = torch.zeros(3)._typed_storage()
    beyond = Call(torch._utils._rebuild_tensor_v2, few, 0, (1000,), (1,), False, OrderedDict())
    path = saved(tmp_path / "beyond.ckpt", weights(TINY) | {"initialized": beyond}, monkeypatch)
    with pytest.raises(CheckpointRefused, match="cannot be read"):
        opened(path)


def compressed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)


def traced(path: Path, _content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("program/constants.pkl", b"\x80\x02).")
        archive.writestr("program/data.pkl", b"\x80\x02c__torch__\nHmr2\n)\x81}b.")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda path, content: path.write_bytes(content[:-100_000]), "zip", id="cut short"),
        pytest.param(lambda path, _: path.write_bytes(b""), "empty", id="empty"),
        pytest.param(lambda path, _: path.write_bytes(b"not found" * 1000), "zip", id="no archive"),
        pytest.param(lambda path, _: path.unlink(), "No such file", id="no file"),
        pytest.param(compressed, "is compressed", id="compressed"),
        pytest.param(traced, "names __torch__.Hmr2", id="a program"),
        pytest.param(lambda path, _: torch.save([], path), "no state_dict", id="something else"),
    ],
)
def test_a_broken_file_is_refused_by_name(spoil: object, reason: str, checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    spoil(checkpoint, content)
    with pytest.raises(CheckpointRefused, match=reason) as refusal:
        opened(checkpoint)
    assert checkpoint.name in refusal.value.message


def test_the_mean_body_of_the_checkpoint_wins_over_that_of_its_own_file(checkpoint: Path) -> None:
    theirs = opened(checkpoint, means=rules.mean_params("a")).smpl_head.init_betas
    torch.testing.assert_close(theirs, weights(TINY)["smpl_head.init_betas"])


def test_a_checkpoint_without_a_mean_body_takes_that_of_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {name: value for name, value in weights(TINY).items() if ".init_" not in name}
    path = saved(tmp_path / "bare.ckpt", state, monkeypatch)
    means = rules.mean_params("a")
    np.testing.assert_array_equal(opened(path, means=means).smpl_head.init_body_pose[0], means["pose"])
    with pytest.raises(CheckpointRefused, match="init_body_pose is missing"):
        opened(path)


def test_weights_of_half_precision_load_as_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = {name: value.half() for name, value in weights(TINY).items()}
    network = opened(saved(tmp_path / "half.ckpt", halves, monkeypatch))
    assert {weight.dtype for weight in network.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(network.state_dict()[NAME], halves[NAME].float())


def test_only_the_matrices_of_the_blocks_are_rounded(checkpoint: Path) -> None:
    dtypes = {name: weight.dtype for name, weight in opened(checkpoint, "bfloat16").state_dict().items()}
    rounded = {name for name, dtype in dtypes.items() if dtype == torch.bfloat16}
    assert rounded == {
        f"backbone.blocks.{number}.{matrix}.{part}"
        for number in range(TINY.backbone.depth)
        for matrix in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        for part in ("weight", "bias")
    }


def test_float32_weights_stay_in_the_file(checkpoint: Path) -> None:
    source = Checkpoint(checkpoint)
    network = assemble(source, TINY)
    for name, weight in network.state_dict().items():
        assert weight.data_ptr() == source.tensors[name].data_ptr()


#: Where the CPU has no instructions for them, a worker refuses eight bits.
eight_bits_here = pytest.mark.skipif(
    not compute.has_eight_bits(), reason="this CPU has no VNNI instructions: eight bits not tested"
)

#: Loads the checkpoint named first in a process of its own, and prints by how many bytes its memory grew.
LOADING = """
import resource, sys, torch
from pathlib import Path
from tests.workers.hmr2.test_weights import WIDE
from workers.compute import decide
from workers.hmr2.weights import open_network

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
network = open_network(Path(sys.argv[1]), WIDE, where=decide("cpu", sys.argv[2]))
print(peak() - before)
"""
#: Blocks as wide as the release's, but few.
WIDE = type(RELEASE)(
    backbone=type(RELEASE.backbone)(dim=1280, depth=2, heads=16, mlp_dim=5120),
    head=type(RELEASE.head)(dim=64, depth=1, heads=2, head_dim=16, mlp_dim=96, context_dim=1280),
)


@pytest.mark.parametrize(
    ("precision", "share"),
    [("float32", 0.0), ("bfloat16", 0.5), pytest.param("int8", 0.5, marks=eight_bits_here)],
)
def test_loading_never_holds_two_copies_of_the_weights(
    precision: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        wanted = Hmr2(WIDE).state_dict()
    zeros = {name: torch.zeros(empty.shape) for name, empty in wanted.items()}
    path = saved(tmp_path / "wide.ckpt", zeros, monkeypatch)
    command = [sys.executable, "-c", LOADING, str(path), precision]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    block = sum(value.nbytes for name, value in zeros.items() if ".blocks.0." in name)
    assert grown < share * path.stat().st_size + block
