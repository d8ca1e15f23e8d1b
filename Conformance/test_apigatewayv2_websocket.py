"""WebSocket APIs as their clients and backends see them: handshakes, messages, ends, @connections, violations."""

import contextlib
import json

import botocore.exceptions
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .harness import ACCOUNT, REGION, wait_for
from .http_apis import send
from .socket_apis import PUPPET, SocketApi, ask, frame, read_frame


@pytest.fixture(scope="module")
def shared(server):
    """A function that keeps what it is told, and its table."""
    from .functions import FAST_MB
    from .harness import Function, default_python, unique, zip_bytes

    table = unique("sockets")
    dynamodb = server.client("dynamodb")
    dynamodb.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "kind", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "kind", "KeyType": "RANGE"}])
    made = server.client("lambda").create_function(
        FunctionName=unique("puppet"), Runtime=default_python(), Role=f"arn:aws:iam::{ACCOUNT}:role/sockets",
        Handler="index.handler", MemorySize=FAST_MB, Timeout=10, Code={"ZipFile": zip_bytes({"index.py": PUPPET})},
        Environment={"Variables": {"TABLE": table}})
    function = Function(server, made).wait()

    def told(connection, kind):
        """The event of a connection's begin or end."""
        key = {"id": {"S": connection}, "kind": {"S": kind}}
        item = wait_for(lambda: dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"))
        return json.loads(item["event"]["S"])

    function.told = told
    yield function
    function.delete()


@pytest.fixture
def socket_api(server, shared, unique):
    made = []

    def make(*arguments, **parameters):
        made.append(SocketApi(server, unique("chat"), shared, *arguments, **parameters))
        return made[-1]

    yield make
    for api in made:
        with contextlib.suppress(api.client.exceptions.NotFoundException):
            api.delete()


EVERY = {"routeKey", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt",
         "requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId"}


def test_events_key_by_key(shared, socket_api):
    api = socket_api(routes=["$connect", "$disconnect", "$default", "act"], responds=["$default", "act"])
    client = api.connect(
        "?x=1&x=2&y=%C3%A9", user_agent_header="probe/1", additional_headers={"X-Own": "a", "Origin": "http://a.b"})
    with client:
        message = ask(client, {"action": "act", "n": "ä"})
        other = ask(client, "no json")
        assert ask(client, {"action": "nobody"})["requestContext"]["routeKey"] == "$default"
        assert ask(client, {"action": "$connect"})["requestContext"]["routeKey"] == "$default"
        client.close(4001, "enough")

    assert set(message) == {"requestContext", "body", "isBase64Encoded"}
    assert json.loads(message["body"]) == {"action": "act", "n": "ä"} and message["isBase64Encoded"] is False
    context = message["requestContext"]
    assert set(context) == EVERY | {"messageId"}
    assert context["routeKey"] == "act" and context["eventType"] == "MESSAGE" and context["messageDirection"] == "IN"
    assert context["stage"] == "prod" and context["apiId"] == api.id
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "probe/1"}
    assert context["domainName"] == f"{api.host}:4566"
    assert context["requestId"] == context["extendedRequestId"] != context["messageId"]
    assert other["requestContext"]["routeKey"] == "$default" and other["body"] == "no json"
    assert other["requestContext"]["connectionId"] == context["connectionId"]

    event = shared.told(context["connectionId"], "CONNECT")
    assert set(event) == {
        "headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "requestContext",
        "isBase64Encoded"}
    assert event["queryStringParameters"] == {"x": "2", "y": "é"}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": ["é"]}
    headers = event["headers"]
    assert {"Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For",
            "X-Forwarded-Port", "X-Forwarded-Proto", "Origin", "x-own"} == set(headers)
    assert event["multiValueHeaders"] == {name: [value] for name, value in headers.items()}
    begin = event["requestContext"]
    assert set(begin) == EVERY and begin["eventType"] == "CONNECT" and begin["routeKey"] == "$connect"
    assert begin["connectedAt"] == context["connectedAt"]

    end = shared.told(context["connectionId"], "DISCONNECT")
    assert set(end) == {"headers", "multiValueHeaders", "requestContext", "isBase64Encoded"}
    assert set(end["headers"]) == {"Host", "x-api-key", "X-Forwarded-For", "x-restapi"}
    about = end["requestContext"]
    assert set(about) == EVERY | {"disconnectStatusCode", "disconnectReason"}
    assert about["disconnectStatusCode"] == 4001 and about["disconnectReason"] == "enough"


