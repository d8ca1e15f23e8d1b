"""Runtimes/nodejs against a fake Runtime API: handlers, context, errors, logs, streaming."""

import base64
import json
import os
import re
import struct
import time

import pytest

from .fake_runtime_api import FakeRuntimeAPI

ECHO = "exports.handler = async (event) => event;"
TEXT_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t(?P<id>[^\t]+)\t(?P<level>[A-Z]+)\t(?P<message>.*)$")


def log_lines(process):
    out, _ = process.stop()
    return [TEXT_LINE.match(line) or pytest.fail(line) for line in out.splitlines()]


# Handlers


@pytest.mark.parametrize(
    "files, handler",
    [
        ({"index.js": ECHO}, "index.handler"),
        ({"index.cjs": ECHO}, "index.handler"),
        ({"index.mjs": "export const handler = async (event) => event;"}, "index.handler"),
        ({"index.js": "export const handler = async (e) => e;", "package.json": '{"type":"module"}'}, "index.handler"),
        ({"index.mjs": "export default { handler: async (event) => event };"}, "index.handler"),
        ({"src/app.js": "exports.a = {b: async (event) => event};"}, "src/app.a.b"),
        ({"src/deep/app.mjs": "export const h = async (event) => event;"}, "src/deep/app.h"),
        ({"lib/index.js": ECHO}, "lib.handler"),
        ({"node_modules/pkg/index.js": ECHO}, "pkg.handler"),
        ({"index.js": "exports.handler = (event, context, callback) => callback(null, event);"}, "index.handler"),
        ({"index.js": "exports.handler = (event) => Promise.resolve(event);"}, "index.handler"),
        ({"index.js": "exports.handler = (event, context) => context.succeed(event);"}, "index.handler"),
        ({"index.js": "exports.handler = (event, context) => context.done(null, event);"}, "index.handler"),
        ({"index.js": "exports.handler = (event) => ({then: (ok) => setTimeout(() => ok(event), 5)});"}, "index.handler"),
    ],
)
def test_handler_forms(api, node, files, handler):
    node(api, files, handler)
    for event in ({"key": "välue", "n": [1, None, True]}, "text", None, 0):
        answer = api.invoke(event)
        assert (answer.kind, answer.json) == ("response", event)
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("environment, expected", [("AWS_Lambda_nodejs22.x", None), ("AWS_Lambda_nodejs24.x", 7)])
def test_plain_return_is_the_result_only_in_newer_runtimes(api, node, environment, expected):
    node(api, {"index.js": "exports.handler = () => 7;"}, environment={"AWS_EXECUTION_ENV": environment})
    assert api.invoke({}).json == expected


def test_callback_handler_works_in_newer_runtimes(api, node):
    code = "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, 'late'), 20); };"
    node(api, {"index.js": code}, environment={"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"})
    assert api.invoke({}).json == "late"


@pytest.mark.parametrize("value", ["undefined", "() => 1", "Symbol('x')", "null", "NaN"])
def test_values_without_json_are_null(api, node, value):
    node(api, {"index.js": f"exports.handler = async () => ({value});"})
    assert api.invoke({}).body == b"null"


def test_state_is_kept_between_invocations_and_one_connection_is_used(api, node):
    node(api, {"index.js": "let n = 0; exports.handler = async () => ++n;"})
    answers = [api.invoke({}) for _ in range(50)]
    assert [a.json for a in answers] == list(range(1, 51))
    assert len({a.connection for a in answers}) == 1


def test_large_event_and_response(api, node):
    node(api, {"index.js": ECHO})
    event = {"data": "é" * 2_900_000}
    assert api.invoke(event, timeout_ms=20_000).json == event


def test_chunked_events(node):
    api = FakeRuntimeAPI(chunked_events=True)
    node(api, {"index.js": ECHO})
    for event in ({"a": "ü" * 1000}, {}):
        assert api.invoke(event).json == event
    api.close()


def test_server_that_closes_connections(node):
    api = FakeRuntimeAPI(close_after_response=True)
    node(api, {"index.js": ECHO})
    for n in range(20):
        assert api.invoke(n).json == n
    api.close()


