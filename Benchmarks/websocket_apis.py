"""What WebSockets cost, measured on this machine against the release binary: memory of the server for each of 1,000 idle
connections (and of plain HTTP), and round trips a second of messages that a function answers with its route response.

    python Benchmarks/websocket_apis.py [--quick] [--only "idle trips"]
"""

import socket
import statistics
import sys
import threading
import time
from pathlib import Path

from bench import RUNTIME, Keepalive, http, make_function, row, run_parts

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Conformance.socket_apis import frame, handshake  # noqa: E402

CODE = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"
IDLE = 1000
STAGE = "prod"


def make_api(server):
    """The host of a WebSocket API with a function behind $default, which answers its clients."""
    functions, gateway = server.client("lambda"), server.client("apigatewayv2")
    make_function(functions, "bench", CODE, RUNTIME)
    arn = functions.get_function(FunctionName="bench")["Configuration"]["FunctionArn"]
    functions.add_permission(
        FunctionName="bench", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
    api = gateway.create_api(
        Name="bench", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")["ApiId"]
    integration = gateway.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn)["IntegrationId"]
    route = gateway.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")["RouteId"]
    gateway.create_route_response(ApiId=api, RouteId=route, RouteResponseKey="$default")
    gateway.create_stage(ApiId=api, StageName=STAGE)
    gateway.create_deployment(ApiId=api, StageName=STAGE)
    return f"{api}.execute-api.localhost"


def opened(server, host):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(handshake(f"/{STAGE}", host))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return connection


def idle(server, quick):
    host = make_api(server)
    # Until the code that only a start needs is given back: pages of code are no memory of connections.
    time.sleep(1)

    def plain():
        call = Keepalive(server.port, http("GET", "/_martlet/health"))
        assert call() == 200
        return call.socket

    for what, goal, connect in (
        ("WebSocket", "<= 16 KiB", lambda: opened(server, host)), ("HTTP connection", "-", plain)
    ):
        # What the first ones need once.
        for connection in [connect() for _ in range(50)]:
            connection.close()
        time.sleep(0.5)
        before = server.memory_mib()[0]
        connections = [connect() for _ in range(IDLE)]
        time.sleep(0.5)
        row(f"memory of an idle {what} ({IDLE:,} of them)", f"{(server.memory_mib()[0] - before) / IDLE * 1024:.1f} KiB", goal)
        for connection in connections:
            connection.close()
        time.sleep(0.5)


def trips(server, quick):
    host, seconds = make_api(server), 1.5 if quick else 5
    message = frame(1, b'{"text": "hello"}')
    opened(server, host).close()
    for count in (1, 8):
        times, end = [], time.perf_counter() + seconds

        def talk():
            connection = opened(server, host)
            mine = []
            while time.perf_counter() < end:
                begin = time.perf_counter()
                connection.sendall(message)
                assert connection.recv(4, socket.MSG_WAITALL) == b"\x81\x02ok"
                mine.append(time.perf_counter() - begin)
            connection.close()
            times.extend(mine)

        threads = [threading.Thread(target=talk) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        row(f"WebSocket round trips, {count} connections (Python)", f"{len(times) / seconds:,.0f} /s", "-",
            f"p50 {statistics.median(times) * 1000:.2f} ms")


if __name__ == "__main__":
    run_parts(__doc__, {"idle": idle, "trips": trips})
