"""S3 Object Lambda: large bodies in bounded memory, functions that take too long, functions in Node.js."""

import re

from .functions import FAST_MB
from .lambda_helpers import refused
from .test_s3_object_lambda import Point, names, point, source  # noqa: F401 (fixtures)

MIB = 1 << 20


def peak_mib(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def test_a_hundred_megabytes_pass_through_bounded_memory(make_server, make_function, unique):
    server = make_server()
    function = make_function(source("""
        def handler(event, context):
            def pieces():
                for number in range(100):
                    yield bytes([number]) * (1 << 20)
            respond(event["getObjectContext"], pieces())
    """), server=server, Timeout=60, MemorySize=FAST_MB)
    one = Point(server, unique, function)
    one.s3.put_object(Bucket=one.bucket, Key="k", Body=b"x")
    before = peak_mib(server)
    body = one.get("k")["Body"]
    for number in range(100):
        assert body.read(MIB) == bytes([number]) * MIB
    assert body.read() == b""
    assert peak_mib(server) - before < 48


def test_a_function_that_takes_too_long(server, unique, make_function):
    text = source("""
        def handler(event, context):
            if "headObjectContext" in event or "late" in event["userRequest"]["url"]:
                while True:
                    pass
            respond(event["getObjectContext"], b"in time")
    """)
    one = Point(server, unique, make_function(text, Timeout=1, MemorySize=FAST_MB), actions=["GetObject", "HeadObject"])
    for key in ("late", "k"):
        one.s3.put_object(Bucket=one.bucket, Key=key, Body=b"x")
    late = refused(one.get, key="late")
    assert (late.status, late.code) == (500, "LambdaTimeout")
    assert refused(one.s3.head_object, Bucket=one.alias, Key="k").status == 500
    assert one.get("k")["Body"].read() == b"in time"


NODE = """
import http from "node:http";

export const handler = async (event) => {
  const get = event.getObjectContext;
  const original = await (await fetch(get.inputS3Url)).text();
  const endpoint = new URL(process.env.AWS_ENDPOINT_URL);
  const status = await new Promise((resolve, reject) => {
    const request = http.request({
      host: `${get.outputRoute}.${endpoint.hostname}`, port: endpoint.port, method: "POST", path: "/WriteGetObjectResponse",
      headers: {"x-amz-request-route": get.outputRoute, "x-amz-request-token": get.outputToken,
                "x-amz-fwd-header-Content-Type": "text/node"},
    }, (response) => { response.resume(); response.on("end", () => resolve(response.statusCode)); });
    request.on("error", reject);
    for (const piece of original.split("").reverse()) request.write(piece);
    request.end();
  });
  return {status};
};
"""


def test_a_function_in_nodejs(server, unique, make_function):
    function = make_function(
        files={"index.mjs": NODE}, runtime="nodejs20.x", Timeout=20, MemorySize=FAST_MB)
    one = Point(server, unique, function)
    one.s3.put_object(Bucket=one.bucket, Key="a b/ü", Body=b"abcdef")
    answer = one.get("a b/ü")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"fedcba", "text/node")