def test_runtime_ends_when_the_api_is_gone(api, node):
    process = node(api, {"index.js": ECHO})
    api.wait_until_asked()
    other = node(FakeRuntimeAPIThatIsClosed(), {"index.js": ECHO})
    assert other.exit_code() == 1
    assert process.process.poll() is None


class FakeRuntimeAPIThatIsClosed:
    address = "127.0.0.1:1"


# The event loop


def test_callback_waits_for_an_empty_event_loop(api, node):
    code = """
    exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = event.waits;
        setTimeout(() => {}, 400);
        callback(null, context.callbackWaitsForEmptyEventLoop);
    };"""
    node(api, {"index.js": code})
    api.wait_until_asked()
    started = time.monotonic()
    assert api.invoke({"waits": True}).json is True
    assert time.monotonic() - started >= 0.35
    started = time.monotonic()
    assert api.invoke({"waits": False}).json is False
    assert time.monotonic() - started < 0.35


def test_async_handler_does_not_wait(api, node):
    node(api, {"index.js": "exports.handler = async () => { setTimeout(() => {}, 60000); return 1; };"})
    assert api.invoke({}).json == 1
    assert api.invoke({}).json == 1


def test_callback_never_called_is_null(api, node):
    node(api, {"index.js": "exports.handler = (event, context, callback) => {};"})
    assert api.invoke({}).json is None
    assert api.invoke({}).json is None


def test_async_handler_that_can_never_settle(api, node):
    node(api, {"index.js": "exports.handler = async (e) => e.hang ? new Promise(() => {}) : 'fine';"})
    answer = api.invoke({"hang": True})
    assert (answer.kind, answer.json["errorType"]) == ("error", "Runtime.NodeJsExit")
    assert api.invoke({}).json == "fine"


def test_only_the_first_answer_counts(api, node):
    code = """
    exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = false;
        callback(null, 1); callback(new Error('no')); context.succeed(2); context.fail('no');
    };"""
    node(api, {"index.js": code})
    for _ in range(3):
        assert api.invoke({}).json == 1


def test_errors_through_the_callback_do_not_wait(api, node):
    code = "exports.handler = (event, context, callback) => { setTimeout(() => {}, 60000); callback('bad'); };"
    node(api, {"index.js": code})
    assert api.invoke({}).json == {"errorType": "string", "errorMessage": "bad", "trace": []}


# Context


def test_context(api, node):
    code = """
    exports.handler = async (event, context) => ({
        ...context, remaining: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
        methods: ['done', 'succeed', 'fail', 'getRemainingTimeInMillis'].map((name) => typeof context[name]),
    });"""
    node(api, {"index.js": code})
    context = {"client": {"app_title": "t"}, "custom": {"k": "v"}, "env": {}}
    identity = {"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}
    answer = api.invoke(
        {},
        {
            "Lambda-Runtime-Client-Context": json.dumps(context),
            "Lambda-Runtime-Cognito-Identity": json.dumps(identity),
            "Lambda-Runtime-Aws-Tenant-Id": "tenant-1",
        },
        timeout_ms=5000,
    )
    seen = answer.json
    assert 3000 < seen.pop("remaining") <= 5000
    assert seen == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "f",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/f",
        "logStreamName": "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef",
        "clientContext": context,
        "identity": identity,
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "awsRequestId": answer.request_id,
        "tenantId": "tenant-1",
        "trace": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        "methods": ["function"] * 4,
    }
    plain = api.invoke({}).json
    assert not {"clientContext", "identity", "tenantId"} & plain.keys()


# Errors of the handler


def test_thrown_error(api, node):
    code = "class Mine extends Error { name = 'MyError' }\nexports.handler = async () => { throw new Mine('broken'); };"
    process = node(api, {"index.js": code})
    answer = api.invoke({})
    assert answer.kind == "error"
    assert answer.headers["Lambda-Runtime-Function-Error-Type"] == "MyError"
    body = answer.json
    assert list(body) == ["errorType", "errorMessage", "trace"]
    assert (body["errorType"], body["errorMessage"]) == ("MyError", "broken")
    assert body["trace"][0].endswith("broken") and "index.js:2:" in body["trace"][1]
    assert api.invoke({}).kind == "error", "the runtime goes on after an error"

    lines = log_lines(process)
    assert lines[0]["level"] == "ERROR" and lines[0]["id"] == answer.request_id
    title, _, logged = lines[0]["message"].partition("\t")
    assert title == "Invoke Error "
    assert json.loads(logged)["errorType"] == "MyError" and json.loads(logged)["stack"] == body["trace"]


