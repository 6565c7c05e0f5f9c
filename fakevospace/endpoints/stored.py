"""Reading from vault's byte service: what minoc does beyond plain GET and HEAD (protocol.md 6.1).

`x-artifact-id`, `If-Modified-Since`, and the parameters of SODA: `META=true` gives the headers of
a FITS file as text, `SUB` and `CIRCLE` cut parts out of its images.  Nothing in the images that was
asked for is 400, as are the other cut-outs of SODA and several kinds at once.
"""

from __future__ import annotations

from dataclasses import replace

from werkzeug.http import parse_date

from fakevospace.describe import bytes_date_ms
from fakevospace.endpoints.content import content_headers, send_content
from fakevospace.exchange import TEXT, Exchange, Reply
from fakevospace.fitsbody import CutoutBody
from fakevospace.fitscutouts import BadCutout, cut_of, parse_sub
from fakevospace.fitsheaders import NotFits, hdus, header_text
from fakevospace.fitssky import cuts_of, parse_circle
from fakevospace.nodes import Node
from fakevospace.personality import Personality
from fakevospace.refusals import Refusal
from fakevospace.state import State
from fakevospace.storage import Reader

FITS = "application/fits"
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
        operations = _operations(exchange)
        if operations:
            return _operated(state, node, operations, identity)
    reply = send_content(state, exchange, node, ranges=True)
    return replace(reply, headers=(*reply.headers, identity))


def _is_unchanged(personality: Personality, exchange: Exchange, node: Node) -> bool:
    since = parse_date(exchange.request.headers.get("If-Modified-Since"))
    if since is None or exchange.request.headers.get("Range"):
        return False
    return bytes_date_ms(personality, node) // 1000 <= since.timestamp()


def _operations(exchange: Exchange) -> dict[str, list[str]]:
    """Return the parameters of SODA that the request has: name -> values."""
    found: dict[str, list[str]] = {}
    for name, value in exchange.request.args.items(multi=True):
        key = name.upper()
        if key in CUTOUTS or (key == "META" and value.lower() == "true"):
            found.setdefault(key, []).append(value)
    return found


def _operated(
    state: State, node: Node, operations: dict[str, list[str]], identity: tuple[str, str]
) -> Reply:
    """Answer with headers or a cut-out; call with `state.lock` held.

    Raises:
        Refusal: 400.
    """
    if node.content is None:
        raise Refusal(400, "not a fits file")
    reader, kept = state.store.reader(node.content), False
    try:
        if list(operations) == ["META"]:
            text = header_text(reader.read, reader.size_bytes)
            return Reply(200, (("Content-Type", TEXT), identity), text.encode())
        body = _cutout(reader, operations)
        kept = True
    except (NotFits, BadCutout) as error:
        raise Refusal(400, str(error)) from None
    finally:
        if not kept:
            reader.close()
    # Neither length nor digest of the file are those of the cut-out, and a Range does not count.
    plain = (one for one in content_headers(state, node, ranges=False) if one[0] != "Digest")
    return Reply(200, (("Content-Type", FITS), *plain, identity), body)


def _cutout(reader: Reader, operations: dict[str, list[str]]) -> CutoutBody:
    """Plan a cut-out.

    Raises:
        NotFits, BadCutout: it cannot be made.
    """
    found = list(hdus(reader.read, reader.size_bytes))
    if len(operations) > 1:
        raise BadCutout(f"conflicting parameters: {', '.join(sorted(operations))}")
    match next(iter(operations.items())):
        case "SUB", values:
            cuts = [cut_of(found, parse_sub(one)) for one in values]
        case "CIRCLE", [value]:
            cuts = cuts_of(found, parse_circle(value))
        case "CIRCLE", _:
            raise BadCutout("one CIRCLE only")
        case name, _:
            raise BadCutout(f"not supported: {name}")
    return CutoutBody(reader, found[0], cuts)