@pytest.mark.parametrize("order, status", [
    ('{"statusCode":401}', 401), ('{"statusCode":403,"body":"no"}', 403), ('{"statusCode":500}', 500), ("raise", 502),
    ("[1]", 502), ('{"statusCode":"302"}', 302),
])
def test_the_function_refuses_a_connection(socket_api, order, status):
    api = socket_api()
    with pytest.raises(InvalidStatus) as refused:
        api.connect(f"?answer={order}")
    response = refused.value.response
    body = json.loads(response.body)
    assert response.status_code == status and set(body) == {"message", "connectionId", "requestId"}
    if status == 403:
        assert body["message"] == "Forbidden" and response.headers["x-amzn-ErrorType"] == "ForbiddenException"


def test_handshakes_that_are_none(server, socket_api):
    api = socket_api()
    for path, status in (("/prod", 426), ("/prod/", 426), ("/other", 403), ("/prod/more", 403), ("/", 403)):
        answer = send(server, api.host, path=path)
        assert (answer.status, path) == (status, path)
        assert set(answer.json) == {"message", "connectionId", "requestId"}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "x"}
    assert send(server, api.host, path="/prod", headers=upgrade).headers["sec-websocket-version"] == "13"
    with pytest.raises(InvalidStatus) as refused:
        api.connect(path="/nostage")
    assert refused.value.response.status_code == 403
    # Doors without WebSockets serve such a request like any other.
    assert send(server, "nothere.execute-api.localhost", headers=upgrade).status == 404


def test_subprotocols_are_the_functions_choice(socket_api):
    api = socket_api()
    order = json.dumps({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "b"}}).replace(" ", "")
    with api.connect(f"?answer={order}", subprotocols=["a", "b"]) as client:
        assert client.subprotocol == "b"
    with api.connect(subprotocols=["a"]) as client:
        assert client.subprotocol is None


def test_answers_go_to_the_client_only_with_a_route_response(socket_api):
    api = socket_api(routes=["$connect", "one", "two"], responds=["two"])
    with api.connect() as client:
        client.send(json.dumps({"action": "one"}))
        assert ask(client, {"action": "two", "answer": {"statusCode": 200, "body": "1"}}) == 1
        assert ask(client, {"action": "two", "answer": {"statusCode": 200, "body": "Mg==", "isBase64Encoded": True}}) == 2
        for order in ({"raise": "x"}, {"answer": None}, {"answer": {"body": "x"}}):
            problem = ask(client, {"action": "one", **order})
            assert problem["message"] == "Internal server error"
            assert set(problem) == {"message", "connectionId", "requestId"}
        problem = ask(client, {"action": "three"})
        assert problem["message"] == "Forbidden"
        assert {**ask(client, "[]"), "requestId": ""} == {**problem, "requestId": ""}


def test_a_function_without_permission_is_not_called(server, shared, unique, make_function):
    function = make_function("def handler(event, context): return {'statusCode': 200}")
    api = SocketApi(server, unique("closed"), function)
    function.client.remove_permission(FunctionName=function.name, StatementId=f"api-{api.id}")
    with pytest.raises(InvalidStatus) as refused:
        api.connect()
    assert refused.value.response.status_code == 500
    api.delete()