@pytest.mark.parametrize(
    "thrown, expected",
    [
        ("'text'", {"errorType": "string", "errorMessage": "text", "trace": []}),
        ("7", {"errorType": "number", "errorMessage": "7", "trace": []}),
        ("null", {"errorType": "object", "errorMessage": "null", "trace": []}),
        ("{a: 1}", {"errorType": "object", "errorMessage": "[object Object]", "trace": []}),
        ("{toString() { throw 1 }}", {"errorType": "handled"}),
        ("{name: 'Like', message: 'an error', stack: 's'}", {"errorType": "Like", "errorMessage": "an error", "trace": ["s"]}),
    ],
)
def test_thrown_things_that_are_not_errors(api, node, thrown, expected):
    node(api, {"index.js": f"exports.handler = () => {{ throw ({thrown}); }};"})
    body = api.invoke({}).json
    assert {**body, **expected} == body


def test_error_type_that_does_not_fit_a_header(api, node):
    code = "exports.handler = async () => { const e = new Error('x'); e.name = 'Füll\\r\\nX: y\\x7f'; throw e; };"
    node(api, {"index.js": code})
    answer = api.invoke({})
    assert "X" not in answer.headers
    assert answer.json["errorType"] == "Füll\r\nX: y%7F"


def test_context_fail_and_done_with_errors(api, node):
    code = """
    exports.handler = (event, context) => {
        if (event === 'fail') context.fail(new TypeError('t'));
        if (event === 'nothing') context.fail();
        if (event === 'done') context.done('d');
    };"""
    node(api, {"index.js": code})
    assert api.invoke("fail").json["errorType"] == "TypeError"
    assert api.invoke("nothing").json["errorMessage"] == "handled"
    assert api.invoke("done").json == {"errorType": "string", "errorMessage": "d", "trace": []}


@pytest.mark.parametrize(
    "runtime, expected", [("AWS_Lambda_nodejs20.x", "Error"), ("AWS_Lambda_nodejs24.x", "Runtime.JSONStringifyError")]
)
@pytest.mark.parametrize("value", ["(() => { const a = {}; a.a = a; return a; })()", "1n"])
def test_response_that_has_no_json(api, node, runtime, expected, value):
    node(api, {"index.js": f"exports.handler = async () => ({value});"}, environment={"AWS_EXECUTION_ENV": runtime})
    body = api.invoke({}).json
    assert (body["errorType"], body["errorMessage"]) == (expected, "Unable to stringify response body")
    assert api.invoke({}).kind == "error"


def test_event_that_is_not_json(api, node):
    node(api, {"index.js": ECHO})
    assert api.invoke(b"{oops").json["errorType"] == "SyntaxError"
    assert api.invoke(1).json == 1


def test_uncaught_exception_answers_and_ends_the_process(api, node):
    process = node(api, {"index.js": "exports.handler = () => { setTimeout(() => { throw new RangeError('late') }, 5); };"})
    answer = api.invoke({})
    assert (answer.kind, answer.json["errorType"], answer.json["errorMessage"]) == ("error", "RangeError", "late")
    assert process.exit_code() == 129
    assert log_lines(process)[0]["message"].startswith("Uncaught Exception \t{")


