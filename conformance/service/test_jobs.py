"""UWS jobs, on the transfers resource (UWS 1.1; VOSpace 2.1, section 6.4)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from conformance.expect import expect_phase, expect_redirect, expect_status
from conformance.grammar import check
from conformance.wire import Service, parse, transfer_document
from conformance.wire.terms import RECURSIVE_DELETE

pytestmark = pytest.mark.needs("asyncTransfers")


@pytest.fixture
def job(service: Service, container: str) -> str:
    """The URL of a job that would move `container`/a to `container`/b."""
    service.make(f"{container}/a")
    return expect_redirect(service.jobs().create(move_document(service, container)))


def move_document(service: Service, container: str) -> bytes:
    """A request to move a to b."""
    uris = service.nodes.uri(f"{container}/a"), service.nodes.uri(f"{container}/b")
    return transfer_document([uris[0]], uris[1], keep_bytes=False)


@pytest.mark.clause(
    "VOS-6.4-pending", source="UWS 1.1 §2.1.3; VOSpace 2.1 §6.4.1 example 1: a new job is PENDING"
)
def test_a_new_job_is_pending(service: Service, container: str, job: str) -> None:
    answer = expect_status(service.jobs().get(job), 200)
    check(answer.content, "job")
    assert service.jobs().read(job).phase == "PENDING"
    assert service.jobs().phase(job) == "PENDING"
    # Nothing has been done yet.
    assert service.nodes.read(container).children == ("a",)


@pytest.mark.clause("VOS-6.4-run", source="VOSpace 2.1 §6.4; UWS 1.1 §2.2.3.3: PHASE=RUN, 303")
def test_a_job_is_run(service: Service, container: str, job: str) -> None:
    answer = service.jobs().post_phase(job, "RUN")
    assert expect_redirect(answer) == job
    expect_phase(service.jobs().read(job, WAIT=10), "COMPLETED")
    assert service.nodes.read(container).children == ("b",)


@pytest.mark.clause(
    "VOS-6.4-run-any-case",
    source="protocol.md 5.4: vos sends PHASE=RUN and phase=RUN; names and values in any case",
)
def test_a_job_is_run_in_any_case(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    for name, value in (("phase", "RUN"), ("Phase", "run")):
        job = expect_redirect(service.jobs().create(move_document(service, container)))
        expect_redirect(service.jobs().post_phase(job, value, name))
        expect_phase(service.jobs().finish(job), "COMPLETED")
        expect_status(service.nodes.delete(f"{container}/b"), 200, 204)
        service.make(f"{container}/a")


@pytest.mark.clause(
    "VOS-6.4-run-at-creation",
    source="VOSpace 2.1 §6.4: PHASE=RUN in the URL of the creation runs the job immediately",
)
def test_a_job_is_run_at_its_creation(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    jobs = service.jobs()
    answer = service.connection.send(
        "POST",
        jobs.root,
        params={"PHASE": "RUN"},
        data=move_document(service, container),
        headers={"Content-Type": jobs.document_type},
        follow=False,
    )
    job = expect_redirect(answer)
    expect_phase(jobs.read(job, WAIT=5), "COMPLETED")


@pytest.mark.clause("VOS-6.4-run-twice", source="UWS 1.1 §2.1.3: a job runs once")
def test_a_finished_job_is_not_run_again(service: Service, container: str, job: str) -> None:
    expect_phase(service.jobs().finish(job), "COMPLETED")
    service.make(f"{container}/a")
    service.jobs().post_phase(job, "RUN")
    assert service.jobs().phase(job) == "COMPLETED"
    assert sorted(service.nodes.read(container).children) == ["a", "b"]


@pytest.mark.clause("VOS-6.4-abort", source="VOSpace 2.1 §6.4; UWS 1.1 §2.2.3.4: PHASE=ABORT")
@pytest.mark.needs("pendingJobs")
def test_a_job_is_aborted(service: Service, container: str, job: str) -> None:
    expect_redirect(service.jobs().post_phase(job, "ABORT"))
    assert service.jobs().phase(job) == "ABORTED"
    service.jobs().post_phase(job, "RUN")
    assert service.jobs().phase(job) == "ABORTED"
    assert service.nodes.read(container).children == ("a",)


@pytest.mark.clause("VOS-6.4-bad-phase", source="UWS 1.1 §2.2.3: another phase is refused with 400")
@pytest.mark.needs("pendingJobs")
def test_an_unknown_phase_is_refused(service: Service, job: str) -> None:
    for value in ("FLY", "COMPLETED", ""):
        expect_status(service.jobs().post_phase(job, value), 400)
    assert service.jobs().phase(job) == "PENDING"


@pytest.mark.clause("VOS-6.4-missing-job", source="UWS 1.1 §2.2.2: 404 for a job there is not")
def test_a_missing_job(service: Service) -> None:
    jobs = service.jobs()
    expect_status(jobs.get(f"{jobs.root}/no-such-job"), 404)
    expect_status(jobs.get(f"{jobs.root}/no-such-job", "phase"), 404)


@pytest.mark.clause(
    "VOS-6.4-wait-done", source="UWS 1.1 §2.2.1.1: WAIT on a job that ended answers at once"
)
def test_waiting_for_a_finished_job(service: Service, job: str) -> None:
    service.jobs().finish(job)
    answer = service.jobs().get(job, "", WAIT=50)
    assert answer.elapsed.total_seconds() < 20
    check(answer.content, "job")


@pytest.mark.clause(
    "VOS-6.4-wait-pending", source="UWS 1.1 §2.2.1.1: WAIT=n answers after n seconds at the latest"
)
@pytest.mark.needs("pendingJobs")
def test_waiting_for_a_pending_job(service: Service, job: str) -> None:
    answer = service.jobs().get(job, "", WAIT=1)
    assert answer.elapsed.total_seconds() < 20
    assert service.jobs().phase(job) == "PENDING"


@pytest.mark.clause(
    "VOS-6.4-parts",
    source="UWS 1.1 §2.2.2: phase, owner, quote, executionduration, destruction as text",
)
def test_the_parts_of_a_job(service: Service, job: str) -> None:
    for part in ("phase", "owner", "quote", "executionduration", "destruction"):
        answer = expect_status(service.jobs().get(job, part), 200)
        assert answer.headers["Content-Type"].startswith("text/plain"), part
    assert service.jobs().get(job, "executionduration").text.strip().isdecimal()


@pytest.mark.clause("VOS-6.4-results", source="UWS 1.1 §2.2.2: results and parameters as XML")
def test_the_results_of_a_job(service: Service, container: str, job: str) -> None:
    service.jobs().finish(job)
    for part in ("results", "parameters"):
        root = parse(expect_status(service.jobs().get(job, part), 200).content)
        assert str(root.tag).rpartition("}")[2] == part
    assert (
        service.nodes.uri(f"{container}/b").encode() in service.jobs().get(job, "results").content
    )


@pytest.mark.clause("VOS-6.4-no-error", source="protocol.md 5.4: (job)/error without error is 404")
def test_a_job_without_error(service: Service, job: str) -> None:
    expect_phase(service.jobs().finish(job), "COMPLETED")
    expect_status(service.jobs().get(job, "error"), 404)


@pytest.mark.clause("VOS-6.4-delete", source="UWS 1.1 §2.2.3.1: DELETE of a job: 303 to the list")
def test_a_job_is_deleted(service: Service, job: str) -> None:
    answer = service.connection.send("DELETE", job, follow=False)
    assert expect_redirect(answer).rstrip("/") == service.jobs().root
    expect_status(service.jobs().get(job), 404)


@pytest.mark.clause("VOS-6.4-action-delete", source="UWS 1.1 §2.2.3.1: POST of ACTION=DELETE")
def test_a_job_is_deleted_by_post(service: Service, job: str) -> None:
    answer = service.connection.send("POST", job, data={"ACTION": "DELETE"}, follow=False)
    expect_redirect(answer)
    expect_status(service.jobs().get(job), 404)


@pytest.mark.clause(
    "VOS-6.4-destruction", source="UWS 1.1 §2.2.3.2: POST of DESTRUCTION; an earlier time is kept"
)
def test_the_destruction_time_is_set(service: Service, job: str) -> None:
    before = datetime.fromisoformat(service.jobs().get(job, "destruction").text.strip())
    earlier = (before - timedelta(minutes=10)).isoformat(timespec="milliseconds")
    answer = service.connection.send(
        "POST", f"{job}/destruction", data={"DESTRUCTION": earlier}, follow=False
    )
    assert expect_redirect(answer) == job
    assert service.jobs().get(job, "destruction").text.strip()[:16] == earlier[:16]


@pytest.mark.clause("VOS-6.4-list", source="UWS 1.1 §2.2.2.1: the list of jobs has my job")
def test_the_list_of_jobs(service: Service, job: str) -> None:
    answer = expect_status(service.jobs().get(service.jobs().root), 200)
    check(answer.content, "jobs")
    number = job.rpartition("/")[2]
    assert [ref.get("id") for ref in parse(answer.content)].count(number) == 1


@pytest.mark.clause(
    "VOS-CADC-list-private", source="protocol.md 5.4: the list of jobs is 403 for the anonymous"
)
@pytest.mark.needs("jobListPrivate", "strict")
def test_the_list_of_jobs_is_private(service: Service, stranger: Service) -> None:
    expect_status(stranger.jobs().get(service.jobs().root), 401, 403)


@pytest.mark.clause(
    "VOS-6.4-owner", source="UWS 1.1 §2.1.8: a job belongs to the user who created it"
)
@pytest.mark.needs("secondUser", "pendingJobs")
def test_a_job_belongs_to_its_creator(
    service: Service, other: Service, container: str, job: str
) -> None:
    other.jobs().post_phase(job, "RUN")
    assert service.nodes.read(container).children == ("a",)
    assert service.jobs().phase(job) == "PENDING"
    number = job.rpartition("/")[2]
    listed = other.jobs().get(other.jobs().root)
    assert not listed.ok or number.encode() not in listed.content


@pytest.mark.clause(
    "VOS-6.4-endpoints-apart", source="UWS 1.1 §2.2: a job is below the list it was created on"
)
@pytest.mark.needs("recursiveDelete")
def test_job_lists_are_apart(service: Service, job: str) -> None:
    elsewhere = f"{service.endpoint(RECURSIVE_DELETE)}/{job.rpartition('/')[2]}"
    expect_status(service.jobs().get(elsewhere), 404)


@pytest.mark.clause("VOS-6.4-malformed", source="VOSpace 2.1 §6.4: 400 for what is no transfer")
def test_what_is_no_transfer_is_refused(service: Service) -> None:
    for body in (b"", b"<", b"hello"):
        expect_status(service.jobs().create(body), 400)
