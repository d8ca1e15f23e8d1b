"""Manifests, models and requests that mean harm; and functions that try to be developers."""

import contextlib
import json
import socket
import threading

import pytest

from .alexa_helpers import BUILT_IN, HELLO, VENDOR, Alexa, Refused, manifest, model


@pytest.fixture
def alexa(server):
    return Alexa(server)


def refused(call, *arguments, **parameters):
    with pytest.raises(Refused) as caught:
        call(*arguments, **parameters)
    return caught.value


def test_documents_that_mean_harm(alexa, server):
    skill = alexa.create(manifest())
    path = f"/v1/skills/{skill}/stages/development/interactionModel/locales/en-US"
    deep = b'{"interactionModel":' * 400 + b"{}" + b"}" * 400
    very_deep = b"[" * 100_000
    for body in (b"", b"[]", b"7", b"{", deep, very_deep, b'{"a": "\xff"}', b'{"vendorId": 1e999}', b"\0" * 100):
        for method, where in (("POST", "/v1/skills"), ("PUT", path), ("POST", f"/v1/skills/{skill}/simulations"),
                              ("POST", f"/v1/skills/{skill}/invocations")):
            assert refused(alexa.call, method, where, body).status == 400, (method, where, body[:40])
    assert refused(alexa.call, "PUT", path, b'{"x": "' + b"x" * (2 << 20) + b'"}').status == 413
    many = [f"{word} number {n}" for n in range(20_000) for word in ("play",)]
    build = alexa.put_model(skill, model([{"name": "PlayIntent", "samples": many}, HELLO, *BUILT_IN]))
    assert build["lastUpdateRequest"]["status"] == "SUCCEEDED"
    profile = alexa.call("POST", path + "/profileNlu", {"utterance": "play number 19999"})
    assert profile["selectedIntent"]["name"] == "PlayIntent"
    # Slots beside slots, as many as fit: understanding ends in time.
    slots = [{"name": f"S{n}", "type": "AMAZON.City"} for n in range(30)]
    sample = " ".join("{" + slot["name"] + "}" for slot in slots)
    samples = [f"{sample} {'a ' * n}".strip() for n in range(25)] * 20
    assert alexa.put_model(skill, model([{"name": "SlowIntent", "slots": slots, "samples": samples}]))[
        "lastUpdateRequest"]["status"] == "SUCCEEDED"
    answer = alexa.call("POST", path + "/profileNlu", {"utterance": "a " * 500})
    assert answer["consideredIntents"] == []
    # What is too much is told, and the model before stays.
    build = alexa.put_model(skill, model([{"name": "PlayIntent", "samples": ["a"] * 50_001}]))
    assert build["lastUpdateRequest"]["errors"][0]["code"] == "TooManySamples" and build["version"] == "2"
    assert refused(alexa.call, "POST", path + "/profileNlu", {"utterance": ""}).status == 400
    assert server.is_healthy()


