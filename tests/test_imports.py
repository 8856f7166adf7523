"""The tree's promises: who may import whom, and where heavy libraries may appear."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Package -> our packages that it may import beside itself.
MAY_IMPORT = {
    "wire": set(),
    "unpickle": set(),
    "body": {"wire", "unpickle"},
    "broker": {"wire"},
    "workers": {"wire", "body", "unpickle"},
    "http_edge": {"wire"},
    "client": {"wire", "body"},
}
#: Files that may import more.
EXCEPTIONS = {"http_edge/jobs/working.py": {"client"}}

#: Third-party library -> the only paths where it may appear.
HOMES = {
    "zmq": {
        "wire/broker_link.py",
        "wire/connection.py",
        "wire/exchange.py",
        "wire/line.py",
        "wire/links.py",  # options and keys that all sockets share
        "wire/parts.py",
        "broker/door.py",
        "broker/gatekeeper.py",  # libzmq asks over a socket whose keys are allowed
        "broker/server.py",
        "workers/brokers.py",
    },
    "torch": {
        "workers/checkpoint.py",
        "workers/compute.py",
        "workers/detectors/",
        "workers/device_failures.py",
        "workers/hmr2/",
        "workers/phalp/learned/networks/",
    },
    "torchvision": {"workers/detectors/"},
    "waitress": {"http_edge/server.py"},
    "falcon": {
        "http_edge/access.py",
        "http_edge/app.py",
        "http_edge/failures.py",
        "http_edge/headers.py",
        "http_edge/middleware.py",
        "http_edge/monitoring.py",
        "http_edge/openapi/",
        "http_edge/pages.py",
        "http_edge/pictures.py",
        "http_edge/videos",
    },
    "ai_edge_litert": {"workers/blazepose/"},
    "lmdb": {"workers/lmdb_"},
    "redis": {"workers/redis_link.py"},
    "ray": {"workers/cluster/", "client/cluster.py"},
    "urllib3": {"workers/assets/"},
    "pickle": {"unpickle/__init__.py"},  # restricted there; nobody else unpickles what came from outside
    "joblib": {"client/exports/phalp.py"},  # writes with it; a test below holds it to that
    "pythonosc": {"client/exports/vmc.py"},
}

#: The programs' `__main__` make the context that their sockets live in.
STARTERS = {"zmq": {"broker/__main__.py", "workers/__main__.py"}}

#: These unpickle whatever they are given.
BANNED = {"dill", "cloudpickle"}

SOURCES = sorted(path.relative_to(ROOT) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Top-level names of every module that `path` imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            yield node.module.split(".")[0]


def violations(source: Path, names: set[str]) -> list[str]:
    """What a file at `source` must not import, of `names`."""
    package, where = source.parts[0], source.as_posix()
    allowed = {package} | MAY_IMPORT[package] | EXCEPTIONS.get(where, set())
    homes = {name: HOMES[name] | STARTERS.get(name, set()) for name in names & HOMES.keys()}
    return sorted(
        (names & (MAY_IMPORT.keys() | {"tests", "tools", "bench"})) - allowed
        | {name for name, paths in homes.items() if not any(where.startswith(path) for path in paths)}
        | names & BANNED
    )


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_flow_one_way_and_libraries_stay_at_home(source: Path) -> None:
    assert violations(source, set(imports(ROOT / source))) == []


@pytest.mark.parametrize(
    ("where", "name"),
    [
        pytest.param("http_edge/app.py", "workers", id="the edge reaches into the workers"),
        pytest.param("wire/messages.py", "broker", id="an agreement that knows a program"),
        pytest.param("body/model.py", "workers", id="a body that knows a program"),
        pytest.param("client/motion.py", "workers", id="a client that reaches into the workers"),
        pytest.param("broker/routing.py", "zmq", id="a socket in the pure core"),
        pytest.param("workers/blazepose/fit.py", "torch", id="torch on the embedded path"),
        pytest.param("workers/phalp/tracker.py", "torch", id="torch in the embedded tracker"),
        pytest.param("workers/store.py", "pickle", id="a pickle"),
    ],
)
def test_a_planted_violation_is_found(where: str, name: str) -> None:
    assert violations(Path(where), {name}) == [name]


def test_joblib_which_unpickles_anything_is_only_written_with():
    (home,) = HOMES["joblib"]
    used = {
        node.attr
        for node in ast.walk(ast.parse((ROOT / home).read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "joblib"
    }
    assert used == {"dump"}
