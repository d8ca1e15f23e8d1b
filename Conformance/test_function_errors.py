"""What callers get when a function fails (section 2.3 of the reference): the shape for each cause and runtime, and that
the function works again afterwards."""

import re
import signal

import pytest

from .functions import FAST_MB, provided
from .harness import wait_for

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
EXIT = "Runtime.ExitError"


def failed(done, error_type, message, log="error"):
    """Checks a function error: header, status, body and the REPORT line; the rest of the body is returned."""
    assert (done.status, done.error) == (200, "Unhandled"), done.body
    body = done.json
    text = body.pop("errorMessage")
    assert body.pop("errorType") == error_type, (error_type, text)
    message = message.replace("ID", done.request_id)
    assert text == message, text
    if log:
        (report,) = [line for line in done.log.splitlines() if line.startswith("REPORT ")]
        assert f"\tStatus: {log}" in report
    return body


# Python


def test_python_raises(runner):
    done = runner("raise ValueError('boom ä')")
    rest = failed(done, "ValueError", "boom ä", log=None)
    assert rest.pop("requestId") == done.request_id
    trace = rest.pop("stackTrace")
    assert trace[0] == '  File "/var/task/index.py", line 6, in handler\n    exec(event["run"], scope)\n'
    assert rest == {}
    assert runner("result = 'well again'").json == "well again"


def test_python_raises_its_own_type(fast_function):
    function = fast_function("class Mine(Exception): pass\ndef handler(event, context): raise Mine('a', 1)")
    failed(function.invoke(), "Mine", "('a', 1)", log=None)


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        (
            "import nope",
            "index.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'index': No module named 'nope'",
        ),
        (
            "def handler(:",
            "index.handler",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'index': invalid syntax (index.py, line 1)",
        ),
        ("pass", "index.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'index'"),
        (
            "pass",
            "absent.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'absent': No module named 'absent'",
        ),
        (
            "pass",
            "index",
            "Runtime.MalformedHandlerName",
            "Bad handler 'index': not enough values to unpack (expected 2, got 1)",
        ),
        ("1 / 0", "index.handler", "ZeroDivisionError", "division by zero"),
    ],
)
def test_python_cannot_start(fast_function, source, handler, error_type, message):
    function = fast_function(source, handler=handler)
    for _ in range(2):  # init is tried again at each invocation
        rest = failed(function.invoke(), error_type, message, log=None)
        assert rest["requestId"] == ""
        assert isinstance(rest["stackTrace"], list)


