"""chalice deploying a WebSocket application of its own: the functions send by AWS's name of their API."""

import json
import os
import socket
import subprocess
import sys

from websockets.sync.client import connect

from .harness import REGION, wait_for

APP = """
from boto3.session import Session
from chalice import Chalice, WebsocketDisconnectedError

app = Chalice(app_name="echo")
app.websocket_api.session = Session()
app.experimental_feature_flags.update(["WEBSOCKETS"])

@app.on_ws_connect()
def connect(event):
    print("hello", event.connection_id)

@app.on_ws_disconnect()
def disconnect(event):
    print("goodbye", event.connection_id)

@app.on_ws_message()
def message(event):
    app.websocket_api.send(event.connection_id, "you said " + event.body)
    if event.body == "bye":
        app.websocket_api.close(event.connection_id)
"""


def run_chalice(server, project, *arguments):
    """chalice's own command line, pointed at the server."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(project), "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": server.url,
    }
    main = "from chalice.cli import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", main, *arguments], cwd=project, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


def test_chalice_deploys_talks_and_deletes(server, tmp_path):
    (tmp_path / ".chalice").mkdir()
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps({
        "version": "2.0", "app_name": "echo", "lambda_memory_size": 1769, "stages": {"dev": {"api_gateway_stage": "api"}},
    }))
    assert "Websocket API URL" in run_chalice(server, tmp_path, "deploy", "--stage", "dev")
    deployed = json.loads((tmp_path / ".chalice" / "deployed" / "dev.json").read_text())
    id = next(item["websocket_api_id"] for item in deployed["resources"] if item["name"] == "websocket_api")
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    with connect(f"ws://{id}.execute-api.localhost:{server.port}/api", sock=raw, compression=None) as client:
        client.send("hello")
        assert client.recv(timeout=30) == "you said hello"
        client.send("bye")
        assert client.recv(timeout=30) == "you said bye"
        assert list(client) == []
    logs, group = server.client("logs"), "/aws/lambda/echo-dev-websocket_disconnect"
    wait_for(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    wait_for(lambda: logs.filter_log_events(logGroupName=group, filterPattern="goodbye")["events"])
    run_chalice(server, tmp_path, "delete", "--stage", "dev")
    assert id not in [item["ApiId"] for item in server.client("apigatewayv2").get_apis()["Items"]]
