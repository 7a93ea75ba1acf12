"""A worker, a cache and locks that count, for graphs of named steps."""

import hashlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from tierce.errors import NotFound
from tierce.graph.ops import Copy, CopyPart, Exec, HttpSource, LocalSource, Scratch
from tierce.graph.vertex import Vertex
from tierce.solver.cache import Content, Keys, key_of
from tierce.solver.progress import Event, VertexFinished, VertexStarted
from tierce.solver.scheduler import Solver
from tierce.solver.types import CacheRecord, Origin, Step
from tierce.values import Value

Action = Callable[[Step, Sequence[str]], str]
"""What a step does with the texts of its inputs: it returns its own."""


def base(name: str = "base") -> Vertex:
    """A source that is known by its name."""
    return Vertex(Exec((name,)), name=name)


def scratch() -> Vertex:
    return Vertex(Scratch())


def context(name: str = "context") -> Vertex:
    """A source that only its content tells."""
    return Vertex(LocalSource(name), name=name)


def remote(name: str, checksum: str = "") -> Vertex:
    """A source that is elsewhere; with a checksum, nobody has to ask what it is."""
    return Vertex(HttpSource(name, name, checksum), name=name)


def run(name: str, *inputs: Vertex, shown: str | None = None, ignore_cache: bool = False) -> Vertex:
    """A step that is known by its definition."""
    shown = name if shown is None else shown
    return Vertex(Exec((name,)), inputs, name=shown, ignore_cache=ignore_cache)


def copy(name: str, *inputs: Vertex, ignore_cache: bool = False) -> Vertex:
    """A step that is known by the content of its second input, which is read as it runs."""
    return Vertex(Copy((CopyPart(1, (name,)),), "/"), inputs, name=name, ignore_cache=ignore_cache)


def bind(name: str, *inputs: Vertex) -> Vertex:
    """As `copy`, but the content is read before it runs."""
    return Vertex(Exec((name,), cwd="/bind"), inputs, name=name)


class Result(Value):
    """What a step gave: a snapshot's number, and the text that is in it."""

    snapshot: int
    text: str


class Record(Value):
    id: int
    key: str
    snapshot: int | None
    name: str
    components: bytes
    origin: Origin | None = None


class Records:
    """An in-memory cache; says which keys were asked for."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self.asked: list[str] = []
        self._by_key: dict[str, Record] = {}
        self._lock = threading.Lock()

    def find(self, keys: Sequence[str]) -> CacheRecord | None:
        with self._lock:
            self.asked += keys
            return next((self._by_key[key] for key in keys if key in self._by_key), None)

    def has(self, key: str) -> bool:
        return key in self._by_key

    def add(
        self, keys: Sequence[str], snapshot: int | None, name: str, components: bytes = b""
    ) -> CacheRecord:
        with self._lock:
            record = Record(len(self.all), keys[0], snapshot, name, components)
            self.all.append(record)
            self._by_key |= dict.fromkeys(keys, record)
            return record

    def add_keys(self, number: int, keys: Sequence[str]) -> None:
        with self._lock:
            if all(record.id != number for record in self.all):
                raise NotFound("cache record", str(number))
            self._by_key |= dict.fromkeys(keys, self.all[number])

    def names(self) -> list[str]:
        return [record.name for record in self.all]


class Locks:
    """Locks by key, between threads; says which were held."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks[key]
        with lock:
            self.held.append(key)
            yield


