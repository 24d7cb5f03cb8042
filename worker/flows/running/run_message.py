"""A run of a runbook as a message: which step is next, everything that the steps before it found, and the runs that wait for its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid5

from worker.config.run_values import Values
from worker.core.entropy import new_id
from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode
from worker.core.message import Delivery, Message, identity_of
from worker.core.topology import RUNS
from worker.flows.running.compression import compress_and_weigh, compress_and_weigh_in_thread, decompress
from worker.flows.running.iteration import Iteration, RunFailure
from worker.flows.running.run_shape import LATER, UNCHANGED_MEMBERS, document_of, fits, later_members, plain_members, unchanged_members

VERSION = 1
RESPONSE_LIMIT = 256 * 1024
MAX_RUN_DEPTH = MAX_DEPTH + 6  # a variable may be as deep as any document, and is at most six levels down: in the run that `returned` holds
STARTS = UUID("6f1c2f4e-7f0a-4c57-9c0e-1f5b8f6a7d11")  # the namespace of run ids that are derived from the start of a run


@dataclass(frozen=True, slots=True)
class ChildResult:
    """The end of a run that this one waited for: its last state, or why it failed."""

    run: Run | None = None
    failure: RunFailure | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `step` None: nothing is done yet, and `request` is the starting payload. `status`, `response`: of the last method or action.

    `visit` counts the messages of the run. `steps` counts the steps that it began, for each element of an iteration from 0. `callers`: the runs that wait for
    its end, outermost first. If the last caller iterates, this run is one of its elements. `variables` and `plain` then hold the differences from that run's,
    `removed` the names that this run no longer has, and `request` is that run's. `each`: the iteration of the step, once it has begun. `catches`: of a caller,
    whether a failure of the run below goes to it. `depth`: the number of starts above this run.
    """

    id: str
    runbook: str
    step: str | None = None
    visit: int = 0
    variables: Mapping[str, Any] = field(default_factory=dict)
    plain: tuple[str, ...] = ()
    status: int | None = None
    response: Any = None
    request: Any = None
    started: str = ""
    steps: int = 0
    depth: int = 0
    removed: tuple[str, ...] = ()
    catches: bool = False
    each: Iteration | None = None
    callers: tuple[Run, ...] = ()
    returned: ChildResult | None = None
    packed: str = field(default="", compare=False, repr=False)
    """The text of the members that do not change while the run waits, once it is written."""
    weighs: int = field(default=0, compare=False, repr=False)
    """Bytes of memory that this text takes decompressed: see `worker.core.compressed_content`."""

    def values(self) -> Values:
        base = self._base()
        variables = {name: value for name, value in base.variables.items() if name not in self.removed} | dict(self.variables)
        plain = {name for name in base.plain if name in variables and name not in self.variables} | set(self.plain)
        return Values(variables, frozenset(plain), self.status, self.response, base.request if self.is_element else self.request)

    @property
    def is_element(self) -> bool:
        return bool(self.callers) and self.callers[-1].each is not None

    @property
    def root(self) -> str:
        """The id of the outermost run: the correlation id of the messages of all these runs."""
        top = self.callers[0] if self.callers else self
        return top.each.origin or top.id if top.each is not None else top.id

    def next(self, step: str, values: Values) -> Self:
        """Return the run at its next step, without an answer that is too large to travel."""
        begun = self.with_values(values).without_large_response()
        return replace(begun, step=step, visit=self.visit + 1, steps=self.steps + 1, each=None, returned=None)

    def without_large_response(self) -> Self:
        """Return the run without an answer that is too large to travel."""
        return self if len(encode(self.response)) <= RESPONSE_LIMIT else replace(self, response=None, packed="")

    def with_values(self, values: Values) -> Self:
        """Return the run with these values. An element does not copy a value that it has from its caller."""
        base = self._base()
        own = {name: value for name, value in values.variables.items() if not same(name, values, base)}
        plain = tuple(sorted(values.plain & own.keys())) if self.is_element else tuple(sorted(values.plain))
        removed = tuple(sorted(base.variables.keys() - values.variables.keys()))
        return replace(self, variables=own, plain=plain, removed=removed, status=values.status, response=values.response, packed="")

    def _base(self) -> Values:
        """The values of the run whose element this is."""
        return replace(self.callers[-1], callers=self.callers[:-1]).values() if self.is_element else Values()

    def message(self) -> Message:
        """Return the message of the run, without an id. Raises `Undecodable` when it is too large to travel.

        Each publish then gives it an id of its own, so that of several copies only one wins its claim.
        """
        body = encode({"v": VERSION} | self.document())
        if len(body) > MAX_BYTES:
            raise Undecodable(f"the run with its payload and variables has {len(body):,} bytes; at most {MAX_BYTES:,} are allowed")
        return Message(body, correlation_id=self.root)

    def waiting(self) -> Self:
        """Return the run as it waits for others: its unchanging members are compressed once. Raises `Undecodable`."""
        if self.packed:
            return self
        text, weighs = compress_and_weigh(self._unchanged_members())
        return replace(self, packed=text, weighs=weighs)

    async def at_rest(self) -> Self:
        """As `waiting`; large members are compressed in a thread. Raises `Undecodable`."""
        if self.packed:
            return self
        text, weighs = await compress_and_weigh_in_thread(self._unchanged_members())
        return replace(self, packed=text, weighs=weighs)

    def _unchanged_members(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in UNCHANGED_MEMBERS}

    def document(self) -> dict[str, Any]:
        """Return the members as JSON values. A member that only some runs have is left out where it is absent."""
        returned = None
        if self.returned is not None:
            ended, failure = self.returned.run, self.returned.failure
            returned = {"run": None if ended is None else ended.document(), "failure": None if failure is None else asdict(failure)}
        each = None if self.each is None else self.each.document()
        if each is not None:
            self = self.waiting()  # noqa: PLW0642 - the same run
        return document_of(self, {"each": each, "returned": returned, "callers": [caller.document() for caller in self.callers]})

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises `Undecodable`."""
        document = decode(body, max_depth=MAX_RUN_DEPTH)
        if not isinstance(document, dict) or document.get("v") != VERSION:
            raise Undecodable("the message is not a run of a runbook")
        return cls.of(document)

    @classmethod
    def of(cls, document: Any, *, alone: bool = False) -> Self:
        """Return the run of a document. `alone`: the run is inside another run, and has no callers. Raises `Undecodable`."""
        if isinstance(document, dict) and isinstance(text := document.get("packed"), str):
            document = document | unchanged_members(decompress(text))
        if not isinstance(document, dict):
            raise Undecodable("the run has a member of the wrong type")
        try:
            values = {item.name: document[item.name] for item in fields(cls) if item.name not in LATER and item.name != "packed"}
        except KeyError as missing:
            raise Undecodable(f"the run lacks its member {missing}") from None
        later = later_members(document)
        if not fits(values | later) or (alone and (later["callers"] or later["returned"])):
            raise Undecodable("the run has a member of the wrong type")
        return cls(
            **plain_members(values | later),
            each=None if later["each"] is None else Iteration.read(later["each"]),
            callers=tuple(cls.of(caller, alone=True) for caller in later["callers"]),
            returned=cls._returned(later["returned"]),
            packed=document["packed"] if isinstance(document.get("packed"), str) else "",
        )

    @classmethod
    def _returned(cls, document: Mapping[str, Any] | None) -> ChildResult | None:
        if document is None:
            return None
        ended, failure = document.get("run"), document.get("failure")
        try:
            failed = None if failure is None else RunFailure(**failure)
            if failed is not None:
                failed.check()
        except (TypeError, ValueError):
            raise Undecodable("the run has a member of the wrong type") from None
        return ChildResult(None if ended is None else cls.of(ended, alone=True), failed)


def same(name: str, values: Values, base: Values) -> bool:
    """Whether an element has this variable from its caller."""
    return name in base.variables and values.variables[name] is base.variables[name] and (name in values.plain) == (name in base.plain)


def run_queue(runbook: str) -> str:
    return f"{RUNS}{runbook}"


def start_message(runbook: str, run_id: str, request: Any, now: float) -> Message:
    """Return the message that starts a run with this payload; publish it to `run_queue(runbook)`. Two messages with one run id start one run."""
    return Run(run_id, runbook, request=request, started=iso(now)).message()


def iso(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat()


def run_id_of(source: str, identity: str) -> str:
    """Return the run id that is derived from the start of a run: a copy of the start is the same run."""
    return uuid5(STARTS, f"{source}\n{identity}").hex


def started_by(delivery: Delivery) -> str:
    """Return the run id of a starting message, from its queue, its id and its content, since senders choose their ids freely.

    Without an id each message starts a run.
    """
    queue, message_id, content = identity_of(delivery)
    return run_id_of(queue, f"{message_id}\n{content.hex()}") if message_id else new_id()
