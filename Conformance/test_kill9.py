"""What was acknowledged survives kill -9 at any moment: events are executed at least once, objects are whole, functions
are complete. The moments are random, by a seed: MARTLET_SEED repeats a run, as far as the machine's timing allows.
MARTLET_KILLS is how often the server is killed: 100 times by default, 1,000 times for the promise of SPECIFICATION.md."""

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
KILLS = int(os.environ.get("MARTLET_KILLS", "100"))
EVENTS = 1000  # at least
OBJECTS = 1000  # at least
FUNCTIONS = 24  # exactly
CLIENTS = 4
BACKLOG = 2000  # events that were acknowledged and not executed, as far as the test has looked
KILL_AFTER_S = (0.02, 0.2)
KILL_IN_START = 0.1  # share of the kills that come before the server is ready
KILL_IN_START_S = (0.0, 0.05)
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
    """Threads that put, send and create until they are told to end, whatever happens to the server. What they have begun
    they do until it is acknowledged."""

    def __init__(self, server, function, bucket):
        self.server = server
        self.function = function
        self.bucket = bucket
        self.lock = threading.Lock()
        self.rng = random.Random(f"{SEED}/tasks")
        self.counts = collections.Counter()
        self.acknowledged = {"event": set(), "function": set()}
        self.versions = collections.defaultdict(lambda: [0, 0])  # of an object: acknowledged, tried
        self.executed = 0
        self.puts = 0
        self.retried = 0
        self.problems = []
        self.busy = set()  # objects that a thread is writing: two writers have no order to check
        self.may_end = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def _next(self):
        """Something to do; None when there is enough."""
        with self.lock:
            while True:
                counts = self.counts
                # Objects by what is acknowledged: a number whose object was busy was passed over.
                enough = {"event": counts["event"] >= EVENTS, "object": self.puts >= OBJECTS}
                wanted = [kind for kind in enough if not enough[kind]]
                if not self.may_end.is_set():
                    wanted = ["event", "object"]
                    if counts["event"] - self.executed > BACKLOG:
                        wanted = ["object"]
                if counts["function"] < FUNCTIONS and (not wanted or self.rng.random() < 0.02):
                    wanted = ["function"]
                if not wanted:
                    return None
                kind = self.rng.choice(wanted)
                number = counts[kind]
                counts[kind] += 1
                # A tenth of the objects is written again and again: an older version must not come back.
                name = f"{kind}-{number % 7 if kind == 'object' and self.rng.random() < 0.1 else number}"
                if name not in self.busy:
                    self.busy.add(name)
                    return kind, name

    def _run(self):
        clients = {name: self.server.client(name) for name in ("s3", "lambda")}
        while task := self._next():
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
        self.puts += 1

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
@pytest.mark.timeout(200 + KILLS)
def test_nothing_acknowledged_is_lost(make_server, make_function, python_runtime):
    server = make_server("--time-scale", "60")
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
    began = time.monotonic()
    while kills < KILLS and not work.problems:
        time.sleep(rng.uniform(*KILL_AFTER_S))
        server.kill9()
        kills += 1
        while rng.random() < KILL_IN_START:
            server.start_and_kill9(rng.uniform(*KILL_IN_START_S))
            kills += 1
        server.start()
        if kills % 20 < 2:
            work.executed = len(executed_events(server.client("s3"), bucket))
    lasted = time.monotonic() - began
    work.may_end.set()
    for thread in work.threads:
        thread.join(90)
    assert not work.is_running and not work.problems, work.problems[:5]
    server.restart("kill9")
    events, objects = len(work.acknowledged["event"]), len(work.versions)
    print(
        f"{kills + 1} kills, {kills} of them in {lasted:.0f} s; acknowledged: {events} events, {work.puts} puts of "
        f"{objects} objects, {len(work.acknowledged['function'])} functions; {work.retried} requests without an answer"
    )
    assert events >= EVENTS and work.puts >= OBJECTS

    s3 = server.client("s3")
    check_objects(s3, bucket, work)
    check_functions(server, work)
    wait_for(lambda: work.acknowledged["event"] <= executed_events(s3, bucket), seconds=90, interval_s=0.5)
    assert server.stop() == 0


def executed_events(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="event-")
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


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
    for name in sorted(name for name in names if name.startswith("function-"))[:8]:
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
