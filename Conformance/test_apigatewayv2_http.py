"""HTTP APIs as their callers see them: events key by key, answers, routes, stages, CORS, throttles, logs, HTTP backends."""

import base64
import http.server
import json
import socket
import threading

import pytest

from .harness import ACCOUNT, REGION, wait_for
from .http_apis import ECHO, PUPPET, Api, send, simple_api


@pytest.fixture(scope="module")
def functions(server):
    """Two functions that the tests of this file share."""
    made = {}
    for name, source in (("echo", ECHO), ("puppet", PUPPET)):
        made[name] = deploy(server, f"http-api-{name}", source)
    yield made
    for function in made.values():
        function.delete()


def deploy(server, name, source):
    from .functions import FAST_MB
    from .harness import Function, default_python, unique, zip_bytes

    client = server.client("lambda")
    role = f"arn:aws:iam::{ACCOUNT}:role/http-api"
    iam = server.client("iam")
    try:
        iam.create_role(
            RoleName="http-api",
            AssumeRolePolicyDocument=json.dumps({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
                }],
            }),
        )
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    configuration = client.create_function(
        FunctionName=unique(name), Runtime=default_python(), Role=role, Handler="index.handler", MemorySize=FAST_MB,
        Timeout=10, Code={"ZipFile": zip_bytes({"index.py": source})},
    )
    return Function(server, configuration).wait()


@pytest.fixture
def echo_api(server, functions, unique):
    made = []

    def make(version="2.0", keys=("$default",), function="echo", **parameters):
        made.append(simple_api(server, unique("api"), functions[function], version, keys, **parameters))
        return made[-1]

    yield make
    for api in made:
        api.delete()


def test_event_2_0_key_by_key(echo_api):
    api = echo_api(keys=["POST /pets/{id}/toys/{rest+}"])
    answer = api.send(
        "POST", "/pets/7/toys/a/b%20c?x=1&x=2&y=%C3%A9+z&empty", '{"k": "ä"}',
        [
            ("Content-Type", "application/json"), ("X-Multi", "a"), ("x-multi", "b"), ("Cookie", "one=1; two=2"),
            ("User-Agent", "probe"), ("X-Forwarded-For", "9.9.9.9"), ("Connection", "close"),
        ],
    )
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    event = answer.json
    context = event.pop("requestContext")
    assert set(event) == {
        "version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters", "body",
        "pathParameters", "isBase64Encoded",
    }
    assert event["version"] == "2.0" and event["routeKey"] == "POST /pets/{id}/toys/{rest+}"
    assert event["rawPath"] == "/pets/7/toys/a/b c"
    assert event["rawQueryString"] == "x=1&x=2&y=%C3%A9+z&empty"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "é z", "empty": ""}
    assert event["cookies"] == ["one=1", "two=2"]
    assert event["pathParameters"] == {"id": "7", "rest": "a/b c"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"k": "ä"}', False)
    headers = event["headers"]
    assert headers["x-multi"] == "a,b" and headers["content-length"] == "11"
    assert headers["x-forwarded-for"] == "9.9.9.9, 127.0.0.1" and headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-port"] == str(api.server.port)
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert list(headers) == sorted(headers) and not {"cookie", "connection"} & headers.keys()
    assert set(context) == {
        "accountId", "apiId", "domainName", "domainPrefix", "http", "requestId", "routeKey", "stage", "time",
        "timeEpoch",
    }
    assert context["http"] == {
        "method": "POST", "path": "/pets/7/toys/a/b c", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
        "userAgent": "probe",
    }
    assert (context["accountId"], context["apiId"], context["stage"]) == (ACCOUNT, api.id, "$default")
    assert (context["domainName"], context["domainPrefix"]) == (api.host, api.id)
    assert context["requestId"] == answer.headers["apigw-requestid"] and len(context["requestId"]) == 16


def test_event_2_0_leaves_out_what_is_absent(echo_api):
    event = echo_api().send().json
    assert set(event) == {
        "version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext", "isBase64Encoded",
    }
    assert (event["rawPath"], event["rawQueryString"], event["routeKey"]) == ("/", "", "$default")
    assert event["headers"]["content-length"] == "0"


