"""Real functions in their cells: what they get, what they answer, what they may use."""

import base64
import concurrent.futures
import json
import re
import time

import pytest

from .expect import aws_error
from .functions import provided
from .harness import ACCOUNT, REGION, wait_for, zip_bytes

ECHO = {
    "python": {"source": "def handler(event, context): return event"},
    "nodejs20.x": {"source": "exports.handler = async (event) => event", "runtime": "nodejs20.x"},
    "provided.al2023": provided(),
}
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(params=ECHO)
def echo(request, fast_function):
    return fast_function(**ECHO[request.param])


# Results


def test_results(echo):
    for event in ({"a": [1, 2.5, "ä€😀", None, True]}, [], "text", 0, None):
        done = echo.invoke(event)
        assert (done.status, done.error, done.version) == (200, None, "$LATEST")
        assert done.json == event
        assert done.response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    assert echo.invoke(None).body == b"null"


def test_an_empty_payload_is_an_empty_object(echo):
    answer = echo.client.invoke(FunctionName=echo.name)
    assert answer["Payload"].read() == b"{}"


def test_bytes_pass_untouched(fast_function):
    function = fast_function(**provided())
    exact = b'{ "b":1.0,\n"a" : 12345678901234567890, "b": 1e400, "u":"\\u00e4\\/" }'
    assert function.invoke(exact).body == exact


def test_large_payloads(echo):
    text = "x" * (6_291_456 - 20)
    assert len(echo.invoke({"t": text}).json["t"]) == len(text)


def test_too_large_requests(echo):
    with aws_error(
        "RequestEntityTooLargeException",
        re.compile("^Request must be smaller than 6291456 bytes for the InvokeFunction"),
        413,
    ):
        echo.invoke(b'"' + b"x" * 6_300_000 + b'"')


@pytest.mark.parametrize("payload", [b"{", b"{'a':1}", b"\x87\xff", b"[1,]", b"[" * 100_000])
def test_what_is_not_json_is_refused(runner, payload):
    with aws_error(
        "InvalidRequestContentException",
        re.compile("^Could not parse request body into json: Could not parse payload into json: "),
    ):
        runner.function.invoke(payload)


def test_dry_run(echo):
    done = echo.invoke({}, InvocationType="DryRun")
    assert (done.status, done.body, done.version, done.log) == (204, b"", None, "")


# What a function is told


def test_environment_variables(runner):
    seen = runner("result = dict(os.environ)", InvocationType="RequestResponse").json
    name = runner.function.name
    fixed = {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "_HANDLER": "index.handler",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PWD": "/var/task",
        "SHLVL": "0",
    }
    assert {key: seen.get(key) for key in fixed} == fixed
    assert re.fullmatch(r"AWS_Lambda_python3\.\d+", seen["AWS_EXECUTION_ENV"])
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert re.fullmatch(r".+:9001", seen["AWS_LAMBDA_RUNTIME_API"])
    assert seen["AWS_ENDPOINT_URL"].endswith(":4566")
    assert seen["AWS_ACCESS_KEY_ID"].startswith("ASIA") and seen["AWS_SECRET_ACCESS_KEY"] and seen["AWS_SESSION_TOKEN"]
    assert re.match("Root=1-", seen["_X_AMZN_TRACE_ID"])
    assert "/var/task" in seen["LD_LIBRARY_PATH"].split(":") and "/opt/lib" in seen["LD_LIBRARY_PATH"].split(":")
    assert "/opt/bin" in seen["PATH"].split(":")
    ours = {key for key in seen if "MARTLET" in key.upper()} - {"_MARTLET_LAYERS"}
    assert not ours, "nothing of the server's own environment"


def test_own_variables_and_no_execution_env_for_provided(fast_function):
    source = "import os\ndef handler(e, c): return [os.environ.get(k) for k in e]"
    function = fast_function(source, Environment={"Variables": {"MINE": "ä = 1", "LANG": "C"}})
    assert function.invoke(["MINE", "LANG"]).json == ["ä = 1", "C"]
    bootstrap = provided()["files"]["bootstrap"][0].replace(
        "event = json.loads(body)", "body = json.dumps(dict(os.environ)); event = {}"
    )
    seen = fast_function(**provided(bootstrap)).invoke({}).json
    assert "AWS_EXECUTION_ENV" not in seen
    assert seen["_HANDLER"] == "any"


def test_context(runner):
    done = runner("""
        c = context
        result = [
            c.aws_request_id, c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb,
            c.log_group_name, c.log_stream_name, c.get_remaining_time_in_millis(), c.client_context,
        ]
        """)
    request, name, version, arn, memory, group, stream, left, client = done.json
    assert request == done.request_id and re.fullmatch(UUID, request)
    assert (name, version) == (runner.function.name, "$LATEST")
    assert arn == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    assert str(memory) == "1769"
    assert group == f"/aws/lambda/{name}" and "/[$LATEST]" in stream
    assert 9_000 < left <= 10_000
    assert client is None


