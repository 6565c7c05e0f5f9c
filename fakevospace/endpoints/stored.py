"""Reading from vault's byte service: what minoc does beyond plain GET and HEAD (protocol.md 6.1).

`x-artifact-id`, `If-Modified-Since`, and the parameters of SODA: `META=true` gives the headers of
a FITS file as text.  Cut-outs are not made: what is a FITS file comes whole, anything else is 400.
"""

from __future__ import annotations

from dataclasses import replace

from werkzeug.http import parse_date

from fakevospace.describe import bytes_date_ms
from fakevospace.endpoints.content import send_content
from fakevospace.exchange import TEXT, Exchange, Reply
from fakevospace.fitsheaders import NotFits, header_text
from fakevospace.nodes import Node
from fakevospace.personality import Personality
from fakevospace.refusals import Refusal
from fakevospace.state import State

CUTOUTS = frozenset({"SUB", "CIRCLE", "POLYGON", "POS", "BAND", "TIME", "POL"})


def send_stored(state: State, exchange: Exchange, node: Node) -> Reply:
    """Answer GET or HEAD of a byte URL; call with `state.lock` held.

    Raises:
        Refusal: 416; 400 a FITS operation on what is none.
    """
    if not state.personality.fits_operations:
        return send_content(state, exchange, node, ranges=True)
    identity = ("x-artifact-id", node.storage_id or "")
    if _is_unchanged(state.personality, exchange, node):
        return Reply(304, (identity,))
    if exchange.request.method == "GET":
        given = {name.upper(): value for name, value in exchange.request.args.items()}
        meta = given.get("META", "").lower() == "true"
        if meta or not CUTOUTS.isdisjoint(given):
            headers = _headers(state, node)
            if meta:
                return Reply(200, (("Content-Type", TEXT), identity), headers.encode())
    reply = send_content(state, exchange, node, ranges=True)
    return replace(reply, headers=(*reply.headers, identity))


def _is_unchanged(personality: Personality, exchange: Exchange, node: Node) -> bool:
    since = parse_date(exchange.request.headers.get("If-Modified-Since"))
    if since is None or exchange.request.headers.get("Range"):
        return False
    return bytes_date_ms(personality, node) // 1000 <= since.timestamp()


def _headers(state: State, node: Node) -> str:
    reader = state.store.reader(node.content or "")
    try:
        return header_text(reader.read, reader.size_bytes)
    except NotFits as error:
        raise Refusal(400, str(error)) from None
    finally:
        reader.close()
