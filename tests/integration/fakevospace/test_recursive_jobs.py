"""async-delete, async-setprops, copies, and the life of a job (protocol.md 5.4 and 8)."""

from __future__ import annotations

import threading

import pytest
from lxml import etree

from .conftest import CORE, LOCKED, Client, MakeClient
from .jobcalls import delete_job, run, set_job, tree

ANN, BOB = {"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}
GROUP = "ivo://cadc.nrc.ca/gms?team"


@pytest.fixture
def team(make: MakeClient) -> Client:
    """A strict vault: ann owns everything, bob is in the group `team`."""
    client = make("vault", tokens=["ann:a", "bob:b"], groups={"team": ["bob"]})
    tree(client)
    return client


def lock(client: Client, path: str) -> None:
    document = client.node(path, "ContainerNode", {LOCKED: "true"})
    assert client.call("POST", f"nodes/{path}", data=document).status_code == 200


def test_recursive_delete(both: Client) -> None:
    tree(both)
    job = delete_job(both, both.uri("d"))
    assert both.call("GET", f"{job}/phase").text == "PENDING"
    assert run(both, job) == ("COMPLETED", {"successcount": "final:4"})
    assert both.children("") == []


def test_recursive_delete_stops_at_a_lock(vault: Client) -> None:
    tree(vault)
    lock(vault, "d/sub")
    assert run(vault, delete_job(vault, vault.uri("d"))) == (
        "ABORTED",
        {"successcount": "final:1", "errorcount": "final:1"},
    )
    assert vault.children("d/sub") == ["file2"]
    lock(vault, "d")
    assert run(vault, delete_job(vault, vault.uri("d"))) == ("ERROR", {})


def test_recursive_delete_of_what_is_not_there(both: Client) -> None:
    for target, text in ((both.uri("none"), "NodeNotFound: /none"), ("vos:bad uri", "Invalid")):
        job = delete_job(both, target)
        assert run(both, job) == ("ERROR", {})
        assert both.call("GET", f"{job}/error").text.startswith(text)
    job = both.call("POST", "async-delete", data={"other": "x"}).headers["Location"]
    assert run(both, job)[0] == "ERROR"


def test_recursive_delete_follows_a_link_at_the_top_only(both: Client) -> None:
    tree(both)
    both.fake.put("kept", b"x")
    for name, target in (("top", "d"), ("d/inner", "kept")):
        document = both.node(name, "LinkNode", target=both.uri(target))
        both.call("PUT", f"nodes/{name}", data=document)
    assert run(both, delete_job(both, both.uri("top")))[1] == {"successcount": "final:5"}
    assert both.fake.get("kept") == b"x"


def test_recursive_delete_permissions(team: Client) -> None:
    job = delete_job(team, team.uri("d"), headers=BOB)
    assert run(team, job, headers=BOB)[0] == "ERROR"
    team.fake.set_property("d", CORE + "groupwrite", GROUP)
    assert run(team, delete_job(team, team.uri("d"), headers=BOB), headers=BOB) == (
        "ABORTED",
        {"successcount": "final:1", "errorcount": "final:1"},
    )
    team.fake.set_property("", CORE + "groupwrite", GROUP)
    team.fake.set_property("d/sub", CORE + "groupwrite", GROUP)
    job = delete_job(team, team.uri("d"), headers=BOB)
    assert run(team, job, headers=BOB) == ("COMPLETED", {"successcount": "final:3"})


def test_too_many_errors_abort_the_job(team: Client) -> None:
    for number in range(102):
        team.fake.put(f"d/f{number}", b"")
    job = delete_job(team, team.uri("d"), headers=BOB)
    assert run(team, job, headers=BOB) == ("ERROR", {})
    assert "JobAborted" in team.call("GET", f"{job}/error", headers=BOB).text


def test_recursive_properties(both: Client) -> None:
    tree(both)
    change: dict[str, str | None] = {CORE + "title": "t", CORE + "ispublic": "true", "own:x": "y"}
    job = set_job(both, "d", change)
    assert run(both, job) == ("COMPLETED", {"successcount": "final:4"})
    for path in ("d", "d/sub", "d/file1", "d/sub/file2"):
        shown = both.properties(path)
        assert (shown[CORE + "title"], shown["own:x"]) == ("t", "y")
    if both.fake.personality.locks:
        lock(both, "d/sub")  # does not count here
    job = set_job(both, "d", {CORE + "title": "u", "own:x": None})
    assert run(both, job) == ("COMPLETED", {"successcount": "final:4"})
    assert both.properties("d/sub/file2")[CORE + "title"] == "u"
    assert "own:x" not in both.properties("d/sub/file2")


def test_recursive_properties_never_set_a_quota(both: Client) -> None:
    tree(both)
    job = set_job(both, "d", {CORE + "quota": "10", CORE + "title": "t"})
    assert run(both, job) == ("ERROR", {})
    assert "admin props" in both.call("GET", f"{job}/error").text
    assert CORE + "title" not in both.properties("d")


def test_recursive_properties_permissions(team: Client) -> None:
    team.fake.put("d/sub/file3", b"3")  # five nodes: d, file1, sub, file2, file3
    change: dict[str, str | None] = {CORE + "title": "t"}
    assert run(team, set_job(team, "d", change, headers=BOB), headers=BOB)[0] == "ERROR"
    for path in ("d", "d/file1"):
        team.fake.set_property(path, CORE + "groupwrite", GROUP)
    job = set_job(team, "d", change, headers=BOB)
    assert run(team, job, headers=BOB) == (
        "ABORTED",
        {"successcount": "final:2", "errorcount": "final:1"},
    )
    for path in ("d/sub", "d/sub/file2", "d/sub/file3"):
        team.fake.set_property(path, CORE + "groupwrite", GROUP)
    job = set_job(team, "d", change, headers=BOB)
    assert run(team, job, headers=BOB) == ("COMPLETED", {"successcount": "final:5"})


def test_what_a_job_says_of_itself(both: Client) -> None:
    tree(both)
    job = delete_job(both, both.uri("d"))
    assert both.call("GET", f"{job}/owner").text == "owner\n"
    assert both.call("GET", f"{job}/quote").status_code == 200
    assert both.call("GET", f"{job}/executionduration").text == "3600\n"
    assert both.call("GET", f"{job}/destruction").text.endswith("Z\n")
    assert both.uri("d") in both.call("GET", f"{job}/parameters").text
    assert b"results" in both.call("GET", f"{job}/results").content
    assert both.call("GET", f"{job}/error").status_code == 404
    assert both.call("GET", f"{job}/nonsense").status_code == 404
    assert both.call("GET", f"transfers/{job.rpartition('/')[2]}").status_code == 404
    listed = etree.fromstring(both.call("GET", "async-delete").content)
    assert [one.get("id") for one in listed] == [job.rpartition("/")[2]]


def test_job_lists_are_filtered(vault: Client) -> None:
    jobs = [delete_job(vault, vault.uri("none")) for _ in range(3)]
    run(vault, jobs[0])

    def listed(query: str) -> list[str]:
        answer = vault.call("GET", f"async-delete?{query}")
        return [one.get("id", "") for one in etree.fromstring(answer.content)]

    ids = [job.rpartition("/")[2] for job in jobs]
    assert listed("PHASE=PENDING") == ids[1:]
    assert listed("PHASE=ERROR&PHASE=PENDING") == ids
    assert listed("LAST=1") == ids[2:]
    assert listed("AFTER=2001-01-01T00:00:00") == ids
    assert listed("AFTER=2999-01-01T00:00:00Z") == []
    assert vault.call("GET", "async-delete?LAST=0").status_code == 400
    assert vault.call("GET", "async-delete?AFTER=soon").status_code == 400


def test_jobs_are_their_owners(team: Client) -> None:
    job = delete_job(team, team.uri("d"), headers=ANN)
    assert team.call("GET", job, headers=BOB).status_code == 403
    assert team.call("DELETE", job).status_code == 403
    assert team.call("GET", "async-delete").status_code == 403
    assert len(etree.fromstring(team.call("GET", "async-delete", headers=BOB).content)) == 0


def test_destruction_follows_the_clock(make: MakeClient) -> None:
    now = [1_000_000_000.0]
    client = make("vault", clock=lambda: now[0])
    job = delete_job(client, client.uri("x"))
    moment = {"DESTRUCTION": "2001-09-09T02:00:00.000Z"}
    assert client.call("POST", f"{job}/destruction", data=moment).status_code == 303
    assert client.call("GET", f"{job}/destruction").text == "2001-09-09T02:00:00.000Z\n"
    now[0] += 900
    assert client.call("GET", job).status_code == 404
    assert len(etree.fromstring(client.call("GET", "async-delete").content)) == 0


def test_execution_duration_can_be_set(vault: Client) -> None:
    job = delete_job(vault, vault.uri("x"))
    for value, status in (("60", 303), ("soon", 400)):
        data = {"EXECUTIONDURATION": value}
        assert vault.call("POST", f"{job}/executionduration", data=data).status_code == status
    assert vault.call("GET", f"{job}/executionduration").text == "60\n"
    assert vault.call("POST", f"{job}/destruction", data={"x": "y"}).status_code == 400


def test_wait_follows_the_clock(make: MakeClient) -> None:
    now = [1_000_000_000.0]
    client = make("vault", clock=lambda: now[0])
    job = delete_job(client, client.uri("x"))
    seen: list[str] = []
    other = Client(client.fake, client.url)
    waiter = threading.Thread(target=lambda: seen.append(other.call("GET", f"{job}?WAIT=18").text))
    waiter.start()
    client.fake.journal.wait_for(endpoint="async-delete", method="GET")
    now[0] += 18  # nobody ran the job; the wait is over because its time is
    waiter.join(10)
    other.session.close()
    assert "PENDING" in seen[0]


def test_wait_for_another_phase_returns_at_once(vault: Client) -> None:
    job = delete_job(vault, vault.uri("x"))
    assert "PENDING" in vault.call("GET", f"{job}?WAIT=50&PHASE=EXECUTING").text
    assert vault.call("GET", f"{job}?WAIT=soon").status_code == 400


def test_an_aborted_job_does_nothing(both: Client) -> None:
    tree(both)
    job = delete_job(both, both.uri("d"))
    both.call("POST", f"{job}/phase", data={"PHASE": "ABORT"})
    assert run(both, job) == ("ABORTED", {})
    assert both.fake.get("d/file1") == b"1"


def test_push_and_pull_as_asynchronous_jobs(both: Client) -> None:
    document = both.transfer("f", "pushToVoSpace")
    job = both.call("POST", "transfers", data=document).headers["Location"]
    both.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
    assert both.call("GET", f"{job}/phase").text == "EXECUTING"
    details = both.call("GET", f"{job}/results/transferDetails").headers["Location"]
    assert b"endpoint" in both.call("GET", details).content
    both.call("POST", f"{job}/phase", data={"PHASE": "ABORT"})
    assert both.call("GET", f"{job}/phase").text == "ABORTED"


def test_move_ignores_protocols_and_makes_one_result(both: Client) -> None:
    tree(both)
    both.fake.mkdir("into")
    document = both.transfer("d", both.uri("into"), keep=False).replace(
        b"<keepBytes>", b'<protocol uri="ivo://ivoa.net/vospace/core#httpsget"/><keepBytes>'
    )
    job = both.call("POST", "transfers", data=document).headers["Location"]
    assert run(both, job) == ("COMPLETED", {"destination": both.uri("into/d")})
    assert sorted(both.children("into/d")) == ["file1", "sub"]


def test_move_into_a_locked_container(vault: Client) -> None:
    vault.fake.put("a", b"x")
    vault.fake.mkdir("dst")
    lock(vault, "dst")
    job = vault.move("a", "dst")
    assert vault.call("GET", f"{job}/error").text == "PermissionDenied"
    assert vault.fake.get("a") == b"x"


def test_move_needs_both_parents(team: Client) -> None:
    team.fake.mkdir("mine")
    team.fake.set_property("mine", CORE + "groupwrite", GROUP)
    for path in ("d", "d/file1"):  # may read, not write
        team.fake.set_property(path, CORE + "groupread", GROUP)
    team.session.headers.update(BOB)
    job = team.move("d/file1", "mine")
    assert team.call("GET", f"{job}/error").text == "PermissionDenied"
    team.fake.set_property("d", CORE + "groupwrite", GROUP)
    team.move("d/file1", "mine")
    assert team.fake.node("mine/file1")[CORE + "creator"] == "bob"


def test_a_link_is_moved_itself(both: Client) -> None:
    both.fake.put("f", b"x")
    document = both.node("l", "LinkNode", target=both.uri("f"))
    both.call("PUT", "nodes/l", data=document)
    both.move("l", "m")
    assert both.fake.node("m")["type"] == "LinkNode"
    assert both.fake.get("f") == b"x"


def test_copy(make: MakeClient) -> None:
    spec = make("spec")
    tree(spec)
    spec.fake.set_property("d/file1", CORE + "title", "t")

    def copy(source: str, destination: str) -> tuple[str, dict[str, str]]:
        document = spec.transfer(source, spec.uri(destination), keep=True)
        return run(spec, spec.call("POST", "transfers", data=document).headers["Location"])

    assert copy("d", "e") == ("COMPLETED", {"destination": spec.uri("e")})
    assert (spec.fake.get("e/sub/file2"), spec.fake.get("d/sub/file2")) == (b"2", b"2")
    assert spec.fake.node("e/file1")[CORE + "title"] == "t"
    spec.fake.put("d/file1", b"changed")
    assert spec.fake.get("e/file1") == b"1"
    assert copy("d/file1", "e")[0] == "ERROR"  # the name is taken
    assert copy("d", "d/sub")[0] == "ERROR"
    assert copy("none", "x")[0] == "ERROR"
