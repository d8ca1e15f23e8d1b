"""The command line: settings, help, errors and exit codes, and the commands that talk to a running server."""

import json
import re
import signal
import subprocess
import threading
import time

import boto3
import pytest

from .functions import FAST_MB
from .harness import BINARY, RUNTIMES, Server, default_python, free_port, lambda_role, unique, wait_for, zip_bytes

USAGE = 64  # EX_USAGE of sysexits.h, which ArgumentParser ends with


def martlet(*arguments, environment=None, stdin=None, cwd=None, timeout=20):
    """Runs the program with a clean environment."""
    return subprocess.run(
        [str(BINARY), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        input=stdin if stdin is not None else "",
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "MARTLET_RUNTIMES": str(RUNTIMES), **(environment or {})},
    )


# Help and version


def test_version():
    done = martlet("version")
    assert done.returncode == 0 and re.fullmatch(r"martlet \d+\.\d+\.\d+\n", done.stdout)
    assert martlet("--version").stdout.strip() == done.stdout.split()[1]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ["serve", "invoke", "logs", "doctor", "--endpoint-url"]),
        (
            ("serve",),
            [
                "--host",
                "--port",
                "--data-dir",
                "--auth",
                "--isolation",
                "--egress",
                "--durability",
                "--time-scale",
                "--config",
                "MARTLET_",
                "[4566]",
                "sigv4",
            ],
        ),
        (("invoke",), ["<name>", "<payload>", "--logs", "--async", "--endpoint"]),
        (("logs",), ["--follow", "--minutes"]),
        (("doctor",), ["isolation", "runtimes"]),
        (("version",), ["version"]),
    ],
)
def test_help(command, words):
    done = martlet(*command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    lowered = done.stdout.lower()
    assert not [word for word in words if word.lower() not in lowered]
    assert "\x1b[" not in done.stdout, "colour only on a terminal"


def test_unknown_commands_and_flags():
    for arguments in (("fly",), ("serve", "--wings"), ("invoke",)):
        done = martlet(*arguments)
        assert done.returncode == USAGE and "Usage:" in done.stderr and done.stdout == ""


# Settings


BAD_SETTINGS = [
    ("port", "70000", "a number from 0 to 65535"),
    ("port", "http", "a number from 0 to 65535"),
    ("auth", "basic", "none or sigv4"),
    ("isolation", "docker", "namespaces or none|none or namespaces"),
    ("egress", "all", "host or isolated"),
    ("durability", "some", "full or relaxed"),
    ("time-scale", "0", "a number from"),
    ("time-scale", "fast", "a number from"),
    ("time-scale", "nan", "a number from"),
    ("log-level", "loud", "debug"),
]


@pytest.mark.parametrize(("name", "given", "allowed"), BAD_SETTINGS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_bad_settings_are_named_with_what_is_allowed(tmp_path, name, given, allowed, way):
    arguments, environment = ["serve", "--data-dir", tmp_path / "data"], {}
    if way == "flag":
        arguments += [f"--{name}", given]
    elif way == "variable":
        environment["MARTLET_" + name.upper().replace("-", "_")] = given
    else:
        (tmp_path / "config.json").write_text(json.dumps({name: given}))
        arguments += ["--config", tmp_path / "config.json"]
    done = martlet(*arguments, environment=environment)
    assert done.returncode == USAGE, done
    assert name in done.stderr and given in done.stderr and re.search(allowed, done.stderr), done.stderr
    assert not (tmp_path / "data").exists(), "nothing is made before the settings are right"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port=70000",), "--port.*70000"),
        (("--port", "1", "--port", "70000"), "--port.*70000"),
        (("--port",), "Missing value for '--port"),
        (("--port", "--host"), "Missing value for '--port"),
        (("--port", "1", "extra"), "Unexpected argument 'extra'"),
        (("--wings=2",), "Unknown option '--wings"),
    ],
)
def test_flags_of_serve_in_every_form(tmp_path, arguments, words):
    """A plain `serve` is read by a short way of its own: what that does not take must be refused in the usual words."""
    done = martlet("serve", "--data-dir", tmp_path / "data", *arguments, timeout=5)
    assert done.returncode == USAGE and re.search(words, done.stderr), done
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"time-scale": {"a": 1}}', '{"time-scal": 2}'])
def test_bad_config_files(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    arguments = ("--data-dir", tmp_path / "data", "--port", free_port(), "--config", tmp_path / "config.json")
    done = martlet("serve", *arguments, timeout=5)  # a server that starts nevertheless fails the test
    assert done.returncode in (1, USAGE) and ("config.json" in done.stderr or "time-scal" in done.stderr), done


def test_a_config_file_that_is_not_there(tmp_path):
    done = martlet("serve", "--config", tmp_path / "absent.json")
    assert done.returncode == USAGE and "absent.json" in done.stderr


def test_another_address_needs_authentication(tmp_path):
    for host in ("0.0.0.0", "::"):
        done = martlet("serve", "--host", host, "--port", free_port(), "--data-dir", tmp_path / "data")
        assert done.returncode == USAGE, done
        assert host in done.stderr and "--auth" in done.stderr and "sigv4" in done.stderr


def test_odd_hosts(tmp_path):
    for host in ("no.such.host.invalid", "999.1.1.1", ""):
        done = martlet("serve", "--host", host, "--port", free_port(), "--data-dir", tmp_path / "data")
        assert done.returncode in (1, USAGE) and "error" in done.stderr.lower() and "Fatal" not in done.stderr, (
            host,
            done,
        )


def test_variables_and_files_and_which_wins(tmp_path):
    """Flags before variables before the file."""
    ports = [free_port() for _ in range(3)]
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"port": ports[0], "durability": "relaxed", "time-scale": 60}))
    one = Server(
        tmp_path / "data",
        ["--config", str(config)],
        {"MARTLET_PORT": str(ports[1]), "MARTLET_ISOLATION": "none"},
        port=ports[2],
    )
    one.start()
    try:
        text = one.log_tail()
        assert f"127.0.0.1:{ports[2]}" in text and str(tmp_path / "data") in text
        for warning in ("--durability relaxed", "--time-scale 60", "--isolation none"):
            assert any("warning:" in line and warning in line for line in text.splitlines()), (warning, text)
    finally:
        assert one.stop() == 0


