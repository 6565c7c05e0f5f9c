"""`mountvofs`: check everything that can be checked, go into the background, mount, serve.

Exit codes: 0 mounted (or unmounted, with -f), 2 usage, 3 service or credential, 4 mount point,
cache or FUSE; for each failure one line on stderr that says what happened and what to do.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import platformdirs

from vofs.cache.clock import SystemClock
from vofs.cli import daemon
from vofs.cli.arguments import parse, spelled
from vofs.cli.connecting import connect, phrase
from vofs.cli.mounts import check_mount_point, wait_until_mounted
from vofs.core.attributes import MountOwner
from vofs.core.conflicts import OnConflict
from vofs.core.errnos import exit_code_of
from vofs.core.errors import MountUnusable, StartError, UsageError, VofsError
from vofs.core.uris import ServiceUri, node_uri, parse_vospace
from vofs.mount import binding
from vofs.mount.options import MountOptions
from vofs.mount.requester import Requester
from vofs.mount.session import Session
from vofs.remote.credentials import Anonymous, choose_credential

log = logging.getLogger("vofs")

TOKEN_VARIABLE = "VOSPACE_TOKEN"
LOG_FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = parse(arguments)
        if options.token is not None:
            _hide_token(spelled(arguments), options.token)
        mount_point = check_mount_point(Path(options.mountpoint))
        for path in (options.cache_dir, options.log):
            if path is not None and daemon.below(path, mount_point):
                raise UsageError(f"mountvofs: {path} is below the mount point {mount_point}")
        binding.check_fuse()
    except StartError as exc:
        print(_line(exc), file=sys.stderr)
        return exit_code_of(exc)
    if options.foreground:
        return _serve(options, mount_point, daemon.Word(None))
    return daemon.in_background(lambda word: _serve(options, mount_point, word))


def _line(exc: VofsError) -> str:
    text = " ".join(str(exc).split()) or type(exc).__name__
    return text if text.startswith("mountvofs: ") else f"mountvofs: {text}"


def _hide_token(arguments: list[str], token: str) -> None:
    """Start again with the token in the environment, where ps does not show it."""
    kept, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word == "--token":
            skip = True
        elif not word.startswith("--token="):
            kept.append(word)
    environment = {**os.environ, TOKEN_VARIABLE: token}
    os.execve(sys.executable, [sys.executable, "-m", "vofs.cli.mountvofs", *kept], environment)


def _serve(options: Namespace, mount_point: Path, word: daemon.Word) -> int:
    """Mount and serve until it is unmounted; gives its word as soon as the mount answers."""
    try:
        _start_log(options, in_foreground=options.foreground)
        daemon.take_descriptors()
        with ExitStack() as stack:
            left = _mount(options, mount_point, word, stack)
    except StartError as exc:
        word.say(exit_code_of(exc), _line(exc))
        return exit_code_of(exc)
    except Exception as exc:  # the user gets one line; the traceback is in the log
        log.exception("start failed")
        word.say(daemon.EXIT_LOST, f"mountvofs: start failed: {' '.join(str(exc).split())}")
        return daemon.EXIT_LOST
    if left and options.foreground:
        print(f"mountvofs: {left} uploads stay for the next mount", file=sys.stderr)
    return 0


def _start_log(options: Namespace, *, in_foreground: bool) -> None:
    level = logging.DEBUG if options.debug else logging.INFO if options.verbose else logging.WARNING
    handlers: list[logging.Handler] = []
    if options.log is not None:
        try:
            handlers.append(logging.FileHandler(options.log))
        except OSError as exc:
            raise MountUnusable(f"log file {options.log}: {exc.strerror}") from exc
    elif in_foreground:
        handlers.append(logging.StreamHandler())
    else:
        handlers.append(logging.NullHandler())
    for handler in handlers:  # vos and cadcutils tell at INFO what says nothing to our users
        handler.addFilter(lambda r: r.levelno >= logging.WARNING or r.name.startswith("vofs"))
    logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT, handlers=handlers, force=True)
    log.setLevel(level)


def _mount(options: Namespace, mount_point: Path, word: daemon.Word, stack: ExitStack) -> int:
    """Returns how many uploads stay for the next mount."""
    temporary = options.fake is not None and options.cache_dir is None
    if options.fake is not None:
        _start_fake(options, stack)
    service = parse_vospace(
        options.vospace, local_deployment=bool(os.environ.get("LOCAL_VOSPACE_WEBSERVICE"))
    )
    credential = choose_credential(
        os.environ,
        certfile=options.certfile,
        token_file=options.token_file,
        anonymous=options.anonymous,
    )
    remote = connect(options, service, credential)
    read_only = options.readonly or isinstance(credential, Anonymous)
    control_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vofs-")))
    cache_dir = options.cache_dir or _default_cache(remote.capabilities.identity)
    settings = _settings(
        options, service, mount_point, cache_dir.absolute(), control_dir, read_only=read_only
    )
    requester = Requester(binding.request_context, binding.request_interrupted)
    session = Session(
        settings,
        remote,
        SystemClock(),
        thread_group=requester.thread_group,
        given_up=requester.given_up,
        credential=phrase(credential),
    )
    notices = []
    if read_only and not options.readonly:
        notices.append("mountvofs: no credential was found: the mount is read-only")
    if session.cache_warning and not temporary:
        log.warning("%s", session.cache_warning)
        if options.log is not None or not options.foreground:  # else the log is on stderr
            notices.append(f"mountvofs: {session.cache_warning}")
    _run(session, settings, word, "\n".join(notices))
    return session.left


def _start_fake(options: Namespace, stack: ExitStack) -> None:
    """An embedded fake service with sample data, and the environment in which vos finds it."""
    from fakevospace import FakeVOSpace  # only here: users of real services do not need it

    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vofs-fake-")))
    fake = FakeVOSpace(personality=options.fake, sample=True)
    served = stack.enter_context(fake.serve())
    os.environ.update(served.environment(home))
    options.vospace = served.vospace
    if options.cache_dir is None:
        options.cache_dir = home / "vofs-cache"


def _default_cache(identity: str) -> Path:
    """One directory for each service identity and user, below the platform's cache directory."""
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return platformdirs.user_cache_path("vofs") / name


