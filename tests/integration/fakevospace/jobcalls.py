"""Recursive jobs over HTTP: made, run, and what became of them."""

from __future__ import annotations

from lxml import etree

from .conftest import Client

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK = "http://www.w3.org/1999/xlink"


def run(client: Client, job: str, **options: object) -> tuple[str, dict[str, str]]:
    """Run a job; return its phase and its results."""
    answer = client.call("POST", f"{job}/phase", data={"phase": "RUN"}, **options)
    assert answer.status_code in (302, 303), answer.text
    root = etree.fromstring(client.call("GET", f"{job}?WAIT=6", **options).content)
    results = root.iterfind(f"{{{UWS}}}results/{{{UWS}}}result")
    hrefs = {one.get("id", ""): one.get(f"{{{XLINK}}}href", "") for one in results}
    return root.findtext(f"{{{UWS}}}phase") or "", hrefs


def delete_job(client: Client, target: str, **options: object) -> str:
    answer = client.call("POST", "async-delete", data={"target": target}, **options)
    assert answer.status_code == 303
    return answer.headers["Location"]


def set_job(client: Client, path: str, properties: dict[str, str | None], **options: object) -> str:
    document = client.node(path, "ContainerNode", properties)
    answer = client.call("POST", "async-setprops", data=document, **options)
    assert answer.status_code == 303
    return answer.headers["Location"]


def tree(client: Client) -> None:
    """The tree of the real services' tests."""
    client.fake.mkdir("d/sub")
    client.fake.put("d/file1", b"1")
    client.fake.put("d/sub/file2", b"2")
