"""The manifests agree with the worker: its settings, ports, paths, user, queues and the time that it takes to stop."""

import re
from pathlib import Path

import pytest

from tests.unit.deploy.manifests import BASE, COMPONENTS, TOP, built, container, documents, kustomization, named, of_kind, pod
from worker import __version__
from worker.config.loader import load_routes
from worker.core.health import Health
from worker.flows.writes.publisher import publisher_topology
from worker.metrics import Metrics
from worker.settings import load_settings, variables
from worker.web.admin import admin_application

README = (BASE / "README.md").read_text("utf-8")
DOCKERFILE = (TOP / "docker" / "Dockerfile").read_text("utf-8")
SECRETS = {secret["metadata"]["name"]: secret["stringData"] for secret in documents(BASE / "secret.example.yaml")}
CLOSING = 10.0  # seconds to hand back, flush and close after the grace period
VARIANTS = [(), *((name,) for name in COMPONENTS), COMPONENTS]


@pytest.fixture(params=VARIANTS, ids=lambda names: "+".join(names) or "base")
def sent(request):
    return built(*request.param)


def environment(sent):
    """The variables of the container as it starts."""
    worker = container(sent)
    (settings,) = [named(sent, "ConfigMap", source["configMapRef"]["name"])["data"] for source in worker["envFrom"]]
    return settings | {variable["name"]: variable["value"] for variable in worker["env"]}


@pytest.fixture
def root(sent, tmp_path):
    """The volumes as a kubelet lays them out: each file a link through `..data` into a folder named for the time."""
    volumes = {volume["name"]: volume for volume in pod(sent)["spec"]["volumes"]}
    for mount in container(sent)["volumeMounts"]:
        folder = tmp_path / mount["mountPath"].strip("/")
        folder.mkdir()
        volume = volumes.pop(mount["name"])
        if "configMap" in volume:
            project(folder, named(sent, "ConfigMap", volume["configMap"]["name"])["data"])
        elif "secret" in volume:
            project(folder, SECRETS[volume["secret"]["secretName"]])
    assert volumes == {}
    return tmp_path


def project(folder, files):
    version = folder / "..2026_01_31_12_00_00.123456789"
    version.mkdir()
    (folder / "..data").symlink_to(version.name)
    for name, content in files.items():
        (version / name).write_text(content + "\n", "utf-8")
        (folder / name).symlink_to(f"..data/{name}")


def started(sent, root):
    """Settings and routes as `halo-worker run` reads them in the pod."""
    variables = {name: str(root) + value if value.startswith("/") else value for name, value in environment(sent).items()}
    settings = load_settings(variables)
    return settings, load_routes(settings.routes, variables, settings.secrets)


def test_the_worker_takes_its_configuration_from_the_pod(sent, root):
    settings, routes = started(sent, root)
    assert settings.amqp_url.get_secret_value() == SECRETS["halo-worker-broker"]["amqp_url"]
    assert routes.clients["main"].url == environment(sent)["HALO_URL"]
    assert routes.clients["main"].grant.client_secret == SECRETS["halo-worker"]["halo_client_secret"]
    assert (set(routes.subscribers), set(routes.publishers)) == ({"tickets"}, {"assets-from-erp"})


def test_a_changed_config_map_is_read_in_its_new_version_only(sent, root):
    folder = root / "routes"
    newer = folder / "..2026_01_31_13_00_00.987654321"
    newer.mkdir()
    (newer / "halo.yaml").write_text((folder / "halo.yaml").read_text("utf-8").replace("tickets:", "incidents:", 1), "utf-8")
    (folder / "..data_tmp").symlink_to(newer.name)
    (folder / "..data_tmp").replace(folder / "..data")
    _, routes = started(sent, root)
    assert set(routes.subscribers) == {"incidents"}


def test_every_variable_is_a_setting_or_named_by_a_route_file(sent):
    routes = named(sent, "ConfigMap", "halo-worker-routes")["data"].values()
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", "".join(re.sub(r"#.*", "", text) for text in routes)))
    assert set(environment(sent)) <= set(variables()) | asked


def test_the_example_secret_holds_what_is_read_and_nothing_else(sent):
    routes = named(sent, "ConfigMap", "halo-worker-routes")["data"].values()
    asked = set(re.findall(r"\$\{file:([^}]+)\}", "".join(re.sub(r"#.*", "", text) for text in routes)))
    assert {name: set(data) for name, data in SECRETS.items()} == {
        "halo-worker": asked,
        "halo-worker-broker": {environment(sent)["WORKER_AMQP_URL_FILE"].rpartition("/")[2]},
    }


def test_the_readme_names_every_secret_and_makes_those_that_are_mounted():
    assert [name for data in SECRETS.values() for name in data if f"`{name}`" not in README] == []
    assert re.findall(r"kubectl create secret generic (\S+)", README) == list(SECRETS)


