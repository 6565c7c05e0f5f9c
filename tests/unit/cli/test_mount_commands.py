"""The command line, the mount table and the daemon's beginnings, without any mount."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from vofs.cli import mounts
from vofs.cli.arguments import MEANT_FOR_MOUNT, parse
from vofs.cli.daemon import Word, below, take_descriptors
from vofs.core.errors import MountUnusable, UsageError


@pytest.mark.parametrize(
    ("argv", "vospace", "point", "fake"),
    [
        (["--vospace", "vault:me", "--mountpoint", "/m"], "vault:me", "/m", None),
        (["--vospace=vault:me", "/m"], "vault:me", "/m", None),
        (["vault:me", "/m"], "vault:me", "/m", None),
        (["vault:me", "--mountpoint=/m"], "vault:me", "/m", None),
        (["--fake", "/m"], None, "/m", "vault"),
        (["--fake=cavern", "/m"], None, "/m", "cavern"),
        (["-f", "--fake", "--mountpoint", "/m"], None, "/m", "vault"),
        (["vault:a b/%41", "/m n"], "vault:a b/%41", "/m n", None),
    ],
)
def test_the_three_spellings(
    argv: list[str], vospace: str | None, point: str, fake: str | None
) -> None:
    """interface.md section 2."""
    options = parse(argv)
    assert (options.vospace, options.mountpoint, options.fake) == (vospace, point, fake)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "which VOSpace"),
        (["vault:me"], "which VOSpace|where"),
        (["--vospace", "vault:me"], "where"),
        (["--fake"], "where"),
        (["vault:me", "/m", "/n"], "one argument too many"),
        (["--fake", "vault:me", "/m"], "not both|too many"),
        (["--fake=plan9", "/m"], "plan9"),
        (["--nonsense", "vault:me", "/m"], "nonsense"),
        (["--timeo", "5", "vault:me", "/m"], "timeo"),
        (["--timeout", "-1", "vault:me", "/m"], "seconds"),
        (["--timeout", "soon", "vault:me", "/m"], "soon"),
        (["--max-flush-threads", "0", "vault:me", "/m"], "less than 1"),
        (["--cache-limit", "-5", "vault:me", "/m"], "less than 0"),
        (["--umask", "9", "vault:me", "/m"], "9"),
        (["--prefetch", "some", "vault:me", "/m"], "some"),
        (["--binding", "mfusepy", "vault:me", "/m"], "mfusepy"),
        (["-o", "cache_limitt=5", "vault:me", "/m"], "cache-limitt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(argv)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("mountvofs: ")


def test_words_may_be_joined_either_way() -> None:
    one = parse(["--cache_limit=7", "--close_wait", "3", "vault:me", "/m"])
    other = parse(["--cache-limit=7", "--close-wait", "3", "vault:me", "/m"])
    assert vars(one) == vars(other)
    assert (one.cache_limit, one.close_wait) == (7, 3.0)


def test_an_underscore_in_a_value_stays() -> None:
    assert parse(["--log=/a_b/c_d", "vault:my_dir", "/m_n"]).log == Path("/a_b/c_d")
    assert parse(["--vospace=vault:my_dir", "/m"]).vospace == "vault:my_dir"


@pytest.mark.parametrize("spelling", [["-o", "TEXT"], ["-oTEXT"]])
def test_options_of_mount_are_unfolded(spelling: list[str]) -> None:
    """fstab: what says nothing to us is accepted."""
    text = "ro,allow_other,_netdev,nofail,cache_limit=7,timeout=3.5,umask=027"
    options = parse([word.replace("TEXT", text) for word in spelling] + ["vault:me", "/m"])
    assert options.readonly
    assert options.allow_other
    assert (options.cache_limit, options.timeout, options.umask) == (7, 3.5, 0o27)
    parse(["-o", ",".join(sorted(MEANT_FOR_MOUNT)), "vault:me", "/m"])


def test_defaults() -> None:
    options = parse(["vault:me", "/m"])
    assert (options.timeout, options.close_wait, options.attr_ttl) == (30.0, 30.0, 10.0)
    assert not options.readonly
    assert not options.foreground


@pytest.mark.parametrize(
    ("path", "top", "expected"),
    [
        ("a", "a", True),
        ("a/b/c", "a", True),
        ("ab", "a", False),
        ("a/../b", "a", False),
        ("missing/deep/er", "missing", True),
        ("link/x", "a", True),
        ("x", "link/..", True),
    ],
)
def test_r22_what_lies_below_the_mount_point(
    tmp_path: Path, path: str, top: str, expected: bool
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert below(tmp_path / path, tmp_path / top) is expected


def test_only_words_in_the_foreground_reach_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Word(None).say(3, "one line")
    Word(None).say(0)
    assert capsys.readouterr().err == "one line\n"


MOUNTINFO = r"""
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /m\040n/with\134back rw,nosuid - fuse.vofs vos://cadc.nrc.ca~vault/a\040b rw,user_id=0
31 22 0:41 / /tab\011here rw - fuse.vofs src rw
32 22 0:42 / /m rw shared:2 master:3 propagate_from:1 - fuse.vofs old rw
33 22 0:43 / /m rw - tmpfs tmpfs rw
34 22 0:44 / /deep/m rw - fuse.vofs deep rw
""".strip()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO + "\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", path)
    return path


def test_mountinfo_is_read_with_its_escapes(table: Path) -> None:
    found = mounts.mounts()
    assert [str(mount.point) for mount in found][1:3] == ["/m n/with\\back", "/tab\there"]
    assert found[1].source == "vos://cadc.nrc.ca~vault/a b"
    assert found[1].kind == mounts.FILE_SYSTEM
    assert len(found) == 6


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/m n/with\\back/x", "vos://cadc.nrc.ca~vault/a b"),
        ("/deep/m", "deep"),
        ("/deep/m/x/../y", "deep"),
        ("/deep/mm", None),
        ("/m/x", None),  # covered by the tmpfs on top
        ("/deep/m/..", None),
    ],
)
def test_the_mount_that_a_path_is_in(table: Path, path: str, source: str | None) -> None:
    found = mounts.mount_of(Path(path))
    assert (found.source if found else None) == source


def test_a_mount_point_is_an_empty_directory(tmp_path: Path, table: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    assert mounts.check_mount_point(tmp_path / "empty") == tmp_path / "empty"
    for name, message in (("full", "not empty"), ("file", "Not a dir"), ("none", "No such")):
        with pytest.raises(MountUnusable, match=message):
            mounts.check_mount_point(tmp_path / name)
    table.write_text(f"1 1 0:1 / {tmp_path}/empty rw - fuse.vofs x rw\n")
    with pytest.raises(MountUnusable, match="busy"):
        mounts.check_mount_point(tmp_path / "empty")


def test_how_reads_wait_and_run_ahead() -> None:
    """interface.md section 2: --strict-timeout, --prefetch on|off."""
    usual = parse(["vault:me", "/m"])
    assert (usual.strict_timeout, usual.prefetch) == (False, "on")
    other = parse(["-o", "strict_timeout,prefetch=off", "vault:me", "/m"])
    assert (other.strict_timeout, other.prefetch) == (True, "off")


def test_the_daemon_takes_as_many_open_files_as_the_system_allows() -> None:
    """Each file with unsent changes keeps one open."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), most))
    try:
        take_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
