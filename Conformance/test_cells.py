"""Hostile functions in cells of the real server: what they must not see, reach, exceed, or leave behind."""

import contextlib
import glob
import json
import os
import re
import socket
import textwrap
import time

import pytest

from .functions import FAST_MB, RUN
from .harness import Server, unique, wait_for

CANARY = "canary-" + unique("x")


@pytest.fixture(scope="module")
def cell_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("cells") / "data", ["--time-scale", "600"], {"CANARY": CANARY})
    server.start()
    yield server
    server.kill9()


@pytest.fixture
def attack(cell_server, make_function):
    """`attack("result = event['n'] + 1", n=1).json`: runs Python in a cell of the module's server."""
    function = make_function(
        RUN, server=cell_server, MemorySize=FAST_MB, Timeout=20, Environment={"Variables": {"OWNER": "attacker"}}
    )

    def run(text, **values):
        return function.invoke({"run": textwrap.dedent(text), **values})

    run.function = function
    return run


@pytest.fixture
def victim(cell_server, make_function):
    """Another function of the same account, that holds a secret in its code, memory, environment and /tmp."""
    function = make_function(
        files={"index.py": RUN, "secret.txt": CANARY},
        server=cell_server,
        MemorySize=FAST_MB,
        Timeout=20,
        Environment={"Variables": {"SECRET": CANARY}},
    )
    function.invoke(
        {"run": f"open('/tmp/secret', 'w').write({CANARY!r}); import builtins; builtins.secret = {CANARY!r}"}
    )
    return function


# Files


def test_no_file_of_the_server_or_of_others(cell_server, attack, victim):
    data = str(cell_server.data_dir)
    done = attack(
        """
        found, opened = [], []
        canary = bytes(event["canary"])
        system = ("/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/var/runtime")
        for folder, folders, files in os.walk("/"):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in system]
            for file in files:
                path = os.path.join(folder, file)
                if file in ("server.key", "credentials", "secret", "secret.txt", "shadow") or "martlet" in file:
                    found.append(path)
                try:
                    if canary in open(path, "rb").read(1 << 20):
                        found.append("the canary in " + path)
                except OSError:
                    pass
        for path in event["paths"]:
            try:
                # What is hidden behind an empty file can be opened, and has nothing in it.
                if os.path.isdir(path) and os.listdir(path) is not None or open(path, "rb").read(1):
                    opened.append(path)
            except OSError:
                pass
        result = [found, opened]
        """,
        canary=list(CANARY.encode()),
        paths=[
            data,
            data + "/server.key",
            "/etc/shadow",
            "/root",
            "/home",
            "/proc/1/root",
            "/proc/1/cwd",
            "/proc/kcore",
        ]
        + ["/dev/mem", "/dev/kmsg", "/dev/sda", "/sys/kernel", "/proc/sysrq-trigger", "/run", "/var/log", "/boot"],
    )
    assert done.error is None, done.body
    found, opened = done.json
    assert found == []
    # Folders of these names may be there, empty, and pid 1 may show the cell's own root: nothing of the host's.
    assert not set(opened) - {"/root", "/home", "/run", "/var/log", "/boot", "/proc/1/root", "/proc/1/cwd"}


def test_control_groups_are_named_from_inside(attack):
    """The host's path would tell the server's process id and whose function it is."""
    done = attack("result = open('/proc/self/cgroup').read()")
    paths = {line.split(":", 2)[2] for line in done.json.splitlines()}
    assert paths == {"/"}, done.json


def test_nothing_can_be_written_but_tmp(attack):
    writable = attack("""
        result = []
        for folder, folders, files in os.walk("/"):
            if folder.startswith("/proc"):
                folders[:] = []
                continue
            path = os.path.join(folder, ".try")
            try:
                open(path, "w").close()
                os.unlink(path)
                result.append(folder)
            except OSError:
                pass
        """).json
    assert "/tmp" in writable and set(writable) <= {"/tmp", "/dev/shm"}, writable