def test_connections_are_reached_through_the_management_api(socket_api, shared):
    api = socket_api(responds=["$default"])
    backend = api.management()
    with api.connect(user_agent_header="probe") as client:
        connection = ask(client, "{}")["requestContext"]["connectionId"]
        backend.post_to_connection(ConnectionId=connection, Data=b"hello \xc3\xa4")
        assert client.recv(timeout=10) == "hello ä"
        backend.post_to_connection(ConnectionId=connection, Data=b"\xff\x00")
        assert client.recv(timeout=10) == b"\xff\x00"
        backend.post_to_connection(ConnectionId=connection, Data=b"x" * 131072)
        assert len(client.recv(timeout=10)) == 131072
        about = backend.get_connection(ConnectionId=connection)
        assert about["Identity"] == {"SourceIp": "127.0.0.1", "UserAgent": "probe"}
        assert about["ConnectedAt"] <= about["LastActiveAt"]
        with pytest.raises(backend.exceptions.PayloadTooLargeException):
            backend.post_to_connection(ConnectionId=connection, Data=b"x" * 131073)
        backend.delete_connection(ConnectionId=connection)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1000
    assert shared.told(connection, "DISCONNECT")["requestContext"]["disconnectStatusCode"] == 1000
    for operation in ("get_connection", "delete_connection"):
        with pytest.raises(backend.exceptions.GoneException) as gone:
            getattr(backend, operation)(ConnectionId=connection)
        assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410
    with pytest.raises(backend.exceptions.GoneException):
        backend.post_to_connection(ConnectionId=connection, Data=b"late")
    with pytest.raises(botocore.exceptions.ClientError) as wrong:
        backend.get_connection(ConnectionId="not one")
    assert wrong.value.response["Error"] == {"Code": "BadRequestException", "Message": "Invalid connectionId: not one"}


def test_the_management_api_asks_who_calls(server, socket_api):
    api, other = socket_api(responds=["$default"]), socket_api()
    with api.connect() as client:
        connection = ask(client, "{}")["requestContext"]["connectionId"]
        path = f"/prod/@connections/{connection.replace('=', '%3D')}"
        unsigned = send(server, api.host, "POST", path, b"x")
        assert unsigned.status == 403 and unsigned.json["message"] == "Missing Authentication Token"
        stranger = api.management(account="111122223333")
        with pytest.raises(stranger.exceptions.ForbiddenException):
            stranger.post_to_connection(ConnectionId=connection, Data=b"x")
        # By another API it is not there.
        backend = other.management()
        with pytest.raises(backend.exceptions.GoneException):
            backend.post_to_connection(ConnectionId=connection, Data=b"x")


CALLS_BACK = """
import boto3, json

def handler(event, context):
    about = event["requestContext"]
    if about["eventType"] == "MESSAGE":
        backend = boto3.client(
            "apigatewaymanagementapi", endpoint_url=f"SCHEME://{about['domainName']}/{about['stage']}")
        try:
            backend.post_to_connection(ConnectionId=about["connectionId"], Data=json.dumps(
                {"you": event["body"], "domain": about["domainName"]}))
        except Exception as error:
            return {"statusCode": 200, "body": json.dumps({"refused": type(error).__name__})}
    return {"statusCode": 200}
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_functions_talk_to_their_clients_and_may_be_forbidden_to(scheme, make_function, server, unique):
    function = make_function(CALLS_BACK.replace("SCHEME", scheme), MemorySize=1769, Timeout=10)
    api = SocketApi(server, unique("self"), function, responds=["$default"])
    with api.connect() as client:
        assert ask(client, "hello") == {"you": "hello", "domain": f"{api.host}:4566"}
        role = function.client.get_function_configuration(FunctionName=function.name)["Role"].rsplit("/", 1)[-1]
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Action": "execute-api:ManageConnections", "Resource": f"arn:aws:execute-api:*:*:{api.id}/*"}]}
        iam = server.client("iam")
        iam.put_role_policy(RoleName=role, PolicyName="no", PolicyDocument=json.dumps(policy))
        try:
            assert ask(client, "hello") == {"refused": "ForbiddenException"}
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="no")
    api.delete()


# Signs as AWS's SDK for JavaScript does, which is not part of the runtime, and sends as its HTTP handler does.
NODE_BACKEND = """
const crypto = require("node:crypto"), http = require("node:http"), https = require("node:https"), net = require("node:net");
const agents = {"http:": new http.Agent({keepAlive: true}), "https:": new https.Agent({keepAlive: true, maxSockets: 50})};
const hash = (text) => crypto.createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => crypto.createHmac("sha256", key).update(text).digest();
let sockets = new Set();

