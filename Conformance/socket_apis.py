"""What the tests of WebSocket APIs share: an API in front of a function, and clients as programs have them."""

import json
import socket

import boto3
import botocore.config
from websockets.sync.client import connect

from .harness import ACCOUNT, REGION

# Keeps what it is told at a connection's begin and end in a table; answers messages with their event. How it answers a
# connection is in the query, how it answers a message in the message.
PUPPET = """
import boto3, json, os

table = boto3.resource("dynamodb").Table(os.environ["TABLE"]) if "TABLE" in os.environ else None

def handler(event, context):
    about = event["requestContext"]
    if about["eventType"] == "MESSAGE":
        try:
            order = json.loads(event["body"])
        except ValueError:
            order = {}
        order = order if isinstance(order, dict) else {}
        if "raise" in order:
            raise RuntimeError(order["raise"])
        return order["answer"] if "answer" in order else {"statusCode": 200, "body": json.dumps(event)}
    if table:
        table.put_item(Item={"id": about["connectionId"], "kind": about["eventType"], "event": json.dumps(event)})
    order = (event.get("queryStringParameters") or {}).get("answer")
    if order == "raise":
        raise RuntimeError("no")
    return json.loads(order) if order else {"statusCode": 200}
"""


class SocketApi:
    """A WebSocket API of the test's own, with one function behind every route."""

    def __init__(self, server, name, function, routes=("$connect", "$disconnect", "$default"), responds=(), stage="prod",
                 selection="$request.body.action", connect_settings=None, stage_settings=None):
        self.server = server
        self.client = server.client("apigatewayv2")
        made = self.client.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression=selection)
        self.id, self.endpoint = made["ApiId"], made["ApiEndpoint"]
        self.stage = stage
        self.host = f"{self.id}.execute-api.localhost"
        if function:
            self.allow(function)
            self.integration = self.client.create_integration(
                ApiId=self.id, IntegrationType="AWS_PROXY", IntegrationUri=function.arn)["IntegrationId"]
            for key in routes:
                settings = (connect_settings or {}) if key == "$connect" else {}
                route = self.route(key, **settings)
                if key in responds:
                    self.client.create_route_response(ApiId=self.id, RouteId=route, RouteResponseKey="$default")
            self.client.create_stage(ApiId=self.id, StageName=stage, **(stage_settings or {}))
            self.deploy()

    def route(self, key, **settings):
        return self.client.create_route(
            ApiId=self.id, RouteKey=key, Target=f"integrations/{self.integration}", **settings)["RouteId"]

    def deploy(self):
        self.client.create_deployment(ApiId=self.id, StageName=self.stage)

    def allow(self, function):
        function.client.add_permission(
            FunctionName=function.name, StatementId=f"api-{self.id}", Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/*")

    def connect(self, query="", path=None, host=None, **options):
        """A client of the `websockets` package; no name has to be resolved."""
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        path = f"/{self.stage}" if path is None else path
        return connect(
            f"ws://{host or self.host}:{self.server.port}{path}{query}", sock=raw, open_timeout=30, ping_interval=None,
            compression=None, **options)

    def raw(self, *headers, path=None):
        """A connected socket with the handshake sent."""
        raw = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
        raw.sendall(handshake(path or "/" + self.stage, self.host, *headers))
        return raw

    def management(self, account=None):
        """The client of a backend outside; functions use their event's domainName."""
        return boto3.session.Session().client(
            "apigatewaymanagementapi", region_name=REGION, aws_access_key_id=account or "test",
            aws_secret_access_key="test", config=botocore.config.Config(retries={"total_max_attempts": 1}),
            endpoint_url=f"http://127.0.0.1:{self.server.port}/_aws/execute-api/{self.id}/{self.stage}")

    def delete(self):
        self.client.delete_api(ApiId=self.id)


def ask(client, message):
    """One message and its answer, both JSON."""
    client.send(message if isinstance(message, str) else json.dumps(message))
    return json.loads(client.recv(timeout=30))


def handshake(path, host, *headers):
    """A client's request to become a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode, payload, final=True, masked=True, first=None):
    """A client's frame."""
    head = bytes([first if first is not None else (0x80 if final else 0) | opcode])
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))


def read_frame(raw):
    """The payload of one frame of the server."""
    head = raw.recv(2, socket.MSG_WAITALL)
    length = head[1]
    if length == 126:
        length = int.from_bytes(raw.recv(2, socket.MSG_WAITALL), "big")
    return raw.recv(length, socket.MSG_WAITALL) if length else b""