def test_code_cannot_be_changed(attack):
    assert attack("os.chmod('/var/task/index.py', 0o777)").json["errorType"] in ("OSError", "PermissionError")
    assert attack("os.rename('/var/task/index.py', '/var/task/x')").json["errorType"] in ("OSError", "PermissionError")


def test_shared_memory_and_devices(attack):
    devices = attack("result = sorted(os.listdir('/dev'))").json
    harmless = "null zero full random urandom tty fd stdin stdout stderr shm pts ptmx mqueue"
    assert set(devices) <= set(harmless.split())
    written = attack("""
        written = 0
        try:
            with open("/dev/shm/fill", "wb", buffering=0) as file:
                while written < 3_000:
                    file.write(bytes(1 << 20))
                    written += 1
        except OSError:
            pass
        result = written
        """)
    assert written.error is not None or written.json < FAST_MB


# Processes


def test_only_its_own_processes(cell_server, attack, victim):
    done = attack("""
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        seen = []
        for pid in pids:
            for what in ("environ", "cmdline", "maps", "mountinfo", "cgroup"):
                try:
                    seen.append(open(f"/proc/{pid}/{what}", "rb").read().decode("latin-1"))
                except OSError:
                    pass
        result = [len(pids), os.getpid(), chr(10).join(seen)]
        """)
    count, pid, seen = done.json
    assert count <= 4 and pid < 100
    assert CANARY not in seen


def test_signals_stay_inside(cell_server, attack, victim):
    attack("os.kill(-1, 9)")
    attack("os.kill(1, 9)")
    for pid in (cell_server.process.pid, os.getpid()):
        assert attack("os.kill(event['pid'], 0)", pid=pid).json["errorType"] in (
            "ProcessLookupError",
            "PermissionError",
        )
    assert cell_server.process.poll() is None and cell_server.is_healthy()
    assert victim.invoke({"run": "result = 1"}).json == 1
    assert attack("result = 'well again'").json == "well again"


def test_no_privileges(attack):
    status = attack("result = open('/proc/self/status').read()").json
    assert (
        re.search(r"^CapEff:\s+0+$", status, re.M)
        and re.search(r"^CapBnd:\s+0+$", status, re.M)
        and re.search(r"^CapAmb:\s+0+$", status, re.M)
    )
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert re.search(r"^Uid:\s+[1-9]", status, re.M)


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (165, "b'none', b'/tmp', b'tmpfs', 0, 0"),
        (272, "0x10000000"),
        (272, "0x40000000"),
        (272, "0x20000"),
        (308, "0, 0"),
        (101, "0, 0, 0, 0"),
        (321, "0, 0, 0"),
        (298, "0, 0, 0, 0, 0"),
        (323, "0"),
        (425, "8, b'0' * 120"),
        (310, "1, 0, 0, 0, 0, 0"),
        (250, "0, 0"),
        (248, "b'user', b'x', 0, 0, -3"),
        (246, "0, 0, 0, 0"),
        (169, "0xfee1dead, 672274793, 0"),
        (155, "b'/tmp', b'/tmp'"),
        (161, "b'/tmp'"),
        (105, "0"),
        (175, "0, 0, b''"),
        (304, "0, 0, 0"),
        (428, "-100, b'/', 1"),
    ],
    ids=[
        "mount",
        "unshare user",
        "unshare net",
        "unshare mount",
        "setns",
        "ptrace",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "process_vm_readv",
        "keyctl",
        "add_key",
        "kexec_load",
        "reboot",
        "pivot_root",
        "chroot",
        "setuid 0",
        "init_module",
        "open_by_handle_at",
        "open_tree",
    ],
)
def test_forbidden_system_calls(attack, number, arguments):
    """By their numbers on x86-64; each must fail with EPERM, EACCES or ENOSYS, and not end the process. User 0 is EINVAL in the
    user namespace of an ordinary user, where there is no such user."""
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86-64")
    done = attack(
        """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        arguments = eval("[" + event["arguments"] + "]")
        result = [libc.syscall(event["number"], *arguments), ctypes.get_errno()]
        """,
        number=number,
        arguments=arguments,
    )
    assert done.error is None, done.body
    answer, error = done.json
    assert answer == -1 and error in (1, 13, 38) or (number, error) == (105, 22), done.json


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("AF_PACKET", "SOCK_RAW"),
        ("AF_NETLINK", "SOCK_RAW"),
        ("AF_VSOCK", "SOCK_STREAM"),
        ("AF_ALG", "SOCK_SEQPACKET"),
        ("AF_BLUETOOTH", "SOCK_RAW"),
        ("AF_INET", "SOCK_RAW"),
    ],
)
def test_odd_sockets(attack, family, kind):
    done = attack(
        """
        try:
            socket.socket(getattr(socket, event["family"]), getattr(socket, event["kind"]))
            result = "made"
        except OSError as error:
            result = error.errno
        """,
        family=family,
        kind=kind,
    )
    # getaddrinfo may need route sockets; they show nothing but the cell's own network.
    assert done.json in (1, 13, 93, 94, 97) or (family, done.json) == ("AF_NETLINK", "made"), done.json