function send(method, endpoint, id, body) {
    const url = new URL(endpoint + "/@connections/" + encodeURIComponent(id));
    const stamp = new Date().toISOString().replace(/[-:]|[.]\\d{3}/g, ""), region = process.env.AWS_REGION;
    const headers = {"host": url.host, "x-amz-date": stamp, "x-amz-security-token": process.env.AWS_SESSION_TOKEN};
    const path = url.pathname.split("/").map(encodeURIComponent).join("/"), names = Object.keys(headers);
    const canonical = [method, path, "", ...names.map((name) => name + ":" + headers[name]), "", names.join(";"), hash(body)];
    const scope = [stamp.slice(0, 8), region, "execute-api", "aws4_request"];
    const text = ["AWS4-HMAC-SHA256", stamp, scope.join("/"), hash(canonical.join("\\n"))].join("\\n");
    const key = scope.reduce(hmac, "AWS4" + process.env.AWS_SECRET_ACCESS_KEY);
    headers.authorization = `AWS4-HMAC-SHA256 Credential=${process.env.AWS_ACCESS_KEY_ID}/${scope.join("/")}, ` +
        `SignedHeaders=${names.join(";")}, Signature=${hmac(key, text).toString("hex")}`;
    return new Promise((resolve, reject) => {
        const client = url.protocol === "https:" ? https : http;
        const request = client.request({
            method, headers, host: url.hostname, port: url.port || undefined, path: url.pathname,
            agent: agents[url.protocol]}, (response) => {
            let answer = "";
            response.on("data", (piece) => { answer += piece; });
            response.on("end", () => resolve({status: response.statusCode, answer}));
        });
        request.on("socket", (socket) => sockets.add(socket));
        request.on("error", reject);
        request.end(body);
    });
}

// A connection made by hand, to a port that programs take for such a name.
function byHand(name, path) {
    return new Promise((resolve, reject) => {
        const socket = new net.Socket();
        socket.connect(443, name, () => socket.write(`GET ${path} HTTP/1.1\\r\\nHost: ${name}\\r\\nConnection: close\\r\\n\\r\\n`));
        socket.on("data", (piece) => resolve(Number(String(piece).split(" ")[1])));
        socket.on("error", reject);
    });
}

exports.handler = async (event) => {
    const about = event.requestContext;
    if (about.eventType !== "MESSAGE") return {statusCode: 200};
    const endpoint = `${event.body}://${about.domainName}/${about.stage}`;
    const posted = [];
    for (const text of ["one", "two"]) posted.push((await send("POST", endpoint, about.connectionId, text)).status);
    const fetched = await fetch(`${endpoint}/@connections/${encodeURIComponent(about.connectionId)}`);
    const direct = await byHand(new URL(endpoint).hostname, `/${about.stage}/@connections/none`);
    return {statusCode: 200, body: JSON.stringify({posted, sockets: sockets.size, fetched: fetched.status, direct})};
};
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_node_functions_talk_to_their_clients(scheme, make_function, server, unique):
    function = make_function(files={"index.js": NODE_BACKEND}, runtime="nodejs20.x", MemorySize=1769, Timeout=10)
    api = SocketApi(server, unique("node"), function, responds=["$default"])
    # By AWS's own name too, which stands in events where clients use it and has no port.
    for host in (api.host, f"{api.id}.execute-api.us-east-1.amazonaws.com"):
        with api.connect(host=host) as client:
            client.send(scheme)
            assert client.recv(timeout=30) == "one" and client.recv(timeout=30) == "two"
            # One connection for both; and without a signature nobody sends.
            told = json.loads(client.recv(timeout=30))
            assert told == {"posted": [200, 200], "sockets": 1, "fetched": 403, "direct": 403}, host
        function.client.update_function_configuration(FunctionName=function.name, Description="a new environment")
        function.wait()
    api.delete()