def test_python_answers_what_is_not_json(runner):
    failed(
        runner("result = object()"),
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type object is not JSON serializable",
        log=None,
    )


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(7)", "Runtime exited with error: exit status 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", "Runtime exited with error: signal: terminated"),
        ("import ctypes; ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_python_ends(runner, run, reason):
    assert runner("open('/tmp/kept', 'w').write('1')").error is None
    failed(runner(run), EXIT, f"RequestId: ID Error: {reason}")
    assert runner("result = os.listdir('/tmp')").json == ["kept"], "a new process, the same /tmp"


def test_python_ends_in_init(fast_function):
    function = fast_function("import os\nos._exit(3)")
    failed(function.invoke(), EXIT, "RequestId: ID Error: Runtime exited with error: exit status 3", log=None)


def test_out_of_memory(fast_function):
    function = fast_function(
        """
        def handler(event, context):
            hold = [bytearray(b"x" * (1 << 20)) for _ in range(event)]
            return len(hold)
        """,
        MemorySize=256,
        Timeout=30,
    )
    done = function.invoke(1000)
    assert done.json["errorType"] in (EXIT, "Runtime.OutOfMemory")
    failed(done, done.json["errorType"], "RequestId: ID Error: Runtime exited with error: signal: killed")
    report = [line for line in done.log.splitlines() if line.startswith("REPORT ")][0]
    assert "Memory Size: 256 MB\t" in report
    assert 200 <= int(re.search(r"Max Memory Used: (\d+) MB", report).group(1)) <= 256
    assert function.invoke(50).json == 50


# Timeouts


def test_timeout(fast_function):
    function = fast_function(
        "import os, time\nstate = []\n"
        "def handler(event, context):\n"
        "    seen = [list(state), os.listdir('/tmp')]\n"
        "    if event:\n"
        "        state.append(1)\n"
        "        open('/tmp/kept', 'w').close()\n"
        "        print('about to sleep', flush=True)\n"
        "        time.sleep(event)\n"
        "    return seen",
        Timeout=1,
    )
    assert function.invoke(0).json == [[], []]
    done = function.invoke(30)
    rest = failed(done, "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 1.00 seconds", log="timeout")
    assert rest == {}
    assert "about to sleep\n" in done.log
    assert "\tBilled Duration: 10" in done.log
    assert function.invoke(0).json == [[], ["kept"]], "/tmp is kept, globals are lost"


def test_timeout_of_one_that_ignores_signals(fast_function):
    function = fast_function(
        "import signal, subprocess, time\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
        "def handler(event, context):\n"
        "    if event:\n"
        "        subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM; sleep 60'], start_new_session=True)\n"
        "        while True: pass\n"
        "    return subprocess.run(['ls', '/proc'], capture_output=True, text=True).stdout.split()",
        Timeout=2,
    )
    failed(
        function.invoke(True),
        "Sandbox.Timedout",
        "RequestId: ID Error: Task timed out after 2.00 seconds",
        log="timeout",
    )
    processes = [name for name in function.invoke(False).json if name.isdigit()]
    assert len(processes) <= 3, "what the timed-out invocation started is gone"


def test_a_late_answer_is_for_nobody(fast_function):
    """A response after the timeout neither reaches this caller nor the next."""
    function = fast_function(
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event", Timeout=1
    )
    assert function.invoke(1.02).error == "Unhandled"
    assert function.invoke(0).json == 0
    assert function.invoke(0.01).json == 0.01


def reported_log(function):
    wait_for(lambda: any(message.startswith("REPORT ") for message in function.log_messages()))
    return "".join(function.log_messages())


def test_a_failed_init_is_tried_again_in_the_invocation(fast_function):
    """What a first init cannot do, a second may: the caller sees an error only when both fail."""
    function = fast_function(
        "import os\n"
        "if not os.path.exists('/tmp/tried'):\n"
        "    open('/tmp/tried', 'w').close()\n"
        "    raise ValueError('not yet')\n"
        "def handler(event, context): return 'ready'"
    )
    assert function.invoke().json == "ready"
    log = reported_log(function)
    first = re.search(r"INIT_REPORT .*Phase: init\tStatus: error\tError Type: Runtime.Unknown", log)
    assert first and "not yet" in log[: first.start()] and "Phase: invoke" not in log

    always = fast_function("raise ValueError('never')")
    assert always.invoke().json["errorMessage"] == "never"
    log = reported_log(always)
    assert re.findall(r"INIT_REPORT .*\tPhase: (\w+)\tStatus: error", log) == ["init", "invoke"]


@pytest.mark.slow
def test_init_longer_than_ten_seconds_is_tried_again_in_the_invocation(fast_function):
    function = fast_function(
        "import os, time\n"
        "if not os.path.exists('/tmp/tried'):\n"
        "    open('/tmp/tried', 'w').close()\n"
        "    time.sleep(30)\n"
        "def handler(event, context): return 'ready'",
        Timeout=20,
    )
    done = function.invoke()
    assert done.json == "ready"
    assert re.search(
        r"INIT_REPORT Init Duration: (9999|1\d{4})\.\d\d ms\tPhase: init\tStatus: timeout",
        "\n".join(function.log_messages()),
    )


# Sizes


@pytest.mark.parametrize("over", [1, 2_000_000])
def test_response_too_large(runner, over):
    fits = 6_291_556 - 2
    assert len(runner(f"result = 'x' * {fits}").json) == fits
    done = runner(f"result = 'x' * {fits + over}")
    failed(
        done,
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        log=None,
    )
    assert runner("result = 1").json == 1


# Node


NODE = """exports.handler = async (event) => {
    if (event.throw) { class Mine extends Error { get name() { return "Mine" } } throw new Mine(event.throw) }
    if ("exit" in event) process.exit(event.exit)
    if (event.kill) { process.kill(process.pid, event.kill); await new Promise((r) => setTimeout(r, 5000)) }
    if (event.reject) { Promise.reject(new Error(event.reject)); await new Promise((r) => setTimeout(r, 5000)) }
    if (event.big) return "x".repeat(event.big)
    if (event.sleep) await new Promise((r) => setTimeout(r, event.sleep))
    return event
}"""


@pytest.fixture
def node(fast_function):
    return fast_function(NODE, runtime="nodejs20.x", Timeout=2)


def test_node_throws(node):
    done = node.invoke({"throw": "boom"})
    rest = failed(done, "Mine", "boom", log=None)
    assert rest["trace"][0] == "Mine: boom" and any("/var/task/index.js:2" in line for line in rest["trace"])
    assert node.invoke({"a": 1}).json == {"a": 1}


@pytest.mark.parametrize(
    ("event", "error_type", "message"),
    [
        ({"exit": 0}, EXIT, "RequestId: ID Error: Runtime exited without providing a reason"),
        ({"exit": 7}, EXIT, "RequestId: ID Error: Runtime exited with error: exit status 7"),
        ({"kill": "SIGKILL"}, EXIT, "RequestId: ID Error: Runtime exited with error: signal: killed"),
        ({"sleep": 30_000}, "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 2.00 seconds"),
        (
            {"big": 7_000_000},
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
)
def test_node_fails(node, event, error_type, message):
    failed(node.invoke(event), error_type, message, log=None)
    assert node.invoke({"a": 1}).json == {"a": 1}


def test_node_rejects_without_a_handler(node):
    done = node.invoke({"reject": "lost"})
    assert (done.error, done.json["errorType"]) == ("Unhandled", "Runtime.UnhandledPromiseRejection")
    assert "lost" in done.json["errorMessage"]
    assert node.invoke({"a": 1}).json == {"a": 1}


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "start"),
    [
        ("require('nope')", "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nope'"),
        ("function (", "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ("exports.other = 1", "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ("throw new TypeError('at start')", "index.handler", "TypeError", "at start"),
    ],
)
def test_node_cannot_start(fast_function, source, handler, error_type, start):
    done = fast_function(source, runtime="nodejs20.x", handler=handler).invoke({})
    assert (done.status, done.error) == (200, "Unhandled")
    assert done.json["errorType"] == error_type
    assert done.json["errorMessage"].startswith(start)


# provided.*


@pytest.fixture
def custom(fast_function):
    return fast_function(**provided())


def test_provided_answers_an_error(custom):
    """The body comes back as the runtime wrote it."""
    done = custom.invoke({"raise": "boom"})
    assert done.error == "Unhandled"
    assert done.body == b'{"errorMessage": "boom", "errorType": "My.Error"}'


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"exit": 0}, "Runtime exited without providing a reason"),
        ({"exit": 7}, "Runtime exited with error: exit status 7"),
        ({"kill": int(signal.SIGKILL)}, "Runtime exited with error: signal: killed"),
        ({"kill": int(signal.SIGABRT)}, "Runtime exited with error: signal: aborted"),
    ],
)
def test_provided_ends(custom, event, reason):
    failed(custom.invoke(event), EXIT, f"RequestId: ID Error: {reason}")
    assert custom.invoke({"well": "again"}).json == {"well": "again"}


