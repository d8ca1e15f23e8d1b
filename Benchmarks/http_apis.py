"""What an API adds to an invoke: p50 of a warm function through `Invoke`, through `$default` of an HTTP API and through a REST API, on
one connection each, taken in turns so that a busy machine is busy for all. Goal: 0.1 ms.

    python Benchmarks/http_apis.py [--quick] [COUNT]
"""

import argparse
import http.client
import io
import json
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Conformance.harness import ACCOUNT, Server, default_python  # noqa: E402

CODE = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"


def main(count):
    with tempfile.TemporaryDirectory(prefix="martlet-bench-") as directory:
        server = Server(Path(directory) / "data").start()
        try:
            measure(server, count)
        finally:
            server.stop()


def measure(server, count):
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", CODE)
    functions, gateway = server.client("lambda"), server.client("apigatewayv2")
    arn = functions.create_function(
        FunctionName="bench", Runtime=default_python(), Role=f"arn:aws:iam::{ACCOUNT}:role/bench",
        Handler="index.handler", MemorySize=1769, Code={"ZipFile": package.getvalue()},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName="bench", WaiterConfig={"Delay": 0.1})
    functions.add_permission(
        FunctionName="bench", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
    api = gateway.create_api(Name="bench", ProtocolType="HTTP", Target=arn)["ApiId"]
    rest = rest_api(server, arn)
    # The event that the API makes, so that both invokes carry the same bytes.
    event = json.dumps({"version": "2.0", "filler": "x" * 900})
    invoke = {"path": "/2015-03-31/functions/bench/invocations", "method": "POST", "body": event, "host": None}
    door = {"path": "/any", "method": "GET", "body": None, "host": f"{api}.execute-api.localhost"}
    old = {"path": "/prod/any", "method": "GET", "body": None, "host": f"{rest}.execute-api.localhost"}
    times = {"invoke": [], "HTTP API": [], "REST API": []}
    connections = {name: http.client.HTTPConnection("127.0.0.1", server.port) for name in times}
    for index in range(count + 200):
        for name, request in (("invoke", invoke), ("HTTP API", door), ("REST API", old)):
            connection = connections[name]
            headers = {"Host": request["host"]} if request["host"] else {}
            begin = time.perf_counter()
            connection.request(request["method"], request["path"], request["body"], headers)
            response = connection.getresponse()
            body = response.read()
            elapsed = time.perf_counter() - begin
            assert response.status == 200, body
            if index >= 200:
                times[name].append(elapsed * 1000)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:<8} p50 {median:.3f} ms")
    for name in ("HTTP API", "REST API"):
        print(f"added by {name}: p50 {medians[name] - medians['invoke']:.3f} ms   goal 0.1")


def rest_api(server, arn):
    """One with the function behind everything, deployed to `prod`."""
    gateway = server.client("apigateway")
    made = gateway.create_rest_api(name="bench")
    place = dict(restApiId=made["id"], httpMethod="ANY")
    place["resourceId"] = gateway.create_resource(
        restApiId=made["id"], parentId=made["rootResourceId"], pathPart="{proxy+}")["id"]
    gateway.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=made["id"], stageName="prod")
    return made["id"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    parser.add_argument("count", nargs="?", type=int, help="calls each way")
    options = parser.parse_args()
    main(options.count or (500 if options.quick else 2000))
