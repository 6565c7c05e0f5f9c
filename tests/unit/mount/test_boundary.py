"""R17: nothing but an OSError with an errno leaves the boundary, and ENOSYS never."""

from __future__ import annotations

import errno
import inspect
import logging

import pytest

from tests.support.logs import ExpectLog
from tests.support.sessions import ManualClock
from vofs.core import errors
from vofs.core.errors import VofsError
from vofs.mount.boundary import Boundary

CLASSES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, VofsError)
]


class Failing:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def read(self) -> None:
        raise self._error

    def flush(self) -> int:
        return 7

    def forget_request(self) -> None:
        """Nothing was remembered."""


def failed(error: BaseException) -> OSError:
    with pytest.raises(OSError) as caught:
        Boundary(Failing(error), ManualClock())("read")
    return caught.value


@pytest.mark.parametrize("cls", CLASSES)
def test_r17_every_error_of_ours_has_a_number(cls: type[VofsError]) -> None:
    number = failed(cls("why")).errno
    assert number in errno.errorcode
    assert number not in (errno.ENOSYS, errno.EINTR)
    assert (number == errno.EAGAIN) == (cls is errors.StrictTimeout)


@pytest.mark.parametrize("number", [*sorted(errno.errorcode), 0, -5, 99_999, None])
def test_r17_the_whole_errno_table(number: int | None, expect_log: ExpectLog) -> None:
    expect_log("failed in an unforeseen way", level=logging.ERROR)
    error = OSError() if number is None else OSError(number, "text")
    found = failed(error).errno
    assert found != errno.ENOSYS
    known = number in errno.errorcode and number != errno.ENOSYS
    assert found == (number if known else errno.EOPNOTSUPP if number == errno.ENOSYS else errno.EIO)


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), ZeroDivisionError(), AssertionError(), KeyboardInterrupt(), SystemExit(0),
     GeneratorExit(), MemoryError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
     errors.IllegalTransition("a defect"), ConnectionResetError(), OSError("no number")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_r17_what_nobody_foresaw_is_an_input_output_error(
    error: BaseException, expect_log: ExpectLog
) -> None:
    expect_log("read failed in an unforeseen way", level=logging.ERROR)
    assert failed(error).errno == errno.EIO


def test_results_pass() -> None:
    assert Boundary(Failing(KeyError()), ManualClock())("flush") == 7


def test_what_is_missing_is_missing_for_the_binding() -> None:
    boundary = Boundary(Failing(KeyError()), ManualClock())
    assert callable(boundary.flush)
    with pytest.raises(AttributeError):
        _ = boundary.ioctl
    with pytest.raises(AttributeError):
        _ = boundary._private