# Network


def test_only_its_own_two_listeners(cell_server, attack):
    with socket.socket() as other, socket.socket(socket.AF_UNIX) as abstract:
        other.bind(("127.0.0.1", 0))
        other.listen()
        abstract.bind("\0" + CANARY)
        abstract.listen()
        hosts = [cell_server.port, other.getsockname()[1]]
        done = attack(
            """
            def attempt(address, family=socket.AF_INET):
                with socket.socket(family) as s:
                    s.settimeout(2)
                    try:
                        s.connect(address)
                        return "connected"
                    except OSError as error:
                        return error.errno or str(error)

            result = [attempt(tuple(address)) for address in event["addresses"]]
            result.append(attempt(event["abstract"], socket.AF_UNIX))
            """,
            addresses=[("127.0.0.1", port) for port in (9001, 4566, *hosts)]
            + [("10.0.0.1", 80), ("169.254.169.254", 80), ("192.0.2.1", 53)],
            abstract="\0" + CANARY,
        )
    assert done.json[:2] == ["connected", "connected"]
    assert all(error in (1, 13, 101, 111, 113) for error in done.json[2:]), done.json


def test_interfaces(attack):
    assert attack("result = open('/proc/net/dev').read().count(':')").json == 1


def test_another_functions_runtime_api_is_out_of_reach(attack, victim):
    """Answers for another function's invocation are refused, and that invocation ends by its own."""
    run = "time.sleep(1.5); print('mine', flush=True)"
    running = victim.invoke({"run": run}, InvocationType="Event").request_id
    time.sleep(0.3)
    done = attack(
        """
        import http.client
        result = []
        for path in ("response", "error"):
            api = http.client.HTTPConnection("127.0.0.1", 9001)
            api.request("POST", f"/2018-06-01/runtime/invocation/{event['id']}/{path}", b"forged")
            answer = api.getresponse()
            result.append([answer.status, json.loads(answer.read())["errorType"]])
        """,
        id=running,
    )
    assert done.json == [[400, "InvalidRequestID"]] * 2
    wait_for(lambda: any(message.startswith("mine") for message in victim.log_messages()))


def test_a_hostile_client_of_the_runtime_api(cell_server, attack, victim):
    """Garbage and connections without end on its own Runtime API: its own environment suffers at most."""
    attack("""
        api = ("127.0.0.1", 9001)
        for _ in range(200):
            socket.create_connection(api, timeout=2).sendall(os.urandom(2000))
        question = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"
        held = []
        try:
            for _ in range(50):
                held.append(socket.create_connection(api, timeout=2))
                held[-1].sendall(question * 100)
            while len(held) < 900:
                held.append(socket.create_connection(api, timeout=2))
        except OSError:
            pass
        """)
    assert cell_server.process.poll() is None and cell_server.is_healthy()
    assert victim.invoke({"run": "result = 2"}).json == 2
    wait_for(lambda: attack("result = 3").json == 3)