def test_the_banner(make_server):
    server = make_server()
    text = server.log_tail()
    assert re.search(r"^martlet \d+\.\d+\.\d+$", text, re.M)
    assert server.url in text and str(server.data_dir) in text and "python3." in text and "nodejs" in text
    assert "\x1b[" not in text


# Servers beside each other


def test_a_second_server_on_the_same_data_is_refused(make_server):
    server = make_server()
    done = martlet("serve", "--port", free_port(), "--data-dir", server.data_dir)
    assert done.returncode in (1, USAGE), done
    assert str(server.data_dir) in done.stderr and re.search("in use|another|already|locked", done.stderr), done.stderr
    assert server.is_healthy()
    server.client("logs").create_log_group(logGroupName="/after")


def test_a_taken_port_is_told(make_server, tmp_path):
    server = make_server()
    done = martlet("serve", "--port", server.port, "--data-dir", tmp_path / "other")
    assert done.returncode in (1, USAGE) and str(server.port) in done.stderr, done
    assert "Fatal" not in done.stderr


def test_a_data_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    done = martlet("serve", "--port", free_port(), "--data-dir", tmp_path / "file")
    assert done.returncode in (1, USAGE) and str(tmp_path / "file") in done.stderr


def test_secrets_are_for_the_user_alone(make_server):
    server = make_server("--auth", "sigv4")
    for name in ("server.key", "credentials"):
        assert (server.data_dir / name).stat().st_mode & 0o077 == 0
    for name in ("store", "blobs"):
        folder = server.data_dir / name
        for path in [folder, *folder.rglob("*")]:
            closed = [part for part in (path, *path.parents) if part.stat().st_mode & 0o007 == 0]
            assert closed, f"{path} can be read by everybody"


# Commands for a running server


@pytest.fixture
def hello(fast_function):
    return fast_function("""
        def handler(event, context):
            print("saying", event)
            if event.get("fail"):
                raise ValueError("as you wish")
            return {"hello": event}
        """)