def test_the_readme_names_what_exists():
    code = set(re.findall(r"`([^`\n]+)`", README))
    files = {name for name in code if re.fullmatch(r"[\w./-]+\.(ya?ml|env)|[\w-]+/", name)}
    assert "settings.env" in files
    assert [name for name in files if not (BASE / name).exists()] == []
    assert [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target and not (BASE / target).exists()] == []
    assert set(COMPONENTS) <= code
    assert set(re.findall(r"deployment/([\w-]+)", README)) == {named(built(), "Deployment", "halo-worker")["metadata"]["name"]}
    assert set(re.findall(r"\bWORKER_[A-Z_]+", README)) <= set(variables())


def test_the_ports_are_those_of_the_worker_and_of_the_image(sent, root):
    settings, _ = started(sent, root)
    ports = {port["name"]: port["containerPort"] for port in container(sent)["ports"]}
    assert ports == {"admin": settings.admin_port, "public": settings.public_port}
    assert set(re.findall(r"\d+", re.search(r"^EXPOSE (.*)", DOCKERFILE, re.MULTILINE)[1])) == {str(port) for port in ports.values()}


@pytest.mark.parametrize("host", ["WORKER_ADMIN_HOST", "WORKER_PUBLIC_HOST"])
def test_the_ports_can_be_reached_from_outside_of_the_pod(host):
    given = environment(built()).get(host) or re.search(rf"\b{host}=(\S+)", DOCKERFILE)[1]
    assert given == "0.0.0.0"


