"""Pickles are read as data: what they name is not run, and what they announce is not believed."""

import builtins
import collections
import io
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unpickle
from unpickle import Allowed, Inert, PickleRefused

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments, state)

    def __reduce__(self):
        return self.call


def read(content: bytes, allowed=None, max_bytes=1 << 20):
    return unpickle.Unpickler(io.BytesIO(content), allowed=allowed or Allowed(), max_bytes=max_bytes).load()


ARRAYS = {
    "float64": np.arange(6.0).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(6, dtype=">u4"),
    "bytes": np.arange(6, dtype=np.uint8),
    "booleans": np.array([[True], [False]]),
    "empty": np.zeros((0, 3), np.float32),
    "a single number": np.array(2.5),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numbers", ARRAYS.values(), ids=ARRAYS)
def test_arrays_of_every_protocol_come_back(numbers, protocol):
    back = unpickle.array(read(pickle.dumps({"a": numbers}, protocol))["a"])
    np.testing.assert_array_equal(back, numbers, strict=True)


def test_an_array_that_python_2_wrote_comes_back():
    # As `cPickle.dumps(numpy.array([1., 2.]), 2)` writes it there: text where Python 3 has bytes.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff"
        b"\xff\xff\xffK\x00tb\x89U\x10" + struct.pack("<2d", 1, 2) + b"tb."
    )
    np.testing.assert_array_equal(unpickle.array(read(content)), [1.0, 2.0])


HOSTILE = {
    "a command": (Calls(os.system, "touch ran"), "system"),
    "a process": (Calls(subprocess.Popen, ["touch", "ran"]), "Popen"),
    "eval": (Calls(eval, "open('ran', 'w')"), "eval"),
    "exec": (Calls(exec, "open('ran', 'w')"), "exec"),
    "a look into an object": (Calls(getattr, "", "__class__"), "getattr"),
    "an import": (Calls(builtins.__import__, "antigravity"), "__import__"),
    "a file": (Calls(open, "ran", "w"), "open"),
    "a call inside a call": (Calls(np.zeros(1).__reduce__()[0], Calls(os.system, "touch ran")), "system"),
    "a call inside an array's state": (
        Calls(np.zeros(1).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, Calls(os.system, "touch ran"))),
        "system",
    ),
    "a huge piece of memory": (Calls(bytearray, 1 << 60), "bytearray"),
    "huge bytes": (Calls(bytes, 1 << 60), "bytes"),
    "an unknown class": (collections.Counter("ab"), "Counter"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("hostile", "named"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_allowed_is_refused_by_name_and_not_run(hostile, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"v_template": [hostile]}, protocol)
    with pytest.raises(PickleRefused, match=named):
        read(content)
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_dots_does_not_reach_what_an_allowed_one_holds():
    content = b"\x80\x04\x8c\x05numpy\x8c\x13ndarray.__class__.x\x93."
    with pytest.raises(PickleRefused, match=r"numpy\.ndarray\.__class__"):
        read(content)


def array_with(**changes):
    """A pickled float64 array of three numbers, with parts of its state changed."""
    parts = {"version": 1, "shape": (3,), "dtype": np.dtype("f8"), "by_column": False, "content": b"\0" * 24}
    reconstruct = np.zeros(1).__reduce__()[0]
    return Calls(reconstruct, np.ndarray, (0,), b"b", state=tuple((parts | changes).values()))


NO_ARRAYS = {
    "Python objects": (np.array([{}, []], dtype=object), "objects"),
    "records": (np.zeros(2, "f8,i4"), "V12"),
    "text": (np.array(["a"]), "U1"),
    "dates": (np.zeros(1, "M8[s]"), "M8"),
    "objects in place of bytes": (array_with(content=[os.path.join]), "objects|posixpath"),
    "more numbers than bytes": (array_with(shape=(1 << 60,)), "24 bytes"),
    "a negative size": (array_with(shape=(-3,)), "shape"),
    "sizes that are not numbers": (array_with(shape=("3",)), "shape"),
    "a type of numpy's own making": (array_with(dtype="f8"), "type None"),
    "something else": ({"a": 1}, "dict"),
}


@pytest.mark.parametrize(("content", "why"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_is_no_array_of_numbers_is_refused(content, why):
    with pytest.raises(PickleRefused, match=why):
        unpickle.array(read(pickle.dumps(content, 4)))


ANNOUNCED = {
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b"ab.",
    "a bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"ab.",
    "text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 50) + b"ab.",
    "a number": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"ab.",
    "a frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.",
    "remembered objects": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "remembered objects, in digits": b"Np9999999999\n.",
    "an end that does not come": b"\x80\x04]",
    "nothing": b"",
}


@pytest.mark.parametrize("content", ANNOUNCED.values(), ids=ANNOUNCED)
def test_what_a_pickle_announces_and_does_not_hold_is_refused_before_room_is_made(content):
    with pytest.raises(PickleRefused):
        read(content)


def test_a_pickle_that_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(PickleRefused, match="10000"):
        read(pickle.dumps(bytes(10_000)), max_bytes=10_000)


def test_a_pickle_of_very_many_small_objects_is_refused(monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_OPERATIONS", 1000)
    with pytest.raises(PickleRefused, match="1000 operations"):
        read(pickle.dumps([[] for _ in range(2000)]))


def test_what_is_inert_keeps_its_content_and_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    allowed = Allowed(inert_packages=frozenset({"posix", "subprocess"}))
    called = read(pickle.dumps(Calls(os.system, "touch ran", state={"a": 1}), 4), allowed)
    assert isinstance(called, Inert)
    assert called.args == ("touch ran",)
    assert called.state == {"a": 1}
    assert list(tmp_path.iterdir()) == []


def test_an_inert_package_is_not_the_one_whose_name_begins_alike():
    with pytest.raises(PickleRefused, match="collections"):
        read(pickle.dumps(collections.Counter(), 4), Allowed(inert_packages=frozenset({"coll"})))


def test_subclasses_of_containers_are_inert_too():
    allowed = Allowed(inert_packages=frozenset({"collections"}))
    assert isinstance(read(pickle.dumps(collections.Counter("ab"), 2), allowed), Inert)


def test_what_is_allowed_may_be_called_and_not_changed():
    allowed = Allowed({("collections", "OrderedDict"): collections.OrderedDict})
    ordered = collections.OrderedDict(a=1, b=2)
    assert read(pickle.dumps(ordered, 2), allowed) == ordered
    changed = b"\x80\x02ccollections\nOrderedDict\n(N}X\x03\x00\x00\x00getK\x01stb."
    with pytest.raises(PickleRefused, match=r"sets attributes of collections\.OrderedDict"):
        read(changed, allowed)


def test_a_refusal_names_the_file(tmp_path):
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(Calls(os.system, "true")))
    with pytest.raises(PickleRefused, match=r"SMPL_NEUTRAL\.pkl.*system"):
        unpickle.load(path, allowed=Allowed(), max_bytes=1000)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\x80\x02cnumpy\nndarray\n" + tail))
def test_any_bytes_are_data_or_refused(content):
    try:
        read(content)
    except PickleRefused:
        return


@settings(deadline=None)
@given(st.data())
def test_a_damaged_array_is_read_or_refused(data):
    content = bytearray(pickle.dumps({"a": np.arange(3.0)}, data.draw(st.sampled_from(PROTOCOLS))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = read(bytes(content))
        unpickle.array(back["a"] if isinstance(back, dict) and "a" in back else back)
    except PickleRefused:
        return