def test_requests_that_mean_nothing(alexa, server):
    skill = alexa.create(manifest())
    for method, path, status in (
        ("GET", "/v1/skills/nothing/status", 404), ("GET", "/v1/skills?vendorId=" + "x" * 5000, 403),
        ("GET", f"/v1/skills/{skill}/stages/development/interactionModel/locales/%2e%2e", 400),
        ("GET", f"/v1/skills/{skill}/stages/live/manifest", 404), ("GET", f"/v1/skills/{skill}/stages/x/manifest", 400),
        ("PATCH", f"/v1/skills/{skill}/stages/development/manifest", 501), ("GET", "/v1/catalogs", 404),
        ("GET", f"/v1/skills/{skill}/simulations/%00", 404), ("POST", f"/v1/skills/{skill}/submit", 501),
        ("GET", "/echo.api/../../etc/passwd", 404), ("GET", "/" + "%ff/" * 40, 404),
    ):
        found = refused(alexa.call, method, path)
        assert found.status == status and found.message, (method, path, found)
    for token in ("", "Bearer", "Bearer x", "Bearer Atza|9999999999999.x.y", "Basic abc", "Bearer " + "x" * 4000):
        assert refused(alexa.call, "GET", "/v1/vendors", headers={"Authorization": token}).status == 401
    # Values that need an enabled skill, a model, or a locale that is there.
    body = {"input": {"content": "open test skill"}, "device": {"locale": "en-US"}}
    where = f"/v1/skills/{skill}/simulations"
    assert refused(alexa.call, "POST", where, body).status == 403
    alexa.put_model(skill, model([HELLO, *BUILT_IN]))
    alexa.enable(skill)
    assert "endpoint" in refused(alexa.call, "POST", where, body).message
    alexa.put_manifest(skill, manifest("http://127.0.0.1:9/"))
    for change, status in (
        ({"device": {"locale": "de-DE"}}, 400), ({"device": {"locale": "english"}}, 400), ({"input": {}}, 400),
        ({"input": {"content": "x" * 2000}}, 400), ({"session": {"mode": "OLD"}}, 400),
        ({"simulation": {"type": "NFI_ISOLATED_SIMULATION"}}, 501),
    ):
        assert refused(alexa.call, "POST", where, {**body, **change}).status == status, change
    turn = alexa.simulate(skill, "open test skill")
    assert turn.error["code"] == "SKILL_ENDPOINT_UNREACHABLE"


@contextlib.contextmanager
def endpoint(answer):
    """A web service that answers each request with these bytes, or with what a function writes; its URL and what it was sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    heads = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    data = b""
                    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
                        data += piece
                    heads.append(data)
                    if callable(answer):
                        answer(connection)
                    else:
                        connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/skill", heads


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4_000):
        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")


OK = b"HTTP/1.1 200 OK\r\n"
ENDPOINTS = {
    "nothing": b"", "no HTTP": b"hello\r\n\r\n", "endless": endless,
    "half": OK + b"Content-Length: 1000\r\n\r\n{", "no JSON": OK + b"Content-Length: 3\r\n\r\nyes",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "large head": OK + b"X: " + b"x" * 2_000_000 + b"\r\n\r\n",
    "error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "deep": OK + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000,
}


def test_web_services_that_mean_harm(alexa, server):
    """Whatever a skill's web service answers: the turn fails, says so, and the next one is asked."""
    skill = alexa.create(manifest("http://127.0.0.1:9/"))
    alexa.put_model(skill, model([HELLO, *BUILT_IN]))
    alexa.enable(skill)
    for name, answer in ENDPOINTS.items():
        with endpoint(answer) as (url, heads):
            alexa.put_manifest(skill, manifest(url))
            turn = alexa.simulate(skill, "open test skill")
            assert turn.status == "FAILED" and heads, (name, turn.simulation)
            assert turn.error["code"] in ("SKILL_ENDPOINT_ERROR", "SKILL_ENDPOINT_UNREACHABLE", "INVALID_RESPONSE"), (
                name, turn.error)
    # A redirection is no answer: nobody is led elsewhere with the signed request.
    with endpoint(OK + b"Content-Length: 0\r\n\r\n") as (elsewhere, led):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        with endpoint(moved) as (url, heads):
            alexa.put_manifest(skill, manifest(url))
            assert alexa.simulate(skill, "open test skill").error["code"] == "SKILL_ENDPOINT_ERROR"
            assert heads and not led
    assert server.is_healthy()


def test_functions_are_no_developers(alexa, runner, server):
    """Out of a cell there is no token, with whatever credentials."""
    result = runner("""
        import os, urllib.request, urllib.error
        result = []
        for path, body in (("lwa/auth/o2/token", b"grant_type=refresh_token&client_id=a&client_secret=b&refresh_token=c"),
                           ("api/v1/vendors", None)):
            for base in (os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),):
                try:
                    urllib.request.urlopen(f"{base}/_aws/alexa/{path}", body, timeout=10)
                    result.append(200)
                except urllib.error.HTTPError as error:
                    result.append(error.code)
    """).json
    assert result == [403, 403], result
    assert alexa.call("GET", "/v1/vendors")["vendors"][0]["id"] == VENDOR
    assert json.dumps(result)
