"""REST APIs with boto3 and the AWS CLI, and as their callers see them."""

import base64
import http.client
import http.server
import json
import threading
import time

import pytest

from .expect import assert_not_implemented, aws_error
from .harness import ACCOUNT, REGION, wait_for
from .http_apis import send
from .rest_apis import RestApi, function_uri, proxy_api
from .test_apigatewayv2_http import deploy

# Answers what the request's body orders, else its event.
PUPPET = """
import base64, json

def handler(event, context):
    body = event.get("body") or "{}"
    order = json.loads(base64.b64decode(body) if event["isBase64Encoded"] else body)
    if "raise" in order:
        raise RuntimeError(order["raise"])
    return order.get("answer", {"statusCode": 200, "body": json.dumps(event)})
"""

AUTHORIZER = """
def handler(event, context):
    token = event.get("authorizationToken") or event["headers"].get("x-token")
    if token == "raise":
        raise Exception("Unauthorized")
    return {
        "principalId": "someone",
        "policyDocument": {"Version": "2012-10-17", "Statement": [
            {"Action": "execute-api:Invoke", "Effect": "Allow" if token == "allow" else "Deny", "Resource": "*"}]},
        "context": {"number": 1, "yes": True},
    }
"""


@pytest.fixture(scope="module")
def functions(server):
    """Two functions that the tests of this file share."""
    made = {"puppet": deploy(server, "rest-puppet", PUPPET), "authorizer": deploy(server, "rest-auth", AUTHORIZER)}
    yield made
    for function in made.values():
        function.delete()


@pytest.fixture
def api(server, functions, unique):
    made = proxy_api(server, unique("rest"), functions["puppet"])
    yield made
    made.delete()


@pytest.fixture
def bare(server, unique):
    """An API without anything in it."""
    made = RestApi(server, unique("rest"))
    yield made
    made.delete()