def test_context_in_node(fast_function):
    source = """exports.handler = async (event, c) => ({
        id: c.awsRequestId, arn: c.invokedFunctionArn, memory: c.memoryLimitInMB, left: c.getRemainingTimeInMillis(),
        version: c.functionVersion, group: c.logGroupName, client: c.clientContext })"""
    function = fast_function(source, runtime="nodejs20.x")
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    done = function.invoke({}, ClientContext=context)
    seen = done.json
    assert (seen["id"], seen["arn"], seen["version"]) == (done.request_id, function.arn, "$LATEST")
    assert str(seen["memory"]) == "1769" and 9_000 < seen["left"] <= 10_000
    assert seen["client"] in ({"custom": {"k": "v"}}, {"Custom": {"k": "v"}})


def test_client_context(runner):
    given = {"client": {"installation_id": "i", "app_title": "t"}, "custom": {"k": "ä"}, "env": {"locale": "de"}}
    context = base64.b64encode(json.dumps(given).encode()).decode()
    done = runner(
        "c = context.client_context\nresult = [c.custom, c.env, c.client.installation_id, c.client.app_title]",
        ClientContext=context,
    )
    assert done.json == [given["custom"], given["env"], "i", "t"]


def test_runtime_api_headers(fast_function):
    function = fast_function(**provided())
    before = time.time() * 1000
    done = function.invoke({"headers": 1})
    seen = {name.lower(): value for name, value in done.json.items()}
    assert seen["lambda-runtime-aws-request-id"] == done.request_id
    assert seen["lambda-runtime-invoked-function-arn"] == function.arn
    assert 9_000 < int(seen["lambda-runtime-deadline-ms"]) - before < 11_500
    assert "root=1-" in seen["lambda-runtime-trace-id"].lower()
    assert seen["content-type"] == "application/json"
    assert "lambda-runtime-client-context" not in seen


def test_who_and_where_a_function_is(runner):
    seen = runner(
        "import platform\n"
        "result = {'cwd': os.getcwd(), 'uid': os.getuid(), 'path': sys.path, 'task': sorted(os.listdir('/var/task')),"
        " 'nofile': __import__('resource').getrlimit(7), 'tmp': os.listdir('/tmp')}"
    ).json
    assert seen["cwd"] == "/var/task" and seen["uid"] != 0
    assert seen["task"] == ["index.py"] and seen["tmp"] == []
    assert seen["nofile"][0] == 1024
    assert seen["path"].index("/var/task") < seen["path"].index("/var/runtime")


# The world outside


def test_boto3_inside_a_function(client, fast_function, unique):
    bucket = unique("bucket")
    client("s3").create_bucket(Bucket=bucket)
    function = fast_function(
        """
        import boto3
        s3 = boto3.client("s3")

        def handler(event, context):
            place = {"Bucket": event["bucket"], "Key": "made/by function.txt"}
            s3.put_object(Body=b"x" * 100_000, Metadata={"by": context.function_name}, **place)
            return [s3.get_object(**place)["ContentLength"], boto3.client("sts").get_caller_identity()["Arn"]]
        """,
        Timeout=30,
    )
    done = function.invoke({"bucket": bucket})
    assert done.error is None, done.body
    size, who = done.json
    assert size == 100_000
    role = client("lambda").get_function_configuration(FunctionName=function.name)["Role"].split("/")[-1]
    assert who == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{function.name}"
    shown = client("s3").get_object(Bucket=bucket, Key="made/by function.txt")
    assert shown["Body"].read() == b"x" * 100_000 and shown["Metadata"] == {"by": function.name}


def test_a_function_calls_another(fast_function):
    inner = fast_function("def handler(event, context): return {'got': event}")
    outer = fast_function(
        "import boto3, json\n"
        "def handler(event, context):\n"
        "    answer = boto3.client('lambda').invoke(FunctionName=event['name'], Payload=json.dumps(event))\n"
        "    return json.load(answer['Payload'])",
        Timeout=30,
    )
    assert outer.invoke({"name": inner.name}).json == {"got": {"name": inner.name}}


def test_tmp_is_kept_while_an_environment_lives(runner):
    runner("open('/tmp/kept', 'w').write('1')")
    assert runner("result = open('/tmp/kept').read()").json == "1"


def test_ephemeral_storage_is_limited(fast_function):
    fill = """
        def handler(event, context):
            written, block = 0, b"x" * (1 << 20)
            try:
                with open("/tmp/fill", "wb", buffering=0) as file:
                    while written < event * len(block):
                        written += file.write(block)
            except OSError as error:
                return [written >> 20, error.errno]
            return [written >> 20, 0]
        """
    written, error = fast_function(fill, Timeout=30).invoke(600).json
    assert error == 28 and 500 <= written <= 512
    assert fast_function(fill, Timeout=30, EphemeralStorage={"Size": 1024}).invoke(600).json == [600, 0]