# Memory, processes, time


def test_memory_of_children_counts(cell_server, attack):
    done = attack("""
        children = []
        for _ in range(4):
            if (pid := os.fork()) == 0:
                try:
                    hold = b"x" * (600 << 20)
                    time.sleep(2)
                finally:
                    os._exit(0)
            children.append(pid)
        result = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        """)
    assert done.error == "Unhandled" or -9 in done.json, "four times 600 MB do not fit into 1,769"
    assert cell_server.is_healthy()


def test_a_fork_bomb_is_bounded(attack, victim):
    done = attack("""
        made = 0
        try:
            while made < 3000:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                made += 1
        except OSError as error:
            made = [made, error.errno]
        result = made
        """)
    assert done.error == "Unhandled" or isinstance(done.json, list) and done.json[0] <= 1024, done.body
    assert victim.invoke({"run": "result = 4"}).json == 4


def test_open_files_are_bounded(attack):
    made, error = attack("""
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", 0))
        except OSError as error:
            result = [len(held), error.errno]
        """).json
    assert made < 1024 and error == 24


# What is left

# A process that no polite signal ends, in a session of its own.
BACKGROUND = """
script = "trap '' TERM INT HUP; while true; do sleep 1; done"
subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
"""


def processes_with(variable):
    """Processes of this machine whose environment has the variable."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in open(path, "rb").read():
                found.append(int(path.split("/")[2]))
    return found


def control_groups(pid):
    """Those of the server with this process id: their name is martlet-<namespace>-<pid>-<start>."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if re.search(rf"/martlet-\d+-{pid}-", folder)]


def mounts_of(server):
    return [line for line in open("/proc/self/mountinfo") if str(server.data_dir) in line]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see the processes of cells")
def test_background_processes_end_with_their_environment(cell_server, make_function):
    mark = unique("MARK")
    function = make_function(
        RUN, server=cell_server, MemorySize=FAST_MB, Timeout=2, Environment={"Variables": {"MARK": mark}}
    )
    function.invoke({"run": BACKGROUND})
    assert len(processes_with(mark)) >= 2
    function.delete()
    wait_for(lambda: not processes_with(mark), seconds=15)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see the processes of cells")
def test_nothing_outlives_its_timeout(cell_server, make_function):
    """Neither the runtime nor what it has left in sessions of its own, that ignore signals and fork on and on."""
    mark = unique("MARK")
    function = make_function(
        RUN, server=cell_server, MemorySize=FAST_MB, Timeout=3, Environment={"Variables": {"MARK": mark}}
    )
    done = function.invoke(
        {
            "run": """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            open("/tmp/beat", "w").write(str(time.time()))
            time.sleep(0.05)
while True:
    time.sleep(1)
"""
        }
    )
    assert done.json["errorType"] == "Sandbox.Timedout", done.body
    wait_for(lambda: not processes_with(mark), seconds=10)
    beats = "first = open('/tmp/beat').read(); __import__('time').sleep(0.3); result = first == open('/tmp/beat').read()"
    assert function.invoke({"run": beats}).json is True, "what was left went on"


def test_the_disk_of_a_cell_is_bounded(attack):
    """Of /tmp as many bytes and files as it has, whatever the host's disk has."""
    written, files = attack("""
        written = 0
        try:
            with open("/tmp/fill", "wb", buffering=0) as file:
                while written < 4_096:
                    file.write(bytes(1 << 20))
                    written += 1
        except OSError:
            os.unlink("/tmp/fill")
        result = [written, os.statvfs("/tmp").f_files]
        """).json
    assert 500 <= written <= 512 and 0 < files < 200_000


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see the processes of cells")
@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_nothing_is_left_of_a_server(make_server, make_function, how):
    server = make_server()
    pid = server.process.pid
    mark = unique("MARK")
    for _ in range(3):
        function = make_function(RUN, server=server, MemorySize=FAST_MB, Environment={"Variables": {"MARK": mark}})
        function.invoke({"run": BACKGROUND + "\nopen('/tmp/x', 'w').write('x')"})
    assert len(processes_with(mark)) >= 6 and control_groups(pid)
    getattr(server, how)()
    wait_for(lambda: not processes_with(mark), seconds=5)
    assert not mounts_of(server)
    if how == "kill9" and control_groups(pid):
        server.start()  # empty groups may wait for the next start
        server.stop()
    wait_for(lambda: not control_groups(pid), seconds=5)


