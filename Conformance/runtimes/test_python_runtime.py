"""Runtimes/python with AWS's awslambdaric against a fake Runtime API, for every interpreter that set-up prepared."""

import json
from pathlib import Path

import pytest


def test_echo_context_and_state(api, python):
    code = """
import os
n = 0
def handler(event, context):
    global n
    n += 1
    return [event, n, context.function_name, context.aws_request_id, context.memory_limit_in_mb, os.getcwd(),
            os.environ["_X_AMZN_TRACE_ID"].partition(";")[0]]
"""
    python(api, {"index.py": code})
    for n in (1, 2):
        answer = api.invoke({"key": "välue"})
        trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"
        task = str(python.folder / "task0")
        assert answer.json == [{"key": "välue"}, n, "f", answer.request_id, "128", task, trace]


@pytest.mark.parametrize("with_arguments", [True, False])
def test_search_path_is_that_of_aws(api, python, with_arguments):
    if not with_arguments:  # a server that does not know them
        python.command = [python.command[0], python.command[-1]]
    code = "import sys\ndef handler(event, context): return [sys.path, list(sys.version_info[:2])]"
    python(api, {"index.py": code}, environment={"PYTHONPATH": "/var/runtime:/extra"})
    path, version = api.invoke({}).json
    name = "python%d.%d" % tuple(version)
    assert path[:3] == [str(python.folder / "task0"), f"/opt/python/lib/{name}/site-packages", "/opt/python"]
    assert path[3] == str(Path(python.command[-1]).parent)
    assert path[4:6] == ["/var/runtime", "/extra"]
    assert len(path) == len(set(path))
    assert not [folder for folder in path[3:] if folder.endswith(("site-packages", "dist-packages"))]


def test_the_sdk_comes_from_the_runtime(api, python):
    code = "import boto3, botocore\ndef handler(event, context): return [boto3.__file__, botocore.__version__]"
    python(api, {"index.py": code})
    boto3_file, version = api.invoke({}).json
    assert boto3_file.startswith(str(Path(python.command[-1]).parent))
    assert version.split(".")[0] == "1"


def test_the_functions_own_packages_come_first(api, python):
    code = "import boto3\ndef handler(event, context): return boto3.value"
    python(api, {"index.py": code, "boto3.py": "value = 'own'"})
    assert api.invoke({}).json == "own"


def test_layers(api, python, tmp_path):
    layers = tmp_path / "opt"
    (layers / "python").mkdir(parents=True)
    (layers / "python/from_layer.py").write_text("value = 'layer'")
    code = "import from_layer\ndef handler(event, context): return from_layer.value"
    python(api, {"index.py": code}, environment={"_MARTLET_LAYERS": layers})
    assert api.invoke({}).json == "layer"


def test_packages_of_the_host_are_not_visible(api, python):
    code = """
def handler(event, context):
    try:
        import pip
    except ImportError:
        return "not there"
    return pip.__file__
"""
    python(api, {"index.py": code})
    assert api.invoke({}).json == "not there"


def test_site_builtins(api, python):
    process = python(api, {"index.py": "def handler(event, context): exit(7)"})
    api.send({})
    assert process.exit_code() == 7


@pytest.mark.parametrize(
    "files, handler, error_type, message",
    [
        ({"x.py": ""}, "index.handler", "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'index'"),
        ({"index.py": "x = ="}, "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index': "),
        ({"index.py": ""}, "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ({"index.py": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler 'index': "),
        ({"index.py": "raise ValueError('at start')"}, "index.handler", "ValueError", "at start"),
    ],
)
def test_init_errors(api, python, files, handler, error_type, message):
    process = python(api, files, handler)
    answer = api.init_error()
    assert answer.json["errorType"] == error_type
    assert answer.json["errorMessage"].startswith(message)
    assert answer.json["requestId"] == ""
    assert process.exit_code() == 1


def test_error_and_log(api, python):
    code = "import logging\ndef handler(event, context):\n    logging.warning('w')\n    print('p')\n    raise KeyError('k')"
    process = python(api, {"index.py": code})
    answer = api.invoke({})
    assert answer.json["errorType"] == "KeyError"
    assert answer.json["requestId"] == answer.request_id
    assert api.invoke({}).kind == "error"
    out, _ = process.stop()
    assert "[WARNING]\t" in out and "\t%s\tw" % answer.request_id in out
    assert "\np\n" in out and "[ERROR] KeyError: 'k'" in out


def test_json_log(api, python):
    code = "import logging\ndef handler(event, context):\n    logging.warning('w')"
    process = python(api, {"index.py": code}, environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"})
    request_id = api.invoke({}).request_id
    (line,) = [json.loads(line) for line in process.stop()[0].splitlines()]
    assert (line["level"], line["message"], line["requestId"]) == ("WARNING", "w", request_id)


def test_exec_wrapper(api, python, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/bash\nargs=("$@")\nexport FROM_WRAPPER=yes\nexec "${args[@]:0:$#-1}" -X faulthandler "${args[@]: -1}"\n')
    wrapper.chmod(0o755)
    code = """
import os, sys
def handler(event, context):
    return [os.environ["FROM_WRAPPER"], sys._xoptions, "_MARTLET_WRAPPED" in os.environ, sys.flags.no_site]
"""
    python(api, {"index.py": code}, environment={"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    no_site = 0 if python.runtime["version"].startswith("3.9.") else 1
    assert api.invoke({}).json == ["yes", {"faulthandler": True}, False, no_site]


def test_exec_wrapper_that_does_not_exist(api, python):
    process = python(api, {"index.py": ""}, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/none"})
    assert process.exit_code() == 127


def test_runtime_description(python):
    runtime = python.runtime
    assert set(runtime) == {"interpreter", "arguments", "bootstrap", "version", "prefixes"}
    interpreter = Path(runtime["interpreter"])
    assert interpreter.is_absolute() and interpreter.resolve() == interpreter
    assert any(str(interpreter).startswith(prefix + "/") for prefix in runtime["prefixes"])
    assert all(Path(prefix).is_dir() for prefix in runtime["prefixes"])
