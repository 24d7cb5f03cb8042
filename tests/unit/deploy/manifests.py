"""What `kubectl apply -k` sends, as far as our manifests use kustomize: what they do not use is refused, so that nothing goes unchecked."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TOP = Path(__file__).parents[3]
BASE = TOP / "docker" / "kubernetes"
COMPONENTS = ("public", "keda", "prometheus-operator")
MEMBERS = {"apiVersion", "kind", "resources", "components", "configMapGenerator", "images", "patches"}

Manifest = dict[str, Any]


def documents(path: Path) -> list[Any]:
    """All documents of a file, read as Kubernetes reads them: YAML 1.1, in which 0440 is octal."""
    return deepcopy(parsed(path.read_text("utf-8")))


@cache
def parsed(text: str) -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return [document for document in yaml.load_all(text) if document is not None]


def document(path: Path) -> Any:
    (only,) = documents(path)
    return only


def kustomization(folder: Path) -> Manifest:
    content = document(folder / "kustomization.yaml")
    assert set(content) <= MEMBERS, f"{folder}/kustomization.yaml: these tests do not know {set(content) - MEMBERS}; teach them"
    return content


def built(*components: str) -> list[Manifest]:
    """Everything that is applied with these components switched on; the names of the generated ConfigMaps without their hash."""
    folders = [BASE, *(BASE / name for name in components)]
    plans = [kustomization(folder) for folder in folders]
    sent = [resource for folder, plan in zip(folders, plans, strict=True) for name in plan.get("resources", ()) for resource in documents(folder / name)]
    for folder, plan in zip(folders, plans, strict=True):
        for generator in plan.get("configMapGenerator", ()):
            generate(sent, folder, generator)
        for patch in plan.get("patches", ()):
            apply_patch(sent, patch)
    for image in plans[0]["images"]:
        for container in (container for deployment in of_kind(sent, "Deployment") for container in deployment["spec"]["template"]["spec"]["containers"]):
            if container["image"] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return deepcopy(sent)


def generate(sent: list[Manifest], folder: Path, generator: Manifest) -> None:
    assert set(generator) <= {"name", "behavior", "envs", "files", "literals"}
    lines = [line for name in generator.get("envs", ()) for line in (folder / name).read_text("utf-8").splitlines()]
    pairs = [line.split("=", 1) for line in [*lines, *generator.get("literals", ())] if line.strip() and not line.startswith("#")]
    data = dict(pairs) | {Path(name).name: (folder / name).read_text("utf-8") for name in generator.get("files", ())}
    if generator.get("behavior") == "merge":
        named(sent, "ConfigMap", generator["name"])["data"].update(data)
    else:
        sent.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data})


def apply_patch(sent: list[Manifest], patch: Manifest) -> None:
    target = named(sent, patch["target"]["kind"], patch["target"]["name"])
    for change in YAML(typ="safe").load(patch["patch"]):
        *way, last = [int(step) if step.isdigit() else step for step in change["path"].strip("/").split("/")]
        place = target
        for step in way:
            place = place[step]
        assert change["op"] in {"replace", "remove"}
        assert last in place, f"{change['path']}: there is nothing to {change['op']}"
        if change["op"] == "remove":
            del place[last]
        else:
            place[last] = change["value"]


def of_kind(sent: list[Manifest], kind: str) -> list[Manifest]:
    return [resource for resource in sent if resource["kind"] == kind]


def named(sent: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [resource for resource in of_kind(sent, kind) if resource["metadata"]["name"] == name]
    return found


def pod(sent: list[Manifest]) -> Manifest:
    """The template of the worker's pods."""
    (deployment,) = of_kind(sent, "Deployment")
    return deployment["spec"]["template"]


def container(sent: list[Manifest]) -> Manifest:
    (only,) = pod(sent)["spec"]["containers"]
    return only


def name_of(resource: Manifest) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"