@pytest.mark.parametrize("how", [["--isolation", "none"], ["--egress", "host"]])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_functions_call_back_where_the_server_listens(how, scheme, make_server, make_function, unique):
    server = make_server(*how)
    function = make_function(
        CALLS_BACK.replace("SCHEME", scheme), server=server, MemorySize=1769, Timeout=10)
    api = SocketApi(server, unique("port"), function, responds=["$default"])
    with api.connect() as client:
        assert ask(client, "hello") == {"you": "hello", "domain": f"{api.host}:{server.port}"}


def test_the_name_in_events_is_not_the_clients_word(shared, socket_api):
    api = socket_api(responds=["$default"])
    for host in (f"{api.id}.s3.amazonaws.com", f"{api.id}.on.aws", f"{api.id}.other.localhost"):
        path = f"/_aws/execute-api/{api.id}/prod"
        with api.connect(host=host, path=path) as client:
            # A bucket of this name could be anybody's.
            assert ask(client, "{}")["requestContext"]["domainName"] == f"{api.host}:4566"


def test_a_request_authorizer(server, shared, unique, make_function):
    source = """
import json

def handler(event, context):
    token = event["headers"].get("token")
    if token == "raise":
        raise RuntimeError("no")
    if token == "unauthorized":
        raise Exception("Unauthorized")
    return {
        "principalId": "me",
        "policyDocument": {"Version": "2012-10-17", "Statement": [{
            "Action": "execute-api:Invoke", "Effect": "Allow" if token == "yes" else "Deny",
            "Resource": event["methodArn"]}]},
        "context": {"seen": json.dumps(sorted(event)), "type": event["type"], "arn": event["methodArn"], "n": 1},
    }
"""
    authorizer = make_function(source, MemorySize=1769, Timeout=10)
    api = SocketApi(server, unique("guarded"), shared, responds=["$default"])
    api.allow(authorizer)
    made = api.client.create_authorizer(
        ApiId=api.id, Name="z", AuthorizerType="REQUEST", AuthorizerUri=authorizer.arn,
        IdentitySource=["route.request.header.token"])["AuthorizerId"]
    route = next(one for one in api.client.get_routes(ApiId=api.id)["Items"] if one["RouteKey"] == "$connect")
    api.client.update_route(
        ApiId=api.id, RouteId=route["RouteId"], AuthorizationType="CUSTOM", AuthorizerId=made)
    api.deploy()
    for token, status in ((None, 401), ("no", 403), ("raise", 500), ("unauthorized", 401)):
        with pytest.raises(InvalidStatus) as refused:
            api.connect(additional_headers={"token": token} if token else {})
        assert refused.value.response.status_code == status
    with api.connect("?q=1", additional_headers={"token": "yes"}) as client:
        context = ask(client, "{}")["requestContext"]
        assert context["authorizer"]["principalId"] == "me" and context["authorizer"]["type"] == "REQUEST"
        assert context["authorizer"]["arn"] == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api.id}/prod/$connect"
        assert set(json.loads(context["authorizer"]["seen"])) == {
            "type", "methodArn", "headers", "multiValueHeaders", "queryStringParameters",
            "multiValueQueryStringParameters", "stageVariables", "requestContext"}
        begin = shared.told(context["connectionId"], "CONNECT")
        assert begin["requestContext"]["authorizer"]["principalId"] == "me"
    api.delete()


