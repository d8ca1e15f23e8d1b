"""Updates of code and configuration, versions and aliases, as invocations see them."""

import collections
import threading
import time

import pytest

from .expect import aws_error
from .harness import ACCOUNT, REGION, zip_bytes


def source(version):
    return f"def handler(event, context): return {version}"


def update(client, function, version):
    client("lambda").update_function_code(
        FunctionName=function.name, ZipFile=zip_bytes({"index.py": source(version)}), Publish=False
    )


def test_no_answer_by_stale_code(client, fast_function):
    """While threads invoke without a pause, code is updated again and again: what is asked after an update was
    acknowledged is answered by that code or newer."""
    function = fast_function(source(0))
    acknowledged = [0]
    stop = threading.Event()
    answers, problems = collections.Counter(), []

    def hammer():
        while not stop.is_set():
            least = acknowledged[0]
            try:
                done = function.invoke({}, LogType="None")
                answers[done.json] += 1
                if done.error or done.json < least:
                    problems.append((least, done.body))
            except Exception as error:  # every failure of the server is of interest here
                problems.append((least, repr(error)))

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 16):
        update(client, function, version)
        acknowledged[0] = version
        wait_end = time.monotonic() + 20
        while answers[version] == 0 and time.monotonic() < wait_end and not problems:
            time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems, problems[:5]
    assert answers[15] > 0 and sum(answers.values()) > 30


def test_configuration_is_never_stale(client, fast_function):
    function = fast_function(
        "import os\ndef handler(event, context): return [os.environ['NUMBER'], context.memory_limit_in_mb]",
        Environment={"Variables": {"NUMBER": "0"}},
    )
    for number in range(1, 5):
        client("lambda").update_function_configuration(
            FunctionName=function.name, Environment={"Variables": {"NUMBER": str(number)}}, MemorySize=1769 + number
        )
        function.wait()
        value, memory = function.invoke().json
        assert (value, int(memory)) == (str(number), 1769 + number)


def test_a_running_invocation_ends_with_its_own_code(client, fast_function):
    function = fast_function("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'old'")
    function.invoke(0)
    answers = []
    running = threading.Thread(target=lambda: answers.append(function.invoke(1.5)))
    running.start()
    time.sleep(0.4)
    update(client, function, 2)
    assert function.invoke().json == 2
    running.join()
    assert (answers[0].error, answers[0].json) == (None, "old")


def test_a_timeout_can_be_changed(client, fast_function):
    function = fast_function("import time\ndef handler(event, context): time.sleep(event)", Timeout=1)
    assert function.invoke(1.5).error == "Unhandled"
    client("lambda").update_function_configuration(FunctionName=function.name, Timeout=5)
    function.wait()
    assert function.invoke(1.5).error is None


def test_versions_and_aliases(client, fast_function):
    api = client("lambda")
    template = "def handler(event, context): return [{}, context.function_version, context.invoked_function_arn]"
    function = fast_function(template.format("'one'"))
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
    assert api.publish_version(FunctionName=function.name)["Version"] == "1"
    api.update_function_code(FunctionName=function.name, ZipFile=zip_bytes({"index.py": template.format("'two'")}))
    function.wait()
    assert api.publish_version(FunctionName=function.name)["Version"] == "2"
    api.update_function_code(FunctionName=function.name, ZipFile=zip_bytes({"index.py": template.format("'newest'")}))
    function.wait()
    api.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")

    def invoke(**parameters):
        done = function.invoke(**parameters)
        return done.version, done.json

    assert invoke() == ("$LATEST", ["newest", "$LATEST", arn])
    assert invoke(Qualifier="$LATEST") == ("$LATEST", ["newest", "$LATEST", arn + ":$LATEST"])
    assert invoke(Qualifier="1") == ("1", ["one", "1", arn + ":1"])
    assert invoke(Qualifier="2") == ("2", ["two", "2", arn + ":2"])
    assert invoke(Qualifier="live") == ("1", ["one", "1", arn + ":live"])
    api.update_alias(FunctionName=function.name, Name="live", FunctionVersion="2")
    assert invoke(Qualifier="live") == ("2", ["two", "2", arn + ":live"])
    for name in (f"{function.name}:live", arn + ":live", f"{ACCOUNT}:function:{function.name}:live"):
        answered = api.invoke(FunctionName=name)
        assert answered["ExecutedVersion"] == "2"
    with aws_error("ResourceNotFoundException", f"Function not found: {arn}:nope", 404):
        function.invoke(Qualifier="nope")
    with aws_error("ResourceNotFoundException", f"Function not found: {arn}:7", 404):
        function.invoke(Qualifier="7")
    with aws_error(
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    ):
        api.invoke(FunctionName=f"{function.name}:1", Qualifier="2")


def test_alias_weights(client, fast_function):
    api = client("lambda")
    function = fast_function(source(1))
    api.publish_version(FunctionName=function.name)
    update(client, function, 2)
    function.wait()
    api.publish_version(FunctionName=function.name)
    api.create_alias(
        FunctionName=function.name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    picks = collections.Counter()
    for _ in range(60):
        done = function.invoke(Qualifier="live")
        assert done.json == int(done.version)
        picks[done.version] += 1
    assert min(picks["1"], picks["2"]) >= 10, picks


@pytest.mark.parametrize("kind", ["name", "partial", "arn"])
def test_names_of_a_function(client, fast_function, kind):
    function = fast_function(source(1))
    name = {"name": function.name, "partial": f"{ACCOUNT}:{function.name}", "arn": function.arn}[kind]
    assert client("lambda").invoke(FunctionName=name)["Payload"].read() == b"1"
