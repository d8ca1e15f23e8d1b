"""The doors of users' own HTTP, measured on this machine against the release binary: what a function URL, an HTTP API and a REST API
add to an invoke, how many requests a second they take, and streams.

    python Benchmarks/doors.py [--quick] [--only "added rates stream"]

The client of the rates is one thread of wrk; where it uses a processor up, its line says so: the number is the client's then.
"""

import json
import os
import resource
import socket
import time

from bench import (
    ROLE, RUNTIME, Keepalive, archive_of, http, invoke_path, make_function, row, run_parts, wrk)

# As many as this machine has processors.
LOOPS = os.cpu_count()

HOOK = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"

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


def http_api(server, arn):
    """The host of one with the function behind everything."""
    made = server.client("apigatewayv2").create_api(Name="bench", ProtocolType="HTTP", Target=arn)
    return f"{made['ApiId']}.execute-api.localhost"


def rest_api(server, arn):
    """The host of one with the function behind everything, deployed to `prod`."""
    gateway = server.client("apigateway")
    made = gateway.create_rest_api(name="bench")
    place = dict(restApiId=made["id"], httpMethod="ANY")
    place["resourceId"] = gateway.create_resource(
        restApiId=made["id"], parentId=made["rootResourceId"], pathPart="{proxy+}")["id"]
    gateway.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=made["id"], stageName="prod")
    return f"{made['id']}.execute-api.localhost"


def doors(server):
    """Host and path of each door to one function; the event of an invoke is as large as a door's."""
    client = server.client("lambda")
    make_function(client, "hook", HOOK, RUNTIME)
    arn = client.get_function(FunctionName="hook")["Configuration"]["FunctionArn"]
    client.add_permission(
        FunctionName="hook", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
    return {
        "Invoke": ("localhost", invoke_path("hook"), json.dumps({"version": "2.0", "filler": "x" * 900})),
        "function URL": ("localhost", make_url(client, "hook"), None),
        "HTTP API": (http_api(server, arn), "/any", None),
        "REST API": (rest_api(server, arn), "/prod/any", None),
    }


def p50(times):
    return sorted(times)[len(times) // 2] * 1000


def added(server, quick):
    """All by turns, so that a busy machine slows all. Connections go round the server's event loops, and a request whose function's
    cell is on the other loop pays for two wake-ups; so that this is not taken for a door's, each door has a connection on each loop."""
    calls, times = [], {}
    for name, (host, path, body) in doors(server).items():
        request = http("POST" if body else "GET", path, (body or "").encode())
        for _ in range(LOOPS):
            call = Keepalive(server.port, request.replace(b"Host: localhost", f"Host: {host}".encode()))
            calls.append((name, len(calls), call))
    for name, number, call in calls:
        times[name, number] = []
        for _ in range(50):
            assert call() == 200
    for _ in range(500 if quick else 3000):
        for name, number, call in calls:
            begin = time.perf_counter()
            call()
            times[name, number].append(time.perf_counter() - begin)
    medians = {name: [p50(times[key]) for key in times if key[0] == name] for name, _, _ in calls}
    mean = {name: sum(each) / LOOPS for name, each in medians.items()}
    for name, each in medians.items():
        detail = ", ".join(f"{one:.3f}" for one in each) + " ms on the loops"
        if name == "Invoke":
            row("warm invoke of the same event, p50", f"{mean[name]:.3f} ms", "-", detail)
        else:
            row(f"added by a {name}, p50", f"{mean[name] - mean['Invoke']:.3f} ms", "<= 0.1 ms", detail)


def rates(server, quick):
    seconds = 2 if quick else 6
    found = doors(server)
    # As many environments as there will be connections: what the first door measured would be their cold starts.
    wrk(server.port, found["function URL"][1], 64, 10)
    for name, (host, path, body) in found.items():
        script = f'wrk.headers["Host"] = "{host}"\n' + (f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n' if body else "")
        for clients in (8, 64):
            wrk(server.port, path, clients, 1, script)
            cpu, own = server.cpu_seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
            rate, total, errors = wrk(server.port, path, clients, seconds, script)
            used, after = server.cpu_seconds() - cpu, resource.getrusage(resource.RUSAGE_CHILDREN)
            client = (after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime) / seconds
            limit = "; the client is the limit" if client > 0.9 else ""
            row(f"{name}, {clients} connections", f"{rate:,.0f} /s", "-",
                f"server {used / max(total, 1) * 1e6:.0f} us each; client {client * 100:.0f} % of a processor{limit} {errors}")


def stream(server, quick):
    for piece in (64 << 10, 4 << 10):
        measure_stream(server, 100, piece, 20 if quick else 50)


def measure_stream(server, megabytes, piece, runs):
    client = server.client("lambda")
    name = f"stream{piece}"
    client.create_function(
        FunctionName=name, Runtime="nodejs20.x", Role=ROLE, Handler="index.handler",
        Code={"ZipFile": archive_of("index.js", STREAM)}, MemorySize=1769, Timeout=60)
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
    pieces = f"pieces of {piece >> 10} KiB"
    row(f"first byte of a stream, {pieces}, p50", f"{p50([fetch(10 * piece)[0] for _ in range(runs)]):.2f} ms", "-",
        "of 10 pieces")
    fetches, cpu = 3, server.cpu_seconds()
    times = [fetch(megabytes << 20) for _ in range(fetches)]
    used = (server.cpu_seconds() - cpu) / fetches
    seconds = min(total for _, total in times)
    row(f"stream of {megabytes} MiB, {pieces}", f"{(megabytes << 20) / 1e6 / seconds:,.0f} MB/s", "-",
        f"first byte {min(first for first, _ in times) * 1000:.2f} ms; server CPU {used * 1000:.0f} ms; "
        f"memory then {server.memory_mib()[0]:.0f} MiB")


if __name__ == "__main__":
    run_parts(__doc__, {"added": added, "rates": rates, "stream": stream})