def test_iam_authorization_of_a_connection(server, socket_api):
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    api = socket_api(connect_settings={"AuthorizationType": "AWS_IAM"}, responds=["$default"])
    with pytest.raises(InvalidStatus) as refused:
        api.connect()
    assert refused.value.response.status_code == 403
    request = AWSRequest("GET", f"http://{api.host}:{server.port}/prod")
    SigV4QueryAuth(Credentials(ACCOUNT, "secret"), "execute-api", REGION).add_auth(request)
    with api.connect(request.url[request.url.index("?"):]) as client:
        identity = ask(client, "{}")["requestContext"]["identity"]
        assert identity["accountId"] == ACCOUNT and identity["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_protocol_violations_close_with_their_codes(socket_api):
    api = socket_api(responds=["$default"])
    big = b"x" * (32 << 10)
    cases = [
        (frame(1, b"a", masked=False), 1002), (frame(1, b"a", first=0xC1), 1002), (frame(3, b"a"), 1002),
        (frame(0, b"a"), 1002), (frame(1, b"a", final=False) + frame(1, b"b"), 1002), (frame(9, b"x" * 126), 1002),
        (frame(1, b"\xff"), 1007), (frame(2, b"a"), 1003), (frame(1, big + b"x"), 1009),
        (frame(1, big, final=False) + frame(0, big, final=False) * 3 + frame(0, b"x"), 1009), (frame(8, b"\x03"), 1002),
        (frame(8, b"\x0f\xa0bye"), 4000), (frame(8, b""), None),
    ]
    for bytes_, code in cases:
        with contextlib.closing(api.raw()) as raw:
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += raw.recv(4096)
            assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
            raw.sendall(bytes_)
            end = read_frame(raw)
            assert end == b"" if code is None else int.from_bytes(end[:2], "big") == code, (bytes_[:20], end[:50])
            if code in (None, 4000):
                # The client's goodbye: the server closes first.
                assert raw.recv(1) == b""


def test_pings_are_answered_and_large_messages_pass(socket_api):
    api = socket_api(responds=["$default"])
    with api.connect() as client:
        assert client.ping(b"x").wait(10)
        text = json.dumps({"answer": {"statusCode": 200, "body": "y" * 100_000}})
        client.send(text[i:i + 30_000] for i in range(0, len(text), 30_000))
        assert client.recv(timeout=30) == "y" * 100_000


def test_throttled_messages_and_access_logs(server, socket_api, unique):
    group = unique("access")
    server.client("logs").create_log_group(logGroupName=group)
    settings = {
        "DefaultRouteSettings": {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 3},
        "AccessLogSettings": {
            "DestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
            "Format": "$context.requestId $context.eventType $context.routeKey $context.status $context.connectionId"},
    }
    api = socket_api(responds=["$default"], stage_settings=settings)
    with api.connect() as client:
        connection = ask(client, "{}")["requestContext"]["connectionId"]
        ask(client, "{}")
        assert ask(client, "{}")["message"] == "Too Many Requests"

    def lines():
        found = server.client("logs").filter_log_events(logGroupName=group)["events"]
        return [one["message"].split(" ", 1)[1] for one in found] if len(found) >= 5 else None

    assert sorted(wait_for(lines)) == sorted([
        f"CONNECT $connect 200 {connection}", f"MESSAGE $default 200 {connection}", f"MESSAGE $default 200 {connection}",
        f"MESSAGE $default 429 {connection}", f"DISCONNECT $disconnect 200 {connection}"])


def test_a_new_deployment_serves_open_connections(socket_api):
    api = socket_api(routes=["$connect"])
    with api.connect() as client:
        assert ask(client, {"action": "late"})["message"] == "Forbidden"
        route = api.route("late")
        api.client.create_route_response(ApiId=api.id, RouteId=route, RouteResponseKey="$default")
        assert ask(client, {"action": "late"})["message"] == "Forbidden"
        api.deploy()
        assert ask(client, {"action": "late"})["requestContext"]["routeKey"] == "late"
        api.client.delete_stage(ApiId=api.id, StageName="prod")
        # Who says nothing is told, too.
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1001


def test_a_deleted_api_closes_its_connections_and_no_others(socket_api):
    api, other = socket_api(responds=["$default"]), socket_api(responds=["$default"])
    with api.connect() as client, other.connect() as staying:
        api.client.delete_api(ApiId=api.id)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1001
        assert ask(staying, {"action": "x"})["requestContext"]["routeKey"] == "$default"


def test_selection_expressions(socket_api):
    nested = socket_api(routes=["$connect", "a/1", "b"], responds=["a/1"], selection="${request.body.kind.name}/${request.body.n}")
    with nested.connect() as client:
        assert ask(client, {"kind": {"name": "a"}, "n": 1})["requestContext"]["routeKey"] == "a/1"
        assert ask(client, {"kind": {"name": "a"}})["message"] == "Forbidden"
    listed = socket_api(routes=["$connect", "Boot"], responds=["Boot"], selection="$request.body[2]")
    with listed.connect() as client:
        assert ask(client, [2, "id", "Boot", {}])["requestContext"]["routeKey"] == "Boot"


def test_connections_die_with_the_server_and_clients_come_back(make_server, unique):
    from .functions import FAST_MB
    from .harness import Function, default_python, zip_bytes

    server = make_server()
    made = server.client("lambda").create_function(
        FunctionName="puppet", Runtime=default_python(), Role=f"arn:aws:iam::{ACCOUNT}:role/sockets",
        Handler="index.handler", MemorySize=FAST_MB, Timeout=10, Code={"ZipFile": zip_bytes({"index.py": PUPPET})})
    api = SocketApi(server, "chat", Function(server, made).wait(), responds=["$default"])
    client = api.connect()
    first = ask(client, "{}")["requestContext"]["connectionId"]
    server.restart("kill9")
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=10)
    backend = api.management()
    with pytest.raises(backend.exceptions.GoneException):
        backend.post_to_connection(ConnectionId=first, Data=b"x")
    with api.connect() as client:
        assert ask(client, "{}")["requestContext"]["connectionId"] != first
        # A server that is asked to end says goodbye.
        assert server.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1001


