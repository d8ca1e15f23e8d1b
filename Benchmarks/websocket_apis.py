"""What WebSockets cost: memory of the server for each of 1,000 idle connections, and round trips a second of messages that a function
answers with its route response, on one connection and on eight. Goal: 16 KiB.

    python Benchmarks/websocket_apis.py [--quick]
"""

import argparse
import gc
import io
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Conformance.harness import ACCOUNT, Function, Server, default_python  # noqa: E402
from Conformance.socket_apis import SocketApi, frame  # noqa: E402

CODE = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"
IDLE = 1000
WAITALL = 0x100


def main(seconds):
    with tempfile.TemporaryDirectory(prefix="martlet-bench-") as directory:
        server = Server(Path(directory) / "data").start()
        try:
            package = io.BytesIO()
            with zipfile.ZipFile(package, "w") as archive:
                archive.writestr("index.py", CODE)
            made = server.client("lambda").create_function(
                FunctionName="bench", Runtime=default_python(), Role=f"arn:aws:iam::{ACCOUNT}:role/bench",
                Handler="index.handler", MemorySize=1769, Code={"ZipFile": package.getvalue()})
            api = SocketApi(
                server, "bench", Function(server, made).wait(), routes=["$default"], responds=["$default"])
            memory(server, api)
            for count in (1, 8):
                round_trips(api, count, seconds)
        finally:
            server.stop()


def resident(server):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no memory")


def opened(api):
    raw = api.raw()
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return raw


def memory(server, api):
    # What the first connections need once.
    for raw in [opened(api) for _ in range(20)]:
        raw.close()
    time.sleep(0.5)
    before = resident(server)
    idle = [opened(api) for _ in range(IDLE)]
    time.sleep(0.5)
    each = (resident(server) - before) / IDLE / 1024
    print(f"idle connection  {each:.1f} KiB   goal 16")
    for raw in idle:
        raw.close()
    gc.collect()


def round_trips(api, count, seconds):
    message = frame(1, b'{"text": "hello"}')
    times, end = [], time.perf_counter() + seconds

    def talk():
        raw = opened(api)
        mine = []
        while time.perf_counter() < end:
            begin = time.perf_counter()
            raw.sendall(message)
            assert raw.recv(4, WAITALL) == b"\x81\x02ok"
            mine.append(time.perf_counter() - begin)
        raw.close()
        times.extend(mine)

    opened(api).close()
    threads = [threading.Thread(target=talk) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    median = statistics.median(times) * 1000
    print(f"{count} connection(s)  {len(times) / seconds:.0f} round trips/s   p50 {median:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter")
    main(1.5 if parser.parse_args().quick else 5)
