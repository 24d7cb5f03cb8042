"""A private, throw-away RabbitMQ node on the loopback interface, from the installed package."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.tools.ports import free_ports

T = TypeVar("T")
TAKEN = re.compile("already_used|eaddrinuse|Address already in use|epmd error")
PACKAGE = Path("/usr/lib/rabbitmq/bin")  # Debian's wrappers in /usr/sbin switch to another user; these do not
START_SECONDS = 240  # four nodes may start at once, on a machine that has other work; a node that cannot start ends, and is not waited for
TRIES = 3  # ports are chosen before the node takes them
STOP_SECONDS = 30
MEMORY, MEMINFO = Path("/dev/shm"), Path("/proc/meminfo")
PLENTY = 8 * 1024**3
"""Bytes: some nodes with what the tests put into them, and the tests themselves."""
OK = "{ok, "
PLUGINS = ("rabbitmq_management", "rabbitmq_prelaunch", "rabbitmq_web_dispatch")
CTL_SECONDS = 180  # rabbitmqctl starts a virtual machine of its own, which took more than 60 s at a load of 12
KNOBS = """\
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 50MB
max_message_size = 16777216
collect_statistics_interval = 60000
"""
CONF = (
    """\
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users = none
management.tcp.ip = 127.0.0.1
management.tcp.port = {api_port}
log.file.level = warning
log.console = false
"""
    + KNOBS
)


def find_server(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of RabbitMQ's commands; WORKER_TEST_RABBITMQ_HOME may point to an unpacked release of any version."""
    home = environment.get("WORKER_TEST_RABBITMQ_HOME")
    if home:
        folders = [Path(home) / "sbin", Path(home) / "bin"]
    else:
        on_path = shutil.which("rabbitmq-server", path=environment.get("PATH"))
        folders = [PACKAGE, Path(on_path).resolve().parent] if on_path else []
    return next((folder for folder in folders if (folder / "rabbitmq-server").is_file()), None)


def data_folder(memory: Path = MEMORY, meminfo: Path = MEMINFO) -> Path | None:
    """Where nodes keep their data: in memory if there is plenty, since each declaration and each confirm waits for the disk. None: with other temporary files."""
    try:
        available = int(meminfo.read_text().partition("MemAvailable:")[2].split()[0]) * 1024
        plenty = min(available, shutil.disk_usage(memory).free) >= PLENTY
    except (OSError, IndexError, ValueError):
        return None
    return memory if plenty and os.access(memory, os.W_OK) else None


def install_server(say: Callable[[str], None]) -> Path | None:
    """With apt-get, when we are root on a Debian. The package may start a service of its own; the tests use another node all the same."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    say("none is installed and no Docker answers; running: apt-get install rabbitmq-server (once, about a minute)")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "rabbitmq-server"]):
        done = subprocess.run([apt, *arguments], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode and arguments[0] == "install":  # an update may fail over one repository and still do
            say(f"apt-get could not install it: {done.stderr.strip()[-500:]}")
    return find_server()


# Holds the other end of a pipe from us: it ends when we do, however that comes, and then takes the node along.
WATCH = """cat >/dev/null; kill -KILL "-$1"
for attempt in 1 2 3 4 5; do sleep 1; epmd -port "$2" -kill && break; done
rm -rf "$3"
"""


class NotStarted(RuntimeError):
    """`taken`: another process has one of its ports. RabbitMQ says so long before its last line."""

    def __init__(self, said: str) -> None:
        super().__init__(f"RabbitMQ did not start; it said:\n{said[-3000:]}")
        self.taken = TAKEN.search(said) is not None


@dataclass(frozen=True)
class Ports:
    """Where a node listens, and where its port mapper (epmd) does."""

    amqp: int
    distribution: int
    epmd: int
    api: int

    @classmethod
    def free(cls) -> Ports:
        return cls(*free_ports(4))

    @property
    def name(self) -> str:
        """The node's name without its host."""
        return f"test{self.amqp}"


