"""Real clients of REST APIs: chalice deploying its own, and web frameworks behind an API."""

import json
import os
import subprocess
import sys

import pytest

from .harness import REGION
from .http_apis import packages, send
from .rest_apis import proxy_api
from .test_apigatewayv2_frameworks import FASTAPI, FLASK

CHALICE = """
from chalice import AuthResponse, Chalice, CORSConfig, NotFoundError, Response

app = Chalice(app_name="demo")
app.api.binary_types.append("application/x-blob")

@app.authorizer(ttl_seconds=0)
def guard(request):
    if request.token == "allow":
        return AuthResponse(routes=["/items/*"], principal_id="me", context={"level": "7"})
    return AuthResponse(routes=[], principal_id="me")

@app.route("/")
def index():
    return {"hello": "world"}

@app.route("/items/{name}", methods=["GET", "PUT"], authorizer=guard, cors=CORSConfig(allow_origin="https://a.example"))
def item(name):
    request = app.current_request
    return {
        "name": name, "method": request.method, "q": request.query_params and request.query_params.getlist("q"),
        "level": request.context["authorizer"]["level"],
        "body": request.json_body if request.method == "PUT" else None,
    }

@app.route("/gone", cors=True)
def gone():
    raise NotFoundError("not here")

@app.route("/blob", methods=["POST"], content_types=["application/x-blob"])
def blob():
    body = app.current_request.raw_body[::-1]
    return Response(body, headers={"Content-Type": "application/x-blob"}, status_code=201)
"""

POWERTOOLS = """
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response

app = APIGatewayRestResolver(cors=CORSConfig(allow_origin="https://a.example"))

@app.get("/todos/<id>")
def todo(id):
    return {"id": id, "q": app.current_event.get_query_string_value("q")}

@app.post("/todos")
def make():
    return {"made": app.current_event.json_body}, 201

def handler(event, context):
    return app.resolve(event, context)
"""


@pytest.fixture
def runtime():
    """Of the version that compiled packages are for."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def framework(server, fast_function, runtime, unique):
    made = []

    def make(source, *names, **parameters):
        function = fast_function(files={"index.py": source, **packages(*names)}, runtime=runtime)
        made.append(proxy_api(server, unique("web"), function, **parameters))
        return made[-1]

    yield make
    for api in made:
        api.delete()


def run_chalice(server, project, *arguments):
    """chalice's own command line, pointed at the server."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(project), "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": server.url,
    }
    main = "from chalice.cli import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", main, *arguments], cwd=project, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())
    return done.stdout.decode()


def test_chalice_deploys_calls_redeploys_and_deletes(server, tmp_path):
    (tmp_path / ".chalice").mkdir()
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "app.py").write_text(CHALICE)
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps({
        "version": "2.0", "app_name": "demo", "lambda_memory_size": 1769,
        "stages": {"dev": {"api_gateway_stage": "api"}},
    }))
    assert "Rest API URL" in run_chalice(server, tmp_path, "deploy", "--stage", "dev")
    deployed = json.loads((tmp_path / ".chalice" / "deployed" / "dev.json").read_text())
    id = next(item["rest_api_id"] for item in deployed["resources"] if item["name"] == "rest_api")

    def ask(method, path, body=None, headers=()):
        return send(server, f"{id}.execute-api.localhost", method, "/api" + path, body, headers)

    assert ask("GET", "/").json == {"hello": "world"}
    allowed = ask("PUT", "/items/x%20y?q=1&q=2", '{"a": 1}', {"Authorization": "allow", "Content-Type": "application/json"})
    assert allowed.status == 200, allowed
    # REST APIs do not decode path parameters, and neither does chalice.
    assert allowed.json == {"name": "x%20y", "method": "PUT", "q": ["1", "2"], "level": "7", "body": {"a": 1}}
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    denied = ask("GET", "/items/x", headers={"Authorization": "deny"})
    assert (denied.status, denied.json) == (403, {"Message": "User is not authorized to access this resource"})
    assert ask("GET", "/items/x").status == 401
    preflight = ask("OPTIONS", "/items/x", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"})
    assert preflight.status == 200, preflight
    assert preflight.headers["access-control-allow-origin"] == "https://a.example"
    assert set(preflight.headers["access-control-allow-methods"].split(",")) == {"GET", "OPTIONS", "PUT"}
    gone = ask("GET", "/gone")
    assert (gone.status, gone.json) == (404, {"Code": "NotFoundError", "Message": "not here"})
    blob = ask("POST", "/blob", b"\x00\xfe\xff", {"Content-Type": "application/x-blob", "Accept": "application/x-blob"})
    assert (blob.status, blob.body) == (201, b"\xff\xfe\x00")

    (tmp_path / "app.py").write_text(CHALICE.replace('"hello": "world"', '"hello": "again"'))
    run_chalice(server, tmp_path, "deploy", "--stage", "dev")
    assert ask("GET", "/").json == {"hello": "again"}
    run_chalice(server, tmp_path, "delete", "--stage", "dev")
    assert ask("GET", "/").status in (403, 404)
    assert id not in [item["id"] for item in server.client("apigateway").get_rest_apis(limit=500)["items"]]


def test_flask(framework):
    names = ("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker", "apig-wsgi")
    api = framework(FLASK, *names, binaryMediaTypes=["*/*"])
    answer = api.send("GET", "/items/a%20b?q=a&q=b", headers={"Cookie": "who=me"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), answer
    assert (answer.json["number"], answer.json["cookie"], answer.json["q"]) == ("a b", "me", ["a", "b"])
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.send("POST", "/forms", "name=x+y", form)
    assert (answer.status, answer.text) == (200, "X Y")
    assert answer.all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    multipart = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\xfe\r\n--x--\r\n"
    )
    answer = api.send("POST", "/files", multipart, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status, answer.body) == (201, b"\xfe\xff\x00")


def test_fastapi(framework):
    names = (
        "fastapi", "starlette", "pydantic", "pydantic_core", "mangum", "anyio", "idna", "annotated-types",
        "typing_extensions", "typing-inspection", "annotated-doc",
    )
    api = framework(FASTAPI, *names)
    item, headers = json.dumps({"name": "ä"}), {"Content-Type": "application/json"}
    answer = api.send("POST", "/items/3?q=%C3%A4", item, headers)
    assert (answer.status, answer.json) == (201, {"number": 3, "name": "ä", "q": "ä"}), answer
    assert api.send("POST", "/items/x", item, headers).status == 422
    assert api.send("GET", "/gone").json == {"detail": "not here"}
    assert api.send("GET", "/who").json == {"host": "127.0.0.1", "stage": "prod"}


def test_powertools(framework):
    api = framework(POWERTOOLS, "aws-lambda-powertools", "jmespath", "typing_extensions")
    assert api.send("GET", "/todos/7?q=x").json == {"id": "7", "q": "x"}
    answer = api.send("POST", "/todos", '{"a": 1}', {"Content-Type": "application/json", "Origin": "https://a.example"})
    assert (answer.status, answer.json) == (201, {"made": {"a": 1}})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert api.send("GET", "/nothing").status == 404