def test_invoke(server, hello):
    done = martlet("invoke", hello.name, '{"a": "ä"}', "--endpoint", server.url)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"hello": {"a": "ä"}})
    assert done.stderr == ""
    done = martlet("invoke", hello.name, "-", "--logs", environment={"AWS_ENDPOINT_URL": server.url}, stdin='{"b": 1}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {"hello": {"b": 1}})
    assert "saying {'b': 1}" in done.stderr and "REPORT RequestId" in done.stderr
    assert json.loads(martlet("invoke", hello.arn, "--endpoint", server.url).stdout) == {"hello": {}}


def test_invoke_fails(server, hello):
    done = martlet("invoke", hello.name, '{"fail": 1}', "--endpoint", server.url)
    assert done.returncode == 2 and json.loads(done.stdout)["errorMessage"] == "as you wish"
    done = martlet("invoke", hello.name + "-no", "--endpoint", server.url)
    assert done.returncode == 3 and "Function not found" in done.stderr and done.stdout == ""
    done = martlet("invoke", hello.name, "{", "--endpoint", server.url)
    assert done.returncode == 1 and "Could not parse" in done.stderr
    for endpoint in (f"http://127.0.0.1:{free_port()}", "nonsense", "http://"):
        done = martlet("invoke", hello.name, "--endpoint", endpoint)
        assert done.returncode not in (0, 2, 3) and endpoint in done.stderr, done


def test_invoke_asynchronously(server, hello):
    done = martlet("invoke", hello.name, '{"c": 1}', "--async", "--endpoint", server.url)
    assert done.returncode == 0
    wait_for(lambda: any("saying {'c': 1}" in message for message in hello.log_messages()))


def test_logs(server, hello):
    hello.invoke({"one": 1})
    wait_for(lambda: any("REPORT" in message for message in hello.log_messages()))
    for name in (hello.name, hello.log_group):
        done = martlet("logs", name, "--endpoint", server.url)
        assert done.returncode == 0
        lines = done.stdout.splitlines()
        assert any(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z saying \{'one': 1\}", line) for line in lines)
        assert lines.index(next(line for line in lines if "START" in line)) < lines.index(
            next(line for line in lines if "REPORT" in line)
        )
    assert martlet("logs", hello.name + "-no", "--endpoint", server.url).returncode == 3
    assert martlet("logs", hello.name, "--minutes", "0", "--endpoint", server.url).returncode == USAGE


def test_follow_logs(server, hello):
    hello.invoke({"before": 1})
    wait_for(lambda: any("REPORT" in message for message in hello.log_messages()))
    follower = subprocess.Popen(
        [str(BINARY), "logs", hello.name, "--follow", "--endpoint", server.url], stdout=subprocess.PIPE, text=True
    )
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(follower.stdout.readline, "")), daemon=True).start()
    try:
        wait_for(lambda: any("before" in line for line in list(lines)), seconds=10)
        hello.invoke({"while": 2})
        wait_for(lambda: any("while" in line for line in list(lines)), seconds=10)
        assert sum("'before'" in line for line in lines) == 1
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait(10)


def test_signed_commands(make_server):
    """With --auth sigv4: the ways to give credentials, and what is said without them or with wrong ones."""
    server = make_server("--auth", "sigv4")
    kept = server.data_dir / "credentials"
    key, secret = re.findall(r"= (\S+)", kept.read_text())
    api = boto3.session.Session(key, secret, region_name="us-east-1").client("lambda", endpoint_url=server.url)
    role = lambda_role(boto3.session.Session(key, secret, region_name="us-east-1").client("iam", endpoint_url=server.url))
    code = {"ZipFile": zip_bytes({"index.py": "def handler(event, context): return print('ran') or event"})}
    api.create_function(FunctionName="f", Runtime=default_python(), Handler="index.handler", Role=role, Code=code)
    api.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05})
    session = boto3.session.Session(key, secret, region_name="us-east-1").client("sts", endpoint_url=server.url)
    temporary = session.get_session_token()["Credentials"]
    other = kept.with_name("profiles")
    other.write_text(f"[default]\naws_access_key_id=no\n\n[dev]\naws_access_key_id = {key}\naws_secret_access_key={secret}\n")
    pair = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    good = [
        pair,
        {
            "AWS_ACCESS_KEY_ID": temporary["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": temporary["SecretAccessKey"],
            "AWS_SESSION_TOKEN": temporary["SessionToken"],
        },
        {"AWS_SHARED_CREDENTIALS_FILE": str(kept)},
        {"AWS_SHARED_CREDENTIALS_FILE": str(other), "AWS_PROFILE": "dev"},
        {"MARTLET_DATA_DIR": str(server.data_dir)},
    ]
    for environment in good:
        done = martlet("invoke", "f", "[1]", "--endpoint", server.url, environment=environment)
        assert (done.returncode, done.stdout) == (0, "[1]\n"), (environment, done)
    wait_for(lambda: "ran" in martlet("logs", "f", "--endpoint", server.url, environment=pair).stdout)
    bad = [
        ({**pair, "AWS_SECRET_ACCESS_KEY": "wrong"}, 1, "InvalidSignatureException"),
        ({**pair, "AWS_ACCESS_KEY_ID": "AKIA" + "A" * 16}, 1, "UnrecognizedClientException"),
        ({}, 1, "UnrecognizedClientException"),
        ({"AWS_ACCESS_KEY_ID": key}, USAGE, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "/absent"}, USAGE, "/absent"),
        ({"AWS_SHARED_CREDENTIALS_FILE": str(other)}, USAGE, "profile 'default'"),
    ]
    for environment, code, words in bad:
        done = martlet("invoke", "f", "[1]", "--endpoint", server.url, environment=environment)
        assert done.returncode == code and words in done.stderr and done.stdout == "", (environment, done)


