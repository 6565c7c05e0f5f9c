"""Job documents (UWS 1.1) and VOSI documents: values to bytes, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from lxml import etree

from fakevospace.describe import date_text
from fakevospace.documents import XSI, to_bytes, write_transfer
from fakevospace.jobs import Job

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK = "http://www.w3.org/1999/xlink"
VOSI_CAPABILITIES = "http://www.ivoa.net/xml/VOSICapabilities/v1.0"
VOSI_AVAILABILITY = "http://www.ivoa.net/xml/VOSIAvailability/v1.0"
VODATASERVICE = "http://www.ivoa.net/xml/VODataService/v1.1"
NIL = f"{{{XSI}}}nil"


def uws_date(date_ms: int) -> str:
    """Write a date as jobs have it: like a node's, with the zone."""
    return f"{date_text(date_ms)}Z"


def parse_uws_date(text: str) -> int | None:
    """Read a date of UWS (ISO 8601, UTC when no zone is given); None when it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def write_job(job: Job) -> bytes:
    """Write the document of one job."""
    root = etree.Element(f"{{{UWS}}}job", nsmap={"uws": UWS, "xlink": XLINK, "xsi": XSI})
    root.set("version", "1.1")
    _child(root, "jobId", job.number)
    if job.run_id is not None:
        _child(root, "runId", job.run_id)
    _child(root, "ownerId", job.owner)
    _child(root, "phase", job.phase.value)
    _child(root, "quote", None)
    _child(root, "creationTime", uws_date(job.created_ms))
    for name, moment in (("startTime", job.started_ms), ("endTime", job.ended_ms)):
        _child(root, name, None if moment is None else uws_date(moment))
    _child(root, "executionDuration", str(job.execution_s))
    _child(root, "destruction", uws_date(job.destruction_ms))
    _parameters(root, job)
    _results(root, job)
    if job.error is not None:
        summary = etree.SubElement(root, f"{{{UWS}}}errorSummary", type="fatal", hasDetail="false")
        _child(summary, "message", job.error)
    if job.transfer is not None:
        info = etree.SubElement(root, f"{{{UWS}}}jobInfo")
        info.append(etree.fromstring(write_transfer(job.transfer)))
    return to_bytes(root)


def _child(parent: etree._Element, name: str, text: str | None) -> None:
    """Append an element with text, or a nil one."""
    element = etree.SubElement(parent, f"{{{UWS}}}{name}")
    if text is None:
        element.set(NIL, "true")
    else:
        element.text = text


def _parameters(parent: etree._Element, job: Job) -> None:
    holder = etree.SubElement(parent, f"{{{UWS}}}parameters")
    given = {} if job.target is None else {"target": job.target}
    if job.transfer is not None:
        given["direction"] = job.transfer.direction
        if job.transfer.keep_bytes is not None:
            given["keepBytes"] = str(job.transfer.keep_bytes).lower()
    for name, value in given.items():
        etree.SubElement(holder, f"{{{UWS}}}parameter", id=name).text = value


def _results(parent: etree._Element, job: Job) -> None:
    holder = etree.SubElement(parent, f"{{{UWS}}}results")
    for name, href in job.results:
        result = etree.SubElement(holder, f"{{{UWS}}}result", id=name)
        result.set(f"{{{XLINK}}}href", href)


def write_part(job: Job, part: str) -> bytes:
    """Write the `parameters` or the `results` of a job as a document of its own."""
    holder = etree.Element("holder", nsmap={"uws": UWS, "xlink": XLINK})
    (_parameters if part == "parameters" else _results)(holder, job)
    return to_bytes(holder[0])


def write_job_list(jobs: Iterable[tuple[Job, str]]) -> bytes:
    """Write the list of jobs, each with its URL."""
    root = etree.Element(f"{{{UWS}}}jobs", nsmap={"uws": UWS, "xlink": XLINK, "xsi": XSI})
    root.set("version", "1.1")
    for job, url in jobs:
        entry = etree.SubElement(root, f"{{{UWS}}}jobref", id=job.number)
        entry.set(f"{{{XLINK}}}href", url)
        _child(entry, "phase", job.phase.value)
        _child(entry, "ownerId", job.owner)
        _child(entry, "creationTime", uws_date(job.created_ms))
    return to_bytes(root)


def write_capabilities(
    offered: Iterable[tuple[str, str]], security_methods: tuple[str | None, ...]
) -> bytes:
    """Write the VOSI capabilities.

    Args:
        offered: (standardID, access URL), all with the same security methods.
        security_methods: URIs; None stands for the anonymous one.
    """
    names = {"vosi": VOSI_CAPABILITIES, "vs": VODATASERVICE, "xsi": XSI}
    root = etree.Element(f"{{{VOSI_CAPABILITIES}}}capabilities", nsmap=names)
    for standard_id, url in offered:
        capability = etree.SubElement(root, "capability", standardID=standard_id)
        interface = etree.SubElement(capability, "interface", role="std")
        interface.set(f"{{{XSI}}}type", "vs:ParamHTTP")
        etree.SubElement(interface, "accessURL", use="base").text = url
        for method in security_methods:
            given = {} if method is None else {"standardID": method}
            etree.SubElement(interface, "securityMethod", given)
    return to_bytes(root)


def write_availability(note: str, *, available: bool) -> bytes:
    """Write the VOSI availability."""
    root = etree.Element(f"{{{VOSI_AVAILABILITY}}}availability", nsmap={"vosi": VOSI_AVAILABILITY})
    etree.SubElement(root, f"{{{VOSI_AVAILABILITY}}}available").text = str(available).lower()
    etree.SubElement(root, f"{{{VOSI_AVAILABILITY}}}note").text = note
    return to_bytes(root)