def _settings(
    options: Namespace,
    service: ServiceUri,
    mount_point: Path,
    cache_dir: Path,
    control_dir: Path,
    *,
    read_only: bool,
) -> MountOptions:
    if daemon.below(cache_dir, mount_point):
        raise MountUnusable(f"the cache {cache_dir} would be below the mount point")
    return MountOptions(
        service=service,
        mount_point=mount_point,
        cache_dir=cache_dir,
        control_dir=control_dir,
        owner=MountOwner(options.uid, options.gid, options.umask),
        read_only=read_only,
        allow_other=options.allow_other,
        threads=not options.nothreads,
        debug=options.debug,
        timeout_s=options.timeout,
        strict_timeout=options.strict_timeout,
        prefetch=options.prefetch == "on",
        close_wait_s=options.close_wait,
        fsync_remote=options.fsync == "remote",
        attr_ttl_s=options.attr_ttl,
        negative_ttl_s=options.negative_ttl,
        settle_s=options.settle,
        on_conflict=OnConflict(options.on_conflict),
        host=socket.gethostname(),
        boot_id=_boot_id(),
        min_free_bytes=options.min_free << 20,
        cache_limit_bytes=options.cache_limit << 20,
        upload_workers=options.max_flush_threads,
    )


def _boot_id() -> str:
    """What the kernel calls this boot (R5)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # then every mount counts as one after a reboot: more is checked, nothing lost
        return f"unknown-{secrets.token_hex(8)}"


def _run(session: Session, settings: MountOptions, word: daemon.Word, notice: str) -> None:
    """Serve until the mount is gone."""
    mounted = False

    def started() -> None:
        nonlocal mounted
        mounted = True
        session.start()
        announcer = threading.Thread(target=announce, name="vofs-announce", daemon=True)
        announcer.start()

    def announce() -> None:
        wait_until_mounted(settings.mount_point)
        word.say(0, notice)

    try:
        binding.run(
            session.boundary(),
            settings.mount_point,
            started=started,
            ended=session.stop,
            source=node_uri(settings.service, settings.service.root),
            read_only=settings.read_only,
            allow_other=settings.allow_other,
            threads=settings.threads,
            debug=settings.debug,
        )
    finally:
        if not mounted:
            session.abandon()


if __name__ == "__main__":
    sys.exit(main())
