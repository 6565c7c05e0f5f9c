"""What clauses ask for: the service, its users, a container or a directory of their own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.capabilities import Capabilities
from conformance.plugin import identity
from conformance.wire import Credentials, Service, succeed
from conformance.wire.terms import CONTAINER, IS_PUBLIC
from conformance.workspace import fresh_name, remove_tree


@dataclass(slots=True)
class ServiceFixtures:
    """What the clauses of a service ask for; everything they make is below `root`."""

    target: Service
    root: str
    capabilities: Capabilities
    second_user: Credentials | None = None
    group_uri: str = ""
    another_group_uri: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @pytest.fixture
    def service(self, request: pytest.FixtureRequest) -> Service:
        """The service as the first user sees it, requests marked with the clause's id."""
        self.target.connection.clause = identity(request.node)[0]
        self.target.anonymous.clause = self.target.connection.clause
        return self.target

    @pytest.fixture
    def other(self, service: Service) -> Iterator[Service]:
        """The service as the second user sees it."""
        yield from self._user(service, self.second_user or Credentials())

    @pytest.fixture
    def stranger(self, service: Service) -> Iterator[Service]:
        """The service as somebody without credentials sees it."""
        yield from self._user(service, Credentials())

    def _user(self, service: Service, credentials: Credentials) -> Iterator[Service]:
        user = service.acting_as(credentials)
        user.connection.clause = service.connection.clause
        yield user
        user.connection.close()

    @pytest.fixture
    def flags(self) -> Capabilities:
        """What the service can do."""
        return self.capabilities

    @pytest.fixture
    def group(self) -> str:
        """The URI of a group that the second user is a member of."""
        return self.group_uri

    @pytest.fixture
    def another_group(self) -> str:
        """The URI of another group; where groups need not exist any name will do."""
        return self.another_group_uri or f"{self.group_uri}-too"

    @pytest.fixture
    def container(self, service: Service) -> Iterator[str]:
        """The path of an empty container of this clause's own, removed with all below it."""
        path = f"{self.root}/{next(self.numbers):03d}"
        succeed(service.nodes.put(path))
        yield path
        remove_tree(service, path)

    @pytest.fixture
    def open_container(self, service: Service, container: str) -> str:
        """The same, public: other users can come through it."""
        succeed(service.nodes.post(container, CONTAINER, {IS_PUBLIC: "true"}))
        return container


@dataclass(slots=True)
class MountFixtures:
    """What the clauses of a mount ask for."""

    mount: Path

    @pytest.fixture
    def directory(self) -> Iterator[Path]:
        """An empty directory of this clause's own, removed with all below it."""
        path = self.mount / fresh_name()
        path.mkdir()
        yield path
        shutil.rmtree(path)