class Node:
    """One node with its own name, ports, cookie and folder. `shared_epmd`: its port mapper is not its own to end."""

    def __init__(self, commands: Path, folder: Path, conf: str = "", ports: Ports | None = None, *, cookie: str = "", shared_epmd: bool = False) -> None:
        self._commands = commands
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self.ports = ports or Ports.free()
        self._shared_epmd = shared_epmd
        self.port = self.ports.amqp
        self.epmd_port = self.ports.epmd
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}"
        self.api = f"http://127.0.0.1:{self.ports.api}"
        self._cookie = cookie or secrets.token_hex(16)
        self._environment = self._prepare(conf, self._cookie)

    def start(self, within: float = START_SECONDS) -> None:
        """Returns when AMQP and the management API answer. Raises `NotStarted`, and leaves the process as it is, when they do not."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._commands / "rabbitmq-server"],
                env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCH, "watch", str(self._process.pid), str(self.epmd_port), str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until = time.monotonic() + within
        while not answers(f"{self.api}/api/index.html") or not listens(self.port):
            if self._process.poll() is not None or time.monotonic() > until:
                raise NotStarted((self.folder / "output").read_text(errors="replace"))
            time.sleep(0.05)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As if the power failed."""
        self._end(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """To its whole process group: SIGSTOP and SIGCONT pause it and let it go on."""
        if self._process is not None and self.running:
            os.killpg(self._process.pid, number)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it for good, with its epmd, which otherwise outlives it. Nobody needs its data: a graceful stop takes six seconds."""
        self._end(signal.SIGKILL)
        epmd = None if self._shared_epmd else shutil.which("epmd")
        until = time.monotonic() + STOP_SECONDS
        while epmd and accepts(self.epmd_port) and time.monotonic() < until:  # it refuses until it has noticed that the node is gone
            with suppress(subprocess.TimeoutExpired):  # somebody else's server is there, and says nothing
                subprocess.run([epmd, "-port", str(self.epmd_port), "-kill"], capture_output=True, check=False, timeout=STOP_SECONDS)
            time.sleep(0.05)

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` says. `eval` goes without it where that can be: it takes two seconds of the machine's time to start."""
        if arguments[0] == "eval" and (said := self._evaluated(arguments[1])) is not None:
            return said
        done = subprocess.run(
            [self._commands / "rabbitmqctl", "-n", self._environment["RABBITMQ_NODENAME"], *arguments],
            env=self._environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=CTL_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _evaluated(self, expressions: str) -> str | None:
        """What they yield, as Erlang's small client says; nothing where it is not there or cannot speak to this node. Raises `RuntimeError`."""
        client = shutil.which("erl_call")
        if client is None:
            return None
        done = subprocess.run(
            [client, "-n", self._environment["RABBITMQ_NODENAME"], "-c", self._cookie, "-e"],
            env=self._environment, input=f"{expressions}\n", capture_output=True, text=True, check=False, timeout=CTL_SECONDS,
        )  # fmt: skip
        if done.returncode:
            return None
        if not done.stdout.startswith(OK):
            raise RuntimeError(f"eval {expressions}: {done.stdout.strip()}")
        return f"{done.stdout.removeprefix(OK).removesuffix('}')}\n"

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.kill()
            self._watcher.wait(STOP_SECONDS)
            self._watcher.stdin.close()
            self._watcher = None
        group = self._process.pid  # the script starts the Erlang machine in its own process group
        try:
            os.killpg(group, how)
            self._process.wait(STOP_SECONDS)
        except ProcessLookupError:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(group, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
        until = time.monotonic() + STOP_SECONDS
        while listens(self.port) and time.monotonic() < until:
            time.sleep(0.02)
        self._process = None

    def _prepare(self, conf: str, shared: str) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir()
        cookie = home / ".erlang.cookie"
        cookie.write_text(shared)
        cookie.chmod(0o400)
        (self.folder / "rabbitmq.conf").write_text(CONF.format(port=self.port, api_port=self.ports.api) + conf)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return (
            inherited
            | self._offered_plugins()
            | {
                "HOME": str(home),
                "ERL_EPMD_PORT": str(self.ports.epmd),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"{self.ports.name}@localhost",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(self.ports.distribution),
                "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
                "RABBITMQ_LOG_BASE": str(self.folder / "log"),
                "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.folder / "plugins"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
                "RABBITMQ_PID_FILE": str(self.folder / "pid"),
                "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
                "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                # a node that came back soon could wait for `global` for ever; RabbitMQ sets this itself from 3.11 on
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -kernel prevent_overlapping_partitions false +S 2:2",
            }
        )

    def _offered_plugins(self) -> dict[str, str]:
        """Only what the management plugin needs: a node reads about all plugins of its release, and that is a seventh of its start."""
        release = (self._commands / "rabbitmq-server").resolve().parents[1] / "plugins"
        if not release.is_dir():
            return {}
        offered = self.folder / "offered"
        offered.mkdir()
        for plugin in release.iterdir():
            if not plugin.name.startswith("rabbitmq_") or plugin.name.startswith(PLUGINS):
                (offered / plugin.name).symlink_to(plugin)
        return {"RABBITMQ_PLUGINS_DIR": str(offered)}


@contextmanager
def private_node(commands: Path, conf: str = "") -> Iterator[Node]:
    """A started node; at exit nothing of it is left. `conf` are further lines of its rabbitmq.conf. Raises `NotStarted`."""
    node = started(commands, conf)
    try:
        yield node
    finally:
        discard(node)


def started(commands: Path, conf: str) -> Node:
    return on_free_ports(lambda: Node(commands, Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=data_folder())), conf), Node.start, discard)


def on_free_ports(make: Callable[[], T], start: Callable[[T], None], discard: Callable[[T], None]) -> T:
    """What was made and started: where another process took one of its ports meanwhile, it is made again with others."""
    for left in reversed(range(TRIES)):
        made = make()
        try:
            start(made)
        except BaseException as error:
            discard(made)
            if not left or not is_taken(error):
                raise
        else:
            return made
    raise AssertionError("the last try returns or raises")


def is_taken(error: BaseException) -> bool:
    return error.taken if isinstance(error, NotStarted) else isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def discard(node: Node) -> None:
    node.close()
    shutil.rmtree(node.folder, ignore_errors=True)


def listens(port: int) -> bool:
    """Whether a broker answers there: a wrong protocol header is answered with the right one."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"AMQP\x00\x00\x00\x00")
            connection.settimeout(2)
            return connection.recv(4) == b"AMQP"
    except OSError:
        return False


def accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
