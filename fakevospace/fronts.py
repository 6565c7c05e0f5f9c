"""The two fronts of a fake, as whoever opened them sees them: served on a port, or in process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fakevospace.environment import Contact, seed_home
from fakevospace.server import Server

if TYPE_CHECKING:
    from fakevospace.fake import FakeVOSpace


class ServedFake:
    """A fake that answers on a port; made by `FakeVOSpace.serve`."""

    def __init__(self, fake: FakeVOSpace, server: Server) -> None:
        self._fake = fake
        self._server = server

    @property
    def fake(self) -> FakeVOSpace:
        """The service behind it."""
        return self._fake

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self._server.url

    @property
    def vospace(self) -> str:
        """The short name of the root for the vos tools, e.g. `vault:`."""
        return self._fake.personality.short_name

    @property
    def certificate_authority(self) -> bytes | None:
        """The PEM certificate that clients must trust, None without TLS."""
        return self._server.certificate_authority

    def client_certificate(self, user: str) -> bytes:
        """Make a client certificate for a user, with its key, as PEM (`--certfile` of vos).

        Raises:
            ValueError: served without TLS.
        """
        return self._server.client_certificate(user)

    def environment(self, home: Path) -> dict[str, str]:
        """Make `home` a HOME from which the vos tools find this service.

        Args:
            home: an existing directory; it stays the caller's.
        Returns:
            The variables to set.
        """
        service = self._fake.personality
        token = self._fake.first_token
        return seed_home(home, Contact(self.url, service.service, service.resource_id, token))


@dataclass(frozen=True, slots=True)
class InProcessFake:
    """A fake that answers the requests of this process; made by `FakeVOSpace.in_process`.

    Attributes:
        url: scheme and host of the service; nothing listens there.
        vospace: the short name of the root for the vos tools, e.g. `vault:`.
        home: the HOME that this process has meanwhile.
    """

    fake: FakeVOSpace
    url: str
    vospace: str
    home: Path
