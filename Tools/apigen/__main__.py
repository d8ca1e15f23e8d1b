"""Writes Sources/Services/<Name>/Shapes from AWS's published service models. See README.md.

    python3 Tools/apigen            writes the files
    python3 Tools/apigen --check    says whether the committed files are current (exit 1 when not)
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import accessors  # noqa: E402
import models  # noqa: E402
import schema  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def generated(service):
    """The files of one service: name in its Shapes folder -> text."""
    model = models.load(service)
    name = service["name"]
    files = {f"{name}Schema.swift": schema.swift(name, schema.text(model, service))}
    for index, text in enumerate(accessors.swift(model, service), start=1):
        files[f"{name}Shapes{index}.swift"] = text
    return files


def main():
    arguments = argparse.ArgumentParser(prog="apigen", description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 when files are not current")
    check = arguments.parse_args().check
    stale = []
    folders = {}
    for service in models.services():
        folder = ROOT / "Sources/Services" / service.get("folder", service["name"]) / "Shapes"
        folders.setdefault(folder, {}).update(generated(service))
    for folder, files in folders.items():
        present = {path.name for path in folder.glob("*.swift")} if folder.is_dir() else set()
        for name in sorted(present - files.keys()):
            stale.append(folder / name)
            if not check:
                (folder / name).unlink()
        for name, text in files.items():
            path = folder / name
            if not path.exists() or path.read_text() != text:
                stale.append(path)
                if not check:
                    folder.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
    for path in stale:
        print(("stale: " if check else "wrote ") + str(path.relative_to(ROOT)))
    if check and stale:
        sys.exit("Generated shapes are not current: run python3 Tools/apigen")


main()
