"""Places of files: paths of this machine, and addresses of object storage, which fsspec opens."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError, FileError, needs_package

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")  # memory: of this process, for trying things
_SAME = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}  # other names of the same storage
_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# Errors of storage by the names of their classes, as no library of theirs is imported for telling.
_REFUSED = {
    "NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "ClientAuthenticationError", "RefreshError",
    "DefaultCredentialsError", "CredentialRetrievalError", "UnauthorizedSSOTokenError",
}  # fmt: skip
_REFUSALS = re.compile(
    r"AccessDenied|ExpiredToken|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed|InvalidToken|NoSuchBucket"
    r"|Forbidden|Unauthorized|ContainerNotFound|specified bucket does not exist|RequestTimeTooSkewed"
    r"|AuthorizationFailure|AuthorizationPermissionMismatch|failed to authenticate",
    re.IGNORECASE,
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SECRET_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL|CONNECTION_STRING|SAS", re.IGNORECASE)
_SECRETS = re.compile(
    r"(?i)\b(sig|se|sv|x-amz-[a-z-]+|awsaccesskeyid|accountkey|sharedaccesssignature|access_token)=[^\s&;'\"]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|(?<=://)[^\s/@]+@"
)
_LEAST_SECRET = 6  # characters; what is shorter would be found in every other word


class StorageError(FileError):
    """Storage that did not answer as it should, and may do so later."""


class AccessError(FileError):
    """Storage that refuses whoever asks, or has no room: for all files alike."""


@dataclass(frozen=True)
class Look:
    """A file as it is seen without being read: size in bytes, and a mark that changes with its content.

    mark: its time of change on this machine; the tag that object storage gives it.
    """

    size: int
    mark: str


def scheme_of(place: str) -> str | None:
    """The scheme of an address of object storage, None for a path of this machine. Raises ConfigError for others."""
    match = _ADDRESS.fullmatch(place)
    if match is None or match[1].lower() == "file":
        return None
    if match[1].lower() not in SCHEMES:
        raise ConfigError(
            f"{redacted(place)}: {match[1]}:// is no storage known here; it may be file://, {'://, '.join(SCHEMES[:-1])}://"
        )
    return match[1].lower()


def normal(place: str) -> str:
    """Write a place in its one form: an absolute path without links, or an address without a slash at its end.

    Raises ConfigError for an address with credentials or a query in it, or with '..'.
    """
    scheme = scheme_of(place)
    if scheme is None:
        path = place[len("file://") :] if place.lower().startswith("file://") else place
        if not path or "\0" in path:
            raise ConfigError(f"{place!r} names no file")
        return os.path.realpath(path)
    rest = place.partition("://")[2]
    bucket = rest.partition("/")[0]
    if ("@" in bucket and scheme not in ("abfs", "abfss")) or ":" in bucket or "?" in rest:
        raise ConfigError(
            f"{scheme}://...: an address holds no key, password or query, as it is written into manifests and logs; "
            "give credentials by the environment, as the storage's own library reads them"
        )
    if not bucket or ".." in rest.split("/"):
        raise ConfigError(f"{place}: an address names a bucket, and has no '..' in it")
    if "@" not in bucket:  # abfs://container@account... is another form than az://container
        scheme = _SAME.get(scheme, scheme)
    return f"{scheme}://{rest.rstrip('/')}"


def join(folder: str, name: str) -> str:
    """The place of a name below a folder."""
    return f"{folder}/{name}" if scheme_of(folder) else os.path.join(folder, *name.split("/"))


def parent(place: str) -> str:
    """The folder that a place is in."""
    if scheme_of(place) is None:
        return os.path.dirname(place)
    head, _, rest = place.partition("://")
    return f"{head}://{posixpath.dirname(rest) or rest}"


def is_within(place: str, folder: str) -> bool:
    """True if a place, in its normal form, is a folder or below it."""
    return place == folder or place.startswith(folder.rstrip("/") + "/")


def suffix_of(place: str) -> str:
    """The suffix of a place's name in small letters, with the one before it where that is .tar."""
    name = posixpath.basename(place).lower()
    stem, suffix = posixpath.splitext(name)
    return f".tar{suffix}" if stem.endswith(".tar") else suffix


def opened(place: str) -> tuple[Any, str]:
    """(file system, path in it) of an address. Raises ConfigError that says what to install, AccessError."""
    scheme = scheme_of(place) or "file"
    try:
        import fsspec

        with _told("cannot reach", place):
            for name in ("gcsfs", "google", "azure"):  # they log each try, with tracebacks; what fails is told anyway
                logging.getLogger(name).setLevel(logging.CRITICAL)
            # Listings are not kept: others may write meanwhile, and so do our own workers elsewhere.
            system, path = fsspec.core.url_to_fs(place, use_listings_cache=False)
            return system, path
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "") == "fsspec":
            raise ConfigError(needs_package(f"{scheme}:// needs", error, "cluster")) from error
        extra = _EXTRAS.get(_SAME.get(scheme, scheme), "cluster")
        raise ConfigError(f"{scheme}:// needs a package of its own: pip install 'denoise-wrapper[{extra}]'") from error


def look(place: str) -> Look | None:
    """See a file without reading it; None if there is none. Raises FileError."""
    if scheme_of(place) is None:
        try:
            facts = os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise FileError(f"cannot look at {place}: {getattr(error, 'strerror', None) or error}") from error
        return Look(facts.st_size, str(facts.st_mtime_ns))
    system, path = opened(place)
    with _told("cannot look at", place):
        try:
            facts = system.info(path, refresh=True) if scheme_of(place) == "s3" else system.info(path)
        except FileNotFoundError:
            return None
        return None if facts.get("type") == "directory" else _look(facts)


