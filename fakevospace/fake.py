"""`FakeVOSpace`: a VOSpace service to test against, and direct hands on its state.

The public face of the package.  Clients talk to it over HTTP (`serve`); tests prepare and look at
its tree directly, past all permissions and faults, and without a trace in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from fakevospace import snapshots
from fakevospace.access import AccessRules, Caller, Users
from fakevospace.clock import ServiceClock
from fakevospace.describe import shown_properties
from fakevospace.environment import Contact
from fakevospace.faultboard import FaultBoard
from fakevospace.faults import Rule
from fakevospace.fronts import InProcessFake, ServedFake
from fakevospace.generation import generate
from fakevospace.hands import found, load_bytes, store_bytes, tidy
from fakevospace.journal import Journal
from fakevospace.names import split_path
from fakevospace.nodes import Kind, Node, NodeDraft
from fakevospace.personalities import personality_named
from fakevospace.personality import Personality
from fakevospace.properties import IS_PUBLIC, merged
from fakevospace.sample import sample_files
from fakevospace.server import BODY_RATE, BODY_S, HEAD_S, Server
from fakevospace.service import Service
from fakevospace.snapshots import Snapshot
from fakevospace.state import State

SAMPLE_CONTAINER = "sample"


class FakeVOSpace:
    """A VOSpace service.

    Attributes:
        personality: which kind of service it is.
        journal: what clients asked, in order.
        faults: what goes wrong.
        clock: what time it is; it can be moved.
    """

    personality: Personality
    journal: Journal
    faults: FaultBoard
    clock: ServiceClock

    def __init__(
        self,
        personality: str = "vault",
        data: Path | str | None = None,
        clock: Callable[[], float] = time.time,
        sample: bool = False,
        tokens: Sequence[str] = (),
        page_cap: int = 0,
        faults: Iterable[Rule] = (),
        users: Sequence[str] = (),
        groups: Mapping[str, Iterable[str]] | None = None,
        allocation_parents: Iterable[str] = ("",),
    ) -> None:
        """Make a service that nobody can reach yet.

        Args:
            personality: `vault`, `cavern`, `datalab` or `spec`.
            data: directory where everything is kept; None for memory.
            clock: seconds since 1970, for all dates of nodes and jobs.
            sample: put small FITS files into `/sample`, where they are not yet.
            tokens: `T` or `USER:T`; with any, the service is strict about who is who.
            page_cap: longest listing in nodes, silently cut; 0 for no cap.
            faults: rules in force from the start.
            users: those who come with a client certificate instead of a token; with any, the
                service is strict too.
            groups: name (or URI) of each group, and the users in it.
            allocation_parents: paths of containers whose children are allocations.
        Raises:
            UnknownPersonality: there is none of that name.
            DataDirectoryError: `data` cannot be used.
        """
        self.personality = personality_named(personality)
        kind = self.personality
        rules = AccessRules(
            frozenset(tidy(path) for path in allocation_parents), kind.anonymous_writes
        )
        known = Users(tokens, names=users, groups=groups, rules=rules, basic=kind.auth_paths)
        self._state = State(
            self.personality,
            data=None if data is None else Path(data),
            clock=clock,
            users=known,
            page_cap=page_cap,
            rules=tuple(faults),
        )
        self._service = Service(self._state)
        self._servers = 0
        self.first_token = known.first_token
        self._hand = Caller(known.root_owner, admin=True, authenticated=True)
        self.journal = self._state.journal
        self.faults = self._state.faults
        self.clock = self._state.clock
        if sample:
            self._state.at_reset = self._add_sample
            self._add_sample()

    def _add_sample(self) -> None:
        with self._state.lock:
            if self._state.tree.at(SAMPLE_CONTAINER) is None:
                self.mkdir(SAMPLE_CONTAINER)
                self.set_property(SAMPLE_CONTAINER, IS_PUBLIC, "true")
            for name, data in sample_files().items():
                path = f"{SAMPLE_CONTAINER}/{name}"
                if self._state.tree.at(path) is None:
                    self.put(path, data)
                    self.set_property(path, IS_PUBLIC, "true")

    @contextmanager
    def serve(
        self,
        port: int = 0,
        tls: bool = False,
        body_timeout_s: float = BODY_S,
        head_timeout_s: float = HEAD_S,
        body_rate: float = BODY_RATE,
    ) -> Iterator[ServedFake]:
        """Answer on a port of the loopback interface while the context lasts.

        Args:
            port: 0 for any free one.
            tls: HTTPS with a certificate made for the occasion.
            body_timeout_s: seconds that an upload may pause.
            head_timeout_s: seconds that the head of a request may take.
            body_rate: bytes per second; the waiting for an upload may take `body_timeout_s` and
                its size at this rate.
        Raises:
            OSError: the port is taken.
            ValueError: a limit is not above 0.
        """
        server = Server(
            self._service,
            port=port,
            tls=tls,
            body_s=body_timeout_s,
            head_s=head_timeout_s,
            body_rate=body_rate,
        )
        self._servers += 1
        self.faults.restrict({})
        server.start()
        try:
            yield ServedFake(self, server)
        finally:
            self._servers -= 1
            server.close()

    @contextmanager
    def in_process(self, host: str = "fake.test") -> Iterator[InProcessFake]:
        """Answer what this process asks with `requests`, over no socket, while the context lasts.

        Needs the package `responses`.  HOME and the variables of the vos tools are others
        meanwhile, so that `vos.Client()` finds the service.

        Args:
            host: of the service's URL.
        Raises:
            FaultNotPossible: a fault stands that needs a connection (see `inprocess`).
        """
        from fakevospace import inprocess  # responses and requests are needed for nothing else

        kind, url = self.personality, f"https://{host}"
        contact = Contact(url, kind.service, kind.resource_id, self.first_token)
        with inprocess.answering(
            self._service, self.faults, contact, restrict=not self._servers
        ) as home:
            yield InProcessFake(self, url, kind.short_name, home)

    def snapshot(self) -> Snapshot:
        """Keep nodes, bytes and jobs as they are now; `restore` puts them back, also twice."""
        return snapshots.take(self._state)

    def restore(self, snapshot: Snapshot) -> None:
        """Make nodes, bytes and jobs what they were; journal, faults and clock stay."""
        snapshots.put_back(self._state, snapshot)

    def reset(self) -> None:
        """Be as new: an empty tree (or the sample files), no jobs, faults or journal."""
        snapshots.start_over(self._state)

    def generate(self, path: str, count: int) -> None:
        """Make a container with `count` empty data nodes that cost nothing until looked at.

        Raises:
            ValueError: the path is taken.
        """
        generate(self._state, path.strip("/"), count)

    def close(self) -> None:
        """Let go of the data directory; the object cannot be used after that."""
        self._state.close()

    def __enter__(self) -> FakeVOSpace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def put(self, path: str, data: bytes) -> None:
        """Store bytes at a path, making the data node when it is missing; whole and at once.

        Raises:
            Refusal: the container is missing, or the path is no data node.
        """
        store_bytes(self._state, tidy(path), data, self._hand)

    def get(self, path: str) -> bytes:
        """Return the bytes at a path.

        Raises:
            FileNotFoundError: there is no such data node.
        """
        return load_bytes(self._state, tidy(path))

    def mkdir(self, path: str) -> None:
        """Make a container, and those above it that are missing."""
        state, where = self._state, tidy(path)
        with state.lock:
            if where and state.tree.at(where) is None:
                self.mkdir(split_path(where)[0])
                draft = NodeDraft(state.space.uri(where), Kind.CONTAINER, {})
                state.space.create(where, draft, self._hand)

    def delete(self, path: str) -> None:
        """Delete a node and what is below it, locks or not.

        Raises:
            FileNotFoundError: there is no such node.
        """
        state = self._state
        with state.lock:
            node = self._found(path)
            for child in list(node.children):
                self.delete(child.path)
            if node.content is not None:
                state.store.delete(node.content)
            state.tree.discard(node)

    def exists(self, path: str) -> bool:
        """Tell whether there is a node at exactly that path."""
        with self._state.lock:
            return self._state.tree.at(tidy(path)) is not None

    def node(self, path: str) -> dict[str, str]:
        """Return the properties of a node as the service shows them, and its `type`.

        Raises:
            FileNotFoundError: there is no such node.
        """
        with self._state.lock:
            node = self._found(path)
            return {"type": node.kind.value} | shown_properties(self._state.space, node)

    def set_property(self, path: str, uri: str, value: str | None) -> None:
        """Set a property, or delete it with None; no rule is asked.

        Raises:
            FileNotFoundError: there is no such node.
        """
        with self._state.lock:
            node = self._found(path)
            node.properties = merged(node.properties, {uri: value})
            self._state.tree.touch(node)

    def _found(self, path: str) -> Node:
        return found(self._state, tidy(path))