def test_provided_reports_an_init_error(fast_function):
    function = fast_function(**provided(), Environment={"Variables": {"FAIL_INIT": "1"}})
    done = function.invoke({})
    assert (done.error, done.json["errorMessage"], done.json["errorType"]) == (
        "Unhandled",
        "no luck",
        "Runtime.BadStart",
    )


@pytest.mark.parametrize(
    "files", [{"readme": "no bootstrap"}, {"bootstrap": ("#!/bin/sh\n", 0o644)}], ids=["missing", "not executable"]
)
def test_provided_without_bootstrap(make_function, files):
    function = make_function(files=files, runtime="provided.al2023", handler="any", MemorySize=FAST_MB)
    done = function.invoke({})
    failed(
        done,
        "Runtime.InvalidEntrypoint",
        "RequestId: ID Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        log=None,
    )


def test_bootstrap_that_cannot_be_run(fast_function):
    function = fast_function(**provided("#!/no/such/interpreter\n"))
    done = function.invoke({})
    assert (done.status, done.error) == (200, "Unhandled")
    assert done.json["errorType"] in ("Runtime.InvalidEntrypoint", EXIT)


def test_a_runtime_that_breaks_the_rules(fast_function):
    """Answers for invocations that are not there and in the wrong order get errors and harm nobody."""
    bootstrap = provided()["files"]["bootstrap"][0].replace(
        'elif "raw" in event:',
        'elif "wrong" in event:\n'
        "        results = []\n"
        '        wrong = "/invocation/00000000-0000-0000-0000-000000000000"\n'
        '        for path in (wrong + "/response", wrong + "/error", "/init/error", "/no/such/path"):\n'
        '            answer, text = call("POST", path, "{}")\n'
        '            results.append([answer.status, json.loads(text or "{}").get("errorType")])\n'
        '        call("POST", request + "/response", json.dumps(results))\n'
        '        answer, text = call("POST", request + "/response", "again")\n'
        '    elif "raw" in event:',
    )
    function = fast_function(**provided(bootstrap))
    wrong = function.invoke({"wrong": 1}).json
    assert wrong[0] == [400, "InvalidRequestID"] and wrong[1] == [400, "InvalidRequestID"]
    assert wrong[2] == [403, "InvalidStateTransition"]
    assert wrong[3][0] == 404
    for number in range(5):
        assert function.invoke({"n": number}).json == {"n": number}
