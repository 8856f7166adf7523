"""The official body file: read without running it, converted once, checked in every part."""

import pickle
import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from body import official
from body.official import BodyFileRefused
from http_edge import topology
from tests import smpl_files
from tests.fixtures import rules
from tests.smpl_files import Object, Opcodes, chumpy_array, chumpy_slice
from wire.skeleton import COCO_KEYPOINTS, SMPL_PARENTS


@pytest.fixture(scope="module")
def model():
    """SMPL's model, its largest part in half precision: the tests write it often."""
    model = smpl_files.smpl_model("a")
    return model | {"posedirs": model["posedirs"].astype(np.float16)}


@pytest.fixture(scope="module")
def original(tmp_path_factory, model):
    return smpl_files.write(tmp_path_factory.mktemp("original") / "SMPL_NEUTRAL.pkl", model)


@pytest.fixture
def file(tmp_path, original):
    """A copy that a test may change."""
    return Path(shutil.copy(original, tmp_path))


def surface(body):
    """The vertices of one bent, shaped body."""
    return body.mesh(rules.rotmats("a", "pose", (1, 24)), rules.normal("a", "shape", (1, 10))).vertices


@pytest.fixture
def conversions(monkeypatch):
    """Counts the pickles that are read."""
    read, seen = official.read_pickle, []
    monkeypatch.setattr(official, "read_pickle", lambda file: seen.append(file.name) or read(file))
    return seen


def test_a_file_of_python_2_chumpy_and_scipy_is_a_body(file):
    body = official.open_body(file)
    plain = rules.smpl("a")
    np.testing.assert_allclose(body.template, plain["v_template"], atol=1e-7)
    np.testing.assert_array_equal(body.faces, plain["f"])
    np.testing.assert_allclose(body.weights, plain["weights"], atol=1e-7)
    np.testing.assert_allclose(body.rest_joints(np.zeros((1, 10), np.float32))[0], plain["J"], atol=1e-6)
    assert tuple(body.parents) == SMPL_PARENTS


def test_its_keypoints_are_cocos(file):
    body = official.open_body(file)
    mesh = body.mesh(rules.rotmats("a", "pose", (2, 24)), np.zeros((2, 10), np.float32))
    keypoints = dict(zip(COCO_KEYPOINTS, body.keypoints(mesh)[1], strict=True))
    np.testing.assert_array_equal(keypoints["nose"], mesh.vertices[1, 332])
    np.testing.assert_array_equal(keypoints["left_ear"], mesh.vertices[1, 583])
    np.testing.assert_array_equal(keypoints["right_ankle"], mesh.joints[1, 8])


def test_nobody_to_pose_gives_nobody(file):
    mesh = official.open_body(file).mesh(np.zeros((0, 24, 3, 3)), np.zeros((0, 10)))
    assert mesh.vertices.shape == (0, 6890, 3)


def test_a_body_is_the_same_alone_and_in_company(file):
    body = official.open_body(file)
    rotations, betas = rules.rotmats("a", "pose", (5, 24)), rules.normal("a", "shape", (5, 10))
    together = body.mesh(rotations, betas)
    for person in range(5):
        alone = body.mesh(rotations[person, None], betas[person, None])
        np.testing.assert_allclose(alone.vertices[0], together.vertices[person], rtol=0, atol=1e-6)


def test_its_points_have_the_names_of_the_open_body():
    assert official.POINTS.keys() <= official.Body.open().points.keys()


def test_a_model_with_more_shapes_is_cut_to_ten(file, model):
    wide = np.concatenate([rules.smpl("a")["shapedirs"], np.ones((6890, 3, 6))], axis=2)
    expected = surface(official.open_body(file))
    smpl_files.write(file, model | {"shapedirs": chumpy_array(wide)})
    np.testing.assert_array_equal(surface(official.open_body(file)), expected)