# The control plane


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_what_the_control_plane_keeps(server, socket_api):
    api = socket_api(responds=["$default"])
    client, about = api.client, api.client.get_api(ApiId=api.id)
    assert about["ProtocolType"] == "WEBSOCKET" and about["RouteSelectionExpression"] == "$request.body.action"
    assert about["ApiEndpoint"] == f"ws://{api.host}:{server.port}" and "CorsConfiguration" not in about
    integration = client.get_integration(ApiId=api.id, IntegrationId=api.integration)
    assert integration["TimeoutInMillis"] == 29000 and integration["PayloadFormatVersion"] == "1.0"
    assert integration["PassthroughBehavior"] == "WHEN_NO_MATCH" and integration["IntegrationMethod"] == "POST"
    route = next(one for one in client.get_routes(ApiId=api.id)["Items"] if one["RouteKey"] == "$default")
    [response] = client.get_route_responses(ApiId=api.id, RouteId=route["RouteId"])["Items"]
    ids = {"ApiId": api.id, "RouteId": route["RouteId"], "RouteResponseId": response["RouteResponseId"]}
    assert client.get_route_response(**ids)["RouteResponseKey"] == "$default"
    assert client.update_route_response(**ids, ResponseModels={"x": "y"})["ResponseModels"] == {"x": "y"}
    client.delete_route_response(**ids)
    assert refused(client.get_route_response, **ids)[0] == "NotFoundException"
    made = client.create_integration_response(
        ApiId=api.id, IntegrationId=api.integration, IntegrationResponseKey="/200/")
    ids = {"ApiId": api.id, "IntegrationId": api.integration, "IntegrationResponseId": made["IntegrationResponseId"]}
    assert client.get_integration_response(**ids)["IntegrationResponseKey"] == "/200/"
    client.delete_integration_response(**ids)
    assert client.update_api(ApiId=api.id, RouteSelectionExpression="$request.body.x")["RouteSelectionExpression"] == "$request.body.x"