def test_commands_over_tls(server, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )
    port = free_port()
    process = subprocess.Popen(
        [str(BINARY), "serve", "--port", str(port), "--data-dir", tmp_path / "tls", "--tls-certificate", certificate,
         "--tls-key", key], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        where = f"https://localhost:{port}"

        def run(endpoint, *arguments, **options):
            return martlet("invoke", "nobody", *arguments, "--endpoint", endpoint, **options)

        trusted = ("--ca-file", certificate)
        wait_for(lambda: run(where, *trusted).returncode == 3)
        for endpoint in (where, f"https://127.0.0.1:{port}"):
            for done in (
                run(endpoint, *trusted),
                run(endpoint, environment={"AWS_CA_BUNDLE": str(certificate)}),
                run(endpoint, "--insecure"),
            ):
                assert done.returncode == 3 and "Function not found" in done.stderr, (endpoint, done)
        for done in (run(where), run(where, "--ca-file", key), run(where, "--ca-file", tmp_path / "absent")):
            assert done.returncode in (1, USAGE) and "--ca-file" in done.stderr, done
        done = run(server.url.replace("http:", "https:"))
        assert done.returncode == 1 and "http://" in done.stderr, done
    finally:
        process.terminate()
        process.wait(10)


def test_doctor():
    done = martlet("doctor")
    assert done.returncode in (0, 1) and done.stderr == ""
    assert "Isolation" in done.stdout and "Runtimes" in done.stdout and "python3." in done.stdout
    assert re.search(r"(ok|missing) +[a-z]", done.stdout)
    empty = martlet("doctor", environment={"MARTLET_RUNTIMES": "/nonexistent"})
    assert "python3.1" not in empty.stdout.split("Runtimes")[1] or "missing" in empty.stdout.split("Runtimes")[1]


# The end


def test_a_graceful_stop_lets_an_invocation_end(make_server, make_function):
    server = make_server()
    function = make_function(
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'whole'",
        server=server,
        MemorySize=FAST_MB,
        Timeout=10,
    )
    function.invoke(0)
    answers = []
    running = threading.Thread(target=lambda: answers.append(function.invoke(2)))
    running.start()
    time.sleep(0.5)
    assert server.stop() == 0
    running.join()
    assert [answer.json for answer in answers] == ["whole"]


def test_a_stop_does_not_wait_for_ever(make_server, make_function):
    server = make_server("--time-scale", "600")
    function = make_function(
        "import time\ndef handler(event, context): time.sleep(60)", server=server, MemorySize=FAST_MB, Timeout=100
    )
    function.invoke({}, InvocationType="Event")
    wait_for(lambda: any("START" in message for message in function.log_messages()))
    began = time.monotonic()
    assert server.stop() == 0
    # The function would run for 60 s more.
    assert time.monotonic() - began < 40


def test_interrupt_and_second_signal(make_server):
    server = make_server()
    assert server._end(signal.SIGINT) == 0


def test_an_idle_server_stops_at_once(make_server):
    server = make_server()
    server.client("s3").list_buckets()
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 3
    name = unique("bucket")
    server.start()
    server.client("s3").create_bucket(Bucket=name)
