"""What the page at `/_fake/` shows: the tree, the jobs, and the page itself.

The page is one file without a build step; journal, faults and clock it takes from `control`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fakevospace.describe import date_text, shown_properties
from fakevospace.exchange import Exchange, Reply
from fakevospace.names import decode_path, encode_path
from fakevospace.nodes import Kind, Node
from fakevospace.refusals import node_not_found
from fakevospace.state import State

FILE = Path(__file__).parent.parent / "page.html"
SECURITY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " connect-src 'self'; img-src data:; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _page() -> bytes:
    return FILE.read_bytes()


def page(state: State, exchange: Exchange) -> Reply:
    """Answer with the page."""
    headers = (
        ("Content-Type", "text/html; charset=UTF-8"),
        ("Content-Security-Policy", SECURITY),
        ("Cache-Control", "no-store"),
    )
    return Reply(200, headers, _page())


def tree_shown(state: State, path: str, start: str | None, limit: int) -> dict[str, Any]:
    """Describe a node and one page of its children, from the name `start` on.

    Raises:
        Refusal: 404, 400.
    """
    where = decode_path(encode_path(path))
    with state.lock:
        node = state.tree.at(where)
        if node is None:
            raise node_not_found(state.space.uri(where))
        found = node.children.page(start, limit + 1, by_name=True)
        return {
            "path": f"/{where}",
            "total": len(node.children),
            "properties": shown_properties(state.space, node),
            "target": node.target,
            "children": [_child(one) for one in found[:limit]],
            "next": found[limit].name if len(found) > limit else None,
        }


def _child(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "kind": node.kind.value,
        "size": len(node.children) if node.kind is Kind.CONTAINER else node.length,
        "date": date_text(node.date_ms),
        "owner": node.owner,
    }


def jobs_shown(state: State, limit: int) -> list[dict[str, Any]]:
    """Describe the newest jobs, newest first."""
    newest = sorted(state.jobs.all(), key=lambda job: job.created_ms, reverse=True)[:limit]
    return [
        {
            "number": job.number,
            "kind": job.kind.value,
            "phase": job.phase.value,
            "node": f"/{job.node_path}",
            "owner": job.owner,
            "error": job.error,
            "created": date_text(job.created_ms),
        }
        for job in newest
    ]