def test_every_port_that_is_named_elsewhere_is_one_of_the_pod(sent):
    named_ports = {port["name"] for port in container(sent)["ports"]}
    services = [port["targetPort"] for service in of_kind(sent, "Service") for port in service["spec"]["ports"]]
    policies = [port["port"] for policy in of_kind(sent, "NetworkPolicy") for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]]
    probes = [container(sent)[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert set(services + policies + probes) <= named_ports
    assert set(probes) == {"admin"}


def test_the_probes_ask_for_paths_of_the_admin_port(sent):
    served = {resource.canonical for resource in admin_application(Health(), Metrics()).router.resources()}
    asked = {container(sent)[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    scraped = {endpoint["path"] for monitor in of_kind(sent, "ServiceMonitor") for endpoint in monitor["spec"]["endpoints"]}
    assert asked | scraped <= served


def test_neither_broker_nor_halo_is_a_reason_to_restart(sent):
    worker = container(sent)
    assert worker["livenessProbe"]["httpGet"]["path"] == "/livez"
    startup = worker["startupProbe"]
    assert startup["httpGet"]["path"] == "/livez" or startup["periodSeconds"] * startup["failureThreshold"] > 366 * 86400


def test_a_pod_counts_only_once_everything_was_well(sent):
    """A wrong secret must stop a rolling update, whichever probe says so."""
    worker = container(sent)
    assert "/readyz" in {worker["startupProbe"]["httpGet"]["path"], worker["readinessProbe"]["httpGet"]["path"]}


def test_calls_come_in_while_halo_is_away():
    assert container(built("public"))["readinessProbe"]["httpGet"]["path"] == "/readyz/public"


def test_a_pod_is_given_the_time_that_the_worker_needs_to_stop(sent, root):
    settings, _ = started(sent, root)
    before = float(container(sent)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod(sent)["spec"]["terminationGracePeriodSeconds"] >= before + settings.shutdown_grace + CLOSING


def test_the_user_is_that_of_the_image(sent):
    security = pod(sent)["spec"]["securityContext"]
    user, group = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    assert [str(security[name]) for name in ("runAsUser", "runAsGroup", "fsGroup")] == [user, group, group]


def test_the_pod_may_do_next_to_nothing(sent):
    spec, worker = pod(sent)["spec"], container(sent)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"}.isdisjoint(spec)
    assert {"requests", "limits"} <= set(worker["resources"])
    assert "memory" in worker["resources"]["limits"]


def test_only_tmp_can_be_written_to(sent):
    writable = {mount["name"]: mount["mountPath"] for mount in container(sent)["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"tmp": "/tmp"}
    (volume,) = [volume for volume in pod(sent)["spec"]["volumes"] if volume["name"] == "tmp"]
    assert "sizeLimit" in volume["emptyDir"]


def test_only_the_workers_group_reads_the_secrets(sent):
    volumes = [volume["secret"] for volume in pod(sent)["spec"]["volumes"] if "secret" in volume]
    assert {volume["secretName"]: volume["defaultMode"] for volume in volumes} == dict.fromkeys(SECRETS, 0o440)


def test_the_broker_s_address_lies_outside_of_the_folder_that_route_files_read(sent, root):
    given = environment(sent)
    assert not Path(given["WORKER_AMQP_URL_FILE"]).is_relative_to(given["WORKER_SECRETS"])
    assert sorted(path.name for path in (root / "secrets").iterdir() if not path.name.startswith("..")) == sorted(SECRETS["halo-worker"])


def test_a_new_replica_works_before_an_old_one_stops(sent):
    (deployment,) = of_kind(sent, "Deployment")
    assert deployment["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_every_selector_takes_the_workers_pods(sent):
    labels = pod(sent)["metadata"]["labels"].items()
    (deployment,) = of_kind(sent, "Deployment")
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [spread["labelSelector"]["matchLabels"] for spread in pod(sent)["spec"]["topologySpreadConstraints"]]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in of_kind(sent, "NetworkPolicy")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in of_kind(sent, "PodDisruptionBudget")]
    selectors += [service["spec"]["selector"] for service in of_kind(sent, "Service")]
    assert all(selector and selector.items() <= labels for selector in selectors)


def test_a_node_can_be_drained(sent):
    (budget,) = of_kind(sent, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] >= 1
    assert "minAvailable" not in budget["spec"]


def test_the_image_has_one_name_and_the_version_of_the_project(sent):
    (image,) = kustomization(BASE)["images"]
    assert container(sent)["image"] == f"{image['newName']}:{__version__}"
    compose = (TOP / "docker" / "compose.yaml").read_text("utf-8")
    assert {image["newName"].rpartition("/")[2], image["name"]} == set(re.findall(r"WORKER_IMAGE:-([\w-]+)", compose)) == {"halo-worker"}


def test_the_policies_let_out_only_names_the_broker_and_https(sent):
    rules = [rule for policy in of_kind(sent, "NetworkPolicy") for rule in policy["spec"].get("egress", ())]
    assert {port["port"] for rule in rules for port in rule["ports"]} == {53, 5671, 5672, 443}
    assert all(rule["to"] for rule in rules)
    (world,) = [rule["to"] for rule in rules if any("ipBlock" in peer for peer in rule["to"])]
    assert "169.254.0.0/16" in world[0]["ipBlock"]["except"]


def test_each_port_is_open_to_one_kind_of_caller(sent):
    rules = [rule for policy in of_kind(sent, "NetworkPolicy") for rule in policy["spec"].get("ingress", ())]
    assert all(len(rule["ports"]) == 1 and rule["from"] for rule in rules)
    served = {port["targetPort"] for service in of_kind(sent, "Service") for port in service["spec"]["ports"]}
    assert {rule["ports"][0]["port"] for rule in rules} == served


def test_prometheus_finds_the_admin_port_of_the_admin_service():
    sent = built(*COMPONENTS)
    (monitor,) = of_kind(sent, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [service for service in of_kind(sent, "Service") if wanted <= service["metadata"]["labels"].items()]
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {"admin"}


def test_keda_counts_queues_that_the_worker_declares(tmp_path):
    sent = built("keda")
    files = named(sent, "ConfigMap", "halo-worker-routes")["data"]
    (tmp_path / "routes").mkdir()
    project(tmp_path / "routes", files)
    for name, value in SECRETS["halo-worker"].items():
        (tmp_path / name).write_text(value, "utf-8")
    routes = load_routes(tmp_path / "routes", environment(sent), tmp_path)
    declared = {queue.name for route in routes.publishers.values() for queue in publisher_topology(route).queues}
    (scaled,) = of_kind(sent, "ScaledObject")
    counted = {trigger["metadata"]["queueName"] for trigger in scaled["spec"]["triggers"]}
    assert counted <= declared
    assert not [name for name in counted if re.search(r"\.(dead|retry\..*)$", name)]


def test_keda_scales_the_worker_with_the_workers_own_secret():
    sent = built("keda")
    (scaled,) = of_kind(sent, "ScaledObject")
    (authentication,) = of_kind(sent, "TriggerAuthentication")
    (reference,) = authentication["spec"]["secretTargetRef"]
    named(sent, "Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    assert {trigger["authenticationRef"]["name"] for trigger in scaled["spec"]["triggers"]} == {authentication["metadata"]["name"]}
    assert reference["key"] in SECRETS[reference["name"]]


def test_some_replica_always_holds_the_batons():
    (scaled,) = of_kind(built("keda"), "ScaledObject")
    spec = scaled["spec"]
    assert 1 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    (deployment,) = of_kind(built("keda"), "Deployment")
    assert "replicas" not in deployment["spec"], "kubectl would undo what KEDA has decided"


@pytest.mark.parametrize("names", VARIANTS, ids=lambda names: "+".join(names) or "base")
def test_replicas_share_halos_limit_by_themselves_and_are_not_held_below_it(names):
    assert "WORKER_BUDGET_SHARE" not in environment(built(*names))
