"""Every error of vofs, raised by meaning.

No layer below the mount knows an errno, and nothing decides by reading a message: the type says
what happened.  `core/errnos.py` is the one table that turns a type into an errno, an HTTP answer
into a type, and an exit code out of a start that failed.

    VofsError
    |-- NodeError                 the service, or the cached namespace, refuses this node
    |   |-- NodeNotFound
    |   |   `-- ContainerNotFound    the parent is missing
    |   |-- NodeExists
    |   |-- NodeLocked               islocked of the node or of its container
    |   |-- PermissionDenied
    |   |-- ContainerNotEmpty
    |   |-- NotAContainer
    |   |-- IsAContainer
    |   |-- LinkUnreadable           a link that leads nowhere, in a circle, or out of the service
    |   |-- InvalidName              a name that the service or the kernel cannot hold
    |   |   `-- NameTooLong             more than 255 bytes of UTF-8
    |   |-- InvalidRequest           the service calls our request malformed
    |   |-- NodeBusy                 transfers of the node did not end within the timeout
    |   `-- QuotaExceeded
    |-- RemoteError               the service, or the way to it, failed
    |   |-- NotAuthenticated         the credential is missing, wrong or expired
    |   |-- ReadOnlyService
    |   |-- NotSupported             this service cannot do that at all
    |   |-- RemoteUnavailable        transient: refused, reset, 503 (retry_after_s)
    |   |   `-- RemoteTimeout           no progress within the timeout
    |   |       `-- StrictTimeout          not done within the timeout, which is strict
    |   |-- RemoteFailed             an answer that is an error and not transient (500)
    |   `-- ProtocolViolation        an answer that the protocol does not allow
    |-- TransferError             bytes did not arrive as they should
    |   |-- VersionChanged           the service now holds another version than the one asked for
    |   `-- TransferCorrupted        length or MD5 differs from what was sent or promised
    |       `-- DownloadsDiffer         twice, and each time another: neither is to be trusted
    |-- CacheError                the local side
    |   |-- CacheFull                no room that may be used
    |   |-- CacheDamaged             a local file or index contradicts itself
    |   |   `-- UnknownIndex            an index of a newer vofs, a damaged one, or none at all
    |   |-- UploadFailed             what was written could not be sent; it is kept
    |   |-- UploadConflict           the service holds a version that is not ours; ours is kept
    |   `-- ContentLost              bytes that exist nowhere any more (R9: ESTALE)
    |-- AccessError               the request does not fit the handle or the mount
    |   |-- ReadOnlyMount
    |   |-- UnknownHandle
    |   |-- WrongHandleMode          write on a read-only handle, or the reverse
    |   |-- NoSuchAttribute          an extended attribute that the node does not have
    |   |-- OperationForbidden       an operation that a VOSpace cannot hold (hard link, device)
    |   `-- OperationInvalid         arguments that no file system accepts
    `-- StartError                the mount cannot start: one line, one exit code
        |-- UsageError               exit 2
        |-- ServiceUnusable          exit 3: service or credentials
        `-- MountUnusable            exit 4: mount point, cache or FUSE

`IllegalTransition` is outside the tree on purpose: it is a defect of vofs, never a condition.
"""

from __future__ import annotations


class VofsError(Exception):
    """Base of every error that vofs raises on purpose."""


class NodeError(VofsError):
    """The node, or its place in the tree, does not allow the operation."""


class NodeNotFound(NodeError):
    """There is no node of that name."""


class ContainerNotFound(NodeNotFound):
    """The container that should hold the node is missing."""


class NodeExists(NodeError):
    """A node of that name is there already."""


class NodeLocked(NodeError):
    """The node or its container carries islocked."""


class PermissionDenied(NodeError):
    """The credential is valid and has no right to this."""


class ContainerNotEmpty(NodeError):
    """The container still has children."""


class NotAContainer(NodeError):
    """A container was needed."""


class IsAContainer(NodeError):
    """A data node was needed."""


