"""Hostile functions in cells of the real server: what they must not see, reach, exceed, or leave behind."""

import contextlib
import glob
import json
import os
import re
import socket
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
    """`attack("result = 1").json`: runs Python in a cell of the module's server."""
    function = make_function(RUN, server=cell_server, MemorySize=FAST_MB, Timeout=20, Environment={"Variables": {"OWNER": "attacker"}})

    def run(text, **parameters):
        done = function.invoke({"run": text}, **parameters)
        return done

    run.function = function
    return run


@pytest.fixture
def victim(cell_server, make_function):
    """Another function of the same account, that holds a secret in its code, memory, environment and /tmp."""
    function = make_function(
        files={"index.py": RUN, "secret.txt": CANARY}, server=cell_server, MemorySize=FAST_MB, Timeout=20,
        Environment={"Variables": {"SECRET": CANARY}},
    )
    function.invoke({"run": f"open('/tmp/secret', 'w').write({CANARY!r}); import builtins; builtins.secret = {CANARY!r}"})
    return function


# Files


def test_no_file_of_the_server_or_of_others(cell_server, attack, victim):
    done = attack(
        "found = []\n"
        "for folder, folders, files in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if os.path.join(folder, f) not in ('/proc', '/sys', '/dev', '/usr', '/lib', '/lib64', '/bin', '/sbin', '/var/runtime')]\n"
        "    for file in files:\n"
        "        path = os.path.join(folder, file)\n"
        "        if file in ('server.key', 'credentials', 'secret', 'secret.txt', 'shadow') or file.startswith('martlet.'): found.append(path)\n"
        "        try:\n"
        f"            if os.path.getsize(path) < 1_000_000 and {CANARY!r}.encode() in open(path, 'rb').read(): found.append('canary in ' + path)\n"
        "        except OSError: pass\n"
        f"opened = []\n"
        f"for path in ({str(cell_server.data_dir)!r}, {str(cell_server.data_dir)!r} + '/server.key', '/etc/shadow', '/root', '/home', '/proc/1/root', '/proc/1/cwd', '/dev/mem', '/dev/kmsg', '/dev/sda', '/sys/kernel'):\n"
        "    try: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1); opened.append(path)\n"
        "    except OSError: pass\n"
        "result = [found, opened]"
    )
    assert done.error is None, done.body
    found, opened = done.json
    assert found == []
    # /root and /home may be there, empty, and pid 1 of the cell may show the cell's own root; but nothing of the host's.
    assert not set(opened) - {"/root", "/home", "/proc/1/root", "/proc/1/cwd"}


def test_nothing_can_be_written_but_tmp(attack):
    writable = attack(
        "result = []\n"
        "for folder, folders, files in os.walk('/'):\n"
        "    if folder.startswith('/proc'): folders[:] = []; continue\n"
        "    try:\n"
        "        path = os.path.join(folder, '.try'); open(path, 'w').close(); os.unlink(path); result.append(folder)\n"
        "    except OSError: pass\n"
    ).json
    assert set(writable) <= {"/tmp", "/dev/shm"}, writable
    assert "/tmp" in writable


def test_code_cannot_be_changed(attack):
    assert attack("os.chmod('/var/task/index.py', 0o777)").json["errorType"] in ("OSError", "PermissionError")
    assert attack("os.rename('/var/task/index.py', '/var/task/x')").json["errorType"] in ("OSError", "PermissionError")


def test_limits_of_shared_memory_and_devices(attack):
    devices = attack("result = sorted(os.listdir('/dev'))").json
    assert set(devices) <= {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "shm", "pts", "ptmx", "mqueue"}
    written = attack(
        "written = 0\n"
        "try:\n"
        "    with open('/dev/shm/fill', 'wb', buffering=0) as file:\n"
        "        while written < 3_000: file.write(bytes(1 << 20)); written += 1\n"
        "except OSError: pass\n"
        "result = written"
    )
    assert written.error is not None or written.json < FAST_MB


# Processes


