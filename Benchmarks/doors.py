#!/usr/bin/env python3
"""What function URLs and streams cost, against a server of its own.

    make build
    python Benchmarks/doors.py [--quick]

Environment: MARTLET_BINARY (default .build/release/martlet), MARTLET_BENCH_RUNTIME (default python3.11).
"""

import argparse
import os
import shutil
import socket
import time

from bench import BINARY, Keepalive, Server, http, invoke_path, make_function, row

STREAM = r"""
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
    const ask = JSON.parse(event.body);
    const piece = Buffer.alloc(ask.piece, 'x');
    for (let left = ask.bytes; left > 0; left -= ask.piece) {
        if (!stream.write(piece)) await new Promise((resolve) => stream.once('drain', resolve));
    }
    stream.end();
});
"""


def make_url(client, name, **parameters):
    """The path of a public URL of the function."""
    config = client.create_function_url_config(FunctionName=name, AuthType="NONE", **parameters)
    client.add_permission(
        FunctionName=name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE")
    client.add_permission(
        FunctionName=name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True)
    return "/_aws/lambda-url/" + config["FunctionUrl"].split("/")[2].split(".")[0] + "/"


def p50(times):
    return sorted(times)[len(times) // 2] * 1000


def measure_url(server, runtime, count):
    """Both by turns, so that a busy machine slows both."""
    client = server.client("lambda")
    make_function(client, "hello", "def handler(event, context):\n    return {'ok': True}\n", runtime)
    path = make_url(client, "hello")
    direct = Keepalive(server.port, http("POST", invoke_path("hello"), b"{}"))
    url = Keepalive(server.port, http("GET", path))
    times = ([], [])
    for _ in range(50):
        assert direct() == 200 and url() == 200
    for _ in range(count):
        for call, into in ((direct, times[0]), (url, times[1])):
            begin = time.perf_counter()
            call()
            into.append(time.perf_counter() - begin)
    before, after = p50(times[0]), p50(times[1])
    row("warm invoke, p50", f"{before:.3f} ms", "", "sequential, with the next row by turns")
    row("through a function URL, p50", f"{after:.3f} ms", f"+{after - before:.3f}", "goal: at most 0.1 ms more")
    begin, cpu = time.perf_counter(), server.cpu_seconds()
    for _ in range(count):
        url()
    used = server.cpu_seconds() - cpu
    row("server CPU per URL request", f"{used / count * 1e6:.0f} us", "")
    row("URL requests/s, sequential", f"{count / (time.perf_counter() - begin):.0f}", "")


def measure_stream(server, megabytes, piece):
    client = server.client("lambda")
    name = f"stream{piece}"
    import bench
    client.create_function(
        FunctionName=name, Runtime="nodejs20.x", Role=bench.ROLE, Handler="index.handler",
        Code={"ZipFile": js_zip(STREAM)}, MemorySize=1769, Timeout=60)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    path = make_url(client, name, InvokeMode="RESPONSE_STREAM")

    def fetch(size):
        body = b'{"bytes":%d,"piece":%d}' % (size, piece)
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
            begin = time.perf_counter()
            connection.sendall(http("POST", path, body, "Connection: close\r\n"))
            data = connection.recv(1 << 20)
            first = time.perf_counter() - begin
            count = len(data)
            while data:
                data = connection.recv(1 << 20)
                count += len(data)
            assert count >= size, (count, size)
            return first, time.perf_counter() - begin

    fetch(1000)
    row(f"first byte of a stream ({piece >> 10} KiB pieces), p50",
        f"{p50([fetch(10 * piece)[0] for _ in range(50)]):.2f} ms", "")
    cpu = server.cpu_seconds()
    seconds = min(fetch(megabytes << 20)[1] for _ in range(3))
    used = server.cpu_seconds() - cpu
    row(f"{megabytes} MB stream", f"{megabytes / seconds:.0f} MB/s", "", f"server CPU {used / 3 * 1000:.0f} ms each")
    row("server memory after it", f"{server.memory_mib()[0]:.0f} MiB", "")


def js_zip(source):
    import io
    import zipfile
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.js", source)
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    options = parser.parse_args()
    runtime = os.environ.get("MARTLET_BENCH_RUNTIME", "python3.11")
    print(f"{BINARY} on {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    server = Server()
    try:
        server.start()
        measure_url(server, runtime, 500 if options.quick else 3000)
        for piece in (64 << 10, 4 << 10):
            measure_stream(server, 100, piece)
    finally:
        if server.process and server.process.poll() is None:
            server.stop()
        shutil.rmtree(server.data, ignore_errors=True)


if __name__ == "__main__":
    main()
