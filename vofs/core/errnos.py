"""The one table between meaning and numbers: error -> errno, exit code; HTTP answer -> error.

Decides which errno an application sees, which exit code a failed start has, and which error an
HTTP answer or a failed UWS job means.  The fault of an answer is the FIRST token of its text and
nothing else of the text is looked at (protocol.md 4.7); where that token is no fault, the status
decides.

Invariants: every function here is total (an unknown exception is EIO, an unknown status an error
all the same), and ENOSYS never leaves it (R17: the kernel would never send that operation again).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from vofs.core import errors
from vofs.core.errors import StartError, VofsError

__all__ = ["ERRNO_OF", "errno_of", "error_from_answer", "error_from_fault", "exit_code_of"]

# Looked up along the MRO, so a class not named here has its nearest ancestor's number.
ERRNO_OF: Mapping[type[VofsError], int] = MappingProxyType(
    {
        errors.VofsError: errno.EIO,
        errors.NodeError: errno.EIO,
        errors.NodeNotFound: errno.ENOENT,
        errors.ContainerNotFound: errno.ENOENT,
        errors.NodeExists: errno.EEXIST,
        errors.NodeLocked: errno.EPERM,
        errors.PermissionDenied: errno.EACCES,
        errors.ContainerNotEmpty: errno.ENOTEMPTY,
        errors.NotAContainer: errno.ENOTDIR,
        errors.IsAContainer: errno.EISDIR,
        # open(2) of a dangling symlink is ENOENT; the services do not tell a circle from a target
        # that is missing (both are UnreadableLinkTarget), so ELOOP would be wrong more often.
        errors.LinkUnreadable: errno.ENOENT,
        errors.InvalidName: errno.EINVAL,
        errors.NameTooLong: errno.ENAMETOOLONG,
        errors.InvalidRequest: errno.EINVAL,
        errors.NodeBusy: errno.EBUSY,
        errors.QuotaExceeded: errno.EDQUOT,
        errors.RemoteError: errno.EIO,
        errors.NotAuthenticated: errno.EACCES,
        errors.ReadOnlyService: errno.EROFS,
        errors.NotSupported: errno.EOPNOTSUPP,
        errors.RemoteUnavailable: errno.EIO,  # as users of sshfs and rclone expect
        errors.RemoteTimeout: errno.ETIMEDOUT,
        # Only with --strict-timeout: Python's read() takes EAGAIN for the end of the file (R14).
        errors.StrictTimeout: errno.EAGAIN,
        errors.RemoteFailed: errno.EIO,
        errors.ProtocolViolation: errno.EIO,
        errors.TransferError: errno.EIO,
        errors.VersionChanged: errno.ESTALE,
        errors.TransferCorrupted: errno.EIO,
        errors.CacheError: errno.EIO,
        errors.CacheFull: errno.ENOSPC,
        errors.CacheDamaged: errno.EIO,
        errors.UploadFailed: errno.EIO,
        errors.UploadConflict: errno.EIO,
        errors.ContentLost: errno.ESTALE,
        errors.AccessError: errno.EIO,
        errors.ReadOnlyMount: errno.EROFS,
        errors.UnknownHandle: errno.EIO,
        errors.WrongHandleMode: errno.EBADF,
        errors.NoSuchAttribute: errno.ENODATA,
        errors.OperationForbidden: errno.EPERM,
        errors.OperationInvalid: errno.EINVAL,
        errors.StartError: errno.EIO,
    }
)

_EXIT_CODE_OF: Mapping[type[StartError], int] = MappingProxyType(
    {errors.UsageError: 2, errors.ServiceUnusable: 3, errors.MountUnusable: 4}
)

_Maker = Callable[[str], VofsError]

# The fault names of VOSpace 2.1, of CADC's services and of UWS job errors (protocol.md 4.7, 5.4).
_FAULTS: Mapping[str, _Maker] = MappingProxyType(
    {
        "InvalidURI": errors.InvalidRequest,
        "InvalidArgument": errors.InvalidRequest,
        "InvalidToken": errors.InvalidRequest,
        "InvalidData": errors.InvalidRequest,
        "TypeNotSupported": errors.InvalidRequest,
        "ViewNotSupported": errors.InvalidRequest,
        "OptionNotSupported": errors.InvalidRequest,
        "OperationNotSupported": errors.NotSupported,
        "ProtocolNotSupported": errors.NotSupported,
        "NotAuthenticated": errors.NotAuthenticated,
        "PermissionDenied": errors.PermissionDenied,
        "NodeNotFound": errors.NodeNotFound,
        "ContainerNotFound": errors.ContainerNotFound,
        "UnreadableLinkTarget": errors.LinkUnreadable,
        "LinkFound": errors.LinkUnreadable,
        "DuplicateNode": errors.NodeExists,
        "NodeLocked": errors.NodeLocked,
        "NodeBusy": errors.NodeBusy,
        "QuotaExceeded": errors.QuotaExceeded,
        "RequestEntityTooLarge": errors.QuotaExceeded,
        "RequestEntityToolarge": errors.QuotaExceeded,  # spelled so by the services
        "TransferFailed": errors.RemoteFailed,
        "InternalFault": errors.RemoteFailed,
        "ServiceBusy": errors.RemoteUnavailable,
    }
)

# Sentences without a fault name that mean more than their status does (protocol.md 4.7, 6.1).
_SENTENCES: Mapping[tuple[int, str], _Maker] = MappingProxyType(
    {
        (400, "container"): errors.ContainerNotEmpty,  # container node 'X' is not empty
        (400, "Resolved"): errors.IsAContainer,  # Resolved target is not a data node
        (400, "GET"): errors.IsAContainer,  # GET for directories not supported
    }
)

_STATUSES: Mapping[int, _Maker] = MappingProxyType(
    {
        401: errors.NotAuthenticated,
        402: errors.RemoteUnavailable,  # vos, too, takes it for transient
        403: errors.PermissionDenied,
        404: errors.NodeNotFound,
        405: errors.NotSupported,
        407: errors.NotAuthenticated,
        408: errors.RemoteUnavailable,
        409: errors.NodeExists,
        410: errors.NodeNotFound,
        412: errors.TransferCorrupted,  # length or digest differs from what was announced
        413: errors.QuotaExceeded,  # vofs itself never sends a document beyond the limit
        416: errors.VersionChanged,  # the file is shorter than we were told
        423: errors.NodeLocked,
        425: errors.RemoteUnavailable,
        429: errors.RemoteUnavailable,
        501: errors.NotSupported,
        502: errors.RemoteUnavailable,
        503: errors.RemoteUnavailable,
        504: errors.RemoteUnavailable,
        507: errors.QuotaExceeded,
    }
)

# The one body that is recognised by more than its first token: "System is offline ..." begins with
# the same word and is transient, while writing to a read-only service fails for as long as an
# operator wants it (behaviours.md row 7: EROFS).
_READ_ONLY_MODE = "System is in read-only mode"

# A proxy gave up on the service behind it: what it had been sent may still be executed.
_IN_DOUBT = frozenset({502, 504})

_FIRST_TOKEN = re.compile(r"[^\s:]+")


def errno_of(error: BaseException) -> int:
    """Return the errno that the application gets for `error`.

    Total: the most specific class decides; an OSError keeps its own number when it is one that
    Linux knows (vos puts HTTP codes there); everything else is EIO.  Never ENOSYS (R17).
    """
    if isinstance(error, VofsError):
        for cls in type(error).__mro__:
            if cls in ERRNO_OF:
                return ERRNO_OF[cls]
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in errno.errorcode:
        return errno.EOPNOTSUPP if number == errno.ENOSYS else number
    return errno.EIO


def exit_code_of(error: StartError) -> int:
    """Return the exit code of a start that failed (interface.md section 2): 2, 3 or 4."""
    for cls in type(error).__mro__:
        if cls in _EXIT_CODE_OF:
            return _EXIT_CODE_OF[cls]
    return 4


def error_from_answer(
    status: int, body: str, *, retry_after_s: float | None = None, sent: bool = False
) -> VofsError:
    """Return the error that an HTTP answer means.

    Args:
        status: HTTP status of the answer.
        body: its text; only the first token is looked at (source: protocol.md 4.7).
        retry_after_s: seconds from the Retry-After header, or None.
        sent: whether the request may have had an effect before it failed (R8): a body had begun.

    Returns:
        The error, for any status; a status that is no error at all is a ProtocolViolation.
    """
    message = _message(f"HTTP {status}", body)
    if status == 503 and body.lstrip().startswith(_READ_ONLY_MODE):
        return errors.ReadOnlyService(message)
    token = _first_token(body)
    maker = (
        _FAULTS.get(token) or _SENTENCES.get((status, token)) or _STATUSES.get(status)
        if 400 <= status < 600
        else None
    )
    if maker is None:
        maker = _family(status)
    if maker is errors.RemoteUnavailable or status == 503:
        return errors.RemoteUnavailable(
            message, retry_after_s=retry_after_s, sent=sent or status in _IN_DOUBT
        )
    return maker(message)


def error_from_fault(text: str) -> VofsError:
    """Return the error that the errorSummary of a failed UWS job means (protocol.md 5.4).

    A text that begins with no fault name is a RemoteFailed: the job failed and will fail again.
    """
    return _FAULTS.get(_first_token(text), errors.RemoteFailed)(_message("job failed", text))


def _family(status: int) -> _Maker:
    if 400 <= status < 500:
        return errors.InvalidRequest
    if 500 <= status < 600:
        return errors.RemoteFailed
    return errors.ProtocolViolation


def _first_token(text: str) -> str:
    match = _FIRST_TOKEN.match(text.lstrip())
    return match.group().rstrip(".") if match else ""  # "DuplicateNode." is an old spelling


def _message(prefix: str, text: str) -> str:
    lines = text.strip().splitlines()
    return f"{prefix}: {lines[0][:300]}" if lines else prefix
