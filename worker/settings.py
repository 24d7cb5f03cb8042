"""The worker's settings: environment variables that start with `WORKER_`, checked all at once before anything starts."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from worker.core.broker_addresses import VALID, addresses_of, mistake_in
from worker.core.durations import parse_duration
from worker.core.errors import ConfigError, Problem
from worker.core.suggest import nearest
from worker.core.text_files import UnreadableFile, read_text

PREFIX = "WORKER_"
SECRET = frozenset({"amqp_url", "admin_token"})  # an error never quotes their values
OWN_WORDS = frozenset({"duration", "size", "broker_address", "networks", "host_names", "admin_token"})  # errors whose text this file writes
UNITS = {"kib": 1024, "mib": 1024**2, "gib": 1024**3}
URL_FILE = "WORKER_AMQP_URL_FILE"
TOKEN_FILE = "WORKER_ADMIN_TOKEN_FILE"  # noqa: S105 - the name of a variable
FILES = {URL_FILE: "amqp_url", TOKEN_FILE: "admin_token"}
SHORTEST_TOKEN = 16  # characters
FOREIGN = re.compile(r"WORKER_(TEST_.*|SERVICE_(HOST|PORT)(_.*)?|PORT(_.*)?)")  # variables of our tests, and of Kubernetes for a Service called `worker`


def seconds(value: Any) -> Any:
    """A duration text such as `25s`, or a number of seconds."""
    if not isinstance(value, str) or re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}, or a number of seconds", {"reason": str(error)}) from None


def size(value: Any) -> Any:
    """A size text such as `16MiB`, or a number of bytes."""
    if not isinstance(value, str) or value.strip().isdecimal():
        return value
    found = re.fullmatch(r"(\d+) ?(KiB|MiB|GiB)", value.strip(), re.IGNORECASE)
    if found is None:
        raise PydanticCustomError("size", "{given} is not a size: write a number of bytes, or one with KiB, MiB or GiB such as 16MiB", {"given": repr(value)})
    return int(found[1]) * UNITS[found[2].lower()]


def lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def broker_address(value: Any) -> Any:
    """Refuse a value that is not a list of addresses of one broker. The error does not quote it, since it holds a password."""
    if not isinstance(value, str):
        return value
    if (mistake := mistake_in(value.strip())) is not None:
        raise PydanticCustomError("broker_address", "{reason}", {"reason": mistake})
    return ",".join(addresses_of(value))


def networks(value: Any) -> Any:
    """Addresses and networks, separated by commas."""
    if not isinstance(value, str):
        return value
    found = []
    for part in filter(None, (each.strip() for each in value.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError:
            raise PydanticCustomError(
                "networks",
                "{part} is neither an address nor a network; valid are, for example, 10.0.0.5, 10.244.0.0/16 or fd00::/8, separated by commas",
                {"part": repr(part[:60])},
            ) from None
    return tuple(found)


def host_names(value: Any) -> Any:
    """Names of hosts, separated by commas."""
    if not isinstance(value, str):
        return value
    names = tuple(each.strip().lower().rstrip(".") for each in value.split(",") if each.strip())
    for name in names:
        if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
            raise PydanticCustomError(
                "host_names",
                "{given} is not the name of a host; valid are, for example, worker.example.com, without scheme and port, separated by commas",
                {"given": repr(name[:60])},
            )
    return names


def token_text(value: Any) -> Any:
    """Refuse a token that can be guessed. The error does not quote it."""
    if isinstance(value, str):
        value = value.strip()
        if len(value) < SHORTEST_TOKEN or not value.isascii():
            raise PydanticCustomError(
                "admin_token",
                "the token is shorter than {least} characters or holds characters other than ASCII: make one with `openssl rand -hex 32`",
                {"least": SHORTEST_TOKEN},
            )
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(allow_inf_nan=False)]


Bytes = Annotated[int, BeforeValidator(size)]


class Settings(BaseModel):
    """Durations are in seconds. `repr` shows no password."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    amqp_url: Annotated[SecretStr, BeforeValidator(broker_address)] = Field(
        SecretStr("amqp://guest:guest@localhost:5672/"), description=f"address of the broker: {VALID}"
    )
    routes: Path = Field(Path("routes"), description="directory of the route files")
    on_broken_routes: Annotated[Literal["refuse", "skip"], BeforeValidator(lower)] = Field(
        "refuse", description="a route file with a mistake at the start: do not start, or run all other files and what refers to nothing in it"
    )
    reload: Annotated[Literal["watch", "signal", "off"], BeforeValidator(lower)] = Field(
        "watch", description="when changed route files are taken over: within 6 s of a change and at SIGHUP, at SIGHUP only, or never"
    )
    secrets: Path = Field(Path("/run/secrets"), description="directory of the files that ${file:NAME} in a route file reads")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = Field("info", description="lowest level of the log lines")
    log_format: Annotated[Literal["json", "console"] | None, BeforeValidator(lower)] = Field(
        None, description="format of the log lines; default: console on a terminal, otherwise json"
    )
    shutdown_grace: Seconds = Field(25.0, gt=0, le=3600, description="time for messages in flight to end after SIGTERM")
    admin_host: str = Field("127.0.0.1", min_length=1, description="interface of the admin port; 0.0.0.0 in a container")
    admin_port: int = Field(8080, ge=0, le=65535, description="port of the status page, /livez, /readyz and /metrics; 0 takes a free port, which the log names")
    admin_token: Annotated[SecretStr | None, BeforeValidator(token_text)] = Field(
        None,
        description=f"token with which an operator may act and see bodies on the status page, at least {SHORTEST_TOKEN} characters; without one the page is read-only",
    )
    admin_hosts: Annotated[tuple[str, ...], BeforeValidator(host_names)] = Field(
        (), description="names under which browsers reach the status page, separated by commas; localhost and IP addresses are always valid"
    )
    public_host: str = Field("127.0.0.1", min_length=1, description="interface of the public port; 0.0.0.0 in a container")
    public_port: int = Field(
        8081, ge=0, le=65535, description="port of webhooks and endpoints of runbooks, open only when a route has one; 0 takes a free port"
    )
    public_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(networks)] = Field(
        (), description="addresses or networks of reverse proxies in front of the public port, separated by commas; their X-Forwarded-For names the caller"
    )
    public_peer_connections: int = Field(
        64,
        ge=1,
        le=256,
        description="maximum connections to the public port from one IPv4 address or IPv6 /64; no limit for WORKER_PUBLIC_PROXIES",
    )
    budget_share: float = Field(
        1.0,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="part of each client's rate limit that all workers together use; the rest stays for other systems",
    )
    instance: str = Field(
        default_factory=socket.gethostname, min_length=1, description="name of this replica in logs and on the broker; default: the host name"
    )
    heartbeat: Annotated[int, BeforeValidator(seconds)] = Field(10, ge=1, le=60, description="heartbeat of the broker's connections, in whole seconds")
    expression_memory: int = Field(
        128, ge=64, le=4096, description="memory in MiB for one expression; two are evaluated at a time, and a message that needs more is dead-lettered"
    )
    max_message: Bytes = Field(
        16 * UNITS["mib"],
        ge=64 * UNITS["kib"],
        le=128 * UNITS["mib"],
        description="largest body that the worker reads, in bytes or as 16MiB; it dead-letters a larger message unread",
    )
    in_flight: Bytes = Field(
        64 * UNITS["mib"],
        ge=4 * UNITS["mib"],
        le=16 * UNITS["gib"],
        description="bytes of bodies in flight over all consumers; the worker takes about 100 MiB and up to 4 times this",
    )
    management_url: SecretStr | None = Field(
        None, description="address of RabbitMQ's management API, for `doctor` only: http://user:password@host:15672; the user needs the tag monitoring"
    )
    trace: bool = Field(
        default=True, description="keep what happens to each record and message for `halo-worker trace`, ids only, in the stream halo.trace (at most 128 MiB)"
    )
    turn: Seconds = Field(
        300.0, ge=10, le=1500, description="longest turn of a subscriber; keep it well below the broker's acknowledgement timeout of 30 minutes"
    )


