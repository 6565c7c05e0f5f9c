"""Put transactions on vault's byte URLs: the table of protocol.md 6.3, and minoc's own tests."""

from __future__ import annotations

import base64
import hashlib

import pytest
import requests

from .conftest import CORE, Client, MakeClient

ONE, TWO = b"one" * 1000, b"two" * 2000


def digest(data: bytes) -> str:
    return "md5=" + base64.b64encode(hashlib.md5(data).digest()).decode()


class Bytes:
    """The byte URL of one file, and requests to it."""

    def __init__(self, client: Client, path: str = "f") -> None:
        self.client = client
        self.url = client.endpoints(path, "pushToVoSpace")[0]

    def __call__(
        self, method: str, op: str = "", txn: str = "", data: bytes | None = None, **more: str
    ) -> requests.Response:
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        headers |= {"x-put-txn-op": op} if op else {}
        headers |= {"x-put-txn-id": txn} if txn else {}
        return self.client.call(method, self.url, data=data, headers=headers)

    def start(self, data: bytes | None = None) -> str:
        answer = self("PUT", "start", data=data)
        assert answer.status_code == 202
        return answer.headers["x-put-txn-id"]


@pytest.fixture
def put(vault: Client) -> Bytes:
    return Bytes(vault)


def test_put_commit(put: Bytes) -> None:
    answer = put("PUT", "start", data=ONE)
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["Content-Length"] == "0"
    assert answer.headers["Digest"] == digest(ONE)
    txn = answer.headers["x-put-txn-id"]
    assert put("HEAD").status_code == 404
    shown = put("HEAD", txn=txn)
    assert (shown.status_code, shown.headers["Content-Length"]) == (200, "3000")
    assert (shown.headers["Digest"], shown.headers["x-put-txn-id"]) == (digest(ONE), txn)
    done = put("PUT", "commit", txn)
    assert (done.status_code, done.headers["Digest"]) == (201, digest(ONE))
    assert put("HEAD", txn=txn).status_code == 400
    plain = put("HEAD")
    assert plain.status_code == 200 and "x-put-txn-id" not in plain.headers
    assert put.client.fake.get("f") == ONE
    assert put.client.fake.node("f")[CORE + "MD5"] == hashlib.md5(ONE).hexdigest()


def test_put_abort(put: Bytes) -> None:
    txn = put.start(ONE)
    assert put("HEAD").status_code == 404
    assert put("HEAD", txn=txn).status_code == 200
    assert put("POST", "abort", txn).status_code == 204
    assert put("HEAD").status_code == 404
    assert put("PUT", "commit", txn).status_code == 400


def test_put_in_parts_with_a_revert(put: Bytes) -> None:
    answer = put("PUT", "start", x_total_length="9000")
    assert answer.status_code == 202 and "Digest" not in answer.headers
    least = int(answer.headers["x-put-segment-minbytes"])
    assert 0 < least <= int(answer.headers["x-put-segment-maxbytes"])
    txn = answer.headers["x-put-txn-id"]
    empty = put("HEAD", txn=txn)
    assert empty.headers["Content-Length"] == "0" and "Digest" not in empty.headers
    assert put("POST", "revert", txn).status_code == 400
    assert put("PUT", txn=txn, data=ONE).headers["Digest"] == digest(ONE)
    back = put("POST", "revert", txn)
    assert back.status_code == 202 and "Digest" not in back.headers
    assert put("PUT", txn=txn, data=ONE).status_code == 202
    both = put("PUT", txn=txn, data=TWO)
    assert (both.status_code, both.headers["Digest"]) == (202, digest(ONE + TWO))
    back = put("POST", "revert", txn)
    assert (back.status_code, back.headers["Digest"]) == (202, digest(ONE))
    assert put("HEAD", txn=txn).headers["Content-Length"] == "3000"
    assert put("PUT", txn=txn, data=TWO).headers["Digest"] == digest(ONE + TWO)
    done = put("PUT", "commit", txn)
    assert (done.status_code, done.headers["Digest"]) == (201, digest(ONE + TWO))
    assert put.client.fake.get("f") == ONE + TWO


