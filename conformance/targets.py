"""What a conformance run is pointed at, and how it is brought up and taken down again.

Service targets: `fake:PERSONALITY` (served in this process), the http(s) URL of a service
(`.../vault`, or `.../vault/nodes/PATH` to stay below a container), and a service URI
(`vos://cadc.nrc.ca~vault/PATH`, `ivo://cadc.nrc.ca/vault`), looked up in the registry.

Mount targets: an existing directory, and `vofs+fake:PERSONALITY`, where `fakevospace run` keeps
the fake in a process of its own: page faults on a memory-mapped file wait for the mount with
Python's lock held, and a fake in this process could then never answer.

Credentials of a real service come from VOSPACE_TOKEN or VOSPACE_CERTFILE. This is the only module
of the package that may import fakevospace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from conformance.wire import TIMEOUT_S, Credentials, Service, WireError

DEFAULT_REGISTRY = "cadc-west-01.canfar.net"

# Which service of the registry a personality of the fake plays, and its short name for clients.
PERSONALITIES = {
    "vault": ("ivo://cadc.nrc.ca/vault", "vault:"),
    "cavern": ("ivo://cadc.nrc.ca/arc", "arc:"),
}

UNMOUNT_LIMIT_S = 60.0

# Runs inside `fakevospace run`. The line "mounted" tells that the mount answers; it then stays
# until its standard input is closed, so that it ends even when this process is killed.
_MOUNTED_SHELL = """
mountpoint=$1; shift
mountvofs "$@" </dev/null || exit
echo mounted
read -r _
vofs unmount "$mountpoint" || fusermount -u "$mountpoint"
"""


class TargetError(Exception):
    """The target is not one we know, or it could not be brought up."""


@contextmanager
def open_service(spec: str) -> Iterator[tuple[Service, str]]:
    """The service named by `spec`, and the path below which clauses may work.

    Raises TargetError.
    """
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        try:
            if spec.startswith("fake:"):
                url, base = stack.enter_context(_serve_fake(_personality(spec))), ""
                service = Service.at(url, Credentials(), session)
            else:
                url, base = _locate(spec)
                service = Service.at(url, _credentials(), session)
        except (requests.RequestException, WireError) as exc:
            raise TargetError(f"{spec} does not answer as a VOSpace: {exc}") from exc
        yield service, base


@contextmanager
def open_mount(spec: str, binding: str) -> Iterator[Path]:
    """The directory that clauses may work in; raises TargetError."""
    if spec.startswith("vofs+fake:"):
        with _mount_vofs(_personality(spec), binding) as directory:
            yield directory
    elif Path(spec).is_dir():
        yield Path(spec).absolute()
    else:
        raise TargetError(f"{spec} is neither a directory nor vofs+fake:PERSONALITY")


def default_profile(spec: str) -> str | None:
    """The name of the shipped profile for this target: only the fakes have one by themselves."""
    return spec.rpartition("fake:")[2] if spec.startswith("fake:") else None


def _personality(spec: str) -> str:
    name = spec.rpartition(":")[2]
    if name not in PERSONALITIES:
        raise TargetError(f"{spec}: the fake knows {', '.join(PERSONALITIES)}")
    return name


@contextmanager
def _serve_fake(personality: str) -> Iterator[str]:
    from fakevospace import FakeVOSpace

    with FakeVOSpace(personality=personality).serve() as server:
        yield _look_up(f"{server.url}/reg/resource-caps", PERSONALITIES[personality][0])


@contextmanager
def _mount_vofs(personality: str, binding: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        mountpoint = Path(scratch, "mount")
        mountpoint.mkdir()
        command = [_tool("fakevospace"), "run", "--personality", personality, "--"]
        command += ["sh", "-c", _MOUNTED_SHELL, "conformance", str(mountpoint)]
        command += ["--binding", binding, "--cache-dir", str(Path(scratch, "cache"))]
        command += ["--vospace", PERSONALITIES[personality][1], "--mountpoint", str(mountpoint)]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as process:
            assert process.stdin and process.stdout
            if not any(line.strip() == "mounted" for line in process.stdout):
                raise TargetError(f"mountvofs ended with code {process.wait()}")
            try:
                # Else the clauses would pass, on the directory below.
                if not mountpoint.is_mount():
                    raise TargetError(f"mountvofs succeeded, and {mountpoint} is no mount")
                yield mountpoint
            finally:
                process.stdin.close()
                _await_unmount(process, mountpoint)


def _await_unmount(process: subprocess.Popen[str], mountpoint: Path) -> None:
    try:
        code = process.wait(UNMOUNT_LIMIT_S)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        subprocess.run(["fusermount", "-uz", str(mountpoint)], check=False)
        raise TargetError(f"not unmounted within {UNMOUNT_LIMIT_S:.0f} s") from exc
    if code:
        raise TargetError(f"unmounting ended with code {code}")


def _tool(name: str) -> str:
    """The command installed beside the running Python, else the one on PATH."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    if found is None:
        raise TargetError(f"the command {name} is not installed")
    return found


def _locate(spec: str) -> tuple[str, str]:
    """The capabilities URL of a service URL or URI, and the path in it."""
    parts = urlsplit(spec)
    if parts.scheme in ("http", "https"):
        service, _, path = spec.rstrip("/").partition("/nodes/")
        return f"{service.removesuffix('/nodes')}/capabilities", unquote(path)
    if parts.scheme == "vos":
        authority = parts.netloc.replace("!", "~").replace("~", "/", 1)
        resource, path = f"ivo://{authority}", unquote(parts.path.strip("/"))
    elif parts.scheme == "ivo":
        resource, path = spec.rstrip("/"), ""
    else:
        raise TargetError(f"{spec} is neither fake:PERSONALITY nor a service URL or URI")
    host = os.environ.get("VOSPACE_WEBSERVICE", DEFAULT_REGISTRY)
    return _look_up(f"https://{host}/reg/resource-caps", resource), path


def _look_up(registry_url: str, resource: str) -> str:
    answer = requests.get(registry_url, timeout=TIMEOUT_S)
    answer.raise_for_status()
    for line in answer.text.splitlines():
        name, _, url = line.partition("=")
        if name.strip() == resource:
            return url.strip()
    raise TargetError(f"{registry_url} does not list {resource}")


def _credentials() -> Credentials:
    certificate = os.environ.get("VOSPACE_CERTFILE")
    return Credentials(os.environ.get("VOSPACE_TOKEN") or None, certificate or None)
