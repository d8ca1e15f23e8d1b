#!/usr/bin/env python3
"""Puts the demo's pictures into .cache/photos: real photographs that two packages on PyPI ship, some of them saved in
other formats, and one file that is broken as an interrupted upload would break it.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / ".cache/photos"
DOWNLOAD_S = 300
# The Python version whose wheels are downloaded; nothing of them is run.
WHEELS_FOR = "3.11"

# As they are: file in the wheel -> name.
PLAIN = {
    "sklearn/datasets/images/china.jpg": "summer palace.jpg",  # a space, because real file names have them
    "sklearn/datasets/images/flower.jpg": "flower.jpg",
    "skimage/data/rocket.jpg": "rocket.jpg",
    "skimage/data/hubble_deep_field.jpg": "hubble.jpg",
    "skimage/data/astronaut.png": "astronaut.png",
    "skimage/data/coffee.png": "coffee.png",
    "skimage/data/camera.png": "camera.png",
}
# In another format: file in the wheel -> name, options.
CONVERTED = {
    "skimage/data/chelsea.png": ("cat.webp", {"quality": 90}),
    "skimage/data/retina.jpg": ("retina.tiff", {"compression": "tiff_lzw"}),
    "skimage/data/coins.png": ("coins.gif", {}),
    "skimage/data/motorcycle_left.png": ("motorcycle.bmp", {}),
}
# Turned by its EXIF orientation only, as a phone held upright does.
TURNED = ("skimage/data/motorcycle_right.png", "portrait.jpg")
BROKEN = ("sklearn/datasets/images/china.jpg", "broken.jpg", 60_000)
EXIF_ORIENTATION = 0x0112
ROTATED_CLOCKWISE = 6


def main():
    stamp = TARGET / ".stamp"
    wanted = (HERE / "photos.txt").read_text() + Path(__file__).read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("-- photos into .cache/photos", flush=True)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=TARGET.parent) as folder:
        source = download(Path(folder))
        for path, name in PLAIN.items():
            shutil.copyfile(source / path, TARGET / name)
        for path, (name, options) in CONVERTED.items():
            Image.open(source / path).save(TARGET / name, **options)
        turned = Image.open(source / TURNED[0]).convert("RGB")
        exif = turned.getexif()
        exif[EXIF_ORIENTATION] = ROTATED_CLOCKWISE
        turned.save(TARGET / TURNED[1], exif=exif, quality=90)
        path, name, length = BROKEN
        (TARGET / name).write_bytes((source / path).read_bytes()[:length])
    stamp.write_text(wanted)


def download(folder):
    """Downloads the wheels and unpacks their pictures; returns where."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--implementation", "cp", "--python-version", WHEELS_FOR,
         "--dest", str(folder), "--requirement", str(HERE / "photos.txt")],
        check=True, timeout=DOWNLOAD_S, stdin=subprocess.DEVNULL,
    )
    pictures = folder / "pictures"
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(("skimage/data/", "sklearn/datasets/images/"))]
            archive.extractall(pictures, names)
    return pictures


if __name__ == "__main__":
    main()