def test_only_its_own_processes(cell_server, attack, victim):
    done = attack(
        "pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "seen = []\n"
        "for pid in pids:\n"
        "    for what in ('environ', 'cmdline', 'maps'):\n"
        "        try: seen.append(open(f'/proc/{pid}/{what}', 'rb').read().decode('latin-1'))\n"
        "        except OSError: pass\n"
        "result = [len(pids), os.getpid(), chr(10).join(seen)]"
    )
    count, pid, seen = done.json
    assert count <= 4 and pid < 100
    assert CANARY not in seen and str(cell_server.data_dir) not in seen


def test_signals_stay_inside(cell_server, attack, victim):
    done = attack("os.kill(-1, 9)")
    assert done.error == "Unhandled" or done.error is None
    assert attack("os.kill(1, 9); time.sleep(0.1); result = 'still here'").body in (b'"still here"',) or cell_server.is_healthy()
    for pid in (cell_server.process.pid, os.getpid()):
        assert attack(f"os.kill({pid}, 0)").json["errorType"] in ("ProcessLookupError", "PermissionError")
    assert cell_server.process.poll() is None and cell_server.is_healthy()
    assert victim.invoke({"run": "result = 1"}).json == 1


def test_no_privileges(attack):
    status = attack("result = open('/proc/self/status').read()").json
    assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^CapBnd:\s+0+$", status, re.M) and re.search(r"^CapAmb:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert re.search(r"^Uid:\s+[1-9]", status, re.M)


