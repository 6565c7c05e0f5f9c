"""Put transactions on the byte URLs: start, append, commit, revert, abort (protocol.md 6.3).

What a request means is decided from its method, its operation, whether it names a transaction and
whether it brings a body; the table in the protocol is `put_in_parts` and `change_transaction`.
Nothing of a transaction shows to other requests before its commit.
"""

from __future__ import annotations

from fakevospace.endpoints.content import digest_text
from fakevospace.endpoints.receiving import (
    Received,
    content_names,
    receive,
    replace_content,
    stored,
)
from fakevospace.exchange import Exchange, Reply, text_reply
from fakevospace.refusals import invalid_argument, too_large
from fakevospace.state import State
from fakevospace.transactions import (
    SEGMENT_MAX_BYTES,
    SEGMENT_MIN_BYTES,
    Mark,
    Transaction,
)

OPERATION, NUMBER, TOTAL = "X-Put-Txn-Op", "X-Put-Txn-Id", "X-Total-Length"


def transaction_asked(exchange: Exchange) -> bool:
    """Tell whether a request is about a transaction."""
    return OPERATION in exchange.request.headers or NUMBER in exchange.request.headers


def put_in_parts(state: State, exchange: Exchange, storage_id: str) -> Reply:
    """Answer a PUT with an operation or a transaction.

    Raises:
        Refusal: 400 an impossible combination or no such transaction; 412, 408, 413.
    """
    headers = exchange.request.headers
    number = headers.get(NUMBER)
    match headers.get(OPERATION, "").lower(), number:
        case "start", None:
            return _start(state, exchange, storage_id)
        case "commit", str():
            if _has_body(exchange):
                raise invalid_argument("a commit has no body")
            return _commit(state, _taken(state, number, storage_id))
        case "", str():
            return _append(state, exchange, _taken(state, number, storage_id))
        case operation, _:
            raise invalid_argument(f"{operation or 'put'} with transaction {number}")


def change_transaction(state: State, exchange: Exchange, storage_id: str) -> Reply:
    """Answer a POST: revert or abort; without an operation it does nothing.

    Raises:
        Refusal: 400 another operation, no such transaction, or nothing to take back.
    """
    headers = exchange.request.headers
    number = headers.get(NUMBER)
    match headers.get(OPERATION, "").lower():
        case "":
            return text_reply(204, "")
        case "abort":
            aborted = _taken(state, number, storage_id)
            state.transactions.end(aborted)
            state.store.delete(aborted.content)
            return text_reply(204, "")
        case "revert":
            return _revert(state, _taken(state, number, storage_id))
        case other:
            raise invalid_argument(f"{other} by POST")


def show_transaction(state: State, exchange: Exchange, storage_id: str) -> Reply:
    """Answer HEAD of a transaction: how far it is.

    Raises:
        Refusal: 400 no such transaction, or not any more.
    """
    number = exchange.request.headers[NUMBER]
    found = state.transactions.get(number, storage_id)
    if found is None:
        raise invalid_argument(f"no such transaction: {number}")
    return Reply(200, _headers(found), length=found.reached.length)


def _has_body(exchange: Exchange) -> bool:
    length = exchange.request.content_length
    return bool(length) or (length is None and bool(exchange.request.stream.read(1)))


def _taken(state: State, number: str | None, storage_id: str) -> Transaction:
    found = None if number is None else state.transactions.take(number, storage_id)
    if found is None:
        raise invalid_argument(f"no such transaction: {number}")
    return found


def _headers(transaction: Transaction) -> tuple[tuple[str, str], ...]:
    """Return what identifies a transaction, with the digest of what it holds."""
    identity = (("x-put-txn-id", transaction.number),)
    if not transaction.reached.length:
        return identity
    return (*identity, ("Digest", digest_text(transaction.reached.md5.hexdigest())))


def _start(state: State, exchange: Exchange, storage_id: str) -> Reply:
    total = exchange.request.headers.get(TOTAL)
    if total is not None and not total.isdecimal():
        raise invalid_argument(f"{TOTAL}: {total}")
    announced = None if total is None else int(total)
    names = content_names(exchange)
    content = state.store.create()
    started = state.transactions.start(storage_id, content, names, announced)
    if exchange.request.content_length != 0:
        return _append(state, exchange, started, fresh=True)
    state.transactions.put_back(started)
    segments = (
        ("x-put-segment-minbytes", str(SEGMENT_MIN_BYTES)),
        ("x-put-segment-maxbytes", str(SEGMENT_MAX_BYTES)),
    )
    return text_reply(202, "", (*_headers(started), *segments))


def _append(
    state: State, exchange: Exchange, transaction: Transaction, *, fresh: bool = False
) -> Reply:
    """Take a part in, or leave the transaction as it was; a fresh one that fails is gone."""
    reached = transaction.reached
    total = reached.md5.copy()
    kept: Transaction | None = None if fresh else transaction
    try:
        if (exchange.request.content_length or 0) > SEGMENT_MAX_BYTES:
            raise too_large(SEGMENT_MAX_BYTES)
        writer = state.store.writer(transaction.content, reached.length)
        try:
            received = receive(exchange, writer, total)
        finally:
            writer.close()
        kept = transaction.appended(Mark(reached.length + received.size_bytes, total))
    finally:
        if kept is None:
            state.store.delete(transaction.content)
        else:
            state.transactions.put_back(kept)
    return text_reply(202, "", _headers(kept))


def _revert(state: State, transaction: Transaction) -> Reply:
    reverted = transaction.reverted()
    state.transactions.put_back(reverted or transaction)
    if reverted is None:
        raise invalid_argument("nothing to revert")
    # What was written past the mark is cut off when the next part comes, or at the commit.
    return text_reply(202, "", _headers(reverted))


def _commit(state: State, transaction: Transaction) -> Reply:
    reached = transaction.reached
    state.store.writer(transaction.content, reached.length).close()
    received = Received(reached.length, reached.md5.hexdigest())
    discarded = replace_content(
        state, transaction.storage_id, transaction.content, received, transaction.headers
    )
    state.transactions.end(transaction)  # not before: a kill in between would lose the bytes
    for one in discarded:
        state.store.delete(one)
    return stored(received)
