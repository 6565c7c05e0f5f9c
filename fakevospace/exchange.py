"""One request and its answer, as the endpoints see them.

`Exchange` is the request with who sent it and what fault hangs over it; `Reply` is the answer as
a value.  Endpoints never touch a socket or WSGI: whoever must break a connection raises `Dropped`,
whoever waits for a body that does not come raises `BodyTimeout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from io import FileIO
from typing import Protocol
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request

from fakevospace.access import Caller
from fakevospace.documents import LIMIT_BYTES
from fakevospace.faultactions import Action
from fakevospace.refusals import too_large
from fakevospace.storage import Reader

BLOCK_BYTES = 1 << 20
XML = "text/xml; charset=UTF-8"
TEXT = "text/plain; charset=UTF-8"


class Dropped(Exception):
    """The connection ends here, without (the rest of) an answer.

    Attributes:
        reset: by a reset instead of an orderly close.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("connection dropped")
        self.reset = reset


class BodyTimeout(Exception):
    """The rest of the request's body did not come in time."""


class Body(Protocol):
    """The body of an answer that is not simply bytes."""

    length: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield blocks, `length` bytes in all unless something breaks."""

    def sendable(self) -> tuple[FileIO, int] | None:
        """Return (file, offset) when the kernel may send the body itself."""

    def close(self) -> None:
        """Let go; called once, sent or not."""


class ContentBody:
    """Part of a content, streamed."""

    def __init__(self, reader: Reader, offset: int, length: int) -> None:
        self.length = length
        self._reader = reader
        self._offset = offset

    def __iter__(self) -> Iterator[bytes]:
        offset, end = self._offset, self._offset + self.length
        while offset < end:
            block = self._reader.read(offset, min(BLOCK_BYTES, end - offset))
            if not block:  # truncated under us: the answer ends short, as a real one would
                return
            yield block
            offset += len(block)

    def sendable(self) -> tuple[FileIO, int] | None:
        """Return the open file and the offset of the first byte."""
        file = self._reader.file()
        return None if file is None else (file, self._offset)

    def close(self) -> None:
        """Close the content."""
        self._reader.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        headers: without Content-Length and Date, which the server adds.
        body: bytes, or a stream.
        length: Content-Length to state when it is not that of the body (HEAD); None: the body's.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body = b""
    length: int | None = None


def text_reply(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Answer with one line of plain text; a newline is added."""
    return Reply(status, (("Content-Type", TEXT), *headers), f"{text}\n".encode() if text else b"")


def xml_reply(document: bytes, status: int = 200) -> Reply:
    """Answer with an XML document."""
    return Reply(status, (("Content-Type", XML),), document)


def see_other(url: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Answer 303 to an absolute URL: clients pass the Location on without resolving it."""
    return Reply(303, (("Location", url), *headers))


def http_date(date_ms: int) -> str:
    """Write a date for an HTTP header."""
    return formatdate(date_ms / 1000, usegmt=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way through the service.

    Attributes:
        request: the parsed request; its stream is the body, ended at its announced length.
        caller: who sent it.
        fault: what the fault plan says of it, for the faults that an endpoint carries out.
    """

    request: Request
    caller: Caller
    fault: Action | None = None

    @property
    def base(self) -> str:
        """Scheme, host and port as the client wrote them, without a slash at the end."""
        return self.request.host_url.rstrip("/")

    def root(self, service: str) -> str:
        """Return the URL of the service, as the client addresses it: with `auth/` or without."""
        first = self.request.path.split("/")[1:3]
        return f"{self.base}/{service}{'/auth' if first == [service, 'auth'] else ''}"

    @property
    def query(self) -> str:
        """The raw query string."""
        return self.request.query_string.decode("latin-1")

    def parameter(self, name: str) -> str | None:
        """Return a query parameter, None when it is not there."""
        found = self.request.args.getlist(name)  # get() raises and catches an error inside
        return found[0] if found else None

    def document(self) -> bytes:
        """Read the whole body, which must be a document of at most 32 KiB.

        Raises:
            Refusal: 413.
        """
        data = b""
        while block := self.request.stream.read(LIMIT_BYTES + 1 - len(data)):
            data += block
            if len(data) > LIMIT_BYTES:
                raise too_large(LIMIT_BYTES)
        return data

    def parameters(self) -> list[tuple[str, str]]:
        """Return query and form parameters, in order; names as sent."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        if self.request.mimetype == "application/x-www-form-urlencoded":
            form = self.document().decode("utf-8", "replace")
            pairs += parse_qsl(form, keep_blank_values=True)
        return pairs
