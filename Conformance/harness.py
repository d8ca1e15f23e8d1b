"""A real Martlet server process, clients for it, and functions deployed to it. The fixtures are in conftest.py."""

import base64
import io
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import boto3
import botocore.config

REPOSITORY = Path(__file__).resolve().parents[1]
BINARY = Path(os.environ.get("MARTLET_BINARY", REPOSITORY / ".build/release/martlet"))
RUNTIMES = Path(os.environ.get("MARTLET_RUNTIMES", REPOSITORY / ".cache/runtimes"))
AWS_CLI = "/usr/bin/aws"  # Debian's, version 2; another `aws` on PATH may be version 1

REGION = "us-east-1"
ACCOUNT = "000000000000"  # of an access key that is not twelve digits
START_S = 10
STOP_S = 15
CLI_S = 60
WAIT_S = 30
LOG_TAIL_LINES = 80


def wait_for(what, seconds=WAIT_S, interval_s=0.02):
    """Calls `what` until it returns something true, and returns that. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if result := what():
            return result
        assert time.monotonic() < end, f"not true within {seconds} s: {getattr(what, '__name__', what)}"
        time.sleep(interval_s)


def lambda_role(iam):
    """A new role that Lambda may assume, which a server with authentication wants; its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return iam.create_role(RoleName=unique("lambda-role"), AssumeRolePolicyDocument=policy)["Role"]["Arn"]


_numbers = itertools.count(1)
_session = secrets.token_hex(3)


def unique(prefix="t"):
    """A name used nowhere else, good for functions, buckets and roles alike."""
    return f"{prefix}-{_session}-{next(_numbers)}"


def zip_bytes(files):
    """A deployment package of {path: text or bytes}; `(content, mode)` for an executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            mode = 0o644
            if isinstance(content, tuple):
                content, mode = content
            entry = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class Server:
    """One server process over its data directory. `restart` and `kill9` keep directory and port."""

    def __init__(self, data_dir, arguments=(), environment=None, port=None, prefix=()):
        self.data_dir = Path(data_dir)
        self.prefix = list(prefix)  # a command that runs the server's, as another user for instance
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self.process = None
        self.roles = {}  # ARNs of the roles for functions, by account
        self._clients = {}

    # The process

    def start(self):
        self._spawn()
        end = time.monotonic() + START_S
        while not self.is_healthy():
            code = self.process.poll()
            if code is not None or time.monotonic() > end:
                state = f"ended with {code}" if code is not None else f"is not healthy after {START_S} s"
                command = " ".join(self.process.args)
                self._end(signal.SIGKILL)
                raise AssertionError(f"{command} {state}:\n{self.log_tail()}")
            time.sleep(0.005)
        return self

    def start_and_kill9(self, after_s):
        """Starts a process and kills it so soon that it may not be ready: in the middle of its recovery."""
        self._spawn()
        time.sleep(after_s)
        code = self.process.poll()
        assert code is None, f"the server ended with {code}:\n{self.log_tail()}"
        self.kill9()

    def _spawn(self):
        assert BINARY.exists(), f"no server at {BINARY}: make build, or set MARTLET_BINARY"
        assert self.process is None, "the server is running"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [*self.prefix, str(BINARY), "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        command += self.arguments
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt of the tests must not reach the server
                env={**os.environ, "MARTLET_RUNTIMES": str(RUNTIMES), **self.environment},
            )

    def is_healthy(self):
        try:
            with urllib.request.urlopen(self.url + "/_martlet/health", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        """Asks the server to end (SIGTERM) and returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill9(self):
        """Ends the server as a power failure would, as far as the server can tell."""
        return self._end(signal.SIGKILL)

    def restart(self, how="stop"):
        getattr(self, how)()
        return self.start()

    def _end(self, signal_number):
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(signal_number)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not end within {STOP_S} s:\n{self.log_tail()}") from None

    def log_tail(self, lines=LOG_TAIL_LINES):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # Its clients

    def client(self, service, account=None, region=REGION, **config):
        """A boto3 client without retries. `account`: twelve digits, else the default account."""
        key = (service, account, region, repr(sorted(config.items())))
        if key not in self._clients:
            settings = {"retries": {"total_max_attempts": 1}, "read_timeout": 90, **config}
            self._clients[key] = boto3.session.Session().client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id=account or "test",
                aws_secret_access_key="test",
                config=botocore.config.Config(**settings),
            )
        return self._clients[key]

    def aws(self, *arguments, check=True, account=None, region=REGION, stdin=None):
        """Runs the AWS CLI; a `CliResult`. With `check`, a failure of the command fails the test."""
        done = subprocess.run(
            [AWS_CLI, "--endpoint-url", self.url, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            timeout=CLI_S,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.data_dir),
                "LANG": "C.UTF-8",
                "AWS_ACCESS_KEY_ID": account or "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": region,
                "AWS_PAGER": "",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_MAX_ATTEMPTS": "1",
            },
        )
        result = CliResult(done.returncode, done.stdout, done.stderr.decode())
        assert not check or result.code == 0, f"aws {' '.join(map(str, arguments))}: {result.code}\n{result.error}"
        return result


class CliResult:
    def __init__(self, code, output, error):
        self.code = code
        self.bytes = output
        self.error = error

    @property
    def text(self):
        return self.bytes.decode()

    @property
    def json(self):
        return json.loads(self.bytes)


class Function:
    """A deployed function."""

    def __init__(self, server, configuration, account=None):
        self.server = server
        self.account = account
        self.name = configuration["FunctionName"]
        self.arn = configuration["FunctionArn"]
        self.log_group = f"/aws/lambda/{self.name}"

    @property
    def client(self):
        return self.server.client("lambda", account=self.account)

    def invoke(self, payload=None, **parameters):
        """Invokes synchronously with the log's tail, unless the parameters say otherwise; an `Invocation`."""
        if parameters.get("InvocationType", "RequestResponse") == "RequestResponse":
            parameters.setdefault("LogType", "Tail")
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return Invocation(self.client.invoke(FunctionName=self.name, Payload=body, **parameters))

    def wait(self):
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
        )
        self.client.get_waiter("function_updated_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
        )
        return self

    def log_messages(self):
        """Every message in the function's log group, oldest first; empty when there is none yet."""
        logs = self.server.client("logs", account=self.account)
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=self.log_group)
            return [event["message"] for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    def delete(self):
        try:
            self.client.delete_function(FunctionName=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            pass


class Invocation:
    """What Invoke answered."""

    def __init__(self, response):
        self.response = response
        self.status = response["StatusCode"]
        self.error = response.get("FunctionError")
        self.version = response.get("ExecutedVersion")
        self.body = response["Payload"].read()
        self.log = base64.b64decode(response.get("LogResult", "")).decode()
        self.request_id = response["ResponseMetadata"]["RequestId"]

    @property
    def json(self):
        return json.loads(self.body)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepared_runtimes():
    """{"python3.11": description, "nodejs": …} of what set-up has prepared on this machine."""
    files = sorted(RUNTIMES.glob("*/runtime.json"))
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def default_python():
    """The python3.N runtime to use where the version does not matter: the system's own."""
    names = [name for name in prepared_runtimes() if name.startswith("python3.")]
    assert names, f"no python runtime in {RUNTIMES}: make setup"
    system = [name for name in names if prepared_runtimes()[name]["interpreter"].startswith("/usr/bin/")]
    return (system or names)[-1]