def test_tmp_is_not_memory_of_the_function(fast_function):
    """On AWS /tmp is a disk: a function of 128 MB fills its 512 MB."""
    source = """
        def handler(event, context):
            with open("/tmp/fill", "wb") as file:
                for _ in range(300):
                    file.write(b"x" * (1 << 20))
            return "filled"
        """
    done = fast_function(source, MemorySize=128, Timeout=60).invoke()
    assert (done.error, done.body) == (None, b'"filled"')


def test_layers(client, fast_function, unique, python_runtime):
    names = [unique("layer") for _ in range(2)]
    arns = []
    for number, name in enumerate(names, 1):
        files = {
            f"python/one{number}.py": f"VALUE = {number}",
            "python/both.py": f"VALUE = {number}",
            f"python/lib/{python_runtime}/site-packages/deep{number}.py": f"VALUE = {number * 10}",
            "etc/file": str(number),
        }
        made = client("lambda").publish_layer_version(LayerName=name, Content={"ZipFile": zip_bytes(files)})
        arns.append(made["LayerVersionArn"])
    function = fast_function(
        "import one1, one2, deep1, deep2, both\n"
        "def handler(event, context):\n"
        "    return [one1.VALUE, one2.VALUE, deep1.VALUE, deep2.VALUE, both.VALUE, open('/opt/etc/file').read()]",
        Layers=arns,
    )
    assert function.invoke().json == [1, 2, 10, 20, 2, "2"], "both are there, and the later wins"
    write = """
        def handler(event, context):
            try:
                open("/opt/new", "w")
            except OSError as error:
                return error.errno
        """
    assert fast_function(write, Layers=arns[:1]).invoke().json in (13, 30), "/opt is read-only"


def test_an_exec_wrapper_starts_the_runtime(fast_function):
    wrapper = '#!/bin/sh\nexport WRAPPED="yes $#"\nexec "$@"\n'
    function = fast_function(
        files={"index.py": "import os\ndef handler(e, c): return os.environ['WRAPPED']", "wrapper": (wrapper, 0o755)},
        Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}},
    )
    assert function.invoke().json.startswith("yes ")


# Environments


def test_parallel_invocations_have_environments_of_their_own(runner):
    run = "time.sleep(0.7); result = [context.log_stream_name, os.getpid()]"
    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        streams = [done.json[0] for done in threads.map(lambda _: runner(run), range(5))]
    assert len(set(streams)) == 5
    assert runner("result = context.log_stream_name").json in streams, "and those are used again"


def test_sequential_invocations_share_one(runner):
    run = "import builtins; builtins.count = getattr(builtins, 'count', 0) + 1; result = builtins.count"
    assert [runner(run).json for _ in range(20)] == list(range(1, 21))


def test_reserved_concurrency(client, runner):
    name = runner.function.name
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(runner, "time.sleep(1.5); result = 'done'")
        time.sleep(0.6)
        with aws_error("TooManyRequestsException", "Rate Exceeded.", 429) as caught:
            runner("result = 1")
        assert running.result().json == "done"
    response = caught.value.response
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["Type"] == "User"
    assert runner("result = 1").json == 1
    client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with aws_error("TooManyRequestsException", "Rate Exceeded.", 429) as caught:
        runner("result = 1")
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    client("lambda").delete_function_concurrency(FunctionName=name)
    assert runner("result = 2").json == 2


def test_frozen_between_invocations(runner):
    runner(
        "import builtins\n"
        "builtins.ticks = 0\n"
        "def tick():\n"
        "    while True:\n"
        "        time.sleep(0.01); builtins.ticks += 1\n"
        "threading.Thread(target=tick, daemon=True).start()\n"
        "time.sleep(0.3)"
    )
    time.sleep(1.5)
    assert runner("import builtins; result = builtins.ticks").json < 80


# Functions that are not there, or cannot run


def test_a_runtime_that_this_machine_does_not_have(client, make_function):
    function = make_function(files={"Main.class": "x"}, runtime="java21", handler="Main::handle")
    assert client("lambda").get_function_configuration(FunctionName=function.name)["State"] == "Active"
    try:
        done = function.invoke({})
        text, failed = done.body.decode(), done.error is not None
    except client("lambda").exceptions.ClientError as error:
        text, failed = str(error), True
    assert failed and "java21" in text, "never a pretended success"


def test_a_deleted_function_is_gone(client, fast_function):
    function = fast_function("def handler(event, context): return 'old'")
    function.invoke()
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
    function.delete()
    with aws_error("ResourceNotFoundException", f"Function not found: {arn}", 404):
        function.invoke()
    with aws_error("ResourceNotFoundException", f"Function not found: {arn}", 404):
        function.invoke(InvocationType="Event")
    again = fast_function("def handler(event, context): return 'new'", FunctionName=function.name)
    assert again.invoke().json == "new"
    wait_for(lambda: any("START" in line for line in again.log_messages()))
