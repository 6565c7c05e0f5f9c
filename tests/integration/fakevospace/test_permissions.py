"""Users, groups, certificates, allocations and quotas (protocol.md 1.3, 4.2 and 8)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from lxml import etree

from fakevospace import FakeVOSpace

from .conftest import CORE, VOS, Client, MakeClient

ANN, BOB = {"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}
CAT = {"X-CADC-DelegationToken": "c"}
TEAM = "ivo://cadc.nrc.ca/gms?team"
READ, WRITE, PUBLIC = CORE + "groupread", CORE + "groupwrite", CORE + "ispublic"
INHERIT = "ivo://cadc.nrc.ca/vospace/core#inheritPermissions"
QUOTA, SPACE, LENGTH = CORE + "quota", CORE + "availableSpace", CORE + "length"
USERS = {"tokens": ["ann:a", "bob:b", "cat:c"], "groups": {"team": ["bob"], "others": ["cat"]}}


@pytest.fixture(params=["vault", "cavern"])
def strict(request: pytest.FixtureRequest, make: MakeClient) -> Client:
    """A service of ann's; bob is in `team`, cat in `others`."""
    client = make(request.param, **USERS)
    client.fake.mkdir("d")
    client.fake.put("d/f", b"x")
    return client


def create(
    client: Client,
    who: dict[str, str],
    path: str,
    kind: str = "DataNode",
    properties: dict[str, str | None] | None = None,
) -> int:
    document = client.node(path, kind, properties)
    return client.call("PUT", f"nodes/{path}", data=document, headers=who).status_code


def reads(client: Client, who: dict[str, str], path: str = "d/f") -> int:
    return client.call("GET", f"files/{path}", headers=who).status_code


def test_group_read_and_write(strict: Client) -> None:
    fetched = 303 if strict.service == "vault" else 200
    assert reads(strict, BOB) == 403
    strict.fake.set_property("d", READ, TEAM)
    assert reads(strict, BOB) == 403  # the container can be read now, the file not yet
    strict.fake.set_property("d/f", READ, f"ivo://cadc.nrc.ca/gms?no {TEAM}")
    assert [reads(strict, who) for who in (ANN, BOB, CAT, {})] == [fetched, fetched, 403, 403]
    assert create(strict, BOB, "d/new") == 403
    strict.fake.set_property("d", WRITE, TEAM)
    assert create(strict, BOB, "d/new") == 201
    assert create(strict, CAT, "d/other") == 403
    strict.fake.set_property("d/f", READ, None)
    strict.fake.set_property("d/f", WRITE, TEAM)  # to write is to read too
    assert reads(strict, BOB) == fetched


def test_the_owner_of_the_allocation_owns_what_is_in_it(strict: Client) -> None:
    strict.fake.set_property("d", WRITE, TEAM)
    assert create(strict, BOB, "d/bobs", "ContainerNode") == 201
    assert create(strict, BOB, "d/bobs/f") == 201
    assert strict.call("GET", "nodes/d/bobs/f", headers=ANN).status_code == 200
    assert create(strict, ANN, "d/bobs/anns") == 201
    assert strict.call("GET", "nodes/d/bobs/f", headers=CAT).status_code == 403
    assert strict.call("DELETE", "nodes/d/bobs/f", headers=BOB).status_code == 200


def test_a_member_lists_only_what_it_may(strict: Client) -> None:
    strict.session.headers.update(BOB)
    assert strict.children("d") == []
    strict.fake.set_property("d", READ, TEAM)
    assert strict.children("d") == ["f"]


def test_only_the_administrator_makes_allocations(strict: Client) -> None:
    strict.fake.set_property("", WRITE, TEAM)
    assert create(strict, BOB, "bobs", "ContainerNode") == 403
    given: dict[str, str | None] = {CORE + "creator": "bob"}
    assert create(strict, ANN, "bobs", "ContainerNode", given) == 201
    assert create(strict, BOB, "bobs/f") == 201
    assert strict.fake.node("bobs")[CORE + "creator"] == "bob"


def test_allocation_parents_can_be_chosen(make: MakeClient) -> None:
    client = make("cavern", allocation_parents=["/home"], **USERS)
    client.fake.mkdir("home")
    for path in ("", "home"):
        client.fake.set_property(path, WRITE, TEAM)
    assert create(client, BOB, "home/bob", "ContainerNode") == 403
    assert create(client, BOB, "anywhere", "ContainerNode") == 201