def is_folder(place: str) -> bool:
    """True for a folder of this machine, and for a prefix below which object storage has something.

    Raises FileError if it cannot be looked at.
    """
    if scheme_of(place) is None:
        return os.path.isdir(place)
    system, path = opened(place)
    with _told("cannot look at", place):
        return bool(system.isdir(path))


def below(place: str) -> dict[str, Look]:
    """All files below an address of object storage: name below it -> look. Raises FileError."""
    system, path = opened(place)
    with _told("cannot list", place):
        system.invalidate_cache()
        try:
            found = system.find(path, detail=True)
        except FileNotFoundError:
            if scheme_of(place) == "s3":
                system.ls(path.split("/")[0])  # says of a bucket that is not there what cannot be said of a prefix
            return {}
        if not found and scheme_of(place) == "s3":
            with contextlib.suppress(FileNotFoundError):
                system.ls(path.split("/")[0])
    root = path.strip("/") + "/"
    return {
        name.strip("/")[len(root) :]: _look(facts)
        for name, facts in found.items()
        if name.strip("/").startswith(root) and facts.get("type") != "directory"
    }


def matching(pattern: str) -> dict[str, Look]:
    """Files of object storage that a pattern with *, ? or [] matches: address -> look. Raises FileError."""
    system, path = opened(pattern)
    scheme = scheme_of(pattern)
    with _told("cannot list", pattern):
        system.invalidate_cache()
        found = system.glob(path, detail=True)
    return {
        f"{scheme}://{name.strip('/')}": _look(facts)
        for name, facts in found.items()
        if facts.get("type") != "directory"
    }


def fetch(place: str, path: Path) -> Look:
    """Copy a file of object storage to a path of this machine. Returns its look. Raises FileError."""
    system, inside = opened(place)
    with _told("cannot read", place):
        before = _look(system.info(inside))
        system.get_file(inside, str(path))
        if path.stat().st_size != before.size:
            raise StorageError(f"{place} has {before.size} bytes and {path.stat().st_size} came")
        return before


def store(path: Path, place: str) -> Look:
    """Put a file of this machine into object storage, whole or not at all. Returns its look. Raises FileError."""
    system, inside = opened(place)
    with _told("cannot write", place, writing=True):
        if scheme_of(place) == "memory":
            system.pipe_file(inside, path.read_bytes())  # whose put_file copies piece by piece
        else:
            system.put_file(str(path), inside)
        made = _look(system.info(inside))
    if made.size != path.stat().st_size:
        raise StorageError(f"{place} has {made.size} bytes, and {path.stat().st_size} were written")
    return made


def copy(source: str, target: str, scratch: Path) -> None:
    """Copy a file from a place to another, by way of scratch where neither is a path. Raises FileError."""
    from denoise_wrapper.atomic import atomic_path, make_folder

    path = Path(source)
    if scheme_of(source):
        fetch(source, path := scratch)
    if scheme_of(target):
        store(path, target)
        return
    make_folder(Path(target).parent)
    with atomic_path(target, overwrite=True) as part:
        shutil.copyfile(path, part)


def is_full(error: BaseException) -> bool:
    """True for an error of a disk that takes no more, whatever it was that wrote."""
    while True:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if error.__cause__ is None:
            return False
        error = error.__cause__


def redacted(text: object) -> str:
    """A message without keys, tokens and signatures: those of the environment, and what looks like one."""
    words = str(text)
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and _SECRET_NAMES.search(name) and value in words and not os.path.exists(value):
            words = words.replace(value, "***")  # unless it is where a key lies
    return _SECRETS.sub(lambda match: f"{match[1]}=***" if match[1] else "***", words)


def _look(facts: dict[str, Any]) -> Look:
    names = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "last_modified", "LastModified", "created")
    mark = next((facts[name] for name in names if facts.get(name)), "")
    return Look(int(facts.get("size") or 0), str(mark).strip('"'))


def _is_refusal(error: Exception) -> bool:
    """True for an error by which storage says that it knows whoever asks not, or lets them not."""
    code = getattr(error, "code", None) or getattr(error, "status_code", None)
    if isinstance(error, PermissionError) or type(error).__name__ in _REFUSED or str(code) in ("401", "403"):
        return True
    return _REFUSALS.search(str(error)) is not None


@contextlib.contextmanager
def _told(what: str, place: str, writing: bool = False) -> Iterator[None]:
    """Say what storage could not do, in a line, without credentials."""
    try:
        yield
    except (FileError, ConfigError, MemoryError, ImportError):
        raise
    except FileNotFoundError as error:
        if writing:
            raise AccessError(f"{what} {place}: there is no such bucket or container") from error
        raise FileError(f"{what} {place}: there is no such file, bucket or container") from error
    except Exception as error:  # of whatever library the storage has
        words = str(error).partition("Content: <?xml")[0]  # Azure's library adds the whole answer
        reason = redacted(" ".join(words.split()) or type(error).__name__)[:300]
        if _is_refusal(error):
            raise AccessError(f"{what} {place}: {reason}; see whether bucket, key and its date are right") from error
        if is_full(error):
            raise AccessError(f"{what} {place}: the disk is full") from error
        raise StorageError(f"{what} {place}: {reason}") from error
