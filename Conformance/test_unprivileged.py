"""A whole server as an ordinary user: cells in user namespaces, without control groups or users of their own."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from .functions import RUN
from .harness import BINARY, RUNTIMES, Server, prepared_runtimes, unique, wait_for, zip_bytes

USER = 64_000  # of nobody on this machine
AS_USER = [] if os.geteuid() else ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
ROLE = "arn:aws:iam::000000000000:role/any"


def why_not():
    """Why this machine cannot run the tests; None when it can."""
    if AS_USER and not shutil.which("setpriv"):
        return "setpriv (util-linux) is missing"
    for path in (BINARY, RUNTIMES):
        if subprocess.run([*AS_USER, "test", "-r", path], check=False).returncode:
            return f"{path} cannot be read by an ordinary user"
    done = subprocess.run([*AS_USER, "unshare", "--user", "--map-root-user", "true"], capture_output=True, check=False)
    return f"user namespaces are off: {done.stderr.decode().strip()}" if done.returncode else None


pytestmark = pytest.mark.skipif(bool(why_not()), reason=str(why_not()))


@pytest.fixture(scope="module")
def ordinary():
    # Not below pytest's folder, which only its own user may enter.
    folder = Path(tempfile.mkdtemp(prefix="martlet-ordinary-"))
    if AS_USER:
        os.chown(folder, USER, USER)
    server = Server(folder / "data", ["--time-scale", "600"], {"HOME": str(folder)}, prefix=AS_USER)
    (folder / "data").mkdir()
    if AS_USER:
        os.chown(folder / "data", USER, USER)
    server.start()
    yield server
    assert server.stop() == 0
    shutil.rmtree(folder, ignore_errors=True)


def readable_runtimes():
    return [
        name
        for name, runtime in prepared_runtimes().items()
        if subprocess.run([*AS_USER, "test", "-x", runtime["interpreter"]], check=False).returncode == 0
    ]


def deploy(server, files, runtime, **parameters):
    name = unique("fn")
    api = server.client("lambda")
    api.create_function(
        FunctionName=name, Runtime=runtime, Handler="index.handler", Role=ROLE, Code={"ZipFile": zip_bytes(files)},
        **parameters,
    )
    api.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    return name


def call(server, name, event=None):
    answer = server.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def python():
    names = [name for name in readable_runtimes() if name.startswith("python")]
    if not names:
        pytest.skip("no Python that an ordinary user may run")
    return names[-1]


@pytest.fixture
def run(ordinary, python):
    name = deploy(ordinary, {"index.py": RUN}, python, Timeout=2)
    return lambda text, **event: call(ordinary, name, {"run": text, **event})


def test_doctor(ordinary):
    done = subprocess.run([*AS_USER, BINARY, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert "user namespaces" in done.stdout


@pytest.mark.parametrize("family", ["python", "nodejs", "provided"])
def test_functions_of_each_runtime(ordinary, family):
    files = {"index.py": "def handler(event, context): return event", "index.js": "exports.handler = async e => e"}
    name = next((name for name in readable_runtimes() if name.startswith(family)), None)
    if family == "provided":
        script = """#!/bin/sh
exec 3<>/dev/null
while true; do
    exit 3
done
"""
        files, name = {"bootstrap": (script, 0o755)}, "provided.al2023"
    if name is None:
        pytest.skip(f"no {family} that an ordinary user may run")
    error, answer = call(ordinary, deploy(ordinary, files, name), {"a": "ä"})
    if family == "provided":
        assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError") and "exit status 3" in str(answer)
    else:
        assert (error, answer) == (None, {"a": "ä"})


def test_a_photo_runs_a_function(ordinary, python):
    """The main job: S3, its notification, the function's own calls, the log."""
    source = """
import boto3
def handler(event, context):
    record = event["Records"][0]["s3"]
    body = boto3.client("s3").get_object(Bucket=record["bucket"]["name"], Key=record["object"]["key"])["Body"].read()
    boto3.client("s3").put_object(Bucket=record["bucket"]["name"], Key="out", Body=body[::-1])
    print("turned", len(body))
"""
    name = deploy(ordinary, {"index.py": source}, python, Timeout=20, MemorySize=1769)
    s3, api, bucket = ordinary.client("s3"), ordinary.client("lambda"), unique("bucket")
    s3.create_bucket(Bucket=bucket)
    api.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
    )
    arn = api.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    rules = [{"Key": {"FilterRules": [{"Name": "prefix", "Value": "in"}]}}]
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": rules[0]}
            ]
        },
    )
    s3.put_object(Bucket=bucket, Key="in/photo", Body=b"abc")
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="out").get("KeyCount"))
    assert s3.get_object(Bucket=bucket, Key="out")["Body"].read() == b"cba"
    logs = ordinary.client("logs")
    wait_for(lambda: "turned 3" in str(logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]))


def test_the_cell_still_holds(ordinary, run):
    """The function's user is the server's own here: what keeps it out are the namespaces alone."""
    data = str(ordinary.data_dir)
    error, seen = run(
        """
result = {"uid": os.getuid(), "pids": len([name for name in os.listdir("/proc") if name.isdigit()]), "opened": []}
for path in event["paths"]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).read(1)
        result["opened"].append(path)
    except OSError:
        pass
for name, pid in (("server", event["pid"]), ("init", 1)):
    try:
        open(f"/proc/{pid}/environ").read()
        result["opened"].append(name)
    except OSError:
        pass
result["capabilities"] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")]
import socket
for port in event["ports"]:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        result["opened"].append(port)
    except OSError:
        pass
""",
        paths=[data, data + "/server.key", data + "/store", "/etc/shadow"],
        pid=ordinary.process.pid,
        ports=[ordinary.port, 22],
    )
    assert error is None, seen
    assert seen["opened"] == [] and seen["uid"] != 0 and seen["pids"] <= 4
    assert set(seen["capabilities"]) == {"0" * 16}


def test_time_and_disk_are_bounded(run):
    error, answer = run("import time; time.sleep(60)")
    assert (error, answer["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    error, written = run("""
written = 0
try:
    with open("/tmp/fill", "wb", buffering=0) as file:
        while written < 2_000:
            file.write(bytes(1 << 20))
            written += 1
except OSError:
    pass
result = written
""")
    assert error or written <= 512


def test_an_ordinary_kill_9(ordinary, python):
    name = deploy(ordinary, {"index.py": "def handler(event, context): return 1"}, python)
    assert call(ordinary, name) == (None, 1)
    ordinary.restart("kill9")
    assert call(ordinary, name) == (None, 1)
