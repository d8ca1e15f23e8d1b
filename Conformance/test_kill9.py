"""What was acknowledged survives kill -9 at any moment: events are executed at least once, objects are whole, functions
are complete. The moments are random, by a seed: MARTLET_SEED repeats a run, as far as the machine's timing allows."""

import collections
import hashlib
import os
import random
import re
import threading
import time

import botocore.exceptions
import pytest

from .harness import unique, wait_for, zip_bytes

SEED = os.environ.get("MARTLET_SEED", "martlet")
EVENTS = 1000
OBJECTS = 1000
FUNCTIONS = 24
CLIENTS = 4
KILL_AFTER_S = (0.05, 0.8)
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)

# Leaves one object for each execution, with nothing but the standard library: a cold start follows every kill.
MARK = (
    "import http.client\n"
    "def handler(event, context):\n"
    "    api = http.client.HTTPConnection('127.0.0.1', 4566, timeout=20)\n"
    "    api.request('PUT', f\"/{event['bucket']}/{event['key']}\", body=event['key'].encode())\n"
    "    answer = api.getresponse()\n"
    "    if answer.status != 200: raise RuntimeError(answer.status)\n"
)


def content(name, version):
    """The bytes of an object: mostly some kilobytes, some empty, some megabytes; always the same for a version."""
    rng = random.Random(f"{SEED}/{name}/{version}")
    size = rng.choice([0, 1, 700, 4_096, 20_000, 65_537, rng.randrange(200_000), rng.randrange(200_000)])
    if rng.random() < 0.03:
        size = rng.randrange(1 << 20, 6 << 20)
    return rng.randbytes(size)


class Work:
    """Threads that put, send and create until everything was acknowledged, whatever happens to the server."""

    def __init__(self, server, function, bucket):
        self.server = server
        self.function = function
        self.bucket = bucket
        self.lock = threading.Lock()
        self.tasks = collections.deque()
        self.acknowledged = {"event": set(), "function": set()}
        self.versions = collections.defaultdict(lambda: [0, 0])  # of an object: acknowledged, tried
        self.retried = 0
        self.problems = []
        rng = random.Random(f"{SEED}/tasks")
        tasks = [("event", f"event-{i}") for i in range(EVENTS)]
        # A tenth are written again and again: an older version must not come back.
        tasks += [("object", f"object-{i if rng.random() < 0.9 else i % 7}") for i in range(OBJECTS)]
        tasks += [("function", f"kept-{i}") for i in range(FUNCTIONS)]
        rng.shuffle(tasks)
        self.tasks.extend(tasks)
        self.busy = set()  # objects that a thread is writing: two writers have no order to check
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def _take(self):
        """The next task that no other thread's object is part of; None when there are no more."""
        while True:
            with self.lock:
                if not self.tasks:
                    return None
                kind, name = self.tasks.popleft()
                if name not in self.busy:
                    self.busy.add(name)
                    return kind, name
                self.tasks.append((kind, name))
            time.sleep(0.005)

    def _run(self):
        clients = {name: self.server.client(name) for name in ("s3", "lambda")}
        while task := self._take():
            kind, name = task
            end = time.monotonic() + 60
            while True:
                try:
                    getattr(self, "_" + kind)(clients, name)
                    break
                except LOST:
                    self.retried += 1
                    time.sleep(0.01)
                except clients["lambda"].exceptions.ResourceConflictException:
                    break  # the create before was not acknowledged, and yet it was done: as well
                except Exception as error:
                    self.problems.append((task, repr(error)))
                    break
                if time.monotonic() > end:
                    self.problems.append((task, "no acknowledgement within 60 s"))
                    break
            with self.lock:
                self.busy.discard(name)

    def _event(self, clients, name):
        payload = b'{"bucket":"%s","key":"%s"}' % (self.bucket.encode(), name.encode())
        answer = clients["lambda"].invoke(FunctionName=self.function.name, InvocationType="Event", Payload=payload)
        assert answer["StatusCode"] == 202
        self.acknowledged["event"].add(name)

    def _object(self, clients, name):
        versions = self.versions[name]
        versions[1] += 1
        body = content(name, versions[1])
        answer = clients["s3"].put_object(
            Bucket=self.bucket, Key=name, Body=body, Metadata={"version": str(versions[1])}
        )
        assert answer["ETag"].strip('"') == hashlib.md5(body).hexdigest()
        versions[0] = versions[1]

    def _function(self, clients, name):
        clients["lambda"].create_function(
            FunctionName=name,
            Runtime=self.function.runtime,
            Handler="index.handler",
            Role=self.function.role,
            Code={
                "ZipFile": zip_bytes(
                    {"index.py": f"def handler(event, context): return {name!r}", "pad": content(name, 1)}
                )
            },
        )
        self.acknowledged["function"].add(name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost(make_server, make_function, python_runtime):
    server = make_server("--time-scale", "60")  # the age at which events are given up is divided too: six minutes
    bucket = unique("kept")
    server.client("s3").create_bucket(Bucket=bucket)
    function = make_function(MARK, server=server, MemorySize=1769, Timeout=30)
    server.client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=8)
    function.runtime = python_runtime
    function.role = server.client("lambda").get_function_configuration(FunctionName=function.name)["Role"]
    rng = random.Random(f"{SEED}/kills")
    work = Work(server, function, bucket)
    work.start()
    kills = 0
    while work.is_running and kills < 200:
        time.sleep(rng.uniform(*KILL_AFTER_S))
        server.restart("kill9")
        kills += 1
    for thread in work.threads:
        thread.join(90)
    assert not work.is_running and not work.problems, work.problems[:5]
    assert len(work.acknowledged["event"]) == EVENTS
    assert kills >= 5, "the work was done before the server was killed often enough"
    server.restart("kill9")
    print(f"{kills} kills, {work.retried} requests without an answer")

    s3 = server.client("s3")
    check_objects(s3, bucket, work)
    check_functions(server, work)

    def executed():
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="event-")
        done = {item["Key"] for page in pages for item in page.get("Contents", [])}
        return work.acknowledged["event"] <= done

    wait_for(executed, seconds=90, interval_s=0.5)
    assert server.stop() == 0


