"""What a function's log says (section 2.11 of the reference), in Tail and in the log group."""

import json
import re
import signal
import subprocess
import threading

from .functions import provided
from .harness import AWS_CLI, wait_for

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
START = rf"START RequestId: ({ID}) Version: \$LATEST\n?"
END = rf"END RequestId: ({ID})\n?"
REPORT = (
    rf"REPORT RequestId: ({ID})\tDuration: \d+\.\d\d ms\tBilled Duration: (\d+) ms\tMemory Size: 1769 MB\t"
    r"Max Memory Used: (\d+) MB\t?(?:Init Duration: (\d+\.\d\d) ms\t?)?\s*"
)

PRINTS = (
    "import logging, sys\n"
    "print('at start')\n"
    "logging.getLogger().setLevel('INFO')\n"
    "def handler(event, context):\n"
    "    print('to stdout', event)\n"
    "    print('to stderr', file=sys.stderr)\n"
    "    logging.getLogger().info('by logging')\n"
    "    if event == 'fail': raise ValueError('two\\nlines')\n"
    "    return event\n"
)


def messages_with(function, text, count=1):
    """The group's messages once `count` of them contain `text`."""

    def found():
        messages = function.log_messages()
        return messages if sum(text in message for message in messages) >= count else None

    return wait_for(found)


def test_tail(fast_function):
    function = fast_function(PRINTS)
    done = function.invoke("hello")
    lines = done.log.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("START "))
    assert re.fullmatch(START, lines[start]).group(1) == done.request_id
    assert "to stdout hello" in lines[start:] and "to stderr" in lines[start:]
    assert re.fullmatch(
        rf"\[INFO\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{done.request_id}\tby logging",
        next(line for line in lines if "by logging" in line),
    )
    assert re.fullmatch(END, lines[-2]).group(1) == done.request_id
    report = re.fullmatch(REPORT, lines[-1])
    assert report and report.group(1) == done.request_id, lines[-1]
    assert report.group(4), "the first invocation tells the duration of init"
    # The kernel sums up a group's memory now and then only: a short first invocation may be told too little.
    assert 0 < int(report.group(3)) < 500
    second = function.invoke("again").log
    assert "Init Duration" not in second and "at start" not in second
    assert "to stdout hello" not in second, "only this invocation"


def test_no_tail_unless_asked(fast_function):
    function = fast_function(PRINTS)
    assert "LogResult" not in function.invoke("x", LogType="None").response


def test_tail_is_the_last_four_kilobytes(fast_function):
    function = fast_function("def handler(event, context):\n    for i in range(2000): print('line', i)")
    done = function.invoke()
    assert len(done.log.encode()) <= 4096
    assert "line 1999\n" in done.log and "line 5\n" not in done.log
    assert done.log.splitlines()[-1].startswith("REPORT ")


def test_group_in_order(fast_function):
    function = fast_function(PRINTS)
    ids = [function.invoke(word).request_id for word in ("one", "two")]
    messages = [message.rstrip("\n") for message in messages_with(function, "REPORT ", 2)]
    kinds = [message.split(" ")[0] for message in messages if not message.startswith("[INFO]")]
    assert kinds[0] == "INIT_START" and kinds[1:3] == ["at", "START"]
    assert re.match(r"INIT_START Runtime Version: python:3\.\d+", messages[0])
    for request_id, word in zip(ids, ("one", "two")):
        start = next(i for i, message in enumerate(messages) if message.startswith(f"START RequestId: {request_id}"))
        block = messages[start : start + 6]
        assert {"to stdout " + word, "to stderr"} < set(block[1:4])
        assert block[3].endswith("\tby logging") or any(m.endswith("\tby logging") for m in block[1:4])
        assert re.fullmatch(END, block[4]) and re.fullmatch(REPORT, block[5])


def test_streams_are_of_environments(client, fast_function):
    function = fast_function("def handler(event, context): return context.log_stream_name")
    stream = function.invoke().json
    messages_with(function, "REPORT")
    (shown,) = client("logs").describe_log_streams(logGroupName=function.log_group)["logStreams"]
    assert shown["logStreamName"] == stream


def test_an_exception_is_one_event(fast_function):
    function = fast_function(PRINTS)
    done = function.invoke("fail")
    messages = messages_with(function, "REPORT")
    (error,) = [message for message in messages if "ValueError" in message]
    assert error.startswith("[ERROR] ValueError: two") and "lines" in error
    assert "Traceback (most recent call last):" in error and "in handler" in error
    assert done.request_id in "".join(messages)


def test_lines_without_end_and_long_lines(fast_function):
    function = fast_function(
        "import os\n"
        "def handler(event, context):\n"
        "    os.write(1, b'x' * 300_000 + b'\\n')\n"
        "    os.write(2, b'\\xff\\xfe not text\\n')\n"
        "    os.write(1, b'no end')"
    )
    done = function.invoke()
    assert done.error is None
    messages = messages_with(function, "REPORT")
    kept = sum(message.count("x") for message in messages if message.startswith("xxx"))
    assert 200_000 <= kept <= 300_000, "kept, or cut at AWS's 256 KB"
    assert "no end" in [message.rstrip("\n") for message in messages]
    assert any("not text" in message for message in messages)


