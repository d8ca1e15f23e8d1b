"""A chat over a WebSocket API: a function that keeps its members in a table and talks to them from its cell; a thousand clients."""

import json
import resource
import socket
import urllib.request
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from .harness import wait_for
from .socket_apis import SocketApi, frame, read_frame

CHAT = """
import boto3, json, os

members = boto3.resource("dynamodb").Table(os.environ["TABLE"])

def say(about, data):
    backend = boto3.client("apigatewaymanagementapi", endpoint_url=f"http://{about['domainName']}/{about['stage']}")
    for member in members.scan(ConsistentRead=True)["Items"]:
        try:
            backend.post_to_connection(ConnectionId=member["id"], Data=json.dumps(data))
        except backend.exceptions.GoneException:
            members.delete_item(Key={"id": member["id"]})

def handler(event, context):
    about = event["requestContext"]
    me, route = about["connectionId"], about["routeKey"]
    if route == "$connect":
        name = (event.get("queryStringParameters") or {}).get("name")
        if not name:
            return {"statusCode": 401}
        members.put_item(Item={"id": me, "name": name})
    elif route == "$disconnect":
        name = members.delete_item(Key={"id": me}, ReturnValues="ALL_OLD")["Attributes"]["name"]
        say(about, {"left": name})
    else:
        name = members.get_item(Key={"id": me}, ConsistentRead=True)["Item"]["name"]
        say(about, {"joined": name} if route == "join" else {"from": name, "text": json.loads(event["body"])["text"]})
    return {"statusCode": 200}
"""


def test_a_chat_of_several(server, unique, make_function):
    table = unique("members")
    server.client("dynamodb").create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    function = make_function(CHAT, MemorySize=1769, Timeout=20, Environment={"Variables": {"TABLE": table}})
    api = SocketApi(server, unique("chat"), function, routes=["$connect", "$disconnect", "join", "say"])
    with pytest.raises(InvalidStatus) as nameless:
        api.connect()
    assert nameless.value.response.status_code == 401

    def heard(client):
        return json.loads(client.recv(timeout=30))

    clients = {}
    for name in ("ann", "bob", "cid"):
        # While $connect is asked there is nobody to talk to yet: it says later that it is there.
        clients[name] = api.connect(f"?name={name}")
        clients[name].send(json.dumps({"action": "join"}))
        assert all(heard(client) == {"joined": name} for client in clients.values())
    for name in clients:
        clients[name].send(json.dumps({"action": "say", "text": f"I am {name} ☺"}))
        assert all(heard(client) == {"from": name, "text": f"I am {name} ☺"} for client in clients.values())
    clients.pop("bob").close()
    assert all(heard(client) == {"left": "bob"} for client in clients.values())
    # One whose machine is gone says no goodbye.
    clients.pop("cid").socket.shutdown(socket.SHUT_RDWR)
    assert heard(clients["ann"]) == {"left": "cid"}
    clients["ann"].close()
    wait_for(lambda: not server.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"])
    api.delete()


@pytest.fixture
def many_files():
    """A thousand clients need as many descriptors here as in the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(server):
    """Of the server process, bytes."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no memory")


def test_a_thousand_connections(many_files, make_server):
    server = make_server()
    api = SocketApi(server, "many", None)
    api.integration = api.client.create_integration(
        ApiId=api.id, IntegrationType="MOCK", RequestTemplates={"$default": '{"statusCode": 200}'})["IntegrationId"]
    api.route("$connect")
    api.client.create_stage(ApiId=api.id, StageName="prod", AutoDeploy=True)
    api.raw().close()
    before = resident(server)
    clients = []
    try:
        for _ in range(1000):
            clients.append(api.raw())
        for client in clients:
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 101 ")
        grown = resident(server) - before
        # The goal is 16 KiB each, of a release build on a quiet machine (Benchmarks/websocket_apis.py).
        assert grown < 1000 * (64 << 10), f"{grown >> 10} KiB"
        for client in clients:
            client.sendall(frame(1, b"{}"))
        ids = []
        for client in clients:
            problem = json.loads(read_frame(client))
            assert problem["message"] == "Forbidden"
            ids.append(problem["connectionId"])
        assert len(set(ids)) == 1000
        backend = api.management()
        for index in (0, 500, 999):
            backend.post_to_connection(ConnectionId=ids[index], Data=str(index).encode())
            assert read_frame(clients[index]) == str(index).encode()
        for client in clients[:500]:
            client.close()

        def open_ones():
            return next(int(line.split()[1]) for line in metrics(server).splitlines() if line.startswith("martlet_websockets "))

        wait_for(lambda: open_ones() == 500)
    finally:
        for client in clients:
            client.close()


def metrics(server):
    with urllib.request.urlopen(server.url + "/_martlet/metrics", timeout=10) as response:
        return response.read().decode()
