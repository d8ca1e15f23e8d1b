"""Loads service models from the pinned botocore and applies our reviewed corrections."""

import gzip
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
BOTOCORE_VERSION = "1.44.5"


def data_folder():
    """botocore's data folder: MARTLET_BOTOCORE, else .cache/botocore (README.md says how to fill it)."""
    root = pathlib.Path(os.environ.get("MARTLET_BOTOCORE", HERE.parents[1] / ".cache/botocore"))
    if not (root / f"botocore-{BOTOCORE_VERSION}.dist-info").is_dir():
        sys.exit(
            f"botocore {BOTOCORE_VERSION} is not in {root}. Get it with\n"
            f"    pip install botocore=={BOTOCORE_VERSION} --target .cache/botocore"
        )
    return root / "botocore/data"


def services():
    """The rows of services.json, each with its `name` (the folder's)."""
    rows = json.loads((HERE / "services.json").read_text())
    return [dict(row, name=name) for name, row in rows.items()]


def load(service):
    path = data_folder() / service["model"] / service["version"] / "service-2.json.gz"
    model = json.loads(gzip.decompress(path.read_bytes()))
    patches = json.loads((HERE / "patches.json").read_text())
    for patch in patches.get(service["name"], []):
        apply(patch, model, service["name"])
    return model


def apply(patch, model, name):
    """Sets or removes one attribute. A patch that changes nothing is stale: it fails, so that it gets reviewed."""
    *path, last = patch["path"]
    target = model
    for key in path:
        if key not in target:
            sys.exit(f"patches.json, {name}: {patch['path']} is not in the model")
        target = target[key]
    if "value" in patch:
        if target.get(last) == patch["value"]:
            sys.exit(f"patches.json, {name}: {patch['path']} already is {patch['value']!r}")
        target[last] = patch["value"]
    else:
        if last not in target:
            sys.exit(f"patches.json, {name}: {patch['path']} is not in the model")
        del target[last]