def test_commit_after_a_revert_keeps_what_was_before(put: Bytes) -> None:
    txn = put.start(ONE)
    put("PUT", txn=txn, data=TWO)
    put("POST", "revert", txn)
    assert put("PUT", "commit", txn).status_code == 201
    assert put.client.fake.get("f") == ONE


@pytest.mark.parametrize(
    ("method", "op", "with_txn", "data"),
    [("PUT", "start", True, b"x"), ("PUT", "commit", False, None), ("PUT", "commit", True, b"x"),
     ("PUT", "nonsense", True, None), ("PUT", "revert", True, None), ("POST", "start", True, None),
     ("POST", "commit", True, None), ("POST", "abort", False, None)],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    put: Bytes, method: str, op: str, with_txn: bool, data: bytes | None
) -> None:
    txn = put.start(ONE)
    assert put(method, op, txn if with_txn else "", data).status_code == 400
    assert put("HEAD", txn=txn).headers["Content-Length"] == "3000"


def test_post_without_an_operation_does_nothing(put: Bytes) -> None:
    txn = put.start(ONE)
    assert put("POST").status_code == put("POST", txn=txn).status_code == 204
    assert put("PUT", "commit", txn).status_code == 201


def test_a_transaction_belongs_to_its_file(put: Bytes) -> None:
    txn = put.start(ONE)
    other = Bytes(put.client, "g")
    assert other("PUT", "commit", txn).status_code == 400
    assert put("PUT", "commit", "made-up").status_code == 400
    assert put("PUT", "commit", txn).status_code == 201


def test_a_part_that_fails_leaves_the_transaction(put: Bytes) -> None:
    txn = put.start(ONE)
    assert put("PUT", txn=txn, data=TWO, digest=digest(ONE)).status_code == 412
    assert put("HEAD", txn=txn).headers["Digest"] == digest(ONE)
    assert put("PUT", "start", data=ONE, digest=digest(TWO)).status_code == 412


def test_old_bytes_stay_until_the_commit(vault: Client) -> None:
    vault.fake.put("f", b"old")
    put = Bytes(vault)
    txn = put.start(ONE)
    assert vault.fake.get("f") == b"old"
    assert put("PUT", "commit", txn).status_code == 201
    assert vault.fake.get("f") == ONE


def test_an_empty_transaction_makes_an_empty_file(vault: Client) -> None:
    vault.fake.put("f", b"old")
    put = Bytes(vault)
    assert put("PUT", "commit", put.start()).status_code == 201
    assert vault.fake.get("f") == b""


def test_it_needs_the_right_to_write(vault: Client) -> None:
    vault.fake.put("f", b"x")
    url = vault.endpoints("f", "pullFromVoSpace")[0]
    for method in ("PUT", "POST"):
        assert vault.call(method, url, headers={"x-put-txn-op": "start"}).status_code == 403


def test_transactions_on_disk(make: MakeClient, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("data")
    put = Bytes(make("vault", data=data))
    txn = put.start(ONE)
    put("PUT", txn=txn, data=TWO)
    put("POST", "revert", txn)
    put("PUT", txn=txn, data=ONE)
    put("PUT", "commit", txn)
    assert put.client.fake.get("f") == ONE + ONE


@pytest.mark.parametrize("personality", ["cavern", "datalab", "spec"])
def test_elsewhere_a_start_is_a_plain_put(make: MakeClient, personality: str) -> None:
    client = make(personality)
    put = Bytes(client)
    answer = put("PUT", "start", data=ONE)
    assert (answer.status_code, answer.headers["Digest"]) == (201, digest(ONE))
    assert "x-put-txn-id" not in answer.headers
    assert put("POST", "abort").status_code == 405
    assert client.fake.get("f") == ONE