class World:
    """Everything that outlives a build, and what was done in it.

    `actions` are what steps do, by name; a step without one gives its name and its inputs' texts.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {"context": "files"}
        self.elsewhere: dict[str, str] = {}
        """What remote sources are now, by name."""
        self.actions: dict[str, Action] = {}
        self.snapshots: dict[int, str] = {}
        self.records = Records()
        self.locks = Locks()
        self.runs: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.events: list[Event] = []
        self._numbers = count(1)
        self._lock = threading.Lock()

    def solve(self, *roots: Vertex, cancelled: threading.Event | None = None) -> list[str]:
        """Solve with a new worker and solver; the texts of the results."""
        solver = Solver(
            FakeWorker(self), self.records, self.locks, self.listen, cancelled=cancelled
        )
        return [result.text for result in solver.solve(roots)]

    def listen(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def make(self, text: str) -> Result:
        with self._lock:
            number = next(self._numbers)
            self.snapshots[number] = text
            return Result(number, text)

    def of(self, name: str) -> list[Event]:
        """The events of the steps that are shown by a name."""
        vertices = {
            event.vertex
            for event in self.events
            if isinstance(event, VertexStarted) and event.name == name
        }
        return [event for event in self.events if event.vertex in vertices]

    def ends(self) -> dict[str, VertexFinished]:
        """How each step that is shown ended, by name."""
        names = {e.vertex: e.name for e in self.events if isinstance(e, VertexStarted)}
        return {names[e.vertex]: e for e in self.events if isinstance(e, VertexFinished)}


class FakeWorker:
    """Implements `tierce.solver.types.Worker` over a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._resolved: dict[str, str] = {}

    def is_remote(self, vertex: Vertex) -> bool:
        return isinstance(vertex.op, HttpSource)

    def resolve(self, vertex: Vertex, step: Step) -> Result | None:
        """Asks for what is there; a name that begins with "file" is only known by fetching it."""
        op = vertex.op
        assert isinstance(op, HttpSource)
        with self._world._lock:
            self._world.runs[f"resolve {op.name}"] += 1
        action = self._world.actions.get(f"resolve {op.name}")
        if action:
            action(step, [])
        self._resolved[op.name] = op.checksum or self._world.elsewhere[op.name]
        if not op.name.startswith("file"):
            return None
        self._world.runs[op.name] += 1
        return self._world.make(self._resolved[op.name])

    def open_source(self, vertex: Vertex, users: Sequence[Vertex], step: Step) -> Result:
        if isinstance(vertex.op, LocalSource):
            return Result(0, self._world.files[vertex.op.name])
        return Result(0, vertex.name)

    def source_key(self, vertex: Vertex) -> str:
        return "" if isinstance(vertex.op, LocalSource) else key_of("source", [vertex.op_digest])

    def keys(self, vertex: Vertex, input_keys: Sequence[str]) -> Keys:
        if isinstance(vertex.op, HttpSource):
            name = vertex.op.name
            return Keys(key_of("remote", [self._resolved[name]]), key_of("address", [name]))
        by_content = _reads(vertex)
        others = input_keys[:1] if by_content else input_keys
        return Keys(
            definition=key_of("definition", [vertex.op_digest, *input_keys])
            if all(input_keys)
            else "",
            near=key_of("near", [vertex.op_digest, *others]) if all(others) else "",
            by_content=by_content,
            reads_first=by_content and isinstance(vertex.op, Exec),
        )

    def content(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result | None]
    ) -> Content | None:
        read = inputs[1]
        if read is None:
            return None
        self._world.reads[vertex.name] += 1
        if read.text == "unreadable":
            raise NotFound("file", vertex.name)
        digest = hashlib.sha256(read.text.encode()).hexdigest()
        key = key_of("content", [vertex.op_digest, input_keys[0], digest])
        return Content(key)

    def run(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result], step: Step
    ) -> tuple[Result, Content | None]:
        name = _name(vertex)
        with self._world._lock:
            self._world.runs[name] += 1
        texts = [each.text for each in inputs]
        action = self._world.actions.get(name)
        if isinstance(vertex.op, HttpSource):
            text = self._resolved[name]
        else:
            text = action(step, texts) if action else f"{name}({', '.join(texts)})"
        read = _reads(vertex) and not isinstance(vertex.op, Exec)
        content = self.content(vertex, input_keys, inputs) if read else None
        return self._world.make(text), content

    def components(
        self, vertex: Vertex, input_keys: Sequence[str], inputs: Sequence[Result]
    ) -> bytes:
        return " ".join(["read", *[each.text for each in inputs[1:]]]).encode()

    def snapshot_of(self, value: Result) -> int | None:
        return value.snapshot

    def restore(self, record: CacheRecord) -> Result | None:
        assert record.snapshot is not None
        text = self._world.snapshots.get(record.snapshot)
        return None if text is None else Result(record.snapshot, text)


def _reads(vertex: Vertex) -> bool:
    op = vertex.op
    return isinstance(op, Copy) or (isinstance(op, Exec) and op.cwd == "/bind")


def _name(vertex: Vertex) -> str:
    op = vertex.op
    if isinstance(op, HttpSource):
        return op.name
    assert isinstance(op, Copy | Exec)
    return op.parts[0].sources[0] if isinstance(op, Copy) else op.args[0]