def test_a_flood_does_not_delay_the_answer_nor_kill_the_server(server, fast_function):
    pid = server.process.pid
    function = fast_function(
        "def handler(event, context):\n    for _ in range(100_000): print('y' * 100)\n    return 'done'", Timeout=30
    )
    done = function.invoke()
    assert done.body == b'"done"'
    assert server.is_healthy() and server.process.pid == pid and server.process.poll() is None


def test_json_format(fast_function):
    function = fast_function(
        PRINTS, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "DEBUG"}
    )
    done = function.invoke("hello")
    messages = messages_with(function, "platform.report")
    events = [json.loads(message) for message in messages if message.startswith("{")]
    kinds = [event.get("type") for event in events if "type" in event]
    assert kinds.index("platform.initStart") < kinds.index("platform.start") < kinds.index("platform.report")
    start = next(event for event in events if event.get("type") == "platform.start")
    assert start["record"]["requestId"] == done.request_id and start["record"]["version"] == "$LATEST"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start["time"])
    report = next(event for event in events if event.get("type") == "platform.report")["record"]
    assert report["status"] == "success" and report["requestId"] == done.request_id
    assert {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"} <= set(
        report["metrics"]
    )
    logged = next(event for event in events if event.get("message") == "by logging")
    assert (logged["level"], logged["requestId"]) == ("INFO", done.request_id)
    failing = function.invoke("fail")
    messages = messages_with(function, "platform.report", 2)
    error = next(json.loads(m) for m in messages if '"errorType"' in m and m.startswith("{") and "platform." not in m)
    assert (error["errorType"], error["level"], error["requestId"]) == ("ValueError", "ERROR", failing.request_id)


def test_json_levels(fast_function):
    function = fast_function(
        """
        import logging

        def handler(event, context):
            logging.getLogger().info("not this")
            logging.getLogger().error("but this")
        """,
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "WARN"},
    )
    function.invoke()
    text = "".join(messages_with(function, "but this"))
    assert "not this" not in text and "platform." not in text


def test_json_levels_of_other_loggers(fast_function):
    """The platform filters what is a JSON object with a level, also when another logger has written it."""
    function = fast_function(
        """
        import json

        def handler(event, context):
            for level in event:
                print(json.dumps({"timestamp": "2026-11-23T06:00:00Z", "level": level, "message": f"says {level}"}))
            print("plain words")
        """,
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
    )
    function.invoke(["trace", "debug", "INFO", "loud", "warning", "ERROR", "critical"])
    text = "".join(messages_with(function, "plain words"))
    assert re.findall(r"says (\w+)", text) == ["warning", "ERROR", "critical"]


def test_own_log_group(client, fast_function, unique):
    group = unique("/own/group")
    function = fast_function(PRINTS, LoggingConfig={"LogFormat": "Text", "LogGroup": group})
    function.invoke("hello")
    function.log_group = group
    assert any("to stdout hello" in message for message in messages_with(function, "REPORT"))
    (stream,) = client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/{function.name}\[\$LATEST\][0-9a-f]{{32}}", stream["logStreamName"])


def test_node_logs(fast_function):
    function = fast_function(
        "console.log('cold'); exports.handler = async () => { console.log('one\\ntwo'); console.error('bad'); return 1 }",
        runtime="nodejs20.x",
    )
    done = function.invoke({})
    messages = messages_with(function, "REPORT")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert any(re.match(rf"{stamp}\tundefined\tINFO\tcold", message) for message in messages)
    (multi,) = [message for message in messages if "\tINFO\tone" in message]
    assert re.match(rf"{stamp}\t{done.request_id}\tINFO\tone[\r\n]two", multi), "one event"
    assert any(re.match(rf"{stamp}\t{done.request_id}\tERROR\tbad", message) for message in messages)


def test_provided_logs(fast_function):
    bootstrap = provided()["files"]["bootstrap"][0].replace(
        "event = json.loads(body)", "print('seen', flush=True); event = json.loads(body)"
    )
    done = fast_function(**provided(bootstrap)).invoke({})
    assert "seen\n" in done.log


def test_tail_with_the_command_line(aws, fast_function):
    function = fast_function(PRINTS)
    function.invoke("hello")
    messages_with(function, "REPORT")
    lines = aws("logs", "tail", function.log_group, "--since", "5m", "--format", "short").text.splitlines()
    text = [re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d (.*)", line).group(1) for line in lines if line[:2] == "20"]
    assert "to stdout hello" in text and "to stderr" in text
    assert any(line.startswith("REPORT RequestId: ") for line in text)


def test_follow_with_the_command_line(server, fast_function):
    """`aws logs tail --follow` shows what comes while it runs."""
    function = fast_function(PRINTS)
    function.invoke("before")
    messages_with(function, "REPORT")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(server.data_dir),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    follower = subprocess.Popen(
        [
            AWS_CLI,
            "--endpoint-url",
            server.url,
            "logs",
            "tail",
            function.log_group,
            "--follow",
            "--since",
            "5m",
            "--format",
            "short",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(follower.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        wait_for(lambda: any("to stdout before" in line for line in list(lines)))
        function.invoke("while following")
        wait_for(lambda: any("to stdout while following" in line for line in list(lines)), seconds=20)
        assert sum("to stdout before" in line for line in lines) == 1, "nothing twice"
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait(10)
