"""Deployment packages made to harm: slips out of the folder, links to elsewhere, bombs, and archives that are none."""

import io
import json
import os
import re
import stat
import struct
import time
import zipfile
import zlib

import pytest

from .conftest import role_of
from .expect import aws_error
from .functions import FAST_MB
from .harness import Function, zip_bytes
from .hostile import unharmed, victim_in
from .raw import exchange, request, resident_mb, scope

BAD_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
TOO_LARGE = "Unzipped size must be smaller than 262144000 bytes"
HANDLER = ("index.py", "def handler(event, context): return open(event).read()")


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with victim_in(tmp_path_factory.mktemp("packages")) as server:
        role_of(server)
        yield server


def archive(*entries):
    """A zip of (path, content) or (path, content, mode), with names and modes as given, however bad."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path, content, *mode in entries:
            entry = zipfile.ZipInfo("placeholder")
            entry.filename = path
            entry.create_system = 3
            entry.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            file.writestr(entry, content)
    return buffer.getvalue()


def create(server, package, name="hostile", runtime="python3.11", **parameters):
    return server.client("lambda").create_function(
        FunctionName=name,
        Runtime=runtime,
        Handler="index.handler",
        Role=role_of(server),
        MemorySize=FAST_MB,
        Timeout=10,
        Code={"ZipFile": package},
        **parameters,
    )


def with_length(package, claimed):
    """The same archive, whose headers say that its first file is `claimed` bytes long."""
    data = bytearray(package)
    struct.pack_into("<I", data, 22, claimed)
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, claimed)
    return bytes(data)


GOOD = zip_bytes({"index.py": "def handler(e, c): return 1"})
BROKEN = {
    "text": b"this is not a zip",
    "cut": GOOD[: len(GOOD) // 2],
    "only the end": GOOD[-22:],
    "no directory": GOOD[:40],
    "flipped": GOOD[:45] + bytes([GOOD[45] ^ 0xFF]) + GOOD[46:],
    "gzip": zlib.compress(b"x" * 1000),
    "zeros": bytes(10_000),
    "tar": b"index.py" + bytes(10_232),
    "random": bytes(range(256)) * 500,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_zip(victim, name):
    with unharmed(victim):
        with aws_error("InvalidParameterValueException", BAD_ZIP):
            create(victim, BROKEN[name])
        with aws_error("InvalidParameterValueException", re.compile(".")):
            victim.client("lambda").publish_layer_version(LayerName="hostile", Content={"ZipFile": BROKEN[name]})


def test_an_empty_zip(victim):
    with unharmed(victim), aws_error("InvalidParameterValueException", "Uploaded file must be a non-empty zip"):
        create(victim, archive())


SLIPS = [
    "../{}",
    "../../../../../../../..{}",
    "{}",
    "a/../../../../../../../../..{}",
    "a/b/../../../{}",
    "..\\..\\{}",
    "./../{}",
    "//{}",
]


@pytest.mark.parametrize("form", SLIPS)
def test_zip_slip(victim, tmp_path, form):
    """Nothing is written outside of the function's folder; whether it is refused or cleaned is the server's choice."""
    target = tmp_path / "slipped"
    before = files_below(victim.data_dir.parent, "slipped")
    package = archive(HANDLER, (form.format(target), "slipped"), (form.format("slipped"), "slipped"))
    try:
        create(victim, package, "slip")
    except victim.client("lambda").exceptions.InvalidParameterValueException:
        assert "slip" not in [f["FunctionName"] for f in victim.client("lambda").list_functions()["Functions"]]
    else:
        victim.client("lambda").get_waiter("function_active_v2").wait(FunctionName="slip", WaiterConfig={"Delay": 0.05})
        victim.client("lambda").invoke(FunctionName="slip", Payload=b'"/var/task/index.py"')
        victim.client("lambda").delete_function(FunctionName="slip")
    assert not target.exists() and not os.path.exists("/slipped")
    outside = [
        path for path in files_below(victim.data_dir.parent, "slipped") if path not in before and "/code/" not in path
    ]
    assert not outside
    assert victim.is_healthy()


def files_below(directory, name):
    return [os.path.join(folder, name) for folder, _, files in os.walk(directory) if name in files]


@pytest.mark.parametrize(
    "target", ["/etc/shadow", "{data}/server.key", "../../../../../../../../etc/shadow", "/proc/1/environ"]
)
def test_links_to_elsewhere(victim, target):
    """A link may be kept, and then it points into the cell; neither server nor function reads the host's file."""
    package = archive(HANDLER, ("link", target.format(data=victim.data_dir), stat.S_IFLNK | 0o777))
    try:
        function = Function(victim, create(victim, package, "linked"))
    except victim.client("lambda").exceptions.InvalidParameterValueException:
        return
    try:
        done = function.wait().invoke("/var/task/link")
        assert done.error == "Unhandled", done.body
        assert done.json["errorType"] in ("FileNotFoundError", "PermissionError", "OSError")
    finally:
        function.delete()


def test_writing_through_a_link(victim, tmp_path):
    package = archive(
        HANDLER,
        ("out", str(tmp_path), stat.S_IFLNK | 0o777),
        ("out/written", "through"),
        ("index.lnk", str(tmp_path / "second"), stat.S_IFLNK | 0o777),
        ("index.lnk", "through"),
    )
    try:
        create(victim, package, "through")
        time.sleep(0.2)
        victim.client("lambda").invoke(FunctionName="through", Payload=b'"/var/task/index.py"')
        victim.client("lambda").delete_function(FunctionName="through")
    except victim.client("lambda").exceptions.ClientError:
        pass
    assert list(tmp_path.iterdir()) == []


