"""Fixtures of the conformance tests; what they give is described in README.md and harness.py."""

import json
import textwrap

import pytest

from .functions import FAST_MB, RUN
from .harness import Function, Server, default_python, unique as unique_name, zip_bytes

TRUST_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}

_running = []  # servers whose logs are shown with a failure


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for the whole run. Tests must neither stop it nor depend on each other's resources."""
    one = Server(tmp_path_factory.mktemp("martlet") / "data", ["--time-scale", "600"])
    _running.append(one)
    one.start()
    yield one
    _running.remove(one)
    code = one.stop()
    assert code == 0, f"the server ended with {code}:\n{one.log_tail()}"


@pytest.fixture
def make_server(tmp_path):
    """Starts servers of the test's own: `make_server("--time-scale", "60", environment={…})`."""
    made = []

    def make(*arguments, environment=None, start=True):
        one = Server(tmp_path / f"data{len(made)}", arguments, environment)
        made.append(one)
        _running.append(one)
        return one.start() if start else one

    yield make
    for one in made:
        _running.remove(one)
        one.kill9()


@pytest.fixture
def client(server):
    """`client("s3")`: a boto3 client for the shared server."""
    return server.client


@pytest.fixture
def aws(server):
    """`aws("s3", "ls").text`: the AWS CLI against the shared server."""
    return server.aws


@pytest.fixture
def unique():
    """`unique("bucket")`: a name that no other test uses."""
    return unique_name


@pytest.fixture
def python_runtime():
    """The identifier of a python runtime that this machine can run exactly."""
    return default_python()


@pytest.fixture
def make_function(server, python_runtime):
    """Deploys functions and deletes them after the test.

    make_function("def handler(event, context): return event")
    make_function(files={"index.mjs": "…"}, runtime="nodejs22.x", Timeout=1, server=other, account="111122223333")
    """
    made = []
    shared = server

    def make(source=None, *, files=None, runtime=None, handler="index.handler", server=None, account=None, wait=True,
             **parameters):
        where = server or shared
        runtime = runtime or python_runtime
        if files is None:
            files = {"index.py" if runtime.startswith("python") else "index.js": source}
        parameters.setdefault("FunctionName", unique_name("fn"))
        parameters.setdefault("Role", role_of(where, account))
        function = Function(
            where,
            where.client("lambda", account=account).create_function(
                Runtime=runtime, Handler=handler, Code={"ZipFile": zip_bytes(files)}, **parameters
            ),
            account,
        )
        made.append(function)
        return function.wait() if wait else function

    yield make
    for function in made:
        if function.server.process is not None:
            function.delete()


def role_of(server, account=None):
    """The ARN of a role that functions may use, made once for each server and account."""
    if account not in server.roles:
        role = server.client("iam", account=account).create_role(
            RoleName=unique_name("lambda-role"), AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA)
        )
        server.roles[account] = role["Role"]["Arn"]
    return server.roles[account]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for one in _running:
            report.sections.append((f"end of {one.log}", one.log_tail()))
    return report


@pytest.fixture
def fast_function(make_function):
    """make_function with a whole CPU and ten seconds; the source may be indented."""

    def make(source=None, **parameters):
        source = textwrap.dedent(source) if source else None
        return make_function(source, **{"MemorySize": FAST_MB, "Timeout": 10, **parameters})

    return make


@pytest.fixture
def runner(fast_function):
    """`runner("result = 6 * 7").json`: runs Python inside a function's cell and gives the Invocation."""
    function = fast_function(RUN)

    def run(text, **parameters):
        return function.invoke({"run": textwrap.dedent(text)}, **parameters)

    run.function = function
    return run
