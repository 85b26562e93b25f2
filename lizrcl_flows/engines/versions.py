"""Which version of a package, and which file, by content."""

import importlib.util
from functools import cache
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; one that has not changed is read once."""
    status = path.stat()
    return _sha256_of_state(path, status.st_mtime_ns, status.st_size)


@cache
def _sha256_of_state(path: Path, mtime_ns: int, n_bytes: int) -> str:  # noqa: ARG001 - they tell versions apart
    with path.open("rb") as handle:
        return file_digest(handle, "sha256").hexdigest()


@cache
def package_version(module: str) -> str | None:
    """Return the version of a module's distribution, the hash of a lone module's source, or none where it is absent."""
    found = importlib.util.find_spec(module)
    if found is None:
        return None
    for name in (module, *metadata.packages_distributions().get(module, [])):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if found.origin is None or not Path(found.origin).is_file():
        return "unknown"
    return f"sha256:{sha256(Path(found.origin).read_bytes()).hexdigest()[:16]}"