def test_special_files_and_modes(victim):
    package = archive(
        HANDLER,
        ("pipe", b"", stat.S_IFIFO | 0o666),
        ("device", b"", stat.S_IFCHR | 0o666),
        ("setuid", b"#!/bin/sh\n", stat.S_IFREG | 0o6755),
    )
    try:
        function = Function(victim, create(victim, package, "special"))
    except victim.client("lambda").exceptions.InvalidParameterValueException:
        return
    try:
        done = function.wait().invoke("/var/task/index.py")
        assert done.error is None
        code = victim.data_dir / "code"
        modes = [os.lstat(os.path.join(folder, file)).st_mode for folder, _, files in os.walk(code) for file in files]
        assert modes and all(stat.S_ISREG(mode) and not mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)
    finally:
        function.delete()


@pytest.fixture(scope="module")
def bomb():
    """1 GiB of zeros in a megabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        with file.open("index.py", "w", force_zip64=True) as entry:
            for _ in range(1024):
                entry.write(bytes(1 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize("claimed", [None, 10])
def test_zip_bomb(victim, bomb, claimed):
    """Refused by what comes out, not by what its header says, without unpacking all of it."""
    free = os.statvfs(victim.data_dir).f_bavail * os.statvfs(victim.data_dir).f_frsize
    package = with_length(bomb, claimed) if claimed else bomb
    began = time.monotonic()
    with unharmed(victim), aws_error("InvalidParameterValueException", re.compile(f"^({TOO_LARGE}|{BAD_ZIP})$")):
        create(victim, package)
    assert time.monotonic() - began < 15
    left = os.statvfs(victim.data_dir).f_bavail * os.statvfs(victim.data_dir).f_frsize
    assert free - left < 300 << 20


def test_many_small_files(victim):
    """Files without content cost more than their bytes: a hundred thousand of them are refused or carried, quickly."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(100_000):
            file.writestr(f"{number % 100}/{number}", b"")
    began = time.monotonic()
    with unharmed(victim):
        try:
            create(victim, buffer.getvalue(), "many")
        except victim.client("lambda").exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 413), error
        else:
            victim.client("lambda").delete_function(FunctionName="many")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "path",
    [
        "x" * 300,
        "/".join(["d"] * 3_000),
        "a\0b",
        "",
        ".",
        "..",
        "a/",
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
        "con:aux\n",
    ],
    ids=["long", "deep", "nul", "empty", "dot", "dots", "folder", "bytes", "odd"],
)
def test_odd_names(victim, path):
    try:
        create(victim, archive(HANDLER, (path, "x")), "odd")
    except victim.client("lambda").exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
    else:
        victim.client("lambda").delete_function(FunctionName="odd")
    assert victim.is_healthy()


def test_the_same_file_twice_and_a_file_as_folder(victim):
    for package in (
        archive(HANDLER, ("index.py", "second")),
        archive(HANDLER, ("index.py/inner", "x")),
        archive(("index.py/inner", "x"), HANDLER),
    ):
        try:
            create(victim, package, "twice")
            victim.client("lambda").delete_function(FunctionName="twice")
        except victim.client("lambda").exceptions.InvalidParameterValueException:
            pass
    assert victim.is_healthy()


def test_an_encrypted_zip(victim):
    package = bytearray(GOOD)
    package[6] |= 1
    package[package.index(b"PK\x01\x02") + 8] |= 1
    with unharmed(victim), aws_error("InvalidParameterValueException", BAD_ZIP):
        create(victim, bytes(package))


def test_huge_base64(victim):
    """More than the limits, as text: neither 60 MB of nonsense nor a package over 50 MB is taken."""
    body = json.dumps(
        {
            "FunctionName": "huge",
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Role": role_of(victim),
            "Code": {"ZipFile": "@"},
        }
    ).encode()
    with unharmed(victim):
        nonsense = body.replace(b"@", b"!" * 60_000_000)
        answer = exchange(
            victim, request("POST", "/2015-03-31/functions", nonsense, Authorization=scope("lambda")), timeout=30
        )
        assert answer.status == 400 and answer.is_error_of_ours, answer
        too_large = body.replace(b"@", b"UEsD" * 17_500_000)
        answer = exchange(
            victim, request("POST", "/2015-03-31/functions", too_large, Authorization=scope("lambda")), timeout=30
        )
        assert answer.status in (400, 413), answer
        over = body.replace(b"@", b"UEsD" * 17_600_000)
        answer = exchange(
            victim, request("POST", "/2015-03-31/functions", over, Authorization=scope("lambda")), timeout=30
        )
        assert answer.status == 413 and b"70167211" in answer.body, answer


def test_packages_from_s3_are_checked_too(victim, bomb):
    s3 = victim.client("s3")
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="bomb", Body=bomb)
    s3.put_object(Bucket="packages", Key="text", Body=b"text")
    api = victim.client("lambda")
    common = {"FunctionName": "from-s3", "Runtime": "python3.11", "Handler": "index.handler", "Role": role_of(victim)}
    with unharmed(victim):
        with aws_error("InvalidParameterValueException", re.compile(f"^({TOO_LARGE}|{BAD_ZIP})$")):
            api.create_function(Code={"S3Bucket": "packages", "S3Key": "bomb"}, **common)
        with aws_error("InvalidParameterValueException", BAD_ZIP):
            api.create_function(Code={"S3Bucket": "packages", "S3Key": "text"}, **common)
        with aws_error(
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
        ):
            api.create_function(Code={"S3Bucket": "packages", "S3Key": "absent"}, **common)


def test_memory_is_given_back(victim):
    assert resident_mb(victim.process.pid) < 400
