"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from denoise_wrapper.atomic import Overwrite, aside, atomic_path
from denoise_wrapper.errors import FileError


def test_the_file_appears_when_the_block_ends_and_has_the_target_s_suffix(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    with atomic_path(target) as part:
        assert part.parent == tmp_path
        assert part.suffix == ".wav"
        part.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_changes_when_the_block_fails(tmp_path: Path, failure: type[BaseException], overwrite: bool) -> None:
    target = tmp_path / "out.wav"
    if overwrite:
        target.write_bytes(b"old")

    def fail() -> None:
        with atomic_path(target, overwrite) as part:
            part.write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out.wav", b"old")] * overwrite


def test_a_target_that_exists_is_refused_before_any_work(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    with pytest.raises(FileError, match="exists"), atomic_path(target):
        pytest.fail("the block must not run")
    with atomic_path(target, overwrite=True) as part:
        part.write_bytes(b"new")
    assert target.read_bytes() == b"new"


def test_a_target_that_another_makes_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    with pytest.raises(FileError, match="exists"), atomic_path(target):
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="modes mean little there")
def test_permissions_are_those_of_a_plain_file_or_of_the_one_replaced(tmp_path: Path) -> None:
    plain, target = tmp_path / "plain", tmp_path / "out"
    plain.touch()
    with atomic_path(target):
        pass
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    target.chmod(0o640)
    with atomic_path(target, overwrite=True):
        pass
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_path(link, overwrite=True) as part:
        part.write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("name", [".", "absent/out.wav", "file/out.wav", "x" * 300, "nul\0"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_target_that_cannot_be_is_refused(tmp_path: Path, name: str, overwrite: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError), atomic_path(tmp_path / name, overwrite):
        pytest.fail("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices here")
def test_a_device_is_not_replaced() -> None:
    with pytest.raises(FileError, match="regular"), atomic_path("/dev/null", overwrite=True):
        pytest.fail("the block must not run")


def test_a_full_disk_within_the_block_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="disk is full"), atomic_path(tmp_path / "out.wav"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_is_not_taken_for_one_of_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out.wav"):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_write_at_once_one_wins_and_the_others_hear_of_it(tmp_path: Path) -> None:
    target, refused, start = tmp_path / "out.wav", [], threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        try:
            with atomic_path(target) as part:
                part.write_text(str(number) * 1000)
        except FileError as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(set(target.read_text())) == 1
    assert list(tmp_path.iterdir()) == [target]


# ---- what a replaced file had ----

posix = pytest.mark.skipif(os.name == "nt", reason="owners, groups and modes are POSIX's")


def replaced(target: Path, overwrite: Overwrite = True) -> os.stat_result:
    with atomic_path(target, overwrite) as part:
        part.write_bytes(b"new")
    assert target.read_bytes() == b"new"
    return target.stat()


@posix
@pytest.mark.fault
def test_a_replaced_file_keeps_its_owner_group_and_mode(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    with contextlib.suppress(PermissionError):  # only root may give a file away
        os.chown(target, 1234, 2345)
    target.chmod(0o2764)
    before = target.stat()
    after = replaced(target)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


@pytest.mark.fault
def test_a_replaced_file_keeps_its_extended_attributes(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    try:
        os.setxattr(target, "user.tag", b"red")
        os.setxattr(target, "user.note", bytes(range(64)))
    except (OSError, AttributeError) as error:
        pytest.skip(f"no extended attributes here: {error}")
    replaced(target)
    kept = {name: os.getxattr(target, name) for name in os.listxattr(target) if name.startswith("user.")}
    assert kept == {"user.tag": b"red", "user.note": bytes(range(64))}


@posix
@pytest.mark.fault
def test_an_owner_that_the_system_refuses_is_no_error_and_takes_no_rights_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    target.chmod(0o4755)
    real_stat = Path.stat

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def of_another(path: Path, **options: bool) -> os.stat_result:
        facts = real_stat(path, **options)
        return facts if path != target else os.stat_result((*facts[:4], facts.st_uid + 1, *facts[5:]))

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    monkeypatch.setattr(Path, "stat", of_another)
    with atomic_path(target, overwrite=True) as part:
        part.write_bytes(b"new")
    monkeypatch.undo()
    assert stat.S_IMODE(target.stat().st_mode) == 0o755  # what runs as its owner does not run as another


@posix
@pytest.mark.fault
def test_a_part_is_no_easier_to_read_than_what_it_replaces(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    target.chmod(0o600)
    with atomic_path(target, overwrite=True) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600


@posix
@pytest.mark.fault
def test_a_read_only_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    target.chmod(0o444)
    with pytest.raises(FileError, match="read-only; make it writable first"), atomic_path(target, overwrite=True):
        pytest.fail("the block must not run")
    assert target.read_bytes() == b"old"
    assert stat.S_IMODE(replaced(target, "force").st_mode) == 0o444


# ---- errors within the block ----


@pytest.mark.fault
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_error_aside_comes_out_as_it_is(tmp_path: Path, overwrite: bool) -> None:
    for error in (OSError(errno.ENOSPC, "theirs"), FileExistsError("theirs"), FileError("ours")):
        with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "out.wav", overwrite), aside():
            raise error
        assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault
def test_an_error_of_ours_within_the_block_is_not_wrapped_again(tmp_path: Path) -> None:
    error = FileError("about another file")
    with pytest.raises(FileError) as caught, atomic_path(tmp_path / "out.wav"):
        raise error
    assert caught.value is error
