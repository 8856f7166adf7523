"""The manifests and the container file are what Kubernetes and Docker read, and fit the programs."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from wire.environment import ALLOCATOR, LINEAR_ALGEBRA
from wire.settings import PREFIX, load

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PAGE = ROOT / "docs" / "deployment.md"

#: The oldest release that is looked after, and the newest one whose schemas there are.
OLDEST, NEWEST = "1.34", "1.37"

VARIANTS = ("cpu", "gpu")

Manifest = dict[str, Any]


@cache
def manifests(variant: str) -> list[Manifest]:
    """Those that a variant applies, patches aside."""
    folder = KUBERNETES / variant
    files = [
        *(KUBERNETES / "base" / name for name in _kustomization(KUBERNETES / "base")["resources"]),
        *(folder / name for name in _kustomization(folder)["resources"] if name.endswith(".yaml")),
    ]
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]


def _kustomization(folder: Path) -> Manifest:
    return yaml.safe_load((folder / "kustomization.yaml").read_text())


def deployments(variant: str) -> dict[str, Manifest]:
    """The pods of each, by name."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]
        for manifest in manifests(variant)
        if manifest["kind"] == "Deployment"
    }


def containers(variant: str) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Name of the deployment, its pod, its container."""
    for name, deployment in deployments(variant).items():
        pod = deployment["template"]["spec"]
        for container in pod["containers"]:
            yield name, pod, container


def given(container: Manifest, variant: str) -> dict[str, str]:
    """The variables that a container finds; those from secrets as their names."""
    (shared,) = [each["data"] for each in manifests(variant) if each["kind"] == "ConfigMap"]
    own = {each["name"]: each.get("value", "redis://secret") for each in container.get("env", ())}
    return {**(shared if "envFrom" in container else {}), **own}


@pytest.mark.parametrize(("variant", "version"), [("cpu", OLDEST), ("cpu", NEWEST), ("gpu", NEWEST)])
def test_every_manifest_is_of_its_schema(variant, version):
    kinds = set()
    for manifest in manifests(variant):
        kubernetes_validate.validate(manifest, version, strict=True)
        kinds.add(manifest["kind"])
    assert {"Deployment", "Service", "NetworkPolicy", "ConfigMap", "PersistentVolumeClaim"} <= kinds


def test_what_is_not_of_its_schema_is_found():
    (broker,) = (
        deepcopy(each)
        for each in manifests("cpu")
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "broker")
    )
    broker["spec"]["replcias"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broker, NEWEST, strict=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_kustomize_builds_it(variant):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: how patches apply is NOT CHECKED")
    command = ["kubectl", "kustomize", str(KUBERNETES / variant)]
    built = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    for manifest in yaml.safe_load_all(built):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)
    assert built.count("/assets/body.npz") == (2 if variant == "gpu" else 0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_settings_are_ones_that_programs_take(variant):
    for _, _, container in containers(variant):
        ours = {name: value for name, value in given(container, variant).items() if name.startswith(PREFIX)}
        load(ours)


@pytest.mark.parametrize("variant", VARIANTS)
def test_commands_and_probes_are_programs_of_ours(variant):
    for _, _, container in containers(variant):
        if container["image"] != "everyframe":
            continue
        probes = [container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness")]
        commands = [container["command"], *(probe["exec"]["command"] for probe in probes if "exec" in probe)]
        for command in commands:
            assert command[:2] == ["python", "-m"]
            assert importlib.util.find_spec(command[2])


@pytest.mark.parametrize("variant", VARIANTS)
def test_ports_of_services_policies_and_settings_agree(variant):
    served = {}
    for manifest in manifests(variant):
        if manifest["kind"] == "Service":
            (name,) = manifest["spec"]["selector"].values()
            (pod,) = [
                each["template"]["spec"]
                for each in deployments(variant).values()
                if name in each["template"]["metadata"]["labels"].values()
            ]
            named = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
            for port in manifest["spec"]["ports"]:
                served[manifest["metadata"]["name"], port["port"]] = named[port["targetPort"]]
    for _, _, container in containers(variant):
        for name, value in given(container, variant).items():
            if name.endswith("_ENDPOINT"):
                service, _, port = value.removeprefix("tcp://").partition(":")
                assert (service, int(port)) in served, f"{name}={value}"
    opened = {str(port) for port in served.values()} | {"5001", "53"}
    policies = [each for each in manifests(variant) if each["kind"] == "NetworkPolicy"]
    assert set(re.findall(r"'port': (\d+)", str(policies))) == opened


@pytest.mark.parametrize("variant", VARIANTS)
def test_nobody_is_root_and_everybody_is_bounded(variant):
    for name, pod, container in containers(variant):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["readOnlyRootFilesystem"], name
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"]["cpu"], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_is_time_to_drain_before_the_end(variant):
    for name in ("edge", "workers", "jobs"):
        pod = deployments(variant)[name]["template"]["spec"]
        (container,) = pod["containers"]
        drain_s = load({"POSE_DRAIN_S": given(container, variant)["POSE_DRAIN_S"]}).drain_s
        pause = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
        assert pod["terminationGracePeriodSeconds"] > drain_s + int(pause[1]), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_secret_is_told_of_and_every_key_is_in_one(variant):
    page = PAGE.read_text()
    for name, pod, container in containers(variant):
        secrets = {
            volume["name"]: volume["secret"]["secretName"]
            for volume in pod.get("volumes", ())
            if "secret" in volume
        }
        for secret in secrets.values():
            assert secret in page, f"{name}: {secret}"
        mounted = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in secrets}
        for variable in ("POSE_KEY_FILE", "POSE_ALLOWED_KEYS", "POSE_TOKENS_FILE"):
            if path := given(container, variant).get(variable):
                assert any(path.startswith(mount) for mount in mounted), f"{name}: {variable}={path}"
                if variable == "POSE_KEY_FILE":
                    assert Path(path).name in page, path


def test_the_container_file_has_nothing_that_a_linter_finds():
    linter = Path(sys.executable).with_name("hadolint")
    command = [linter, "--format", "json", DEPLOY / "Containerfile"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert json.loads(found) == []


def test_the_container_file_copies_every_package_and_nothing_else():
    written = (DEPLOY / "Containerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \./\1$", written, re.MULTILINE))
    packages = {
        path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "bench")
    } | {path.parent.parent.name for path in ROOT.glob("tools/*/__init__.py")}
    assert copied == packages
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text()
    assert packages <= set(re.findall(r"^!(\w+)$", ignored, re.MULTILINE))


def test_the_container_file_ends_as_nobody_with_the_environment_of_our_programs():
    written = (DEPLOY / "Containerfile").read_text()
    assert re.findall(r"^USER (.*)$", written, re.MULTILINE) == ["10001:10001"]
    environment = dict(re.findall(r"([A-Z_]+)=(\S+)", written.rpartition("FROM ")[2]))
    assert environment.items() >= {**ALLOCATOR, **LINEAR_ALGEBRA}.items()
    load({name: value for name, value in environment.items() if name.startswith(PREFIX)})