def test_unhandled_rejection_answers_and_ends_the_process(api, node):
    process = node(api, {"index.js": "exports.handler = () => { Promise.reject(new Error('lost')); setTimeout(() => {}, 9999); };"})
    answer = api.invoke({})
    assert answer.json["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert answer.json["errorMessage"] == "Error: lost"
    assert answer.headers["Lambda-Runtime-Function-Error-Type"] == "Runtime.UnhandledPromiseRejection"
    assert process.exit_code() == 128
    assert log_lines(process)[0]["message"].startswith("Unhandled Promise Rejection \t{")


# Errors of initialisation


@pytest.mark.parametrize(
    "files, handler, error_type, message",
    [
        ({"other.js": ECHO}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'index'\nRequire stack:"),
        ({"index.js": "require('nope')"}, "index.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'nope'\n"),
        ({"index.mjs": "import 'nope'"}, "index.handler", "Error", "Cannot find package 'nope' imported from "),
        ({"index.js": "exports.handler = )"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token"),
        ({"index.mjs": "export const = 1"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ({"index.js": "exports.x = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "exports.handler = 1"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
        ({"index.js": ECHO}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"index.js": ECHO}, "../index.handler", "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name."),
        ({"index.js": "throw new TypeError('at start')"}, "index.handler", "TypeError", "at start"),
        ({"index.mjs": "await Promise.reject(new TypeError('at start'))"}, "index.handler", "TypeError", "at start"),
    ],
)
def test_init_errors(api, node, files, handler, error_type, message):
    process = node(api, files, handler)
    answer = api.init_error()
    assert answer.json["errorType"] == error_type
    assert answer.json["errorMessage"].startswith(message)
    assert isinstance(answer.json["trace"], list) and answer.json["trace"]
    assert answer.headers["Lambda-Runtime-Function-Error-Type"] == error_type
    assert process.exit_code() == 1
    assert log_lines(process)[-1]["message"].startswith("Uncaught Exception \t{")


def test_exception_outside_the_module_while_loading(api, node):
    process = node(api, {"index.mjs": "setImmediate(() => { throw new Error('x') }); await new Promise(() => {});"})
    assert api.init_error().json["errorMessage"] == "x"
    assert process.exit_code() == 129


# Logs


def test_text_log(api, node):
    code = """
    console.log('at init');
    exports.handler = async () => {
        console.log('a %s', 'b', {c: 1}); console.info('i'); console.warn('w'); console.error('e'); console.debug('d');
        console.trace('t'); console.fatal('f'); console.log('two\\nlines');
        process.stdout.write('raw\\n');
    };"""
    process = node(api, {"index.js": code})
    request_id = api.invoke({}).request_id
    out, _ = process.stop()
    *lines, raw = out.split("\n")[:-1]
    parts = [TEXT_LINE.match(line).groupdict() for line in lines]
    assert [(p["level"], p["message"]) for p in parts] == [
        ("INFO", "at init"),
        ("INFO", "a b { c: 1 }"),
        ("INFO", "i"),
        ("WARN", "w"),
        ("ERROR", "e"),
        ("DEBUG", "d"),
        ("TRACE", "t"),
        ("FATAL", "f"),
        ("INFO", "two\rlines"),
    ]
    assert [p["id"] for p in parts] == ["undefined"] + [request_id] * 8
    assert raw == "raw"


def test_json_log_and_level(api, node):
    code = """
    exports.handler = async () => {
        console.debug('hidden'); console.info('hidden too');
        console.warn({deep: {a: 1}}); console.error('failed: %s', 'x', new TypeError('tt'));
        const loop = {}; loop.loop = loop; console.error(loop); console.error(new RangeError('rr'));
        throw new Error('end');
    };"""
    process = node(api, {"index.js": code}, environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    request_id = api.invoke({}, {"Lambda-Runtime-Aws-Tenant-Id": "T"}).request_id
    lines = [json.loads(line) for line in process.stop()[0].splitlines()]
    assert all(line["requestId"] == request_id and line["tenantId"] == "T" for line in lines)
    assert list(lines[0])[:3] == ["timestamp", "level", "requestId"]
    assert (lines[0]["level"], lines[0]["message"]) == ("WARN", {"deep": {"a": 1}})
    assert (lines[1]["errorType"], lines[1]["errorMessage"]) == ("TypeError", "tt")
    assert lines[1]["message"].startswith("failed: x TypeError: tt")
    assert isinstance(lines[1]["stackTrace"], list)
    assert "[Circular *1]" in lines[2]["message"]
    assert lines[3]["message"]["errorType"] == "RangeError"
    assert lines[4]["message"]["errorMessage"] == "end"


def test_framed_log(api, node):
    read, write = os.pipe()
    code = "exports.handler = async () => { console.error('two\\nlines'); return process.env._LAMBDA_TELEMETRY_LOG_FD ?? 'gone'; };"
    process = node(api, {"index.js": code}, environment={"_LAMBDA_TELEMETRY_LOG_FD": str(write)}, pass_fds=(write,))
    os.close(write)
    assert api.invoke({}).json == "gone"
    process.stop()
    data = os.read(read, 65536)
    kind, length, micros = struct.unpack(">IIq", data[:16])
    assert kind == 0xA55A0003 | 0b10100
    assert len(data) == 16 + length and data[16:].endswith(b"\tERROR\ttwo\nlines\n")
    assert abs(micros / 1e6 - time.time()) < 60


# Layers, wrappers, streaming


def test_layers_are_found_by_both_kinds_of_modules(api, node, tmp_path):
    package = tmp_path / "opt/nodejs/node_modules/from-layer"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"main": "main.js"}')
    (package / "main.js").write_text("module.exports = 'layer';")
    environment = {"NODE_PATH": f"{tmp_path}/none/node_modules:{package.parent}"}
    node(api, {"index.js": "const x = require('from-layer'); exports.handler = async () => x;"}, environment=environment)
    assert api.invoke({}).json == "layer"
    other = FakeRuntimeAPI()
    node(other, {"index.mjs": "import x from 'from-layer'; export const handler = async () => x;"}, environment=environment)
    assert other.invoke({}).json == "layer"
    other.close()


def test_exec_wrapper(api, node, tmp_path):
    wrapper = tmp_path / "wrapper"
    # As in AWS's documentation: options go in front of the last argument.
    wrapper.write_text('#!/bin/bash\nargs=("$@")\nexport FROM_WRAPPER=yes\nexec "${args[@]:0:$#-1}" --no-warnings "${args[@]: -1}"\n')
    wrapper.chmod(0o755)
    code = "exports.handler = async () => [process.env.FROM_WRAPPER, process.execArgv, process.env._MARTLET_WRAPPED ?? null];"
    node(api, {"index.js": code}, environment={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    assert api.invoke({}).json == ["yes", ["--no-warnings"], None]


def test_exec_wrapper_that_does_not_exist(api, node):
    process = node(api, {"index.js": ECHO}, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"})
    assert process.exit_code() == 127


def test_streaming(api, node):
    code = """
    exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
        if (event.http) stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {a: 'b'}});
        else stream.setContentType('text/plain');
        for (const part of event.parts) stream.write(part);
        stream.end();
    });"""
    node(api, {"index.js": code})
    answer = api.invoke({"parts": ["one ", "two ", {"three": 3}]})
    assert answer.kind == "response" and answer.body == b'one two {"three":3}'
    assert answer.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert answer.headers["Content-Type"] == "text/plain" and answer.trailers == {}

    answer = api.invoke({"parts": ["body"], "http": True})
    assert answer.headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    prelude, _, body = answer.body.partition(b"\0" * 8)
    assert json.loads(prelude) == {"statusCode": 201, "headers": {"a": "b"}} and body == b"body"
    assert api.invoke({"parts": []}).body == b""
    big = api.invoke({"parts": ["x" * 1_000_000] * 5})
    assert len(big.body) == 5_000_000


def test_streaming_pipeline(api, node):
    code = """
    const { pipeline } = require('node:stream/promises'); const { Readable } = require('node:stream');
    exports.handler = awslambda.streamifyResponse((event, stream) => pipeline(Readable.from(['a', 'b', 'c']), stream));"""
    node(api, {"index.js": code})
    for _ in range(3):
        assert api.invoke({}).body == b"abc"


def test_streaming_errors(api, node):
    code = """
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        if (event.begin) stream.write('begun');
        if (event.forget) return;
        throw new TypeError('midway');
    });"""
    node(api, {"index.js": code})
    answer = api.invoke({})
    assert (answer.kind, answer.json["errorType"]) == ("error", "TypeError")
    answer = api.invoke({"begin": True})
    assert (answer.kind, answer.body) == ("response", b"begun")
    assert answer.trailers["lambda-runtime-function-error-type"] == "TypeError"
    assert json.loads(base64.b64decode(answer.trailers["lambda-runtime-function-error-body"]))["errorMessage"] == "midway"
    assert api.invoke({"forget": True}).json["errorMessage"] == "Response stream is not finished."