def test_many_functions_one_after_the_other_leave_nothing(make_server, make_function):
    """Groups, users and memory are given back: fifteen functions in turn, each killed in another way."""
    server = make_server()
    before = None
    for number in range(15):
        function = make_function(RUN, server=server, MemorySize=FAST_MB, Timeout=1)
        function.invoke({"run": ["os._exit(1)", "result = 1", "os.kill(os.getpid(), 9)"][number % 3]})
        function.delete()
        if number == 4:
            wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) < 200)
            before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    wait_for(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before + 5, seconds=10)


# Identity

FORGER = """
import boto3, botocore.exceptions, http.client, os

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def who(**changes):
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    keys = {name: os.environ[name.upper()] for name in names} | changes
    try:
        return boto3.session.Session().client("sts", **keys).get_caller_identity()["Arn"]
    except botocore.exceptions.ClientError as error:
        return [error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]]


def handler(event, context):
    token = os.environ["AWS_SESSION_TOKEN"]
    changed = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    api = http.client.HTTPConnection("127.0.0.1", 4566)
    api.request("POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", FORM)
    unsigned = api.getresponse().status
    return [
        who(),
        who(aws_session_token=changed), who(aws_access_key_id="ASIA" + "A" * 16), who(aws_secret_access_key="no"),
        who(aws_session_token=None), who(**event),
        unsigned,
    ]
"""


def test_an_identity_cannot_be_forged(make_server, make_function):
    """With signatures checked, a function is what its role's session says, and nothing else."""
    root = {"MARTLET_ACCESS_KEY_ID": "test", "MARTLET_SECRET_ACCESS_KEY": "test"}
    server = make_server("--auth", "sigv4", environment=root)
    attacker = make_function(FORGER, server=server, MemorySize=FAST_MB, Timeout=30)
    guess = {"aws_access_key_id": "111122223333", "aws_secret_access_key": "test", "aws_session_token": None}
    own, *refused, unsigned = attacker.invoke(guess).json
    assert own.endswith(f"/{attacker.name}") and ":assumed-role/" in own
    assert len(refused) == 5
    for answer in refused:
        assert isinstance(answer, list) and answer[0] in (401, 403), refused
    assert unsigned in (401, 403)


def test_what_a_function_prints_is_its_own(attack, victim):
    """Log lines that look like the platform's, or like another function's, stay in the printing function's group."""
    attack(
        "print('START RequestId: 00000000-0000-0000-0000-000000000000 Version: $LATEST'); print('REPORT RequestId: x')"
    )
    text = json.dumps(victim.log_messages())
    assert "00000000-0000-0000-0000-000000000000" not in text


def test_claimed_accounts_do_not_count(make_function):
    """A function that names another account, or none, is still itself: its listener says who it is."""
    function = make_function(
        "import boto3, botocore\n"
        "from botocore.config import Config\n"
        "def handler(event, context):\n"
        "    keys = {'aws_access_key_id': '222222222222', 'aws_secret_access_key': 'x', 'aws_session_token': None}\n"
        "    claimed = boto3.session.Session(**keys).client('sts').get_caller_identity()\n"
        "    unsigned = boto3.client('s3', config=Config(signature_version=botocore.UNSIGNED))\n"
        "    return claimed['Account'], claimed['Arn'], unsigned.list_buckets()['ResponseMetadata']['HTTPStatusCode']\n",
        MemorySize=1769,
        Timeout=30,
    )
    account, arn, status = function.invoke().json
    assert (account, status) == ("000000000000", 200)
    assert ":assumed-role/" in arn
