"""The one table between meaning and numbers (core/errnos.py); needs nothing."""

from __future__ import annotations

import errno
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vofs.core import errors
from vofs.core.errnos import (
    ERRNO_OF,
    errno_of,
    error_from_answer,
    error_from_fault,
    exit_code_of,
)
from vofs.core.errors import RemoteUnavailable, VofsError

ALL_ERRORS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.VofsError)
]


@pytest.mark.parametrize("cls", ALL_ERRORS)
def test_every_error_has_a_number_and_never_enosys(cls: type[VofsError]) -> None:
    """R17: ENOSYS never leaves the boundary."""
    number = errno_of(cls("why"))
    assert number in errno.errorcode
    assert number != errno.ENOSYS


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_an_oserror_keeps_its_number_but_enosys(number: int) -> None:
    """R17, over the whole errno table."""
    expected = errno.EOPNOTSUPP if number == errno.ENOSYS else number
    assert errno_of(OSError(number, "why")) == expected


@pytest.mark.parametrize(
    "error", [ValueError(), OSError("no errno"), OSError(403, "an HTTP status"), KeyError("x")]
)
def test_what_has_no_number_is_eio(error: Exception) -> None:
    assert errno_of(error) == errno.EIO


def test_a_class_without_a_row_has_its_ancestors_number() -> None:
    class Special(errors.NodeLocked):
        pass

    assert Special not in ERRNO_OF
    assert errno_of(Special()) == errno.EPERM


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (errors.NodeNotFound(), errno.ENOENT),
        (errors.ContainerNotFound(), errno.ENOENT),
        (errors.NodeExists(), errno.EEXIST),
        (errors.NodeLocked(), errno.EPERM),
        (errors.PermissionDenied(), errno.EACCES),
        (errors.ContainerNotEmpty(), errno.ENOTEMPTY),
        (errors.NameTooLong(), errno.ENAMETOOLONG),
        (errors.QuotaExceeded(), errno.EDQUOT),
        (errors.ReadOnlyService(), errno.EROFS),
        (errors.NotSupported(), errno.EOPNOTSUPP),
        (errors.RemoteUnavailable(), errno.EIO),
        (errors.RemoteTimeout(), errno.ETIMEDOUT),
        (errors.ContentLost(), errno.ESTALE),
        (errors.WrongHandleMode(), errno.EBADF),
    ],
)
def test_numbers_that_users_rely_on(error: VofsError, number: int) -> None:
    assert errno_of(error) == number


def test_exit_codes_of_interface_md() -> None:
    assert exit_code_of(errors.UsageError()) == 2
    assert exit_code_of(errors.ServiceUnusable()) == 3
    assert exit_code_of(errors.MountUnusable()) == 4
    assert exit_code_of(errors.StartError()) == 4


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, "NodeNotFound: vos://a~b/c\n", errors.NodeNotFound),
        (404, "ContainerNotFound: vos://a~b/c\n", errors.ContainerNotFound),
        (404, "UnreadableLinkTarget: x", errors.LinkUnreadable),
        (404, "Target not found: path", errors.NodeNotFound),
        (409, "DuplicateNode: vos://a~b/c\n", errors.NodeExists),
        (409, "DuplicateNode.", errors.NodeExists),
        (403, "PermissionDenied: vos://a~b/c\n", errors.PermissionDenied),
        (401, "PermissionDenied: x", errors.PermissionDenied),
        (401, "", errors.NotAuthenticated),
        (423, "NodeLocked", errors.NodeLocked),
        (413, "limit: 10", errors.QuotaExceeded),
        (413, "QuotaExceeded", errors.QuotaExceeded),
        (400, "container node 'X' is not empty", errors.ContainerNotEmpty),
        (400, "GET for directories not supported", errors.IsAContainer),
        (400, "OptionNotSupported: batch container node listing", errors.InvalidRequest),
        (400, "sort order desc", errors.InvalidRequest),
        (400, "PermissionDenied would be wrong", errors.PermissionDenied),
        (400, "it was not PermissionDenied", errors.InvalidRequest),
        (405, "", errors.NotSupported),
        (412, "", errors.TransferCorrupted),
        (416, "", errors.VersionChanged),
        (500, "unexpected exception: java.lang.X: msg", errors.RemoteFailed),
        (500, "NodeNotFound: inside a 500", errors.NodeNotFound),
        (503, "temporarily unavailable: /x", errors.RemoteUnavailable),
        (503, "System is offline for maintenance", errors.RemoteUnavailable),
        (503, "System is in read-only mode for maintainence", errors.ReadOnlyService),
        (503, "NodeNotFound: x", errors.RemoteUnavailable),
        (200, "NodeNotFound: x", errors.ProtocolViolation),
        (302, "", errors.ProtocolViolation),
    ],
)
def test_the_first_token_decides_then_the_status(
    status: int, body: str, expected: type[VofsError]
) -> None:
    """protocol.md 4.7; nothing but the first token of the body is looked at."""
    assert type(error_from_answer(status, body)) is expected


@given(st.integers(-1000, 2000), st.text(), st.booleans())
def test_every_answer_means_some_error(status: int, body: str, sent: bool) -> None:
    error = error_from_answer(status, body, retry_after_s=1.5, sent=sent)
    assert errno_of(error) in errno.errorcode
    if isinstance(error, RemoteUnavailable):
        assert error.retry_after_s == 1.5
        assert error.sent or not sent


def test_a_gateway_that_gave_up_leaves_the_request_in_doubt() -> None:
    """R8: a proxy's 502 or 504 does not say that the service behind it did nothing."""
    for status, sent in ((502, True), (504, True), (503, False)):
        error = error_from_answer(status, "")
        assert isinstance(error, RemoteUnavailable)
        assert error.sent is sent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DuplicateNode: destination is an existing DataNode: /x", errors.NodeExists),
        ("ContainerNotFound: /x", errors.ContainerNotFound),
        ("PermissionDenied", errors.PermissionDenied),
        ("NodeLocked", errors.NodeLocked),
        ("QuotaExceeded", errors.QuotaExceeded),
        ("InvalidArgument: Cannot move container node", errors.InvalidRequest),
        ("something else", errors.RemoteFailed),
        ("", errors.RemoteFailed),
    ],
)
def test_faults_of_jobs(text: str, expected: type[VofsError]) -> None:
    assert type(error_from_fault(text)) is expected