def variables() -> dict[str, str]:
    """Return the description of every variable."""
    known = {PREFIX + name.upper(): field.description or "" for name, field in Settings.model_fields.items()}
    return known | {
        URL_FILE: "file that holds the address or addresses of the broker, instead of WORKER_AMQP_URL; read again at each connection",
        TOKEN_FILE: "file that holds the token of the status page, instead of WORKER_ADMIN_TOKEN; read at the start",
    }


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings of this environment; an empty variable counts as not set. Raises `ConfigError` with every problem, by variable."""
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value.strip() and not FOREIGN.fullmatch(name)}
    known = variables()
    problems = [Problem(name, 0, 0, _unknown(name, known)) for name in given if name not in known]
    values = {name.removeprefix(PREFIX).lower(): value for name, value in given.items() if name in known and name not in FILES}
    for name in FILES:
        if name in given:
            problems += _read_file(name, given[name], values)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError([*problems, *_problems(error, values)]) from None
    if problems:
        raise ConfigError(problems)
    return settings


def _unknown(name: str, known: Mapping[str, str]) -> str:
    near = nearest(name.removeprefix(PREFIX), [variable.removeprefix(PREFIX) for variable in known])
    hint = f"did you mean {' or '.join(PREFIX + word for word in near)}?" if near else f"valid are {', '.join(sorted(known))}"
    return f"there is no such setting; {hint}"


def _read_file(name: str, path: str, values: dict[str, str]) -> list[Problem]:
    if FILES[name] in values:
        return [Problem(name, 0, 0, f"{PREFIX}{FILES[name].upper()} is set as well; keep one of the two")]
    try:
        values[FILES[name]] = read_text(Path(path.strip()))
    except UnreadableFile as error:
        return [Problem(name, 0, 0, f"the file {path!r} {error}")]
    return []


def _problems(error: ValidationError, values: Mapping[str, str]) -> Iterator[Problem]:
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0])
        said = f"{values[name]!r} is not valid: " if name not in SECRET else ""
        message = detail["msg"] if detail["type"] in OWN_WORDS else f"{said}{detail['msg'][:1].lower()}{detail['msg'][1:]}"
        yield Problem(PREFIX + name.upper(), 0, 0, message)