def test_what_the_control_plane_refuses(socket_api, shared):
    api = socket_api()
    client = api.client
    bad = "BadRequestException"
    assert refused(client.create_api, Name="x", ProtocolType="WEBSOCKET")[0] == bad
    assert refused(client.create_api, Name="x", ProtocolType="WEBSOCKET", RouteSelectionExpression="$oops") == (
        bad, "Invalid route selection expression specified")
    assert refused(client.create_api, Name="x", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.a",
                   Target=shared.arn)[0] == bad
    assert refused(client.create_route, ApiId=api.id, RouteKey="$other") == (
        bad, "The provided route key is not formatted properly")
    assert refused(client.create_route, ApiId=api.id, RouteKey="$default")[0] == "ConflictException"
    assert refused(client.create_route, ApiId=api.id, RouteKey="x", AuthorizationType="AWS_IAM") == (
        bad, "Currently, authorization restriction is only supported on the $connect Route")
    assert refused(client.create_route, ApiId=api.id, RouteKey="x", ApiKeyRequired=True)[0] == "NotImplementedException"
    for kind in ("AWS", "HTTP"):
        code, text = refused(client.create_integration, ApiId=api.id, IntegrationType=kind, IntegrationUri="http://a.b")
        assert code == "NotImplementedException" and kind in text
    assert refused(client.create_integration, ApiId=api.id, IntegrationType="AWS_PROXY", IntegrationUri=shared.arn,
                   TimeoutInMillis=30000)[0] == bad
    assert refused(client.create_authorizer, ApiId=api.id, Name="j", AuthorizerType="JWT", IdentitySource=[],
                   JwtConfiguration={"Issuer": "https://a", "Audience": ["x"]})[0] == bad
    assert refused(client.create_stage, ApiId=api.id, StageName="$default")[0] == bad
    http = client.create_api(Name="h", ProtocolType="HTTP")["ApiId"]
    route = client.create_route(ApiId=http, RouteKey="GET /")["RouteId"]
    assert refused(client.create_route_response, ApiId=http, RouteId=route, RouteResponseKey="$default")[0] == bad
    client.delete_api(ApiId=http)


def test_mock_and_http_integrations(server, socket_api, unique):
    api = SocketApi(server, unique("mock"), None)
    api.integration = api.client.create_integration(
        ApiId=api.id, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode": 401}'})["IntegrationId"]
    api.route("$connect")
    api.client.create_stage(ApiId=api.id, StageName="prod", AutoDeploy=True)
    with pytest.raises(InvalidStatus) as no:
        api.connect()
    assert no.value.response.status_code == 401
    api.client.update_integration(
        ApiId=api.id, IntegrationId=api.integration, RequestTemplates={"$default": '{"statusCode": 200}'})
    url = f"{server.url}/_martlet/health"
    api.integration = api.client.create_integration(
        ApiId=api.id, IntegrationType="HTTP_PROXY", IntegrationMethod="GET", IntegrationUri=url)["IntegrationId"]
    route = api.route("$default")
    api.client.create_route_response(ApiId=api.id, RouteId=route, RouteResponseKey="$default")
    with api.connect() as client:
        assert "status" in ask(client, "{}")
    assert refused(api.client.create_integration, ApiId=api.id, IntegrationType="MOCK",
                   RequestTemplates={"$default": "$input.json('$')"})[0] == "NotImplementedException"
    api.delete()
