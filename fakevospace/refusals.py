"""How the service says no: a fault text and the HTTP status that goes with it.

Table 4.7 of protocol.md as functions, one per fault; the body is `Fault: detail` and a newline,
as text/plain.  Raised anywhere below the WSGI application, answered in one place (`service`).
A `Refusal` is an expected answer, never a defect of the fake.
"""

from __future__ import annotations

SERVICE_BUSY_RETRY_S = 180


class Refusal(Exception):
    """An answer other than success.

    Attributes:
        status: HTTP status code.
        text: body without the final newline.
        headers: further response headers.
    """

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


def invalid_argument(detail: str) -> Refusal:
    """400: a value in the request cannot be used."""
    return Refusal(400, f"InvalidArgument: {detail}")


def invalid_uri(detail: str) -> Refusal:
    """400: the URI of a document and that of the request differ, or make no sense together."""
    return Refusal(400, f"InvalidURI: {detail}")


def type_not_supported(detail: str) -> Refusal:
    """400: a node type that the service does not know."""
    return Refusal(400, f"TypeNotSupported: {detail}")


def view_not_supported(view: str) -> Refusal:
    """400: a view that the service does not have."""
    return Refusal(400, f"ViewNotSupported ({view})")


def link_found(uri: str) -> Refusal:
    """400: a link inside a path, where the service does not follow it (the specification)."""
    return Refusal(400, f"LinkFound: {uri}")


def quota_exceeded() -> Refusal:
    """413: the space that a quota leaves is used up; the word is what a job's error says."""
    return Refusal(413, "QuotaExceeded")


def option_not_supported(detail: str) -> Refusal:
    """400: a listing option that the service does not have."""
    return Refusal(400, f"OptionNotSupported: {detail}")


def unsupported(detail: str) -> Refusal:
    """400: what Java services raise as UnsupportedOperationException; no fault keyword."""
    return Refusal(400, detail)


def not_authenticated(detail: str) -> Refusal:
    """401: the credential is not valid."""
    return Refusal(401, f"NotAuthenticated: {detail}")


def permission_denied(uri: str) -> Refusal:
    """403: valid identity, no right; also what a lock answers."""
    return Refusal(403, f"PermissionDenied: {uri}")


def node_not_found(uri: str) -> Refusal:
    """404: no such node."""
    return Refusal(404, f"NodeNotFound: {uri}")


def container_not_found(uri: str) -> Refusal:
    """404: the parent of a node to be made does not exist, or is no container."""
    return Refusal(404, f"ContainerNotFound: {uri}")


def unreadable_link(uri: str) -> Refusal:
    """404: a link that leads nowhere, or in a circle."""
    return Refusal(404, f"UnreadableLinkTarget: {uri}")


def duplicate_node(detail: str) -> Refusal:
    """409: the name is taken."""
    return Refusal(409, f"DuplicateNode: {detail}")


def method_not_allowed(method: str) -> Refusal:
    """405: the resource has no such action."""
    return Refusal(405, f"method not supported: {method}")


def no_such_resource(path: str) -> Refusal:
    """404: no such URL, node or not."""
    return Refusal(404, f"not found: {path}")


def precondition_failed(detail: str) -> Refusal:
    """412: the bytes received are not those announced (digest or length)."""
    return Refusal(412, detail)


def request_timeout() -> Refusal:
    """408: the announced body did not come in time; the connection cannot be used again."""
    return Refusal(408, "timeout while reading the request body", (("Connection", "close"),))


def unsupported_media_type(given: str) -> Refusal:
    """415: the body's Content-Type is not the one that the service insists on."""
    return Refusal(415, f"unsupported media type: {given or 'none'}")


def busy(text: str) -> Refusal:
    """503: the service is not available for this now; come back in three minutes."""
    return Refusal(503, text, (("Retry-After", str(SERVICE_BUSY_RETRY_S)),))


def too_large(limit_bytes: int) -> Refusal:
    """413: the document is over the limit, in bytes."""
    return Refusal(413, f"limit: {limit_bytes}")
