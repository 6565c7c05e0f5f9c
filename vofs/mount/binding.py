"""The FUSE binding: the only module that knows fusepy.

`run` blocks until the mount is gone.  We daemonise ourselves before anything starts and run libfuse
in the foreground (R22).  What libfuse hands in is translated to what `VOFS` takes; paths of
operations on handles are dropped, since libfuse does not fill them in (nopath).
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vofs.core.errors import MountUnusable
from vofs.mount.boundary import Boundary
from vofs.mount.toldsizes import ATTR_TIMEOUT_S

FUSE_DEVICE = Path("/dev/fuse")
NEEDS_FUSE = "install FUSE (Debian and Ubuntu: apt install fuse3 libfuse2)"


def check_fuse(device: Path = FUSE_DEVICE) -> None:
    """Make sure that a mount is possible at all.

    Raises:
        MountUnusable: no device, no library, with what to do about it.
    """
    try:
        is_device = stat.S_ISCHR(os.stat(device).st_mode)
    except OSError:
        is_device = False
    if not is_device:
        raise MountUnusable(
            f"{device} is missing: load the fuse module (modprobe fuse), or in a container"
            " run with --device /dev/fuse"
        )
    try:
        _fuse()
    except OSError as exc:
        raise MountUnusable(f"no FUSE library was found ({exc}): {NEEDS_FUSE}") from exc


def _fuse() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fuse  # here, because it looks for the library when imported

    return fuse


def request_context() -> tuple[int, int, int]:
    """(uid, gid, pid) of the request that the calling thread serves; the pid is a thread's."""
    uid, gid, pid = _fuse().fuse_get_context()
    return int(uid), int(gid), int(pid)


def request_interrupted() -> bool:
    """Whether a signal came for whoever waits for the request that the calling thread serves."""
    return bool(_fuse()._libfuse.fuse_interrupted())


class Adapter:
    """Turns the binding's calls into calls of the boundary, and its values into dictionaries.

    Args:
        boundary: the dispatch point.
        started: called by libfuse once the kernel has accepted the mount.
        ended: called when it is gone, before `run` returns.
    """

    use_ns = Boundary.use_ns
    flag_nullpath_ok = Boundary.flag_nullpath_ok
    flag_nopath = Boundary.flag_nopath

    def __init__(
        self, boundary: Boundary, started: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self._boundary, self._started, self._ended = boundary, started, ended

    def __getattr__(self, name: str) -> Any:
        if name in ("init", "destroy"):
            return self
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._boundary, name)

    def __call__(self, name: str, *arguments: Any) -> Any:
        match name, arguments:
            case "init", _:
                return self._started()
            case "destroy", _:
                return self._ended()
            case "getattr", (path, handle):
                attributes = self._boundary("getattr", path, handle)
                return {**attributes.as_stat(), "st_blksize": 65536}
            case "read", (_, size, offset, handle):
                return self._boundary("read", handle, size, offset)
            case "write", (_, data, offset, handle):
                return self._boundary("write", handle, data, offset)
            case "readdir", (_, handle):
                entries = self._boundary("readdir", handle)
                return [
                    (entry.name, {"st_ino": entry.inode, "st_mode": entry.file_type}, 0)
                    for entry in entries
                ]
            case (("flush" | "release" | "releasedir"), (_, handle)):
                return self._boundary(name, handle)
            case "fsync", (_, datasync, handle):
                return self._boundary("fsync", handle, datasync)
            case _:
                return self._boundary(name, *arguments)


def run(
    boundary: Boundary,
    mount_point: Path,
    *,
    started: Callable[[], None],
    ended: Callable[[], None],
    source: str,
    read_only: bool,
    allow_other: bool,
    threads: bool,
    debug: bool,
) -> None:
    """Mount, serve, and return when the mount is gone.

    Args:
        boundary: what serves.
        mount_point: an empty directory.
        started: called once the kernel has accepted the mount.
        ended: called once it is gone.
        source: what the mount table shows as the device.
        read_only: the kernel refuses changes.
        allow_other: other users may look in; permissions are checked by the kernel then.
        threads: serve several requests at a time.
        debug: libfuse prints every request.

    Raises:
        MountUnusable: libfuse could not mount.
    """
    fuse = _fuse()
    options: dict[str, Any] = {
        "foreground": True, "debug": debug, "nothreads": not threads,
        "fsname": source.replace(",", "_"), "subtype": "vofs",
        "big_writes": True, "atomic_o_trunc": True, "max_background": 256, "use_ino": True,
        "attr_timeout": ATTR_TIMEOUT_S, "entry_timeout": ATTR_TIMEOUT_S, "negative_timeout": 0,
    }  # fmt: skip
    if read_only:
        options["ro"] = True
    if allow_other:
        options |= {"allow_other": True, "default_permissions": True}
    binding = _binding_class(fuse)
    try:
        binding(Adapter(boundary, started, ended), str(mount_point), **options)
    except RuntimeError as exc:
        raise MountUnusable(f"libfuse could not mount on {mount_point} (see its message)") from exc


def _binding_class(fuse: Any) -> Any:
    """fusepy's class with what it lacks: open flags for create, and errors without noise."""

    class Binding(fuse.FUSE):  # type: ignore[misc]  # fusepy is untyped
        def create(self, path: bytes, mode: int, info: Any) -> int:
            """Pass the open flags on, which fusepy drops."""
            details = info.contents
            text = path.decode(self.encoding)
            details.fh = self.operations("create", text, mode, details.flags)
            return 0

        def _wrapper(self, function: Any, *arguments: Any) -> int:
            """Answer errors without fusepy's tracebacks."""
            try:
                return function(*arguments) or 0
            except OSError as exc:
                return -(exc.errno or errno.EIO)
            except UnicodeError:
                return -errno.EILSEQ  # a name that is not UTF-8

    return Binding