def check_objects(s3, bucket, work):
    """Everything listed is whole; what was acknowledged is there, in its last acknowledged version or a later try."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="object-")
    listed = {item["Key"]: item for page in pages for item in page.get("Contents", [])}
    missing = {name for name, (acknowledged, _) in work.versions.items() if acknowledged and name not in listed}
    assert not missing, f"{len(missing)} acknowledged objects are not there"
    for name, item in listed.items():
        answer = s3.get_object(Bucket=bucket, Key=name)
        body, version = answer["Body"].read(), int(answer["Metadata"]["version"])
        acknowledged, tried = work.versions[name]
        assert max(acknowledged, 1) <= version <= tried, (name, acknowledged, version, tried)
        assert body == content(name, version), f"{name} is not whole"
        assert (item["Size"], item["ETag"]) == (len(body), answer["ETag"])


def check_functions(server, work):
    api = server.client("lambda")
    pages = api.get_paginator("list_functions").paginate()
    names = {item["FunctionName"] for page in pages for item in page["Functions"]}
    assert work.acknowledged["function"] <= names
    for name in sorted(name for name in names if name.startswith("kept-"))[:8]:
        api.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
        assert api.invoke(FunctionName=name)["Payload"].read().decode() == f'"{name}"'


def test_retries_survive(make_server, make_function):
    """Killed between attempts: the rest of them come, with the same request id, and not many more."""
    server = make_server("--time-scale", "60")  # waits of one and two seconds
    function = make_function(
        "def handler(e, context):\n    print('try', context.aws_request_id, flush=True)\n    raise ValueError('no')",
        server=server,
        MemorySize=1769,
    )
    request = function.invoke({}, InvocationType="Event").request_id

    def tries():
        return sum(bool(re.match(f"try {request}", message)) for message in function.log_messages())

    wait_for(lambda: tries() == 1)
    time.sleep(0.2)
    server.restart("kill9")
    wait_for(lambda: tries() == 2)
    time.sleep(0.2)
    server.restart("kill9")
    wait_for(lambda: tries() == 3)
    marker = function.invoke({}, InvocationType="Event").request_id
    wait_for(lambda: sum(bool(re.match(f"try {marker}", m)) for m in function.log_messages()) == 3)
    assert tries() == 3, "the count of attempts is kept too"


def test_everything_is_there_after_a_kill(make_server, make_function):
    """One of each kind of thing, killed right after the last acknowledgement."""
    server = make_server()
    s3, api, iam, logs = (server.client(name) for name in ("s3", "lambda", "iam", "logs"))
    bucket, group = unique("bucket"), unique("/group")
    function = make_function(
        "def handler(event, context): return 1", server=server, Environment={"Variables": {"AB": "c"}}
    )
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"p" * 100)["ETag"]
    api.publish_version(FunctionName=function.name)
    api.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    api.add_permission(
        FunctionName=function.name, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    api.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=5)
    layer = api.publish_layer_version(
        LayerName=unique("layer"), Content={"ZipFile": zip_bytes({"python/a.py": "A = 1"})}
    )
    policy = iam.create_policy(PolicyName=unique("p"), PolicyDocument='{"Version":"2012-10-17","Statement":[]}')[
        "Policy"
    ]["Arn"]
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    logs.put_log_events(
        logGroupName=group, logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "kept"}]
    )
    server.restart("kill9")
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    server.restart("kill9")
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"p" * 100
    shown = api.get_function(FunctionName=function.name)
    assert shown["Configuration"]["Environment"]["Variables"] == {"AB": "c"}
    assert shown["Concurrency"]["ReservedConcurrentExecutions"] == 5
    assert api.invoke(FunctionName=function.name, Qualifier="live")["ExecutedVersion"] == "1"
    assert '"Sid":"s"' in api.get_policy(FunctionName=function.name)["Policy"].replace(" ", "")
    assert api.get_layer_version_by_arn(Arn=layer["LayerVersionArn"])["Version"] == 1
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v1"
    assert [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName="s")["events"]] == ["kept"]