def test_permissions_are_inherited_at_creation(strict: Client) -> None:
    given: dict[str, str | None] = {INHERIT: "true", PUBLIC: "true", READ: TEAM, WRITE: TEAM}
    assert create(strict, ANN, "d/p", "ContainerNode", given) == 201
    assert create(strict, ANN, "d/p/c", "ContainerNode") == 201
    assert create(strict, ANN, "d/p/f") == 201
    own: dict[str, str | None] = {PUBLIC: "false", READ: None}
    assert create(strict, ANN, "d/p/own", properties=own) == 201
    strict.session.headers.update(ANN)
    for path in ("d/p/c", "d/p/f"):
        shown = strict.properties(path)
        assert (shown[PUBLIC], shown[READ], shown[WRITE]) == ("true", TEAM, TEAM)
    shown = strict.properties("d/p/own")
    assert (shown[PUBLIC], READ in shown, shown[WRITE]) == ("false", False, TEAM)


def test_property_updates_replace_groups(strict: Client) -> None:
    other = "ivo://cadc.nrc.ca/gms?others"
    strict.session.headers.update(ANN)
    for value, expected in ((TEAM, TEAM), (other, other), ("", None)):
        document = strict.node("d", "ContainerNode", {READ: value})
        assert strict.call("POST", "nodes/d", data=document).status_code == 200
        assert strict.properties("d").get(READ) == expected


def test_groups_that_cavern_refuses(make: MakeClient) -> None:
    foreign, unknown = "ivo://elsewhere.org/gms?team", "ivo://cadc.nrc.ca/gms?nobody"
    for personality, status in (("vault", 201), ("cavern", 400)):
        client = make(personality, **USERS)
        client.fake.mkdir("d")
        for number, group in enumerate((foreign, unknown)):
            assert create(client, ANN, f"d/{number}", properties={READ: group}) == status
    document = client.node("d/x", properties={READ: foreign})
    answer = client.call("PUT", "nodes/d/x", data=document, headers=ANN)
    assert answer.text.startswith("InvalidArgument: non-local groups: ")


def test_who_may_set_a_quota(strict: Client) -> None:
    strict.fake.set_property("d", WRITE, TEAM)
    for who, value, expected in ((BOB, "5", None), (ANN, "100", "100")):
        document = strict.node("d", "ContainerNode", {QUOTA: value})
        assert strict.call("POST", "nodes/d", data=document, headers=who).status_code == 200
        strict.session.headers.update(who)
        assert strict.properties("d").get(QUOTA) == expected
    shown = strict.properties("d")
    assert (shown[LENGTH], shown[SPACE]) == ("1", "99")


def test_a_push_over_the_quota_is_refused(both: Client) -> None:
    both.fake.mkdir("d/e")
    both.fake.put("d/e/f", b"12345")
    both.fake.set_property("d", QUOTA, "5")
    answer = both.call("POST", "synctrans", data=both.transfer("d/e/g", "pushToVoSpace"))
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    assert both.call("GET", f"{job}/error").text == "QuotaExceeded"
    put = {"TARGET": both.uri("d/e/g"), "DIRECTION": "pushToVoSpace", "PROTOCOL": f"{CORE}httpsput"}
    answer = both.call("POST", "synctrans", params=put)
    assert (answer.status_code, answer.text) == (413, "QuotaExceeded\n")
    both.fake.set_property("d/e", QUOTA, "100")  # the nearest one counts
    assert both.endpoints("d/e/g", "pushToVoSpace")


def test_bytes_over_the_quota(both: Client) -> None:
    both.fake.mkdir("d")
    both.fake.put("d/f", b"old")
    both.fake.set_property("d", QUOTA, "10")
    answer = both.upload("d/f", b"x" * 11)
    if both.service == "vault":  # looks at it only when it negotiates
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.text) == (413, "limit: 10\n")
        assert both.fake.get("d/f") == b""
    assert both.fake.get("d/f") != b"old"


