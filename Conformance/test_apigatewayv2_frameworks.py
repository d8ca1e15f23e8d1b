"""Web frameworks behind an HTTP API, in both payload formats: Flask through a WSGI adapter, FastAPI through Mangum, powertools."""

import json
import sys

import pytest

from .http_apis import packages, simple_api

FLASK = """
from apig_wsgi import make_lambda_handler
from flask import Flask, jsonify, make_response, request

app = Flask(__name__)

@app.get("/items/<number>")
def item(number):
    return jsonify(number=number, q=request.args.getlist("q"), cookie=request.cookies.get("who"), root=request.url_root)

@app.post("/forms")
def form():
    response = make_response(request.form["name"].upper())
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response

@app.post("/files")
def upload():
    return request.files["file"].read()[::-1], 201, {"Content-Type": "application/octet-stream"}

handler = make_lambda_handler(app, binary_support=True)
"""

FASTAPI = """
from fastapi import FastAPI, HTTPException, Request
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()

class Item(BaseModel):
    name: str

@app.post("/items/{number}", status_code=201)
async def item(number: int, item: Item, q: str | None = None):
    return {"number": number, "name": item.name, "q": q}

@app.get("/gone")
async def gone():
    raise HTTPException(404, "not here")

@app.get("/who")
async def who(request: Request):
    return {"host": request.client.host, "stage": request.scope["aws.event"]["requestContext"]["stage"]}

handler = Mangum(app, lifespan="off")
"""

POWERTOOLS = """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

app = APIGatewayHttpResolver()

@app.get("/todos/<id>")
def todo(id):
    return {"id": id, "q": app.current_event.get_query_string_value("q")}

@app.post("/todos")
def make():
    return {"made": app.current_event.json_body}, 201

@app.get("/none")
def none():
    raise NotFoundError("no such todo")

@app.get("/page")
def page():
    return Response(status_code=200, content_type="text/html", body="<p>hi</p>")

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

    def make(source, version, *names):
        function = fast_function(files={"index.py": source, **packages(*names)}, runtime=runtime)
        made.append(simple_api(server, unique("web"), function, version, ["ANY /{proxy+}"]))
        return made[-1]

    yield make
    for api in made:
        api.delete()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_flask(framework, version):
    names = ("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker", "apig-wsgi")
    api = framework(FLASK, version, *names)
    answer = api.send("GET", "/items/a%20b?q=a&q=b", headers={"Cookie": "who=me"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (answer.json["number"], answer.json["cookie"]) == ("a b", "me")
    assert ",".join(answer.json["q"]) == "a,b"
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
    assert api.send("GET", "/nothing").status == 404


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_fastapi(framework, version):
    names = (
        "fastapi", "starlette", "pydantic", "pydantic_core", "mangum", "anyio", "idna", "annotated-types",
        "typing_extensions", "typing-inspection", "annotated-doc",
    )
    api = framework(FASTAPI, version, *names)
    item, headers = json.dumps({"name": "ä"}), {"Content-Type": "application/json"}
    answer = api.send("POST", "/items/3?q=%C3%A4", item, headers)
    assert (answer.status, answer.json) == (201, {"number": 3, "name": "ä", "q": "ä"})
    assert api.send("POST", "/items/x", item, headers).status == 422
    assert api.send("GET", "/gone").json == {"detail": "not here"}
    assert api.send("GET", "/who").json == {"host": "127.0.0.1", "stage": "$default"}


def test_powertools(framework):
    names = ("aws-lambda-powertools", "jmespath", "typing_extensions")
    api = framework(POWERTOOLS, "2.0", *names)
    assert api.send("GET", "/todos/7?q=x").json == {"id": "7", "q": "x"}
    answer = api.send("POST", "/todos", '{"a": 1}', {"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (201, {"made": {"a": 1}})
    answer = api.send("GET", "/none")
    assert (answer.status, answer.json) == (404, {"statusCode": 404, "message": "no such todo"})
    answer = api.send("GET", "/page")
    assert (answer.headers["content-type"], answer.text) == ("text/html", "<p>hi</p>")
