#!/usr/bin/env python3
"""Makes the function's deployment package: handler.py and Pillow for the function's Python.

    .venv/bin/python Examples/thumbnails/package.py python3.11      prints the path of the zip
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache/thumbnails"
DOWNLOAD_S = 300
DATE = (2026, 1, 1, 0, 0, 0)  # the same input gives the same bytes, so deploying it again changes nothing


def main(runtime):
    handler = (HERE / "handler.py").read_bytes()
    requirements = (HERE / "requirements.txt").read_bytes()
    digest = hashlib.sha256(b"\0".join([handler, requirements, Path(__file__).read_bytes()])).hexdigest()[:16]
    target = CACHE / f"{runtime}-{digest}.zip"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wheels = download(runtime.removeprefix("python"), Path(folder))
            building = Path(folder) / "package.zip"
            write(building, handler, wheels)
            building.replace(target)
    print(target)


def download(version, folder):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--implementation", "cp", "--python-version", version,
         "--dest", str(folder), "--requirement", str(HERE / "requirements.txt")],
        check=True, timeout=DOWNLOAD_S, stdin=subprocess.DEVNULL, stdout=sys.stderr,
    )
    return sorted(folder.glob("*.whl"))


def write(target, handler, wheels):
    """A wheel is a zip of what belongs on the search path: unpacking it is installing it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        add(package, "handler.py", handler)
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for name in sorted(archive.namelist()):
                    if not name.endswith(("/", ".pyi")):
                        add(package, name, archive.read(name))


def add(package, name, data):
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    package.writestr(entry, data)


if __name__ == "__main__":
    main(sys.argv[1])
