"""The blueprint's numbers, measured on this machine against the release binary.

Medians of several runs, beside the goal; rates also as a ratio to the same load on /_martlet/health, which is the front
door alone, so that a slow or busy machine shows itself. Nothing here fails a build.

    python Benchmarks/bench.py [--quick] [--only "start warm cold"]

What the files of this folder share is here too. Environment: MARTLET_BINARY (default .build/release/martlet),
MARTLET_BENCH_RUNTIME (default python3.11).
"""

import argparse
import io
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("MARTLET_BINARY", ROOT / ".build/release/martlet"))
ROLE = "arn:aws:iam::000000000000:role/bench"
RUNTIME = os.environ.get("MARTLET_BENCH_RUNTIME", "python3.11")
TICKS = os.sysconf("SC_CLK_TCK")


def row(what, measured, goal="-", note=""):
    """One line of the table: what, the number, the goal beside it, and what else is to be known."""
    print(f"{what:<60} {measured:>14}   goal {goal:<12} {note}".rstrip(), flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="martlet-bench-")
        self.port = free_port()
        self.process = None

    def start(self):
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--port", str(self.port), "--data-dir", self.data],
            env={"MARTLET_RUNTIMES": str(ROOT / ".cache/runtimes"), **os.environ},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        request = b"GET /_martlet/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    s.sendall(request)
                    if s.recv(100).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - begin
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - begin > 20:
                    raise SystemExit("the server does not start")
                time.sleep(0.0005)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def memory_mib(self):
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        fields = {l.split(":")[0]: int(l.split()[1]) for l in text.splitlines()[1:]}
        return fields["Rss"] / 1024, fields["Pss"] / 1024

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def client(self, service):
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
            aws_access_key_id="000000000000", aws_secret_access_key="x",
            config=Config(retries={"max_attempts": 0}, read_timeout=60, s3={"addressing_style": "path"}))


def archive_of(name, source):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


def make_function(client, name, source, runtime):
    client.create_function(
        FunctionName=name, Runtime=runtime, Role=ROLE, Handler="main.handler", Code={"ZipFile": archive_of("main.py", source)},
        MemorySize=1769, Timeout=30)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


class Keepalive:
    """One connection that sends the same request again and again: no SDK in the measurement."""

    def __init__(self, port, request=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = request

    def __call__(self):
        self.send(self.request)
        return self.answer()[0]

    def send(self, request):
        self.socket.sendall(request)

    def answer(self):
        """Status and body of the next answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length"))
        while len(body) < length:
            body += self.receive()
        return int(head.split()[1]), body

    def receive(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        return piece


def http(method, path, body=b"", headers=""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n").encode() + body


def invoke_path(name):
    return f"/2015-03-31/functions/{name}/invocations"


def latencies(call, count):
    for _ in range(20):
        assert call() == 200
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def wrk(port, path, clients, seconds, script=None):
    """Requests a second by wrk, and how many it made."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    if script:
        file = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
        file.write(script)
        file.close()
        command += ["-s", file.name]
    text = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60).stdout
    rate = next(float(l.split(":")[1]) for l in text.splitlines() if l.startswith("Requests/sec"))
    total = next(int(l.split()[0]) for l in text.splitlines() if " requests in " in l)
    errors = [l.strip() for l in text.splitlines() if "Non-2xx" in l or "Socket errors" in l]
    return rate, total, "; ".join(errors)


def measure_start(server, runs):
    times = []
    for _ in range(runs):
        times.append(server.start() * 1000)
        # Idle is after the start: 0.3 s later the server gives back the code that only a start needs.
        time.sleep(1)
        rss, pss = server.memory_mib()
        server.stop()
    row("start to first answer, median", f"{statistics.median(times):.1f} ms", "<= 20 ms")
    row("idle memory (resident)", f"{rss:.1f} MiB", "<= 24 MiB", f"proportional {pss:.1f} MiB")


def measure_warm(server, runtime, seconds):
    client = server.client("lambda")
    make_function(client, "hello", "def handler(event, context):\n    return {'ok': True}\n", runtime)
    request = http("POST", invoke_path("hello"), b"{}")
    health_p50, _ = latencies(Keepalive(server.port, http("GET", "/_martlet/health")), 2000)
    cpu, count = server.cpu_seconds(), 3000
    p50, p99 = latencies(Keepalive(server.port, request), count)
    per_invoke = (server.cpu_seconds() - cpu) / (count + 20) * 1e6
    row("warm Python hello, sequential p50", f"{p50:.3f} ms", "<= 0.40 ms", f"p99 {p99:.3f} ms; health p50 {health_p50:.3f} ms")
    row("server CPU per warm invoke, sequential", f"{per_invoke:.0f} us", "<= 110 us")
    health_rate, _, _ = wrk(server.port, "/_martlet/health", 16, seconds)
    script = 'wrk.method = "POST"\nwrk.body = "{}"\n'
    for clients in (1, 4, 16):
        wrk(server.port, invoke_path("hello"), clients, 1, script)
        cpu = server.cpu_seconds()
        rate, total, errors = wrk(server.port, invoke_path("hello"), clients, seconds, script)
        per_invoke = (server.cpu_seconds() - cpu) / max(total, 1) * 1e6
        goal = ">= 4,000 /s" if clients == 4 else "-"
        row(f"warm invokes per second, {clients} clients", f"{rate:,.0f} /s", goal,
            f"server {per_invoke:.0f} us each; {rate / health_rate:.2f} of health ({health_rate:,.0f} /s) {errors}")


def measure_cold(server, runtime, runs):
    client = server.client("lambda")
    for label, source, goal in (
        ("hello", "def handler(event, context):\n    return 1\n", "<= 5 ms"),
        ("importing boto3", "import boto3\ndef handler(event, context):\n    return 1\n", "<= 10 ms"),
    ):
        name = "cold-" + label.split()[-1]
        make_function(client, name, source, runtime)
        call = Keepalive(server.port, http("POST", invoke_path(name), b"{}"))
        times = []
        for run in range(runs):
            client.update_function_configuration(FunctionName=name, Environment={"Variables": {"RUN": str(run)}})
            client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
            begin = time.perf_counter()
            assert call() == 200
            times.append((time.perf_counter() - begin) * 1000)
        row(f"cold start, Python {label}, median", f"{statistics.median(times):.1f} ms", goal, "goal needs stem cells, a later issue")


def run_parts(description, parts):
    """The main of a benchmark: runs its parts, each `part(server, quick)`, with a fresh server for each."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--only", help=f"some of: {' '.join(parts)}")
    options = parser.parse_args()
    unknown = set((options.only or "").split()) - set(parts)
    if unknown:
        parser.error(f"no part {' '.join(sorted(unknown))}; there are {' '.join(parts)}")
    print(f"{BINARY} on {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    for name in (options.only or " ".join(parts)).split():
        server = Server()
        try:
            server.start()
            parts[name](server, options.quick)
        finally:
            if server.process and server.process.poll() is None:
                server.stop()
            shutil.rmtree(server.data, ignore_errors=True)


def warm(server, quick):
    measure_warm(server, RUNTIME, 2 if quick else 6)


def cold(server, quick):
    measure_cold(server, RUNTIME, 5 if quick else 15)


def start(server, quick):
    server.stop()
    measure_start(server, 5 if quick else 15)


if __name__ == "__main__":
    run_parts(__doc__, {"start": start, "warm": warm, "cold": cold})