def test_chumpys_slices_are_read_as_what_they_select(file, model):
    expected = surface(official.open_body(file))
    wide = np.concatenate([np.ones((6890, 3, 2)), rules.smpl("a")["shapedirs"]], axis=2)
    places = np.arange(wide.size).reshape(wide.shape)[..., 2:]
    smpl_files.write(file, model | {"shapedirs": chumpy_slice(wide, places)})
    np.testing.assert_array_equal(surface(official.open_body(file)), expected)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_file_that_python_3_has_pickled_again_is_the_same_body(file, model, protocol, monkeypatch):
    class Ch:
        """Pickles as chumpy's array, of which nobody but the pickler needs to know."""

    chumpy = ModuleType("chumpy.ch")
    chumpy.Ch = Ch
    Ch.__module__, Ch.__qualname__ = chumpy.__name__, "Ch"
    monkeypatch.setitem(sys.modules, "chumpy", ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, chumpy.__name__, chumpy)
    shapes = Ch()
    vars(shapes).update(model["shapedirs"].state)
    expected = surface(official.open_body(file))
    again = rules.smpl("a") | {
        "posedirs": model["posedirs"],
        "shapedirs": shapes,
        "J_regressor": csc_matrix(rules.smpl("a")["J_regressor"]),
    }
    file.write_bytes(pickle.dumps(again, protocol))
    np.testing.assert_array_equal(surface(official.open_body(file)), expected)


def test_a_file_is_converted_once(file, conversions):
    first, second = official.open_body(file), official.open_body(file)
    np.testing.assert_array_equal(surface(first), surface(second))
    assert len(conversions) == 1
    assert sorted(each.name for each in file.parent.iterdir()) == ["SMPL_NEUTRAL.npz", "SMPL_NEUTRAL.pkl"]


def test_the_converted_file_holds_no_pickle(file):
    official.open_body(file)
    with np.load(official.converted_path(file), allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays} <= set("fiuU")


def test_the_edge_finds_the_faces_in_the_converted_file(file):
    body = official.open_body(file)
    faces = topology.load(official.converted_path(file)).faces
    assert faces.tolist() == body.faces.tolist()


def test_a_file_that_changes_is_converted_again(file, model, conversions):
    before = surface(official.open_body(file))
    smpl_files.write(file, model | {"v_template": model["v_template"] + 1})
    after = surface(official.open_body(file))
    assert np.abs(after - before).max() > 0.5
    assert len(conversions) == 2


