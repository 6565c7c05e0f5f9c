"""Listings: the children of a container, all of them, as their document arrives.

Decides how to page.  On services that page, a page begins with the last child of the one before
(protocol.md 4.3), and a service may cap pages without saying so: a page shorter than asked for is
believed complete only when a longer page was already seen from this service, which shows that it
was not cut; else one more page is asked for.  A page that brings nothing new is the end.

Invariants: a listing that cannot be completed raises; no child is given twice; children whose names
no file system can hold are left out with one warning, never an error (behaviours.md row 18).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from vofs.core.nodexml import ListingParser, TypedNode
from vofs.core.uris import ServiceUri, url_path
from vofs.remote.discovery import Service
from vofs.remote.failures import by_meaning
from vofs.remote.transport import Transport

__all__ = ["Listing"]

log = logging.getLogger(__name__)

_PAGE = 5000  # children asked for at once
_CHUNK = 256 * 1024


class Listing:
    """Lists the containers of one service; for any thread.

    Args:
        transport: the way to it.
        service: its URLs.
        uri: its name.
    """

    def __init__(self, transport: Transport, service: Service, uri: ServiceUri) -> None:
        self._transport = transport
        self._service = service
        self._uri = uri
        # Longest page seen.  Read and written without a lock: a lost update costs one request.
        self._uncut = 0

    def children(self, path: str) -> Iterator[TypedNode]:
        """See `Remote.list_children`."""
        if not self._service.dialect.database:
            yield from self._page(path, {"detail": "max"}, self._parser(path))
            return
        seen: set[str] = set()
        params = {"detail": "max", "limit": str(_PAGE)}
        while True:  # bounded: each page but the last brings children that were not seen
            parser = self._parser(path)
            before = len(seen)
            for typed in self._page(path, params, parser):
                if typed.node.path not in seen:
                    seen.add(typed.node.path)
                    yield typed
            complete = parser.count < min(_PAGE, self._uncut)
            self._uncut = max(self._uncut, parser.count)
            if complete or len(seen) == before or params.get("uri") == parser.last_uri:
                return
            params["uri"] = parser.last_uri

    def _parser(self, path: str) -> ListingParser:
        return ListingParser(path, md5_proves=self._service.dialect.database)

    def _page(
        self, path: str, params: dict[str, str], parser: ListingParser
    ) -> Iterator[TypedNode]:
        url = self._service.nodes + url_path(path)
        response = self._transport.request("GET", url, params=params)
        with response:
            chunks = response.iter_content(_CHUNK)
            while True:  # bounded by the document
                with by_meaning(f"listing of {path}", sent=False):
                    chunk = next(chunks, b"")
                if not chunk:
                    break
                yield from parser.feed(chunk)
        parser.close()
        if parser.unusable_names:
            log.warning(
                "%d children of %s have names that no file system can hold, such as %.300r",
                len(parser.unusable_names),
                path,
                parser.unusable_names[0],
            )
