"""The manifests have the shape that Kubernetes, KEDA and the Prometheus operator take."""

from typing import Literal

import kubernetes_validate
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.tools.every import every
from tests.unit.deploy.manifests import BASE, COMPONENTS, built, documents, kustomization, name_of, named

VERSIONS = ("1.28", kubernetes_validate.latest_version())
SENT = [*built(*COMPONENTS), *documents(BASE / "secret.example.yaml")]
OWN = [resource for resource in SENT if not resource["apiVersion"].startswith(("keda.sh/", "monitoring.coreos.com/"))]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Name(Strict):
    name: str


class Metadata(Strict):
    name: str
    labels: dict[str, str]


class SecretParameter(Strict):
    parameter: Literal["host"]
    name: str
    key: str


class TriggerAuthenticationSpec(Strict):
    secretTargetRef: list[SecretParameter]  # noqa: N815 - Kubernetes' word


class TriggerAuthentication(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815 - Kubernetes' word
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: TriggerAuthenticationSpec


class RabbitMetadata(Strict):
    """KEDA's trigger `rabbitmq`: every value is text."""

    protocol: Literal["amqp", "http", "auto"]
    mode: Literal["QueueLength", "MessageRate"]
    queueName: str  # noqa: N815 - KEDA's word
    value: str = Field(pattern=r"^[1-9][0-9]*$")


class Trigger(Strict):
    type: Literal["rabbitmq"]
    metadata: RabbitMetadata
    authenticationRef: Name  # noqa: N815 - KEDA's word


class Fallback(Strict):
    failureThreshold: int  # noqa: N815 - KEDA's word
    replicas: int


class ScaledObjectSpec(Strict):
    scaleTargetRef: Name  # noqa: N815 - KEDA's words
    minReplicaCount: int  # noqa: N815
    maxReplicaCount: int  # noqa: N815
    pollingInterval: int  # noqa: N815
    fallback: Fallback
    advanced: dict[Literal["horizontalPodAutoscalerConfig"], dict[Literal["behavior"], dict[str, object]]]
    triggers: list[Trigger] = Field(min_length=1)


class ScaledObject(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815 - Kubernetes' word
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledObjectSpec


class Endpoint(Strict):
    port: str
    path: str
    interval: str = Field(pattern=r"^\d+s$")


class Selector(Strict):
    matchLabels: dict[str, str]  # noqa: N815 - Kubernetes' word


class ServiceMonitorSpec(Strict):
    selector: Selector
    endpoints: list[Endpoint] = Field(min_length=1)


class ServiceMonitor(Strict):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815 - Kubernetes' word
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: ServiceMonitorSpec


EXTENSIONS = {model.__name__: model for model in (TriggerAuthentication, ScaledObject, ServiceMonitor)}


@every("version", VERSIONS)
@every("resource", OWN, ids=name_of)
def test_kubernetes_takes_the_manifest(resource, version):
    assert kubernetes_validate.validate(resource, version, strict=True) == version.rpartition(".0")[0] or version


def test_a_misspelt_member_would_be_seen():
    deployment = named(built(), "Deployment", "halo-worker")
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("resource", [resource for resource in SENT if resource not in OWN], ids=name_of)
def test_an_extension_takes_the_manifest(resource):
    EXTENSIONS[resource["kind"]].model_validate(resource)


def test_a_number_where_keda_wants_text_would_be_seen():
    resource = named(built("keda"), "ScaledObject", "halo-worker")
    resource["spec"]["triggers"][0]["metadata"]["value"] = 200
    with pytest.raises(ValidationError, match="value"):
        ScaledObject.model_validate(resource)


def test_the_kustomizations_are_what_they_say():
    base = kustomization(BASE)
    assert (base["apiVersion"], base["kind"]) == ("kustomize.config.k8s.io/v1beta1", "Kustomization")
    parts = [kustomization(BASE / name) for name in COMPONENTS]
    assert {(part["apiVersion"], part["kind"]) for part in parts} == {("kustomize.config.k8s.io/v1alpha1", "Component")}
    assert set(base["components"]) <= set(COMPONENTS)


def test_every_manifest_is_applied_by_some_kustomization():
    folders = [BASE, *(BASE / name for name in COMPONENTS)]
    used = {folder / name for folder in folders for name in kustomization(folder)["resources"]}
    there = {path for path in BASE.rglob("*.yaml") if path.parent.name != "routes"}
    assert there - used == {BASE / "secret.example.yaml", *(folder / "kustomization.yaml" for folder in folders)}


def test_no_two_things_have_one_name():
    names = [name_of(resource) for resource in SENT]
    assert sorted(set(names)) == sorted(names)


def test_the_base_asks_for_no_extension():
    assert {resource["apiVersion"].partition("/")[0] for resource in built()} <= {"v1", "apps", "policy", "networking.k8s.io"}


def test_nothing_in_the_manifests_is_a_real_secret():
    assert all(len(documents(path)) for path in BASE.rglob("*.yaml"))
    assert [name for resource in built(*COMPONENTS) if resource["kind"] == "Secret" for name in resource] == []
    values = {name: value for secret in documents(BASE / "secret.example.yaml") for name, value in secret["stringData"].items()}
    assert {name: value for name, value in values.items() if not ("PASSWORD" in value or value == value.upper())} == {}