class LinkUnreadable(NodeError):
    """A link cannot be followed: no target, a circle, or another service."""


class InvalidName(NodeError):
    """The name cannot be a node's name here."""


class NameTooLong(InvalidName):
    """The name has more bytes than the kernel can hold."""


class InvalidRequest(NodeError):
    """The service refuses the request as malformed."""


class NodeBusy(NodeError):
    """What runs on the node did not end within the timeout; nothing was changed (R8)."""


class QuotaExceeded(NodeError):
    """The quota of the node's allocation is used up."""


class RemoteError(VofsError):
    """The service, or the network between, failed."""


class NotAuthenticated(RemoteError):
    """The service does not accept the credential."""


class ReadOnlyService(RemoteError):
    """The service is in read-only mode."""


class NotSupported(RemoteError):
    """The service does not offer the operation."""


class RemoteUnavailable(RemoteError):
    """A transient failure; the same request may succeed later.

    Args:
        message: what happened, for the log and for `vofs status`.
        retry_after_s: the wait in seconds that the service asked for, or None.
        sent: whether the request may have reached the service (then its fate is in doubt, R8).
    """

    def __init__(
        self, message: str = "", *, retry_after_s: float | None = None, sent: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.sent = sent


class RemoteTimeout(RemoteUnavailable):
    """No byte and no answer within the timeout."""


class StrictTimeout(RemoteTimeout):
    """The whole operation took longer than the timeout, and the user wants that to be an error."""


class RemoteFailed(RemoteError):
    """The service answered with an error that repeating the request will not cure."""


class ProtocolViolation(RemoteError):
    """The service answered something that the protocol does not allow."""


class TransferError(VofsError):
    """Bytes did not arrive as they should."""


class VersionChanged(TransferError):
    """The bytes offered belong to another version than the one asked for (R12)."""


class TransferCorrupted(TransferError):
    """Length or digest of what arrived differs from what was sent.

    Args:
        message: what differs.
        stored: length and hex MD5 of what a service says that it has made of an upload, if it does.
    """

    def __init__(self, message: str = "", *, stored: tuple[int, str] | None = None) -> None:
        super().__init__(message)
        self.stored = stored


class DownloadsDiffer(TransferCorrupted):
    """Each download of one version is another one, and none is what the service tells (R13)."""


class CacheError(VofsError):
    """The local side of the mount failed."""


class CacheFull(CacheError):
    """There is no room on the cache's file system that may be used."""


class CacheDamaged(CacheError):
    """A data file or the index contradicts itself; it is set aside, never served."""


class UnknownIndex(CacheDamaged):
    """The cache's index cannot be read by this vofs: it is set aside, with its data."""


class UploadFailed(CacheError):
    """The last upload of this file failed for good; its data is kept and listed."""


class UploadConflict(CacheError):
    """The service holds a version that did not come from here; ours is kept and listed."""


class ContentLost(CacheError):
    """Bytes of an open file that exist neither here nor on the service."""


class AccessError(VofsError):
    """The request does not fit the handle or the mount."""


class ReadOnlyMount(AccessError):
    """The mount is read-only."""


class UnknownHandle(AccessError):
    """No such file handle."""


class WrongHandleMode(AccessError):
    """The handle was not opened for this."""


class NoSuchAttribute(AccessError):
    """The node has no extended attribute of that name."""


class OperationForbidden(AccessError):
    """A VOSpace cannot hold this (hard link, device, another owner)."""


class OperationInvalid(AccessError):
    """Arguments that no file system accepts."""


class StartError(VofsError):
    """The mount cannot start.  The message is the one line that the user sees."""


class UsageError(StartError):
    """The command line contradicts itself (exit 2)."""


class ServiceUnusable(StartError):
    """The service or the credential does not work (exit 3)."""


class MountUnusable(StartError):
    """Mount point, cache directory or FUSE does not work (exit 4)."""


class IllegalTransition(RuntimeError):
    """An event that the state machine does not allow in this state: a defect of vofs."""
