"""A served fake of either personality and a VosRemote on it; needs sockets on the loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace
from vofs.core.uris import parse_vospace
from vofs.remote.credentials import Credential, Token
from vofs.remote.vosclient import VosRemote


@dataclass(frozen=True)
class Stage:
    """One fake, served, and the remote under test."""

    fake: FakeVOSpace
    remote: VosRemote
    url: str

    def requests(self) -> list[tuple[str, str]]:
        """Return (method, endpoint) of what was asked since the last call."""
        seen = [(entry.method, entry.endpoint) for entry in self.fake.journal]
        self.fake.journal.clear()
        return seen


Open = Callable[..., Stage]


@pytest.fixture
def open_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return a function that serves a fake and makes a remote on it."""
    with ExitStack() as stack:

        def open_it(
            personality: str = "vault",
            credential: Credential | None = None,
            timeout_s: float = 10.0,
            tls: bool = False,
            insecure: bool = False,
            trusting: bool = True,
            **fake_options: object,
        ) -> Stage:
            fake = stack.enter_context(FakeVOSpace(personality, **fake_options))  # type: ignore[arg-type]
            server = stack.enter_context(fake.serve(tls=tls))
            # vos computed the place of its registry cache from HOME when it was imported.
            home = tmp_path / server.url.rpartition(":")[2]
            home.mkdir()
            for name, value in server.environment(home).items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(
                "cadcutils.net.ws.CACHE_LOCATION", str(home / ".config" / "cadc-registry")
            )
            ca_file = None
            if server.certificate_authority is not None and trusting:
                ca_file = home / "ca.pem"
                ca_file.write_bytes(server.certificate_authority)
            remote = VosRemote(
                parse_vospace(server.vospace),
                credential or Token("any"),
                insecure=insecure,
                ca_file=ca_file,
                timeout_s=timeout_s,
            )
            stack.callback(remote.close)
            fake.journal.clear()
            return Stage(fake, remote, server.url)

        yield open_it


@pytest.fixture(params=["vault", "cavern"])
def stage(request: pytest.FixtureRequest, open_stage: Open) -> Stage:
    """One stage for each personality."""
    return open_stage(request.param)