def test_wrong_credentials_are_401_before_anything(strict: Client) -> None:
    for headers in ({"Authorization": "Bearer no"}, {"X-CADC-DelegationToken": "no"}):
        for path in ("nodes/none", "nodes", "transfers/x", "no-such-resource"):
            answer = strict.call("GET", path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["Content-Type"].startswith("text/plain")


def test_every_anonymous_answer_says_how_to_log_in(strict: Client) -> None:
    for path in ("nodes", "nodes/none", "nodes/d/f", "capabilities", "nonsense"):
        answer = strict.call("GET", path)
        challenges = answer.headers["WWW-Authenticate"]
        for scheme in ("Bearer", "ivoa_bearer", "ivoa_x509"):
            assert scheme in challenges
        assert "X-VO-Authenticated" not in answer.headers
        answer = strict.call("GET", path, headers=BOB)
        assert answer.headers["X-VO-Authenticated"] == "bob"
        assert "WWW-Authenticate" not in answer.headers


def test_a_cookie_is_a_token_too(strict: Client) -> None:
    answer = strict.call("GET", "nodes", headers={"Cookie": "CADC_SSO=b"})
    assert answer.headers["X-VO-Authenticated"] == "bob"


def test_basic_authentication_is_not_offered_by_cadc(strict: Client) -> None:
    answer = strict.session.get(f"{strict.url}/{strict.service}/nodes", auth=("ann", "a"))
    assert "X-VO-Authenticated" not in answer.headers


def test_an_unreadable_file_in_a_public_container(strict: Client) -> None:
    strict.fake.set_property("d", PUBLIC, "true")
    assert strict.call("HEAD", "files/d/f", headers=BOB).status_code == 200
    assert strict.call("GET", "files/d/f", headers=BOB).status_code == 403
    # Neither direction gets an endpoint, and neither is an error of HTTP.
    strict.session.headers.update(BOB)
    for direction in ("pullFromVoSpace", "pushToVoSpace"):
        assert strict.endpoints("d/f", direction) == []
    strict.fake.set_property("d/f", WRITE, TEAM)
    assert strict.endpoints("d/f", "pushToVoSpace")


def test_endpoints_of_another_user_are_not_shown(strict: Client) -> None:
    document = strict.transfer("d/f", "pullFromVoSpace")
    answer = strict.call("POST", "synctrans", data=document, headers=ANN)
    details = strict.call("GET", answer.headers["Location"], headers=ANN).headers["Location"]
    assert strict.call("GET", details).status_code == 401
    assert strict.call("GET", details, headers=BOB).status_code == 401
    assert strict.call("GET", details, headers=ANN).status_code == 200


def test_detail_max_tells_the_caller_s_rights(strict: Client) -> None:
    core = "ivo://cadc.nrc.ca/vospace/core#"
    strict.session.headers.update(BOB)
    assert f"{core}readable" not in strict.properties("d", detail="max")
    strict.fake.set_property("d", READ, TEAM)
    shown = strict.properties("d", detail="max")
    assert (shown[f"{core}readable"], f"{core}writable" in shown) == ("true", False)
    answer = strict.call("GET", "nodes/d?detail=max")
    children = etree.fromstring(answer.content).findall(f"{{{VOS}}}nodes/{{{VOS}}}node")
    assert len(children) == 1 and f"{core}readable".encode() not in etree.tostring(children[0])


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[FakeVOSpace, str, Path]]:
    """A service over TLS that knows users by certificate; its URL, and where PEM files are."""
    fake = FakeVOSpace("vault", users=["ann", "bob"], groups={"team": ["bob"]})
    with fake, fake.serve(tls=True) as served:
        (tmp_path / "ca.pem").write_bytes(served.certificate_authority or b"")
        for user in ("ann", "bob"):
            (tmp_path / f"{user}.pem").write_bytes(served.client_certificate(user))
        yield fake, served.url, tmp_path


def test_client_certificates(secure: tuple[FakeVOSpace, str, Path]) -> None:
    fake, url, home = secure
    fake.put("private", b"x")

    def ask(user: str | None) -> requests.Response:
        cert = None if user is None else str(home / f"{user}.pem")
        with requests.Session() as session:
            return session.get(
                f"{url}/vault/files/private",
                cert=cert,
                verify=str(home / "ca.pem"),
                allow_redirects=False,
                timeout=20,
            )

    assert ask(None).status_code == 403 and "ivoa_x509" in ask(None).headers["WWW-Authenticate"]
    answer = ask("ann")
    assert (answer.status_code, answer.headers["X-VO-Authenticated"]) == (303, "ann")
    assert ask("bob").status_code == 403
    fake.set_property("private", READ, TEAM)
    assert ask("bob").status_code == 303
    assert [entry.user for entry in fake.journal][-1] == "bob"


def test_a_certificate_of_another_authority_is_refused(
    secure: tuple[FakeVOSpace, str, Path],
) -> None:
    _, url, home = secure
    with FakeVOSpace() as other, other.serve(tls=True) as served:
        (home / "other.pem").write_bytes(served.client_certificate("ann"))
    cert, verify = str(home / "other.pem"), str(home / "ca.pem")
    with requests.Session() as session, pytest.raises((requests.ConnectionError, ssl.SSLError)):
        session.get(f"{url}/vault/nodes", cert=cert, verify=verify, timeout=20)


def test_certificates_need_tls() -> None:
    with FakeVOSpace() as fake, fake.serve() as served, pytest.raises(ValueError, match="TLS"):
        served.client_certificate("ann")