def test_event_key_by_key(api):
    answer = api.send(
        "POST", "/a/b%2Bc/?x=1&x=2&y=%C3%A9+z", '{"k": "ä"}',
        [("Content-Type", "application/json"), ("x-multi", "a"), ("x-multi", "b"), ("User-Agent", "probe")],
    )
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amzn-trace-id"].startswith("Root=")
    event = answer.json
    assert list(event) == [
        "resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters",
        "multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body",
        "isBase64Encoded",
    ]
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{proxy+}", "/a/b%2Bc/", "POST")
    assert event["pathParameters"] == {"proxy": "a/b%2Bc"}
    assert event["queryStringParameters"] == {"x": "2", "y": "é z"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": ["é z"]}
    assert (event["body"], event["isBase64Encoded"], event["stageVariables"]) == ('{"k": "ä"}', False, None)
    assert event["headers"]["User-Agent"] == "probe" and event["headers"]["x-multi"] == "b"
    assert event["multiValueHeaders"]["x-multi"] == ["a", "b"] and event["headers"]["X-Forwarded-Proto"] == "http"
    context = event["requestContext"]
    assert sorted(context) == [
        "accountId", "apiId", "deploymentId", "domainName", "domainPrefix", "extendedRequestId", "httpMethod", "identity",
        "path", "protocol", "requestId", "requestTime", "requestTimeEpoch", "resourceId", "resourcePath", "stage",
    ]
    assert (context["path"], context["stage"], context["accountId"]) == ("/prod/a/b%2Bc/", "prod", ACCOUNT)
    assert (context["apiId"], context["domainName"]) == (api.id, api.host)
    assert answer.headers["x-amzn-requestid"] == context["requestId"]
    assert answer.headers["x-amz-apigw-id"] == context["extendedRequestId"]
    assert sorted(context["identity"]) == [
        "accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType",
        "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent", "userArn",
    ]
    root = api.send("GET", "").json
    assert (root["resource"], root["path"], root["body"], root["pathParameters"]) == ("/", "/", None, None)
    assert root["queryStringParameters"] is None and root["multiValueQueryStringParameters"] is None


def test_the_three_ways_to_an_api(api):
    for host, path in [
        (api.host, "/prod/x"),
        (f"{api.id}.execute-api.{REGION}.amazonaws.com", "/prod/x"),
        (None, f"/_aws/execute-api/{api.id}/prod/x"),
        (None, f"/restapis/{api.id}/prod/_user_request_/x"),
    ]:
        answer = send(api.server, host, "GET", path)
        assert (answer.status, answer.json["path"]) == (200, "/x"), (host, path)
        assert answer.json["requestContext"]["path"] == "/prod/x"


def test_answers_and_failures_of_functions(api):
    def ask(order, **parameters):
        return api.send("POST", "/x", json.dumps(order), {"Content-Type": "application/json", **parameters})

    many = ask({"answer": {"statusCode": "201", "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}, "body": "hi"}})
    assert (many.status, many.text, many.all("set-cookie")) == (201, "hi", ["a=1", "b=2"])
    remapped = ask({"answer": {"headers": {"Server": "mine", "WWW-Authenticate": "Basic", "X-Own": True}}})
    assert remapped.status == 200 and remapped.headers["x-own"] == "true"
    assert remapped.headers["x-amzn-remapped-server"] == "mine"
    assert remapped.headers["x-amzn-remapped-www-authenticate"] == "Basic"
    for order in [{"raise": "no"}, {"answer": {"statusCode": 200, "more": 1}}, {"answer": "text"}, {"answer": None}]:
        failed = ask(order)
        assert (failed.status, failed.text) == (502, '{"message": "Internal server error"}'), order
        assert failed.headers["x-amzn-errortype"] == "InternalServerErrorException"


def test_refusals(api):
    wrong = send(api.server, api.host, "GET", "/nostage/x")
    assert (wrong.status, wrong.text) == (403, '{"message":"Forbidden"}')
    assert wrong.headers["x-amzn-errortype"] == "ForbiddenException"
    assert wrong.headers["content-type"] == "application/json"
    api.client.update_rest_api(
        restApiId=api.id,
        patchOperations=[{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}],
    )
    assert api.send().status == 403


def test_function_without_permission_is_a_plain_500(bare, functions):
    bare.function("/", functions["puppet"], "GET")
    bare.method("/other", "GET")
    bare.client.put_integration(
        restApiId=bare.id, resourceId=bare.resource("/other"), httpMethod="GET", type="AWS_PROXY",
        integrationHttpMethod="GET", uri=function_uri(functions["puppet"]),
    )
    bare.deploy()
    for path in ("/", "/other"):
        answer = bare.send("GET", path)
        assert (answer.status, answer.text) == (500, '{"message": "Internal server error"}')
    missing = bare.send("POST", "/")
    assert (missing.status, missing.text) == (403, '{"message":"Missing Authentication Token"}')
    assert missing.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_deployments_and_stages(bare, functions):
    bare.allow(functions["puppet"])
    with aws_error("BadRequestException", "The REST API doesn't contain any methods"):
        bare.deploy()
    bare.function("/a", functions["puppet"], "GET")
    first = bare.deploy("one", variables={"color": "blue"})
    assert bare.send("GET", "/a", stage="one").json["stageVariables"] == {"color": "blue"}
    bare.function("/b", functions["puppet"], "GET")
    assert bare.send("GET", "/b", stage="one").status == 403
    second = bare.client.create_deployment(restApiId=bare.id)["id"]
    stage = bare.client.create_stage(restApiId=bare.id, stageName="two", deploymentId=second, tags={"t": "1"})
    assert stage["methodSettings"] == {} and "description" not in stage and stage["tags"] == {"t": "1"}
    assert bare.send("GET", "/b", stage="two").status == 200
    moved = bare.client.update_stage(
        restApiId=bare.id, stageName="one",
        patchOperations=[{"op": "replace", "path": "/deploymentId", "value": second}],
    )
    assert moved["deploymentId"] == second and bare.send("GET", "/b", stage="one").status == 200
    with aws_error("BadRequestException", "Active stages pointing to this deployment must be moved or deleted"):
        bare.client.delete_deployment(restApiId=bare.id, deploymentId=second)
    bare.client.delete_deployment(restApiId=bare.id, deploymentId=first)
    summary = bare.client.get_deployment(restApiId=bare.id, deploymentId=second, embed=["apisummary"])["apiSummary"]
    assert summary["/a"]["GET"] == {"authorizationType": "NONE", "apiKeyRequired": False}
    assert [item["stageName"] for item in bare.client.get_stages(restApiId=bare.id, deploymentId=second)["item"]] == [
        "one", "two",
    ]
    bare.client.delete_stage(restApiId=bare.id, stageName="two")
    assert bare.send("GET", "/b", stage="two").status == 403


def test_token_authorizer(bare, functions):
    for function in functions.values():
        bare.allow(function)
    authorizer = bare.client.create_authorizer(
        restApiId=bare.id, name="token", type="TOKEN", authorizerUri=function_uri(functions["authorizer"]),
        identityValidationExpression="^[a-z]+$",
    )
    assert authorizer["identitySource"] == "method.request.header.Authorization"
    bare.function("/x", functions["puppet"], "GET", authorizationType="CUSTOM", authorizerId=authorizer["id"])
    bare.deploy()

    def ask(*token):
        return bare.send("GET", "/x", headers={"Authorization": token[0]} if token else {})

    for refused in (ask(), ask("ALLOW"), ask("raise")):
        assert (refused.status, refused.text) == (401, '{"message":"Unauthorized"}')
        assert refused.headers["x-amzn-errortype"] == "UnauthorizedException"
    context = ask("allow").json["requestContext"]["authorizer"]
    latency = context.pop("integrationLatency")
    assert isinstance(latency, int) and context == {"principalId": "someone", "number": "1", "yes": "true"}
    denied = ask("deny")
    assert (denied.status, denied.json) == (
        403, {"Message": "User is not authorized to access this resource with an explicit deny"},
    )
    tested = bare.client.test_invoke_authorizer(
        restApiId=bare.id, authorizerId=authorizer["id"], headers={"Authorization": "allow"}
    )
    assert (tested["clientStatus"], tested["principalId"]) == (0, "someone")
    assert tested["authorization"] == {"number": ["1"], "yes": ["true"]}
    with aws_error("ConflictException", status=409):
        bare.client.delete_authorizer(restApiId=bare.id, authorizerId=authorizer["id"])


def test_api_keys(bare, functions, unique):
    bare.allow(functions["puppet"])
    bare.function("/x", functions["puppet"], "GET", apiKeyRequired=True)
    bare.deploy()
    # Terraform sends an empty value for one that is to be made.
    key = bare.client.create_api_key(name=unique("key"), enabled=True, value="")
    assert len(key["value"]) == 40
    plan = bare.client.create_usage_plan(name=unique("plan"), apiStages=[{"apiId": bare.id, "stage": "prod"}])
    assert bare.send("GET", "/x", headers={"x-api-key": key["value"]}).text == '{"message":"Forbidden"}'
    bare.client.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    identity = bare.send("GET", "/x", headers={"x-api-key": key["value"]}).json["requestContext"]["identity"]
    assert (identity["apiKey"], identity["apiKeyId"]) == (key["value"], key["id"])
    for headers in ({}, {"x-api-key": "x" * 40}):
        refused = bare.send("GET", "/x", headers=headers)
        assert (refused.status, refused.text) == (403, '{"message":"Forbidden"}')
    found = bare.client.get_api_keys(nameQuery=key["name"], includeValues=True)["items"]
    assert [item["value"] for item in found] == [key["value"]]
    assert [item["id"] for item in bare.client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]] == [key["id"]]
    with aws_error("BadRequestException"):
        bare.client.delete_usage_plan(usagePlanId=plan["id"])
    bare.client.update_usage_plan(
        usagePlanId=plan["id"],
        patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{bare.id}:prod"}],
    )
    assert bare.send("GET", "/x", headers={"x-api-key": key["value"]}).status == 403
    bare.client.delete_usage_plan(usagePlanId=plan["id"])
    bare.client.delete_api_key(apiKey=key["id"])


def test_cors_by_a_mock_as_sam_and_cdk_write_it(bare):
    place = bare.method("/x", "OPTIONS")
    client = bare.client
    client.put_integration(**place, type="MOCK", requestTemplates={"application/json": "{ statusCode: 204 }"})
    headers = {"Access-Control-Allow-Origin": "'*'", "Access-Control-Allow-Methods": "'GET,OPTIONS'"}
    client.put_method_response(
        **place, statusCode="204", responseParameters={f"method.response.header.{name}": True for name in headers}
    )
    client.put_integration_response(
        **place, statusCode="204",
        responseParameters={f"method.response.header.{name}": value for name, value in headers.items()},
    )
    bare.deploy()
    answer = bare.send("OPTIONS", "/x", headers={"Origin": "https://a", "Access-Control-Request-Method": "GET"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET,OPTIONS"
    tested = client.test_invoke_method(**place, pathWithQueryString="/x?a=b")
    assert tested["status"] == 204 and "Method completed with status: 204" in tested["log"]
    assert "Method request query string: {a=b}" in tested["log"]


def test_binary_media_types(server, functions, unique):
    api = proxy_api(server, unique("rest"), functions["puppet"], binaryMediaTypes=["image/png"])
    order = json.dumps({"answer": {
        "statusCode": 200, "headers": {"Content-Type": "image/png"}, "isBase64Encoded": True,
        "body": base64.b64encode(b"\x89PNG\xff").decode(),
    }})
    image = {"Content-Type": "image/png", "Accept": "image/png"}
    assert api.send("POST", "/x", order, image).body == b"\x89PNG\xff"
    assert api.send("POST", "/x", order, {"Accept": "text/html"}).text == base64.b64encode(b"\x89PNG\xff").decode()
    api.delete()


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(202)
        self.send_header("X-Backend", "yes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(200)
        if "x-unknown" not in self.headers:
            self.send_header("Content-Length", "12345")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_http_proxy(bare):
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{backend.server_port}"
    place = bare.method("/{rest+}", requestParameters={"method.request.path.rest": True})
    bare.client.put_integration(
        **place, type="HTTP_PROXY", integrationHttpMethod="ANY", uri=url + "/${stageVariables.base}/{rest}",
        requestParameters={
            "integration.request.path.rest": "method.request.path.rest",
            "integration.request.header.x-fixed": "'mine'",
            "integration.request.querystring.stage": "context.stage",
        },
    )
    bare.deploy(variables={"base": "v1"})
    try:
        answer = bare.send("GET", "/a/b%20c?q=1")
        assert (answer.status, answer.headers["x-backend"]) == (202, "yes"), answer
        assert answer.json["path"] == "/v1/a/b%20c?q=1&stage=prod"
        assert answer.json["headers"]["x-fixed"] == "mine"
        answer = bare.send("GET", "/a", headers={
            "X-Forwarded-For": "1.2.3.4", "x-amzn-apigateway-api-id": "mine", "Connection": "X-Hop, x-forwarded-for",
            "X-Hop": "1", "X-End": "2"})
        seen = answer.json["headers"]
        assert seen["x-forwarded-for"] == "1.2.3.4, 127.0.0.1" and seen["x-forwarded-proto"] == "http"
        assert seen["x-forwarded-port"] == str(bare.server.port) and seen["x-amzn-apigateway-api-id"] == bare.id
        assert "x-hop" not in seen and seen["x-end"] == "2" and seen["x-amzn-trace-id"].startswith("Root=")
        # As GET would have it, or not said at all (RFC 9110, 8.6).
        assert bare.send("HEAD", "/a").headers["content-length"] == "12345"
        assert "content-length" not in bare.send("HEAD", "/a", headers={"X-Unknown": "1"}).headers
    finally:
        backend.shutdown()
        backend.server_close()
    answer = bare.send("GET", "/a")
    assert (answer.status, answer.json) == (504, {"message": "Network error communicating with endpoint"})


STREAMER = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { "x-kind": "stream" } });
  stream.write("one,");
  stream.write("two");
  stream.end();
});
"""


def test_response_streaming(bare, make_function):
    function = make_function(files={"index.js": STREAMER}, runtime="nodejs20.x", handler="index.handler")
    bare.allow(function)
    bare.function("/", function, "GET", streams=True)
    bare.deploy()
    answer = bare.send("GET", "/")
    assert (answer.status, answer.text, answer.headers["x-kind"]) == (201, "one,two", "stream"), answer
    tested = bare.client.test_invoke_method(restApiId=bare.id, resourceId=bare.root, httpMethod="GET")
    assert (tested["status"], tested["body"], tested["headers"]["x-kind"]) == (201, "one,two", "stream"), tested


class StreamingBackend(http.server.BaseHTTPRequestHandler):
    """Sends the first piece, and the second when the test lets it; or breaks off; or sends until nobody takes any more."""

    protocol_version = "HTTP/1.1"
    endless = 256 << 20

    def do_GET(self):
        self.send_response(201)
        self.send_header("X-Kind", "stream")
        if self.path == "/whole":
            self.send_header("Content-Length", str(12 << 20))
            self.end_headers()
            self.wfile.write(b"x" * (12 << 20))
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.path == "/endless":
            try:
                while self.server.sent < self.endless:
                    self.piece(b"x" * 65536)
                    self.server.sent += 65536
            except OSError:
                self.server.gone.set()
            self.close_connection = True
            return
        self.piece(b"one,")
        self.server.more.wait(30)
        if self.path == "/broken":
            self.close_connection = True
            return
        self.piece(b"two")
        self.piece(b"")

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_):
        pass


@pytest.fixture
def streaming(bare):
    """An API in front of a backend that streams."""
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StreamingBackend)
    backend.daemon_threads = True
    backend.sent, backend.more, backend.gone = 0, threading.Event(), threading.Event()
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    place = bare.method("/{rest+}", "GET", requestParameters={"method.request.path.rest": True})
    bare.client.put_integration(
        **place, type="HTTP_PROXY", integrationHttpMethod="GET", uri=f"http://127.0.0.1:{backend.server_port}/{{rest}}",
        requestParameters={"integration.request.path.rest": "method.request.path.rest"}, responseTransferMode="STREAM")
    bare.deploy()

    def opened(path):
        connection = http.client.HTTPConnection("127.0.0.1", bare.server.port, timeout=60)
        connection.request("GET", "/prod" + path, headers={"Host": f"{bare.host}:{bare.server.port}"})
        return connection, connection.getresponse()

    backend.opened = opened
    yield backend
    backend.more.set()
    backend.shutdown()
    backend.server_close()


def test_http_proxy_streams(streaming):
    connection, answer = streaming.opened("/slow")
    assert (answer.status, answer.headers["x-kind"]) == (201, "stream")
    assert "x-amzn-remapped-server" in answer.headers and answer.headers["transfer-encoding"] == "chunked"
    # The first piece is here before the second is made.
    assert answer.read(4) == b"one," and not streaming.more.is_set()
    streaming.more.set()
    assert answer.read() == b"two"
    # More than the limit of an answer that is collected; and who says a length is believed.
    connection.close()
    connection, whole = streaming.opened("/whole")
    assert whole.headers["content-length"] == str(12 << 20) and len(whole.read()) == 12 << 20
    connection.close()


def test_http_proxy_streams_that_break(streaming):
    connection, answer = streaming.opened("/broken")
    assert answer.read(4) == b"one,"
    streaming.more.set()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


def test_http_proxy_streams_wait_for_slow_clients_and_end_with_them(streaming):
    connection, answer = streaming.opened("/endless")
    assert answer.read(4) == b"xxxx"

    def rests():
        before = streaming.sent
        time.sleep(0.3)
        return before and streaming.sent == before

    wait_for(rests)
    assert streaming.sent < StreamingBackend.endless
    answer.close()
    connection.close()
    assert streaming.gone.wait(30)


def test_validation_and_gateway_responses(bare, functions):
    bare.allow(functions["puppet"])
    client = bare.client
    client.create_model(
        restApiId=bare.id, name="Pet", contentType="application/json",
        schema=json.dumps({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}),
    )
    validator = client.create_request_validator(
        restApiId=bare.id, name="all", validateRequestBody=True, validateRequestParameters=True
    )["id"]
    bare.function(
        "/pets", functions["puppet"], "POST", requestValidatorId=validator, requestModels={"application/json": "Pet"},
        requestParameters={"method.request.header.x-must": True},
    )
    client.put_gateway_response(
        restApiId=bare.id, responseType="BAD_REQUEST_BODY", statusCode="422",
        responseParameters={"gatewayresponse.header.x-why": "'body'"},
        responseTemplates={"application/json": '{"error":$context.error.messageString,"stage":"$context.stage",'
                           '"why":"$context.error.validationErrorString"}'},
    )
    bare.deploy()
    json_type = {"Content-Type": "application/json"}
    missing = bare.send("POST", "/pets", '{"name": "x"}', json_type)
    assert (missing.status, missing.json) == (400, {"message": "Missing required request parameters: [x-must]"})
    blank = bare.send("POST", "/pets", '{"name": "x"}', {**json_type, "x-must": ""})
    assert (blank.status, blank.json) == (400, missing.json)
    bad = bare.send("POST", "/pets", '{"name": 1}', {**json_type, "x-must": "1"})
    assert (bad.status, bad.headers["x-why"]) == (422, "body")
    why = '[instance type (integer) does not match any allowed primitive type (allowed: ["string"])]'
    assert bad.json == {"error": "Invalid request body", "stage": "prod", "why": why}
    assert bare.send("POST", "/pets", '{"name": "x"}', {**json_type, "x-must": "1"}).status == 200
    bare.function(
        "/any", functions["puppet"], "POST", requestValidatorId=validator, requestModels={"$default": "Pet"})
    bare.deploy()
    for kind in ("application/json", "application/vnd.pet+json; charset=utf-8", "text/plain"):
        assert bare.send("POST", "/any", "{}", {"Content-Type": kind}).status == 422
        assert bare.send("POST", "/any", '{"name": "x"}', {"Content-Type": kind}).status == 200


def test_access_logs(bare, functions, server, unique):
    logs, group = server.client("logs"), unique("/rest/access")
    logs.create_log_group(logGroupName=group)
    bare.allow(functions["puppet"])
    bare.function("/x/{id}", functions["puppet"], "GET")
    bare.deploy()
    bare.client.update_stage(
        restApiId=bare.id, stageName="prod",
        patchOperations=[
            {"op": "replace", "path": "/accessLogSettings/destinationArn",
             "value": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"},
            {"op": "replace", "path": "/accessLogSettings/format",
             "value": "$context.requestId $context.status $context.resourcePath $context.path $context.error.responseType"},
        ],
    )
    good, bad = bare.send("GET", "/x/1"), bare.send("GET", "/y")
    lines = wait_for(
        lambda: (found := logs.filter_log_events(logGroupName=group)["events"]) and len(found) == 2 and found
    )
    assert {line["message"] for line in lines} == {
        f"{good.headers['x-amzn-requestid']} 200 /x/{{id}} /prod/x/1 -",
        f"{bad.headers['x-amzn-requestid']} 403 - /prod/y MISSING_AUTHENTICATION_TOKEN",
    }


@pytest.mark.parametrize(("server_object", "prefix"), [
    ({"url": "/a/b"}, "/a/b"), ({"url": "https://host/a/b/"}, "/a/b"), ({"url": "/"}, ""),
    ({"url": "/{basePath}", "variables": {"basePath": {"default": "/a/b"}}}, "/a/b"),
    ({"url": "https://host/x", "variables": {"basePath": {"default": "a/b"}}}, "/a/b"),
])
def test_base_paths_of_imports(server, server_object, prefix):
    document = json.dumps({
        "openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "servers": [server_object],
        "paths": {"/x": {"get": {"responses": {}, "x-amazon-apigateway-integration": {
            "type": "http_proxy", "httpMethod": "GET", "uri": "http://backend.example/"}}}}})
    rest, apis = server.client("apigateway"), server.client("apigatewayv2")
    for mode, path in (("ignore", "/x"), ("prepend", prefix + "/x"), ("split", "/b/x" if prefix else "/x")):
        made = rest.import_rest_api(body=document, parameters={"basepath": mode})["id"]
        assert path in [item["path"] for item in rest.get_resources(restApiId=made)["items"]]
        rest.delete_rest_api(restApiId=made)
        made = apis.import_api(Body=document, Basepath=mode)["ApiId"]
        assert [item["RouteKey"] for item in apis.get_routes(ApiId=made)["Items"]] == [f"GET {path}"]
        apis.delete_api(ApiId=made)


def test_what_is_not_there_says_so(bare):
    place = bare.method("/", "GET")
    for parameters, text in [
        ({"type": "AWS", "integrationHttpMethod": "POST", "uri": "arn:aws:apigateway:us-east-1:sqs:path/x"}, "AWS"),
        ({"type": "MOCK", "requestTemplates": {"application/json": "#set($a = 1)"}}, "Velocity"),
        ({"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": "http://x", "connectionType": "VPC_LINK"}, "VPC"),
    ]:
        assert_not_implemented(lambda p=parameters: bare.client.put_integration(**place, **p), text)
    assert_not_implemented(bare.client.get_domain_names, "GetDomainNames")


def test_unset_members_are_left_out_and_pages_lead_on(server, bare):
    made = bare.client.get_rest_api(restApiId=bare.id)
    for name in ("description", "version", "policy", "binaryMediaTypes", "minimumCompressionSize", "tags"):
        assert name not in made
    assert made["endpointConfiguration"]["types"] == ["EDGE"]
    for number in range(5):
        bare.resource(f"/r{number}")
    pages = bare.client.get_paginator("get_resources").paginate(restApiId=bare.id, PaginationConfig={"PageSize": 2})
    found = [item["path"] for page in pages for item in page["items"]]
    assert sorted(found) == ["/", "/r0", "/r1", "/r2", "/r3", "/r4"]
    other = server.client("apigateway", account="111111111111")
    with aws_error("NotFoundException", f"Invalid API identifier specified 111111111111:{bare.id}", 404):
        other.get_rest_api(restApiId=bare.id)
    assert bare.id not in [item["ApiId"] for item in server.client("apigatewayv2").get_apis()["Items"]]
    assert bare.id in [
        item["id"] for page in bare.client.get_paginator("get_rest_apis").paginate() for item in page["items"]
    ]


def test_cli_exports_and_imports(aws, bare, functions, tmp_path):
    bare.function("/", functions["puppet"], "GET")
    bare.deploy("v1")
    out = tmp_path / "api.json"
    aws(
        "apigateway", "get-export", "--rest-api-id", bare.id, "--stage-name", "v1", "--export-type", "oas30",
        "--parameters", "extensions=apigateway", str(out),
    )
    document = json.loads(out.read_text())
    integration = document["paths"]["/"]["get"]["x-amazon-apigateway-integration"]
    assert integration["uri"] == function_uri(functions["puppet"])
    twin = aws(
        "apigateway", "import-rest-api", "--body", f"fileb://{out}", "--parameters", "endpointConfigurationTypes=REGIONAL"
    ).json
    assert twin["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert twin["name"] == bare.client.get_rest_api(restApiId=bare.id)["name"]
    bare.client.delete_rest_api(restApiId=twin["id"])


def test_tags(server, unique):
    client = server.client("apigateway")
    made = client.create_rest_api(name=unique("tags"), tags={"a": "b"})
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{made['id']}"
    client.tag_resource(resourceArn=arn, tags={"c": "d"})
    assert client.get_tags(resourceArn=arn)["tags"] == {"a": "b", "c": "d"}
    client.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
    assert "tags" not in client.get_rest_api(restApiId=made["id"])
    client.delete_rest_api(restApiId=made["id"])


def test_everything_is_there_after_kill9(make_server):
    server = make_server()
    function = deploy(server, "rest-kill", PUPPET)
    api = proxy_api(server, "kept", function)
    key = api.client.create_api_key(name="k", enabled=True)
    server.kill9()
    server.start()
    assert api.send("GET", "/x").status == 200
    assert server.client("apigateway").get_api_key(apiKey=key["id"], includeValue=True)["value"] == key["value"]