def test_event_1_0_key_by_key(echo_api):
    api = echo_api(version="1.0", keys=["ANY /pets/{id}"], function="puppet")
    answer = api.send("GET", "/pets/7?x=1&x=2", headers=[("X-Multi", "a"), ("X-Multi", "b"), ("User-Agent", "probe")])
    assert answer.status == 500  # the event is no answer of format 1.0: it has no statusCode
    order = {"answer": {"statusCode": "201", "body": "made"}}
    answer = api.send("POST", "/pets/7", json.dumps(order))
    assert (answer.status, answer.text) == (201, "made")
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"


def test_event_1_0_shape(server, make_function, unique):
    function = make_function(
        "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n")
    api = simple_api(server, unique("api"), function, "1.0", ["ANY /pets/{id}"])
    event = api.send("GET", "/pets/7?x=1&x=2", headers=[("X-Multi", "a"), ("X-Multi", "b"), ("Cookie", "c=1")]).json
    assert set(event) == {
        "version", "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
        "multiValueQueryStringParameters", "requestContext", "pathParameters", "stageVariables", "body",
        "isBase64Encoded",
    }
    assert (event["version"], event["resource"], event["path"]) == ("1.0", "/pets/{id}", "/pets/7")
    assert event["headers"]["x-multi"] == "b" and event["multiValueHeaders"]["x-multi"] == ["a", "b"]
    assert event["headers"]["Host"].startswith(api.host) and event["headers"]["cookie"] == "c=1"
    assert event["queryStringParameters"] == {"x": "2"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert (event["body"], event["stageVariables"], event["isBase64Encoded"]) == (None, None, False)
    context = event["requestContext"]
    assert (context["resourcePath"], context["resourceId"]) == ("/pets/{id}", "ANY /pets/{id}")
    assert context["identity"]["sourceIp"] == "127.0.0.1" and context["identity"]["userArn"] is None
    empty = api.send("GET", "/pets/7").json
    assert empty["queryStringParameters"] is None and empty["multiValueQueryStringParameters"] is None
    api.delete()


@pytest.mark.parametrize(
    "content_type, data, is_text",
    [
        ("text/html", b"<p>", True), ("application/json; charset=utf-8", b"{}", True),
        ("application/xml", b"<a/>", True), ("application/vnd.api+json", b"{}", False), (None, b"plain", False),
        ("application/javascript", b"1", True),
        ("application/x-www-form-urlencoded", b"a=1", False), ("application/octet-stream", b"\x00\xff", False),
        ("multipart/form-data; boundary=x", b"--x--", False), ("text/plain", b"\xff\xfe", False),
    ],
)
def test_which_bodies_are_base64(echo_api, content_type, data, is_text):
    headers = {"Content-Type": content_type} if content_type else {}
    event = echo_api().send("PUT", "/", data, headers).json
    assert event["isBase64Encoded"] is not is_text
    assert (event["body"].encode() if is_text else base64.b64decode(event["body"])) == data


@pytest.mark.parametrize(
    "answer, status, content_type, body",
    [
        ("text", 200, "application/json", b'"text"'),
        ([1, 2], 200, "application/json", b"[1,2]"),
        (None, 200, "application/json", b"null"),
        ({"a": 1}, 200, "application/json", b'{"a":1}'),
        ({"statusCode": 204}, 204, None, b""),
        ({"statusCode": 200, "body": "hi"}, 200, "text/plain;charset=UTF-8", b"hi"),
        ({"statusCode": 418, "headers": {"Content-Type": "x/y"}, "body": "z"}, 418, "x/y", b"z"),
        (
            {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True, "headers": {"content-type": "b/b"}},
            200, "b/b", b"\x00\xff",
        ),
    ],
)
def test_answers_of_functions_2_0(echo_api, answer, status, content_type, body):
    got = echo_api(function="puppet").send("POST", "/", json.dumps({"answer": answer}))
    assert (got.status, got.headers.get("content-type"), got.body) == (status, content_type, body)


def test_headers_and_cookies_of_answers(echo_api):
    order = {
        "answer": {
            "statusCode": 200, "body": "", "headers": {"X-Number": 7, "X-Bool": True, "Content-Length": "99"},
            "cookies": ["a=1; Secure", "b=2"],
        }
    }
    got = echo_api(function="puppet").send("POST", "/", json.dumps(order))
    assert (got.headers["x-number"], got.headers["x-bool"], got.headers["content-length"]) == ("7", "true", "0")
    assert got.all("set-cookie") == ["a=1; Secure", "b=2"]
    order = {"answer": {"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}, "headers": {"x-a": "1"}}}
    got = echo_api(version="1.0", function="puppet").send("POST", "/", json.dumps(order))
    assert got.all("x-a") == ["1", "2"]


@pytest.mark.parametrize(
    "order",
    [
        {"raise": "no"},
        {"answer": {"statusCode": "abc"}}, {"answer": {"statusCode": 99}}, {"answer": {"statusCode": 200, "body": {}}},
        {"answer": {"statusCode": 200, "headers": {"x": "a\r\nset-cookie: b"}}},
        {"answer": {"statusCode": 200, "headers": {"a b": "c"}}}, {"answer": {"statusCode": 200, "headers": []}},
        {"answer": {"statusCode": 200, "body": "%%", "isBase64Encoded": True}},
        {"answer": {"statusCode": 200, "headers": {"x": {}}}},
    ],
)
def test_answers_that_cannot_be_understood(echo_api, order):
    got = echo_api(function="puppet").send("POST", "/", json.dumps(order))
    assert (got.status, got.body) == (500, b'{"message":"Internal Server Error"}')
    assert "set-cookie" not in got.headers


def test_routes_by_precedence(echo_api):
    api = echo_api(keys=["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "GET /"])
    for method, path, key in [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"), ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"), ("POST", "/test/5", "ANY /{proxy+}"),
        ("POST", "/pets/dog/1", "ANY /{proxy+}"), ("GET", "/", "GET /"), ("HEAD", "/pets/dog/1", "ANY /{proxy+}"),
    ]:
        answer = api.send(method, path)
        assert answer.status == 200, (method, path)
        if method != "HEAD":
            assert answer.json["routeKey"] == key
    answer = api.send("POST", "/")
    assert (answer.status, answer.body) == (404, b'{"message":"Not Found"}')
    assert len(answer.headers["apigw-requestid"]) == 16


@pytest.mark.parametrize("path", ["/files/../secret", "/files/%2e%2e/secret", "/files/..%2fsecret", "//files/x", "/files/"])
def test_paths_are_never_walked(echo_api, path):
    api = echo_api(keys=["GET /secret", "GET /files/{name}"])
    answer = api.send("GET", path)
    assert answer.status == 404 or answer.json["routeKey"] != "GET /secret"


def test_stages_in_the_path(server, functions, unique):
    api = Api(server, unique("api"))
    api.allow(functions["echo"])
    integration = api.integrate(
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:${{stageVariables.fn}}".replace(
            "${stageVariables.fn}", "${stageVariables.fn}"))
    api.route("GET /x", integration)
    api.stage("dev", StageVariables={"fn": functions["echo"].name, "color": "blue"})
    event = api.send("GET", "/dev/x").json
    assert (event["rawPath"], event["requestContext"]["stage"]) == ("/dev/x", "dev")
    assert event["stageVariables"] == {"fn": functions["echo"].name, "color": "blue"}
    assert event["requestContext"]["http"]["path"] == "/dev/x"
    assert api.send("GET", "/x").status == 404  # there is no $default
    api.client.update_stage(ApiId=api.id, StageName="dev", StageVariables={"fn": "nobody"})
    assert api.send("GET", "/dev/x").status == 500
    # By path, for clients that cannot resolve names below localhost.
    api.client.update_stage(ApiId=api.id, StageName="dev", StageVariables={"fn": functions["echo"].name})
    event = send(server, None, "GET", f"/_aws/execute-api/{api.id}/dev/x?a=1", headers={"Host": "localhost"}).json
    assert (event["rawPath"], event["rawQueryString"]) == ("/dev/x", "a=1")
    api.delete()


def test_a_deployment_stays_what_it_was(server, functions, unique):
    api = Api(server, unique("api"))
    api.allow(functions["echo"])
    integration = api.integrate(functions["echo"])
    route = api.route("GET /x", integration)
    api.client.create_stage(ApiId=api.id, StageName="$default")
    assert api.send("GET", "/x").status == 404  # nothing is deployed
    api.client.create_deployment(ApiId=api.id, StageName="$default")
    assert api.send("GET", "/x").status == 200
    api.client.delete_route(ApiId=api.id, RouteId=route)
    api.route("GET /y", integration)
    assert (api.send("GET", "/x").status, api.send("GET", "/y").status) == (200, 404)
    api.client.create_deployment(ApiId=api.id, StageName="$default")
    assert (api.send("GET", "/x").status, api.send("GET", "/y").status) == (404, 200)
    api.delete()
    assert api.send("GET", "/y").status == 404


def test_every_change_is_served_at_once(echo_api):
    api = echo_api(keys=["GET /a"])
    for number in range(5):
        assert api.send("GET", f"/n{number}").status == 404
        target = api.client.get_integrations(ApiId=api.id)["Items"][0]["IntegrationId"]
        api.route(f"GET /n{number}", target)
        assert api.send("GET", f"/n{number}").status == 200


def test_without_permission_the_function_is_not_called(server, functions, unique):
    api = Api(server, unique("api"))
    api.route("GET /x", api.integrate(functions["echo"]))
    api.stage()
    assert api.send("GET", "/x").body == b'{"message":"Internal Server Error"}'
    api.allow(functions["echo"], source=api.arn("*/GET/x"))
    assert api.send("GET", "/x").status == 200
    api.delete()


def test_a_disabled_endpoint_answers_404(echo_api):
    api = echo_api()
    api.client.update_api(ApiId=api.id, DisableExecuteApiEndpoint=True)
    assert api.send().body == b'{"message":"Not Found"}'


CORS = {
    "AllowOrigins": ["https://a.example", "https://*.b.example"], "AllowMethods": ["GET", "POST"],
    "AllowHeaders": ["x-one", "x-two"], "ExposeHeaders": ["x-out"], "MaxAge": 300, "AllowCredentials": True,
}


def test_preflight_requests_are_answered_by_the_api(echo_api):
    api = echo_api(CorsConfiguration=CORS)
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    answer = api.send("OPTIONS", "/anything", headers=ask)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "x-one,x-two"
    assert answer.headers["access-control-max-age"] == "300"
    assert answer.headers["access-control-allow-credentials"] == "true"
    other = api.send("OPTIONS", "/anything", headers={**ask, "Origin": "https://evil.example"})
    assert other.status == 204 and not [name for name in other.headers if name.startswith("access-control-")]
    pattern = api.send("OPTIONS", "/anything", headers={**ask, "Origin": "https://x.b.example"})
    assert pattern.headers["access-control-allow-origin"] == "https://x.b.example"
    # Without the question it is a request like any other.
    assert api.send("OPTIONS", "/anything").json["requestContext"]["http"]["method"] == "OPTIONS"


def test_answers_get_the_apis_cors_headers_and_not_the_functions(echo_api):
    api = echo_api(function="puppet", CorsConfiguration=CORS)
    order = {"answer": {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "https://evil.example"}}}
    answer = api.send("POST", "/", json.dumps(order), {"Origin": "https://a.example"})
    assert answer.all("access-control-allow-origin") == ["https://a.example"]
    assert answer.headers["access-control-expose-headers"] == "x-out"
    answer = api.send("POST", "/", json.dumps(order))
    assert "access-control-allow-origin" not in answer.headers


def test_without_cors_settings_functions_see_preflight_requests(echo_api):
    answer = echo_api().send(
        "OPTIONS", "/", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"})
    assert answer.json["requestContext"]["http"]["method"] == "OPTIONS"


def test_throttles(echo_api):
    api = echo_api(keys=["GET /slow", "GET /free"])
    api.client.update_stage(
        ApiId=api.id, StageName="$default",
        RouteSettings={"GET /slow": {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}},
    )
    answers = [api.send("GET", "/slow") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].body == b'{"message":"Too Many Requests"}'
    assert api.send("GET", "/free").status == 200


def test_access_logs(echo_api, client, unique):
    group = unique("/http-api/access")
    client("logs").create_log_group(logGroupName=group)
    api = echo_api(keys=["GET /x"])
    api.client.update_stage(
        ApiId=api.id, StageName="$default",
        AccessLogSettings={
            "DestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
            "Format": json.dumps({
                "id": "$context.requestId", "route": "$context.routeKey", "status": "$context.status",
                "path": "$context.path", "agent": "$context.identity.userAgent", "none": "$context.authorizer.x",
                "length": "$context.responseLength", "problem": "$context.error.message",
            }),
        },
    )
    sent = api.send("GET", "/x", headers={"User-Agent": 'evil" \\ agent'})
    missing = api.send("GET", "/nope")

    def lines():
        events = client("logs").filter_log_events(logGroupName=group)["events"]
        return {line["id"]: line for line in (json.loads(event["message"]) for event in events)}

    seen = wait_for(lambda: (found := lines()) and len(found) == 2 and found)
    first, second = seen[sent.headers["apigw-requestid"]], seen[missing.headers["apigw-requestid"]]
    assert first == {
        "id": sent.headers["apigw-requestid"], "route": "GET /x", "status": "200", "path": "/x",
        "agent": 'evil" \\ agent', "none": "-", "length": str(len(sent.body)), "problem": "-",
    }
    assert (second["status"], second["route"], second["problem"]) == ("404", "-", "Not Found")


def test_limits(echo_api):
    api = echo_api()
    answer = api.send("GET", "/", headers={"X-Long": "x" * 10_300})
    assert answer.status == 431
    with socket.create_connection(("127.0.0.1", api.server.port)) as connection:
        head = f"POST / HTTP/1.1\r\nHost: {api.host}\r\nContent-Length: {(10 << 20) + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert b"413" in connection.recv(4096).split(b"\r\n")[0]
    # What the API takes may still be too much for a function.
    assert api.send("POST", "/", b"x" * (7 << 20)).status == 413
    assert api.send("GET", "/still-here").status == 200


def test_slow_functions_time_out(server, make_function, unique):
    function = make_function("import time\ndef handler(event, context):\n    time.sleep(5)\n", Timeout=10)
    api = Api(server, unique("api"))
    api.allow(function)
    api.route("$default", api.integrate(function, TimeoutInMillis=100))
    api.stage()
    answer = api.send()
    assert (answer.status, answer.body) == (503, b'{"message":"Service Unavailable"}')
    api.delete()


def test_throttled_functions_make_the_api_unavailable(server, make_function, unique):
    function = make_function(ECHO)
    function.client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    api = simple_api(server, unique("api"), function)
    assert api.send().status == 503
    api.delete()


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/slow"):
            threading.Event().wait(3)
        text = json.dumps({
            "method": self.command, "path": self.path, "headers": [[n.lower(), v] for n, v in self.headers.items()],
            "body": body.decode("latin-1"),
        }).encode()
        self.send_response(int(self.headers.get("X-Status", 200)))
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Backend", "yes")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def backend():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def proxy_api(server, name, key, url, **parameters):
    api = Api(server, name)
    api.route(key, api.proxy(url, **parameters))
    api.stage()
    return api


def test_http_proxy(server, backend, unique):
    api = proxy_api(server, unique("api"), "ANY /v1/{proxy+}", backend + "/base/{proxy}?fixed=1")
    answer = api.send(
        "POST", "/v1/a/b%20c%3Fd?x=1&x=2", "data", [("X-A", "1"), ("X-A", "2"), ("Connection", "x-a")])
    seen = answer.json
    assert (answer.status, seen["method"], seen["body"]) == (200, "POST", "data")
    assert seen["path"] == "/base/a/b%20c%3Fd?fixed=1&x=1&x=2"
    headers = dict(seen["headers"])
    assert headers["host"] == backend.removeprefix("http://") and headers["content-length"] == "4"
    assert headers["forwarded"].startswith("by=") and f"host={api.host}" in headers["forwarded"]
    assert answer.all("set-cookie") == ["a=1", "b=2"] and answer.headers["x-backend"] == "yes"
    # What Connection names ends here (RFC 9110, 7.6.1); what API Gateway itself says does not.
    assert "x-a" not in headers and "x-amzn-trace-id" in headers
    head = api.send("HEAD", "/v1/a")
    assert (head.status, head.body) == (200, b"") and int(head.headers["content-length"]) > 100
    api.delete()


def test_parameter_mapping(server, backend, unique):
    api = proxy_api(
        server, unique("api"), "ANY /v1/{id}", backend + "/whatever",
        RequestParameters={
            "overwrite:path": "/new/${request.path.id}", "append:header.x-from": "$request.querystring.q",
            "remove:header.x-gone": "''", "overwrite:querystring.q": "$request.body.a.b[1]",
            "append:header.x-text": "id ${request.path.id} on ${context.stage}",
        },
        ResponseParameters={
            "404": {"overwrite:statuscode": "299", "append:header.x-was": "$response.header.x-backend"},
            "200": {"remove:header.x-backend": "''", "append:header.x-body": "$response.body.method"},
        },
    )
    answer = api.send("POST", "/v1/7?q=old", '{"a": {"b": [1, "two"]}}', {"X-Gone": "1"})
    assert answer.json["path"] == "/new/7?q=two"
    headers = dict(answer.json["headers"])
    assert (headers["x-from"], headers["x-text"]) == ("old", "id 7 on $default") and "x-gone" not in headers
    assert "x-backend" not in answer.headers and answer.headers["x-body"] == "POST"
    answer = api.send("GET", "/v1/7", headers={"X-Status": "404"})
    assert (answer.status, answer.headers["x-was"]) == (299, "yes")
    api.delete()


def test_parameter_mapping_of_functions(server, functions, unique):
    """As CDK's HttpLambdaIntegration(parameterMapping=…) and the console make it."""
    api = Api(server, unique("api"))
    api.allow(functions["echo"])
    api.route("ANY /v1/{id}", api.integrate(
        functions["echo"], RequestParameters={
            "append:header.header2": "$request.header.header1", "remove:header.header1": "''",
            "overwrite:querystring.q": "${request.path.id} of ${context.stage}", "overwrite:path": "$request.path",
        }))
    api.stage("prod")
    event = api.send("GET", "/prod/v1/7?q=old&x=1", headers={"Header1": "one"}).json
    assert event["rawPath"] == "/v1/7" and event["rawQueryString"] == "x=1&q=7%20of%20prod"
    assert event["queryStringParameters"] == {"q": "7 of prod", "x": "1"}
    assert event["headers"]["header2"] == "one" and "header1" not in event["headers"]
    api.delete()


def test_backends_that_do_not_answer(server, backend, unique):
    api = proxy_api(server, unique("api"), "$default", backend + "/slow", TimeoutInMillis=100)
    assert api.send().status == 504
    api.delete()
    api = proxy_api(server, unique("api"), "$default", "http://127.0.0.1:1/")
    assert (api.send().status, api.send().body) == (503, b'{"message":"Service Unavailable"}')
    api.delete()


def test_apis_that_call_one_another_end(server, unique):
    api = Api(server, unique("api"))
    url = f"{server.url}/_aws/execute-api/{api.id}/x"
    api.route("$default", api.proxy(url))
    api.stage()
    answer = api.send()
    assert (answer.status, answer.body) == (500, b'{"message":"Internal Server Error"}')
    api.delete()


def test_unknown_apis(server):
    for host in ("zzzzzzzzzz.execute-api.localhost", "x.execute-api.us-east-1.amazonaws.com"):
        answer = send(server, host)
        assert (answer.status, answer.body) == (404, b'{"message":"Not Found"}')
