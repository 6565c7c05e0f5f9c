"""Put transactions: the content of a file in several requests (protocol.md 6.3).

Decides what the answers mean; which segment comes next is the caller's.  Nothing of a transaction
shows before its commit, and a segment that breaks leaves it as it was, so that it can go on in
another connection, and in another process: it belongs to the file, not to the URL that began it.

Invariants: no segment is sent twice here; a URL that was refused is asked for anew next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from vofs.core.errors import (
    ContainerNotFound,
    InvalidRequest,
    NodeError,
    NodeNotFound,
    ProtocolViolation,
    RemoteError,
    RemoteFailed,
)
from vofs.remote.api import PutReceipt, PutTransaction
from vofs.remote.byteio import content_length, digest_md5
from vofs.remote.memory import Memory
from vofs.remote.sizedbody import SizedBody
from vofs.remote.transport import Transport, release

__all__ = ["HttpTransactions"]

_OPERATION, _NUMBER, _TOTAL = "x-put-txn-op", "x-put-txn-id", "x-total-length"
_LEAST, _MOST = "x-put-segment-minbytes", "x-put-segment-maxbytes"
_NO_LIMIT = 1 << 62


class HttpTransactions:
    """See the module's docstring; implements `api.PutTransactions`.

    Args:
        transport: the way to the service.
        push_url: asks for the URL that takes the bytes of a path without a credential.
    """

    def __init__(self, transport: Transport, push_url: Callable[[str], str]) -> None:
        self._transport, self._push_url = transport, push_url
        self._urls: Memory[str] = Memory(64)
        self._last_urls: Memory[str] = Memory(64)  # also those that were refused

    def start(self, path: str, size: int) -> PutTransaction | None:
        """See `api.PutTransactions`."""
        headers = {_OPERATION: "start", _TOTAL: str(size)}
        try:
            url = self._url(path, fresh=True)
        except NodeNotFound as exc:  # the node itself would be created
            raise ContainerNotFound(str(exc)) from exc
        response = self._transport.request("PUT", url, headers=headers, data=b"", anonymous=True)
        release(response)
        number = response.headers.get(_NUMBER)
        if number is None:
            return None
        least, most = (_number(response.headers.get(name)) for name in (_LEAST, _MOST))
        return PutTransaction(number, 0, None, least or 1, most or _NO_LIMIT)

    def append(self, path: str, number: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `api.PutTransactions`."""
        with suppress(NodeNotFound, InvalidRequest), self._forgetting(path):
            sized = SizedBody(body, size)
            response = self._transport.put(
                self._url(path), sized, headers={_NUMBER: number}, anonymous=True
            )
            release(response)
            if response.status_code >= 300:
                raise ProtocolViolation(f"status {response.status_code} in answer to a segment")
            return PutReceipt(digest_md5(response), None)
        raise _gone(path, number)

    def find(self, path: str, number: str) -> PutTransaction | None:
        """See `api.PutTransactions`."""
        with suppress(NodeNotFound, InvalidRequest), self._forgetting(path):
            response = self._transport.request(
                "HEAD", self._url(path, fresh=True), headers={_NUMBER: number}, anonymous=True
            )
            release(response)
            length = content_length(response)
            if length is None:
                raise ProtocolViolation("a transaction that does not say how far it is")
            return PutTransaction(number, length, digest_md5(response), 1, _NO_LIMIT)
        return None

    def revert(self, path: str, number: str) -> bool:
        """See `api.PutTransactions`."""
        with suppress(NodeNotFound, InvalidRequest), self._forgetting(path):
            self._post(self._url(path), number, "revert")
            return True
        return False

    def commit(self, path: str, number: str) -> PutReceipt:
        """See `api.PutTransactions`."""
        with suppress(NodeNotFound, InvalidRequest), self._forgetting(path):
            headers = {_OPERATION: "commit", _NUMBER: number}
            response = self._transport.request(
                "PUT", self._url(path), headers=headers, data=b"", anonymous=True
            )
            release(response)
            if response.status_code >= 300:
                raise ProtocolViolation(f"status {response.status_code} in answer to a commit")
            return PutReceipt(digest_md5(response), None)
        raise _gone(path, number)

    def abort(self, path: str, number: str, *, gone: bool = False) -> None:
        """See `api.PutTransactions`."""
        with suppress(NodeError, RemoteError), self._forgetting(path):
            url = self._last_urls.get(path) if gone else self._url(path)
            if url is not None:
                self._post(url, number, "abort")

    def _post(self, url: str, number: str, operation: str) -> None:
        headers = {_OPERATION: operation, _NUMBER: number}
        response = self._transport.request("POST", url, headers=headers, data=b"", anonymous=True)
        release(response)

    def _url(self, path: str, *, fresh: bool = False) -> str:
        url = None if fresh else self._urls.get(path)
        if url is None:
            url = self._push_url(path)
            self._urls.put(path, url)
            self._last_urls.put(path, url)
        return url

    def _forgetting(self, path: str) -> _Forgetting:
        return _Forgetting(self._urls, path)


class _Forgetting:
    """Forgets the URL of a path when what is done inside fails: its permission may have ended."""

    def __init__(self, urls: Memory[str], path: str) -> None:
        self._urls, self._path = urls, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._urls.drop(self._path)


def _gone(path: str, number: str) -> RemoteFailed:
    return RemoteFailed(f"{path}: the service knows no put transaction {number} any more")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