@pytest.mark.parametrize(
    ("number", "arguments"),
    [(165, "b'none', b'/tmp', b'tmpfs', 0, 0"), (272, "0x10000000"), (272, "0x40000000"), (272, "0x20000"), (308, "0, 0"), (101, "0, 0, 0, 0"),
     (321, "0, 0, 0"), (298, "0, 0, 0, 0, 0"), (323, "0"), (425, "8, b'0' * 120"), (310, "1, 0, 0, 0, 0, 0"), (250, "0, 0"), (248, "b'user', b'x', 0, 0, -3"),
     (246, "0, 0, 0, 0"), (169, "0xfee1dead, 672274793, 0"), (155, "b'/tmp', b'/tmp'"), (161, "b'/tmp'"), (105, "0"), (175, "0, 0, b''"), (304, "0, 0, 0"), (428, "-100, b'/', 1")],
    ids=["mount", "unshare user", "unshare net", "unshare mount", "setns", "ptrace", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "process_vm_readv",
         "keyctl", "add_key", "kexec_load", "reboot", "pivot_root", "chroot", "setuid 0", "init_module", "open_by_handle_at", "open_tree"],
)
def test_forbidden_system_calls(attack, number, arguments):
    """By their numbers on x86-64; each must fail with EPERM, EACCES or ENOSYS, and not end the process."""
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86-64")
    done = attack(f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nanswer = libc.syscall({number}, {arguments})\nresult = [answer, ctypes.get_errno()]")
    assert done.error is None, done.body
    answer, error = done.json
    assert answer == -1 and error in (1, 13, 38), done.json


@pytest.mark.parametrize("family", ["AF_PACKET", "AF_NETLINK", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH"])
def test_odd_sockets(attack, family):
    done = attack(
        f"try:\n    kind = socket.SOCK_RAW if {family!r} in ('AF_PACKET', 'AF_NETLINK', 'AF_BLUETOOTH') else socket.SOCK_STREAM\n"
        f"    s = socket.socket(getattr(socket, {family!r}), kind if {family!r} != 'AF_ALG' else socket.SOCK_SEQPACKET)\n    result = 'made'\nexcept OSError as e: result = e.errno"
    )
    if family == "AF_NETLINK":  # getaddrinfo may need route sockets; they show the cell's own network only
        assert done.json in ("made", 1, 13, 93, 97)
    else:
        assert done.json in (1, 13, 93, 94, 97), done.json


# Network


def test_only_its_own_two_listeners(cell_server, attack):
    with socket.socket() as other, socket.socket(socket.AF_UNIX) as abstract:
        other.bind(("127.0.0.1", 0))
        other.listen()
        abstract.bind("\0" + CANARY)
        abstract.listen()
        done = attack(
            "def attempt(address, family=socket.AF_INET):\n"
            "    s = socket.socket(family); s.settimeout(2)\n"
            "    try: s.connect(address); return 'connected'\n"
            "    except OSError as e: return e.errno or str(e)\n"
            f"result = [attempt(a) for a in [('127.0.0.1', 9001), ('127.0.0.1', 4566), ('127.0.0.1', {cell_server.port}), ('127.0.0.1', {other.getsockname()[1]}),"
            " ('10.0.0.1', 80), ('169.254.169.254', 80), ('192.0.2.1', 53)]]\n"
            f"result.append(attempt(chr(0) + {CANARY!r}, socket.AF_UNIX))"
        )
        mine = [done.json[0], done.json[1]]
        foreign = done.json[2:]
    assert mine == ["connected"] * 2
    assert all(error in (101, 111, 113, 1, 13) for error in foreign), foreign


def test_interfaces(attack):
    assert attack("result = open('/proc/net/dev').read().count(':')").json == 1


def test_another_functions_runtime_api_is_out_of_reach(attack, victim):
    """Answers for another function's invocation are refused, and that invocation ends by its own."""
    running = victim.invoke({"run": "time.sleep(1.5); print('mine', flush=True)"}, InvocationType="Event").request_id
    time.sleep(0.3)
    done = attack(
        "import http.client\n"
        "answers = []\n"
        "for path in ('response', 'error'):\n"
        "    api = http.client.HTTPConnection('127.0.0.1', 9001)\n"
        f"    api.request('POST', '/2018-06-01/runtime/invocation/{running}/' + path, b'forged')\n"
        "    answer = api.getresponse(); answers.append([answer.status, json.loads(answer.read())['errorType']])\n"
        "result = answers"
    )
    assert done.json == [[400, "InvalidRequestID"]] * 2
    wait_for(lambda: any(m.startswith("mine") for m in victim.log_messages()))


def test_a_hostile_client_of_the_runtime_api(cell_server, attack, victim):
    """Garbage and connections without end on its own Runtime API: its own environment suffers at most."""
    attack(
        "for _ in range(200):\n"
        "    s = socket.create_connection(('127.0.0.1', 9001)); s.sendall(os.urandom(2000))\n"
        "for _ in range(50):\n"
        "    s = socket.create_connection(('127.0.0.1', 9001)); s.sendall(b'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' * 100)\n"
        "held = []\n"
        "try:\n"
        "    while len(held) < 900: held.append(socket.create_connection(('127.0.0.1', 9001), timeout=2))\n"
        "except OSError: pass\n"
    )
    assert cell_server.process.poll() is None and cell_server.is_healthy()
    assert victim.invoke({"run": "result = 2"}).json == 2
    assert attack("result = 3").json == 3 or attack("result = 3").json == 3


# Memory, processes, time


def test_memory_of_children_counts(cell_server, attack):
    done = attack(
        "children = []\n"
        "for _ in range(4):\n"
        "    if (pid := os.fork()) == 0:\n"
        "        try: hold = bytearray(b'x' * (800 << 20)); time.sleep(3)\n"
        "        finally: os._exit(0)\n"
        "    children.append(pid)\n"
        "result = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]"
    )
    assert done.error == "Unhandled" or -9 in done.json, "four times 800 MB do not fit into 1,769"
    assert cell_server.is_healthy()


def test_a_fork_bomb_is_bounded(cell_server, attack, victim):
    done = attack(
        "made = 0\n"
        "try:\n"
        "    while made < 3000:\n"
        "        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "        made += 1\n"
        "except OSError as error: made = [made, error.errno]\n"
        "result = made"
    )
    assert done.error == "Unhandled" or isinstance(done.json, list) and done.json[0] <= 1024, done.body
    assert victim.invoke({"run": "result = 4"}).json == 4


def test_open_files_are_bounded(attack):
    made, error = attack(
        "held = []\n"
        "try:\n"
        "    while True: held.append(os.open('/dev/null', 0))\n"
        "except OSError as e: result = [len(held), e.errno]"
    ).json
    assert made < 1024 and error == 24


# What is left


def processes_with(variable):
    """Processes of this machine whose environment has the variable."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in open(path, "rb").read():
                found.append(int(path.split("/")[2]))
    return found


def control_groups():
    # Only folders: the files in them come and go with every reading.
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "martlet" in folder}


def mounts_of(server):
    return [line for line in open("/proc/self/mountinfo") if str(server.data_dir) in line or "martlet" in line]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see the processes of cells")
def test_background_processes_end_with_their_environment(cell_server, make_function):
    mark = unique("MARK")
    function = make_function(RUN, server=cell_server, MemorySize=FAST_MB, Timeout=2, Environment={"Variables": {"MARK": mark}})
    start = "subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM INT HUP; while true; do sleep 1; done'], start_new_session=True)"
    function.invoke({"run": start})
    assert len(processes_with(mark)) >= 2
    function.delete()
    wait_for(lambda: not processes_with(mark), seconds=15)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see the processes of cells")
@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_nothing_is_left_of_a_server(make_server, make_function, how):
    before = control_groups()
    server = make_server()
    mark = unique("MARK")
    for number in range(3):
        function = make_function(RUN, server=server, MemorySize=FAST_MB, Environment={"Variables": {"MARK": mark}})
        function.invoke({"run": "subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM; sleep 100'], start_new_session=True); open('/tmp/x', 'w').write('x')"})
    assert len(processes_with(mark)) >= 6 and control_groups() - before
    getattr(server, how)()
    wait_for(lambda: not processes_with(mark), seconds=5)
    assert not mounts_of(server)
    if how == "kill9" and control_groups() - before:
        server.start()  # empty groups may wait for the next start
        server.stop()
    wait_for(lambda: not control_groups() - before, seconds=5)


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


def test_an_identity_cannot_be_forged(make_server, make_function):
    """With signatures checked, a function is what its role's session says, and nothing else."""
    server = make_server("--auth", "sigv4", environment={"MARTLET_ACCESS_KEY_ID": "test", "MARTLET_SECRET_ACCESS_KEY": "test"})
    attacker = make_function(
        "import boto3, botocore.exceptions, os, http.client\n"
        "def who(**changes):\n"
        "    keys = dict(aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key=os.environ['AWS_SECRET_ACCESS_KEY'], aws_session_token=os.environ['AWS_SESSION_TOKEN'])\n"
        "    try: return boto3.session.Session().client('sts', **{**keys, **changes}).get_caller_identity()['Arn']\n"
        "    except botocore.exceptions.ClientError as error: return [error.response['ResponseMetadata']['HTTPStatusCode'], error.response['Error']['Code']]\n"
        "def handler(event, context):\n"
        "    token = os.environ['AWS_SESSION_TOKEN']\n"
        "    swapped = token[:40] + ('A' if token[40] != 'A' else 'B') + token[41:]\n"
        "    api = http.client.HTTPConnection('127.0.0.1', 4566); api.request('POST', '/', 'Action=GetCallerIdentity&Version=2011-06-15', {'Content-Type': 'application/x-www-form-urlencoded'})\n"
        "    return [who(), who(aws_session_token=swapped), who(aws_access_key_id='ASIAAAAAAAAAAAAAAAAA'), who(aws_secret_access_key='wrong'), who(aws_session_token=None), who(**event), api.getresponse().status]\n",
        server=server, MemorySize=FAST_MB, Timeout=30,
    )
    own, swapped, other_key, wrong_secret, no_token, guessed, unsigned = attacker.invoke(
        {"aws_access_key_id": "111122223333", "aws_secret_access_key": "test", "aws_session_token": None}
    ).json
    assert own.endswith(f"/{attacker.name}") and ":assumed-role/" in own
    for refused in (swapped, other_key, wrong_secret, no_token, guessed):
        assert isinstance(refused, list) and refused[0] in (401, 403), refused
    assert unsigned in (401, 403)


def test_what_a_function_prints_is_its_own(attack, victim):
    """Log lines that look like the platform's, or like another function's, stay in the printing function's group."""
    attack("print('START RequestId: 00000000-0000-0000-0000-000000000000 Version: $LATEST'); print('REPORT RequestId: x')")
    text = json.dumps(victim.log_messages())
    assert "00000000-0000-0000-0000-000000000000" not in text
