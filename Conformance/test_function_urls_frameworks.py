"""Web frameworks behind a function URL: Flask through a WSGI adapter, FastAPI through Mangum."""

import json
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from .doors import URL

FLASK = """
from apig_wsgi import make_lambda_handler
from flask import Flask, jsonify, make_response, request

app = Flask(__name__)

@app.get("/items/<int:number>")
def item(number):
    return jsonify(number=number, q=request.args.getlist("q"), cookie=request.cookies.get("who"), url=request.url)

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
from fastapi import FastAPI, File, HTTPException, Request
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()

class Item(BaseModel):
    name: str
    price: float

@app.post("/items/{number}", status_code=201)
async def item(number: int, item: Item, q: str | None = None):
    return {"number": number, "name": item.name, "price": item.price, "q": q}

@app.get("/gone")
async def gone():
    raise HTTPException(404, "not here")

@app.get("/who")
async def who(request: Request):
    return {"host": request.client.host, "path": request.url.path, "id": request.scope["aws.context"].aws_request_id}

handler = Mangum(app, lifespan="off")
"""


def packages(*names):
    """Distributions of the environment that the tests run in."""
    found = {}
    for name in names:
        for file in files(name):
            path = Path(file.locate())
            if path.suffix in (".py", ".so") and not str(file).startswith(".."):
                found[str(file)] = (path.read_bytes(), 0o755)
        # Flask looks for its version.
        for file in files(name):
            if str(file).endswith("METADATA"):
                found[str(file)] = Path(file.locate()).read_bytes()
    return found


@pytest.fixture
def runtime(python_runtime):
    """Of the version that compiled packages are for."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def test_flask(fast_function, runtime):
    names = ("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker", "apig-wsgi")
    url = URL(fast_function(files={"index.py": FLASK, **packages(*names)}, runtime=runtime))
    status, headers, body = url.ask("GET", "/items/7?q=a&q=b", headers={"Cookie": "who=me"})
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = json.loads(body)
    assert (answer["number"], answer["cookie"]) == (7, "me") and ",".join(answer["q"]) == "a,b"
    status, _, body = url.ask("POST", "/forms", "name=x+y", {"Content-Type": "application/x-www-form-urlencoded"})
    assert (status, body) == (200, b"X Y")
    assert url.response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    multipart = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\xfe\r\n--x--\r\n"
    )
    status, _, body = url.ask("POST", "/files", multipart, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (status, body) == (201, b"\xfe\xff\x00")
    assert url.ask("GET", "/nothing")[0] == 404


def test_fastapi(fast_function, runtime):
    names = (
        "fastapi", "starlette", "pydantic", "pydantic_core", "mangum", "anyio", "idna", "annotated-types",
        "typing_extensions", "typing-inspection", "annotated-doc",
    )
    url = URL(fast_function(files={"index.py": FASTAPI, **packages(*names)}, runtime=runtime))
    item = json.dumps({"name": "n", "price": 1.5})
    status, _, body = url.ask("POST", "/items/3?q=%C3%A4", item, {"Content-Type": "application/json"})
    assert status == 201, body
    assert json.loads(body) == {"number": 3, "name": "n", "price": 1.5, "q": "ä"}
    assert url.ask("POST", "/items/x", item, {"Content-Type": "application/json"})[0] == 422
    assert json.loads(url.ask("GET", "/gone")[2]) == {"detail": "not here"}
    status, headers, body = url.ask("GET", "/who")
    answer = json.loads(body)
    assert (status, answer["host"], answer["path"]) == (200, "127.0.0.1", "/who")
    assert answer["id"] == headers["x-amzn-requestid"]
