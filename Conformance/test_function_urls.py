"""Function URLs: their configuration, who may call them, what functions get, and what callers get."""

import base64
import configparser
import json

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from . import raw
from .doors import URL, open_to_all
from .expect import aws_error
from .harness import Server, lambda_role, zip_bytes

FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
ECHO = "def handler(event, context): return event"
# Answers what the request's body says, as a Python expression.
SAY = "def handler(event, context): return eval(event['body'])"


@pytest.fixture
def echo(fast_function):
    return URL(fast_function(ECHO))


def test_configuration(fast_function, client):
    function = fast_function(ECHO)
    lambda_, name = client("lambda"), function.name
    with aws_error("ResourceNotFoundException", "The resource you requested does not exist.", 404):
        lambda_.get_function_url_config(FunctionName=name)
    with aws_error("ResourceNotFoundException", "Function does not exist", 404):
        lambda_.create_function_url_config(FunctionName=name + "-not", AuthType="NONE")
    with aws_error("ResourceNotFoundException", "Function does not exist", 404):
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", Qualifier="nobody")
    with aws_error("ValidationException"):
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE", Qualifier="2")
    made = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert set(made) - {"ResponseMetadata"} == {"AuthType", "CreationTime", "FunctionArn", "FunctionUrl"}
    assert made["FunctionArn"] == function.arn
    with aws_error(
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {function.arn}]. Error message:  "
        "FunctionUrlConfig exists for this Lambda function",
        409,
    ):
        lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")

    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 5, "AllowCredentials": True}
    changed = lambda_.update_function_url_config(
        FunctionName=name, AuthType="AWS_IAM", Cors=cors, InvokeMode="RESPONSE_STREAM"
    )
    found = lambda_.get_function_url_config(FunctionName=name)
    for answer in (changed, found):
        assert answer["AuthType"] == "AWS_IAM" and answer["InvokeMode"] == "RESPONSE_STREAM"
        assert answer["Cors"] == cors and answer["FunctionUrl"] == made["FunctionUrl"]
        assert answer["CreationTime"] == made["CreationTime"] < answer["LastModifiedTime"]
    # Settings without members take CORS away: there is no other way.
    assert "Cors" not in lambda_.update_function_url_config(FunctionName=name, Cors={})
    assert "Cors" not in lambda_.get_function_url_config(FunctionName=name)

    lambda_.publish_version(FunctionName=name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    other = lambda_.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")
    assert other["FunctionArn"] == function.arn + ":live" and other["FunctionUrl"] != made["FunctionUrl"]
    pages = lambda_.get_paginator("list_function_url_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    listed = [one["FunctionArn"] for page in pages for one in page["FunctionUrlConfigs"]]
    assert listed == [function.arn, function.arn + ":live"]

    assert lambda_.delete_function_url_config(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with aws_error("ResourceNotFoundException", status=404):
        lambda_.delete_function_url_config(FunctionName=name)
    # An alias takes its URL with it.
    lambda_.delete_alias(FunctionName=name, Name="live")
    assert lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []


def test_both_grants_are_needed(fast_function):
    function = fast_function(ECHO)
    url = URL(function, grant=False)
    status, headers, body = url.ask()
    assert (status, json.loads(body)) == (403, {"Message": FORBIDDEN})
    assert headers["x-amzn-errortype"] == "AccessDeniedException"
    function.client.add_permission(
        FunctionName=function.name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE",
    )
    assert url.ask()[0] == 403
    function.client.add_permission(
        FunctionName=function.name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True,
    )
    assert url.ask()[0] == 200
    function.client.remove_permission(FunctionName=function.name, StatementId="url")
    assert url.ask()[0] == 403
    # The grant is for URLs of this kind, and not for Invoke.
    function.client.add_permission(
        FunctionName=function.name, StatementId="iam", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="AWS_IAM",
    )
    assert url.ask()[0] == 403


def test_an_alias_has_its_own_url_and_grants(fast_function):
    function = fast_function("def handler(event, context): return context.invoked_function_arn")
    function.client.publish_version(FunctionName=function.name)
    function.client.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    url = URL(function, Qualifier="live")
    assert url.ask()[2].decode() == function.arn + ":live"
    assert URL(function, grant=False).ask()[0] == 403


def test_the_event(echo):
    status, headers, body = echo.ask(
        "PUT", "/pa2%Fth/1%20x?q=HELLO&a=1&a=2%2C3&empty=&flag&pl+us=a+b", b'{"k": "v"}',
        {
            "Content-Type": "application/json", "X-Many": "one", "Cookie": "a=1; b=2", "User-Agent": "tester",
            "X-Forwarded-For": "1.2.3.4",
        },
    )
    event = json.loads(body)
    assert status == 200 and headers["content-type"] == "application/json"
    assert list(event) == [
        "version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters",
        "requestContext", "body", "isBase64Encoded",
    ]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/pa2%Fth/1%20x")
    assert event["rawQueryString"] == "q=HELLO&a=1&a=2%2C3&empty=&flag&pl+us=a+b"
    assert event["queryStringParameters"] == {
        "q": "HELLO", "a": "1,2,3", "empty": "", "flag": "", "pl us": "a b",
    }
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["body"] == '{"k": "v"}' and event["isBase64Encoded"] is False
    assert event["headers"]["host"] == echo.host and event["headers"]["x-many"] == "one"
    assert event["headers"]["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["x-forwarded-port"] == str(echo.server.port)
    assert event["headers"]["x-amzn-trace-id"].startswith("Root=1-")
    assert "cookie" not in event["headers"]
    context = event["requestContext"]
    assert list(context) == [
        "accountId", "apiId", "domainName", "domainPrefix", "http", "requestId", "routeKey", "stage", "time",
        "timeEpoch",
    ]
    assert context["accountId"] == "anonymous" and context["apiId"] == context["domainPrefix"] == echo.id
    assert context["domainName"] == f"{echo.id}.lambda-url.us-east-1.on.aws"
    assert context["http"] == {
        "method": "PUT", "path": "/pa2%Fth/1%20x", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
        "userAgent": "tester",
    }
    assert context["requestId"] == headers["x-amzn-requestid"]
    assert context["time"].endswith("+0000") and context["time"][2] == "/"


@pytest.mark.parametrize("how", ["host", "aws", "path"])
def test_ways_to_reach_it(echo, how):
    host = {"host": True, "aws": f"{echo.id}.lambda-url.us-east-1.on.aws", "path": False}[how]
    event = echo.event("GET", "/some/where?x=1", host=host)
    assert event["rawPath"] == "/some/where" and event["queryStringParameters"] == {"x": "1"}
    assert "body" not in event and "cookies" not in event and event["isBase64Encoded"] is False
    assert echo.ask("GET", host="nothing.lambda-url.us-east-1.localhost")[0] == 403


@pytest.mark.parametrize(
    "kind, body, is_base64",
    [
        ("text/plain", b"plain", False), ("application/json; charset=utf-8", b"{}", False),
        ("application/xml", b"<a/>", False), ("application/vnd.api+json", b"{}", False),
        ("application/octet-stream", b"abc", True), ("image/png", b"\x89PNG", True), ("text/plain", b"\xff\xfe", True),
        ("application/x-www-form-urlencoded", b"a=1", True), ("multipart/form-data; boundary=x", b"--x--", True),
        (None, b"plain", False),
    ],
)
def test_bodies_of_requests(echo, kind, body, is_base64):
    event = echo.event("POST", "/", body, {"Content-Type": kind} if kind else {})
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == body


@pytest.fixture
def say(fast_function):
    return URL(fast_function(SAY))


# Recorded on AWS, 2025-11: JSON without blanks, strings as they are.
@pytest.mark.parametrize(
    "result, status, kind, body",
    [
        ({"hello": "world"}, 200, "application/json", b'{"hello":"world"}'),
        ({"statusCode": 200, "body": "body123"}, 200, "application/json", b"body123"),
        ({"statusCode": 200, "body": '{"hello": "world"}'}, 200, "application/json", b'{"hello": "world"}'),
        (["hello", 3, True], 200, "application/json", b'["hello",3,true]'),
        ("hello", 200, "application/json", b"hello"),
        (3, 200, "application/json", b"3"),
        (3.1, 200, "application/json", b"3.1"),
        (True, 200, "application/json", b"true"),
        (None, 200, "application/json", b"null"),
        ({"statusCode": "418", "headers": {"Content-Type": "text/html"}, "body": "<b>"}, 418, "text/html", b"<b>"),
        ({"statusCode": 200, "body": "aGk=", "isBase64Encoded": True}, 200, "application/json", b"hi"),
        ({"statusCode": 204}, 204, "application/json", b""),
        ({"statusCode": 200, "body": "!", "isBase64Encoded": True}, 502, "application/json", b"Internal Server Error"),
        ({"statusCode": 99}, 502, "application/json", b"Internal Server Error"),
        ({"statusCode": "x"}, 502, "application/json", b"Internal Server Error"),
        ({"statusCode": 200, "headers": 7}, 502, "application/json", b"Internal Server Error"),
    ],
)
def test_results(say, result, status, kind, body):
    answer = say.ask("POST", "/", repr(result), {"Content-Type": "text/plain"})
    assert (answer[0], answer[1]["content-type"], answer[2]) == (status, kind, body)


def test_headers_and_cookies(say):
    result = {
        "statusCode": 200, "cookies": ["a=1; Path=/", "b=2"],
        "headers": {
            "X-Own": "yes", "X-Number": 7, "X-Break": "a\r\nSet-Cookie: evil=1", "bad name": "x", "Date": "never",
            "Content-Length": "5", "Connection": "close", "WWW-Authenticate": "Basic", "x-amzn-RequestId": "mine",
            "Transfer-Encoding": "chunked",
        },
        "body": "12345678",
    }
    status, headers, body = say.ask("POST", "/", repr(result), {"Content-Type": "text/plain"})
    assert (status, body) == (200, b"12345678")
    assert say.response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert headers["x-own"] == "yes" and headers["x-number"] == "7"
    assert headers["content-length"] == "8" and headers["x-amzn-remapped-content-length"] == "5"
    assert headers["x-amzn-remapped-www-authenticate"] == "Basic" and "www-authenticate" not in headers
    assert headers["x-amzn-remapped-date"] == "never" and headers["date"] != "never"
    assert headers["x-amzn-requestid"] != "mine" and "bad name" not in headers


def test_what_goes_wrong(fast_function, make_function):
    failing = URL(fast_function("def handler(event, context): raise ValueError('secret')"))
    status, _, body = failing.ask()
    assert (status, body) == (502, b"Internal Server Error")
    slow = URL(make_function("import time\ndef handler(event, context): time.sleep(20)", Timeout=1, MemorySize=1769))
    assert slow.ask()[::2] == (502, b"Internal Server Error")
    throttled = URL(fast_function(ECHO, ))
    throttled.function.client.put_function_concurrency(
        FunctionName=throttled.function.name, ReservedConcurrentExecutions=0
    )
    status, headers, body = throttled.ask()
    assert status == 429 and headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert json.loads(body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    large = URL(fast_function(ECHO))
    assert large.ask("POST", "/", b"x" * (6 * 1024 * 1024 + 1))[0] == 413
    # It fits as it is, and not in base64.
    assert large.ask("POST", "/", b"\xff" * (5 * 1024 * 1024))[0] == 413
    assert large.ask()[0] == 200
    large.function.delete()
    assert large.ask()[0] == 403
    # A function that takes its name over does not take its URL over.
    again = fast_function(ECHO, FunctionName=large.function.name)
    open_to_all(again)
    assert large.ask()[0] == 403


def test_cors(fast_function):
    url = URL(
        fast_function("def handler(e, c): return {'statusCode': 200, 'body': 'x', 'headers': "
                      "{'Access-Control-Allow-Origin': 'https://own.example', 'Access-Control-Max-Age': '1'}}"),
        Cors={
            "AllowOrigins": ["https://a.example", "http://*"], "AllowMethods": ["POST"], "AllowHeaders": ["X-One"],
            "ExposeHeaders": ["X-Two", "X-Three"], "MaxAge": 30, "AllowCredentials": True,
        },
    )

    def preflight(origin, method="POST", headers="x-one"):
        return url.ask(
            "OPTIONS", "/", None,
            {
                "Origin": origin, "Access-Control-Request-Method": method,
                **({"Access-Control-Request-Headers": headers} if headers else {}),
            },
        )

    status, headers, body = preflight("https://a.example")
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert headers["access-control-allow-methods"] == "POST" and headers["access-control-allow-headers"] == "X-One"
    assert headers["access-control-max-age"] == "30" and headers["access-control-allow-credentials"] == "true"
    assert preflight("http://any.example")[1]["access-control-allow-origin"] == "http://any.example"
    for refused in (preflight("https://b.example"), preflight("https://a.example", "PUT"),
                    preflight("https://a.example", headers="x-one, x-other")):
        assert refused[0] == 200 and "access-control-allow-origin" not in refused[1]

    _, headers, _ = url.ask("GET", "/", None, {"Origin": "https://a.example"})
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert headers["access-control-expose-headers"] == "X-Two,X-Three" and "access-control-max-age" not in headers
    # Without CORS of its own the function's is what is sent, and it gets the preflight.
    url.function.client.delete_function_url_config(FunctionName=url.function.name)
    plain = URL(url.function, grant=False)
    _, headers, body = plain.ask("OPTIONS", "/", None, {"Origin": "https://a.example",
                                                         "Access-Control-Request-Method": "GET"})
    assert body == b"x" and headers["access-control-allow-origin"] == "https://own.example"


def test_iam(fast_function):
    function = fast_function(ECHO)
    url = URL(function, grant=False, AuthType="AWS_IAM")
    assert json.loads(url.ask()[2]) == {"Message": FORBIDDEN}

    def signed(account="000000000000", body=b"", method="GET"):
        request = botocore.awsrequest.AWSRequest(method, f"http://{url.host}/x?a=1", data=body, headers={"Host": url.host})
        credentials = botocore.credentials.Credentials(account, "secret")
        botocore.auth.SigV4Auth(credentials, "lambda", "us-east-1").add_auth(request)
        return url.ask(method, "/x?a=1", body, dict(request.headers))

    status, _, body = signed()
    context = json.loads(body)["requestContext"]
    assert status == 200 and context["accountId"] == "000000000000"
    assert context["authorizer"]["iam"] == {
        "accessKey": "000000000000", "accountId": "000000000000", "callerId": "000000000000", "cognitoIdentity": None,
        "principalOrgId": None, "userArn": "arn:aws:iam::000000000000:root", "userId": "000000000000",
    }
    # Another account needs both grants of the resource.
    assert signed("111122223333")[0] == 403
    for number, action in enumerate(["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]):
        function.client.add_permission(
            FunctionName=function.name, StatementId=f"s{number}", Action=action, Principal="111122223333",
        )
    status, _, body = signed("111122223333")
    assert status == 200 and json.loads(body)["requestContext"]["accountId"] == "111122223333"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 3\r\nTransfer-Encoding: chunked", "Content-Length: 3\r\nContent-Length: 4",
        "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked",
        "Content-Length: +3", "Host: other.lambda-url.us-east-1.localhost", "Content-Length: 3\r\n Transfer-Encoding: x",
    ],
)
def test_smuggling(echo, head):
    inner = f"GET /inner HTTP/1.1\r\nHost: {echo.host}\r\n\r\n"
    data = f"POST /outer HTTP/1.1\r\nHost: {echo.host}\r\n{head}\r\n\r\nabc{inner}".encode()
    answer = raw.exchange(echo.server, data)
    assert answer.status in (0, 400, 501), answer


def test_oversized_headers(echo):
    answer = raw.exchange(
        echo.server,
        f"GET / HTTP/1.1\r\nHost: {echo.host}\r\nX-Large: {'x' * 70000}\r\n\r\n".encode())
    assert answer.status == 431
    many = "".join(f"X-{number}: 1\r\n" for number in range(300))
    assert raw.exchange(echo.server, f"GET / HTTP/1.1\r\nHost: {echo.host}\r\n{many}\r\n".encode()).status == 431


def test_signatures_are_checked_with_authentication(tmp_path, python_runtime):
    """With the credentials that the server makes, real signatures, and wrong ones."""
    server = Server(tmp_path / "data", ["--auth", "sigv4"]).start()
    try:
        parser = configparser.ConfigParser()
        parser.read(server.data_dir / "credentials")
        key, secret = parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]
        lambda_, iam = (boto3.session.Session().client(
            service, endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=key,
            aws_secret_access_key=secret) for service in ("lambda", "iam"))
        lambda_.create_function(
            FunctionName="fn", Runtime=python_runtime, Handler="index.handler", Role=lambda_role(iam),
            Code={"ZipFile": zip_bytes({"index.py": ECHO})}, MemorySize=1769, Timeout=10)
        lambda_.get_waiter("function_active_v2").wait(FunctionName="fn", WaiterConfig={"Delay": 0.05})
        address = lambda_.create_function_url_config(FunctionName="fn", AuthType="AWS_IAM")["FunctionUrl"]

        def ask(secret, by_path=False, tamper=b"", key=key, service="lambda"):
            host = address.split("/")[2]
            path = f"/_aws/lambda-url/{host.split('.')[0]}/p%20q" if by_path else "/p%20q"
            host = f"127.0.0.1:{server.port}" if by_path else host
            request = botocore.awsrequest.AWSRequest("POST", f"http://{host}{path}", data=b"body", headers={"Host": host})
            signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), service, "us-east-1")
            signer.add_auth(request)
            return raw.exchange(
                server,
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {4 + len(tamper)}\r\n".encode()
                + "".join(f"{k}: {v}\r\n" for k, v in request.headers.items() if k != "Host").encode()
                + b"\r\nbody" + tamper)

        for by_path in (False, True):
            answer = ask(secret, by_path)
            assert answer.status == 200, answer
            event = json.loads(answer.body)
            assert event["rawPath"] == "/p%20q" and event["requestContext"]["authorizer"]["iam"]["accessKey"] == key
        for answer in (ask("wrong"), ask(secret, tamper=b"x"), ask(secret, key="AKIAIOSFODNN7EXAMPLE")):
            assert answer.status == 403 and "message" in json.loads(answer.body), answer
        scoped = ask(secret, service="execute-api")
        assert (scoped.status, json.loads(scoped.body)) == (
            403, {"message": "Credential should be scoped to correct service: 'lambda'. "})
        unsigned = raw.exchange(server, f"GET / HTTP/1.1\r\nHost: {address.split('/')[2]}\r\n\r\n".encode())
        assert unsigned.status == 403 and json.loads(unsigned.body) == {"Message": FORBIDDEN}
        # A public URL asks for nothing, also with authentication on.
        lambda_.update_function_url_config(FunctionName="fn", AuthType="NONE")
        for number, more in enumerate(
            [
                dict(Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE"),
                dict(Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True),
            ]
        ):
            lambda_.add_permission(FunctionName="fn", StatementId=f"s{number}", Principal="*", **more)
        assert raw.exchange(server, f"GET / HTTP/1.1\r\nHost: {address.split('/')[2]}\r\n\r\n".encode()).status == 200
        assert ask("wrong").status == 200 and ask(secret, service="execute-api").status == 200
    finally:
        server.kill9()