DAMAGE = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: content[:0],
    "no archive": lambda content: b"\x93NUMPY" + content,
    "a flipped byte": lambda content: (
        content[:5_000_000] + bytes([content[5_000_000] ^ 255]) + content[5_000_001:]
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_converted_file_that_is_damaged_is_made_again(file, damage, conversions):
    expected = surface(official.open_body(file))
    converted = official.converted_path(file)
    converted.write_bytes(damage(converted.read_bytes()))
    np.testing.assert_array_equal(surface(official.open_body(file)), expected)
    official.open_body(file)
    assert len(conversions) == 2


def test_a_converted_file_of_an_older_version_is_made_again(file, monkeypatch, conversions):
    official.open_body(file)
    monkeypatch.setattr(official, "VERSION", official.VERSION + 1)
    official.open_body(file)
    assert len(conversions) == 2


def test_workers_that_start_together_find_a_whole_file_each(file):
    surfaces = []
    workers = [
        threading.Thread(target=lambda: surfaces.append(surface(official.open_body(file)))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(surfaces) == 4
    for each in surfaces:
        np.testing.assert_array_equal(each, surfaces[0])
    assert len(list(file.parent.iterdir())) == 2, "nothing half written is left"


def test_a_directory_that_cannot_be_written_to_still_serves(file, monkeypatch, caplog):
    def full(*_args, **_arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert surface(official.open_body(file)).shape == (1, 6890, 3)
    assert "No space left" in caplog.text
    assert [each.name for each in file.parent.iterdir()] == ["SMPL_NEUTRAL.pkl"]


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path):
    with pytest.raises(BodyFileRefused, match=r"SMPL_NEUTRAL\.pkl is missing: register at https://smpl"):
        official.open_body(tmp_path / "SMPL_NEUTRAL.pkl")


def test_a_directory_in_its_place_is_named(tmp_path):
    with pytest.raises(BodyFileRefused, match="cannot be read"):
        official.open_body(tmp_path)


def without(name):
    return lambda model: {key: value for key, value in model.items() if key != name}


def with_(**changes):
    return lambda model: model | changes


#: An array of chumpy that holds itself.
CIRCLE = Opcodes(b"cchumpy.ch\nCh\n)\x81q\x00}U\x01xh\x00sb")


def broken_sparse(**changes):
    def change(model):
        state = model["J_regressor"].state | changes
        return model | {"J_regressor": Object("scipy.sparse.csc", "csc_matrix", state)}

    return change


REFUSED = {
    "a part is missing": (without("posedirs"), "posedirs"),
    "another number of vertices": (with_(v_template=np.zeros((10475, 3))), r"v_template.*10475"),
    "too few shapes": (with_(shapedirs=np.zeros((6890, 3, 2))), "shapedirs"),
    "not a number": (with_(weights=np.full((6890, 24), np.nan)), "weights"),
    "beyond float32": (with_(weights=np.full((6890, 24), 1e300)), "weights"),
    "text": (with_(weights="1 0 0"), "weights"),
    "a face without a vertex": (with_(f=np.full((13776, 3), 6890, np.uint32)), "face"),
    "other joints": (with_(kintree_table=np.zeros((2, 24), np.uint32)), "hang together"),
    "an expression of chumpy": (with_(shapedirs=Object("chumpy.ch_ops", "add", {})), "shapedirs"),
    "an array without its numbers": (with_(shapedirs=Object("chumpy.ch", "Ch", {})), "Ch"),
    "an array that holds itself": (with_(shapedirs=CIRCLE), "without end"),
    "a slice beyond its array": (
        with_(shapedirs=chumpy_slice(np.zeros(3), np.array([[5]]))),
        "Select",
    ),
    "a sparse matrix of another size": (broken_sparse(_shape=(1 << 20, 1 << 20)), "J_regressor"),
    "a row that is not there": (broken_sparse(indices=np.full(240, 99, np.int32)), "J_regressor"),
    "columns that go back": (
        broken_sparse(indptr=np.concatenate([[240], np.zeros(6890)]).astype(np.int32)),
        "J_regressor",
    ),
    "columns without end": (
        broken_sparse(indptr=np.concatenate([np.zeros(6890), [1 << 60]]).astype(np.int64)),
        "J_regressor",
    ),
    "a class of another package": (with_(extra=Object("os", "system", {})), r"os\.system"),
    "no model at all": (lambda model: [model["f"]], "list"),
}


@pytest.mark.parametrize(("change", "named"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_no_smpl_model_is_refused_by_name(tmp_path, model, change, named):
    file = smpl_files.write(tmp_path / "SMPL_NEUTRAL.pkl", change(model))
    with pytest.raises(BodyFileRefused, match=rf"SMPL_NEUTRAL\.pkl.*{named}"):
        official.open_body(file)
    assert not official.converted_path(file).exists()


def test_a_file_that_wants_to_run_something_does_not(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    smpl_files.write(file, {"v_template": Opcodes(b"cposix\nsystem\n(U\x09touch rantR")})
    with pytest.raises(BodyFileRefused, match=r"posix\.system"):
        official.open_body(file)
    assert not Path("ran").exists()


def test_a_file_that_is_too_large_is_refused_unread(file, monkeypatch):
    monkeypatch.setattr(official, "MAX_BYTES", 1 << 20)
    with pytest.raises(BodyFileRefused, match="more than the 1048576"):
        official.open_body(file)
