"""Web pages in the user's browser against a server that asks for no credentials."""

import pytest

from .harness import Server
from .raw import exchange, request, scope

JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"
EVIL = "https://evil.example"
CREATE = ("POST", "/", b"Action=CreateRole&Version=2010-05-08&RoleName=page&AssumeRolePolicyDocument=%7B%7D")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("pages") / "data", ["--allow-origin", "https://app.example:8443"])
    server.start()
    yield server
    server.kill9()


def ask(server, method, path, body=b"", host="127.0.0.1", **headers):
    data = request(method, path, body, **headers)
    return exchange(server, data.replace(b"Host: 127.0.0.1", b"Host: " + host.encode(), 1))


def test_a_page_cannot_change_anything(server):
    method, path, body = CREATE
    answer = ask(server, method, path, body, Content_Type=FORM, Origin=EVIL)
    assert answer.status == 403 and b"--allow-origin" in answer.body and b"evil.example" in answer.body
    # A link or an image: no Origin, but the browser says where it comes from.
    link = ask(server, "GET", "/?" + body.decode(), Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert link.status == 403
    assert ask(server, "PUT", "/page-bucket", Origin=EVIL).status == 403
    assert ask(server, "PUT", "/page-bucket", Origin="null").status == 403
    code = ask(
        server,
        "POST",
        "/",
        b'{"logGroupName": "page"}',
        Content_Type="text/plain",
        X_Amz_Target="Logs_20140328.CreateLogGroup",
        Authorization=scope("logs"),
        Origin=EVIL,
    )
    assert code.status == 403
    assert server.client("iam").list_roles()["Roles"] == []
    assert server.client("s3").list_buckets()["Buckets"] == []
    assert server.client("logs").describe_log_groups()["logGroups"] == []


def test_rebound_names_read_nothing(server):
    for path in ("/", "/_martlet/health", "/2015-03-31/functions/"):
        assert ask(server, "GET", path, host="rebound.evil.example:4566").status == 403
        assert ask(server, "GET", path, host=f"localhost:{server.port}").status == 200


def test_welcome_pages_and_programs(server):
    for name, origin in enumerate(("https://app.example:8443", "http://localhost:3000", None)):
        headers = {"Origin": origin} if origin else {}
        assert ask(server, "PUT", f"/welcome-{name}", **headers).status == 200
    assert len(server.client("s3").list_buckets()["Buckets"]) == 3


def test_origins_are_checked_at_start(tmp_path):
    server = Server(tmp_path / "data", ["--allow-origin", "localhost:3000"])
    with pytest.raises(Exception) as failure:
        server.start()
    assert "allow-origin" in str(failure.value) + server.log_tail()
