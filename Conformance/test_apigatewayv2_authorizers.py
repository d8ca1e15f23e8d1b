"""Who gets into an HTTP API: JWT authorizers with a real OpenID issuer, Lambda authorizers, AWS_IAM."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from .harness import ACCOUNT, REGION
from .http_apis import ECHO, Api, simple_api

AUDIENCE = "shop"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer(http.server.ThreadingHTTPServer):
    """An OpenID provider: its configuration and its keys."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Provider)
        self.keys = {}
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.add("one")

    def add(self, kid):
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, kid="one", header=None, sign=None, **claims):
        now = int(time.time())
        payload = {"iss": self.url, "aud": AUDIENCE, "sub": "u1", "iat": now - 10, "exp": now + 600, **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        head = {"alg": "RS256", "typ": "JWT", "kid": kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(payload).encode())
        if sign is None:
            def sign(data):
                return self.keys["one" if kid not in self.keys else kid].sign(
                    data, padding.PKCS1v15(), hashes.SHA256())
        return text + "." + b64(sign(text.encode()))

    def key_set(self):
        entries = []
        for kid, key in self.keys.items():
            public = key.public_key().public_numbers()
            entries.append({"kty": "RSA", "kid": kid, "use": "sig", "n": number(public.n), "e": number(public.e)})
        entries.append({"kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA"})
        return {"keys": entries}


class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.server.url, "jwks_uri": self.server.url + "/keys"},
            "/keys": self.server.key_set(),
        }
        body = json.dumps(documents.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def issuer():
    server = Issuer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def echo(make_function):
    return make_function(ECHO)


@pytest.fixture
def jwt_api(server, issuer, echo, unique):
    api = Api(server, unique("jwt"))
    api.allow(echo)
    authorizer = api.client.create_authorizer(
        ApiId=api.id, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": issuer.url, "Audience": ["other", AUDIENCE]},
    )["AuthorizerId"]
    integration = api.integrate(echo)
    api.route("GET /open", integration)
    api.route("GET /any", integration, AuthorizationType="JWT", AuthorizerId=authorizer)
    api.route(
        "GET /scoped", integration, AuthorizationType="JWT", AuthorizerId=authorizer,
        AuthorizationScopes=["write", "read"],
    )
    api.stage()
    yield api
    api.delete()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_jwt_lets_good_tokens_in_and_tells_the_function(jwt_api, issuer):
    token = issuer.token(scope="read list", groups=["a", "b"], level=7, admin=True)
    answer = jwt_api.send("GET", "/any", headers=bearer(token))
    assert answer.status == 200
    jwt = answer.json["requestContext"]["authorizer"]["jwt"]
    assert jwt["scopes"] is None
    claims = jwt["claims"]
    assert (claims["sub"], claims["iss"], claims["aud"]) == ("u1", issuer.url, AUDIENCE)
    assert (claims["groups"], claims["level"], claims["admin"]) == ("[a b]", "7", "true")
    assert all(isinstance(value, str) for value in claims.values())
    scoped = jwt_api.send("GET", "/scoped", headers=bearer(token)).json
    assert scoped["requestContext"]["authorizer"]["jwt"]["scopes"] == ["read"]
    assert jwt_api.send("GET", "/any", headers={"Authorization": token}).status == 200  # the scheme may be missing
    assert jwt_api.send("GET", "/any", headers=bearer(issuer.token(aud=None, client_id=AUDIENCE))).status == 200
    assert jwt_api.send("GET", "/any", headers=bearer(issuer.token(aud=["x", AUDIENCE]))).status == 200
    assert jwt_api.send("GET", "/open").status == 200


def test_jwt_refusals(jwt_api, issuer):
    missing = jwt_api.send("GET", "/any")
    assert (missing.status, missing.body) == (401, b'{"message":"Unauthorized"}')
    assert missing.headers["www-authenticate"] == "Bearer"
    expired = jwt_api.send("GET", "/any", headers=bearer(issuer.token(exp=1)))
    assert (expired.status, expired.body) == (401, b'{"message":"Unauthorized"}')
    assert 'error="invalid_token" error_description="the token has expired"' in expired.headers["www-authenticate"]
    scope = jwt_api.send("GET", "/scoped", headers=bearer(issuer.token(scope="list")))
    assert (scope.status, scope.body) == (403, b'{"message":"Forbidden"}')
    assert 'error="insufficient_scope"' in scope.headers["www-authenticate"]


def forged(issuer):
    """Each classic flaw by its name."""
    now = int(time.time())
    public = issuer.keys["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    modulus = number(public.public_numbers().n).encode()
    mallory = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    good = issuer.token()
    head, body, signature = good.split(".")
    stranger = json.loads(base64.urlsafe_b64decode(body + "=="))
    stranger["sub"] = "admin"

    def own(data):
        return mallory.sign(data, padding.PKCS1v15(), hashes.SHA256())

    jwk = {"kty": "RSA", "n": number(mallory.public_key().public_numbers().n), "e": "AQAB"}
    return {
        "none": issuer.token(header={"alg": "none"}, sign=lambda data: b""),
        "none with a signature": issuer.token(header={"alg": "none"}),
        "None": issuer.token(header={"alg": "None"}),
        "no signature": head + "." + body + ".",
        "two parts": head + "." + body,
        "hmac with the public key": issuer.token(
            header={"alg": "HS256"}, sign=lambda data: hmac.new(pem, data, hashlib.sha256).digest()),
        "hmac with the modulus": issuer.token(
            header={"alg": "HS256"}, sign=lambda data: hmac.new(modulus, data, hashlib.sha256).digest()),
        "ecdsa": issuer.token(
            kid="ec", header={"alg": "ES256"}, sign=lambda data: curve.sign(data, ec.ECDSA(hashes.SHA256()))),
        "pss": issuer.token(
            header={"alg": "PS256"},
            sign=lambda data: issuer.keys["one"].sign(
                data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())),
        "other digest than said": issuer.token(header={"alg": "RS512"}),
        "another's key": issuer.token(sign=own),
        "key in the header": issuer.token(header={"jwk": jwk}, sign=own),
        "key behind a URL of the header": issuer.token(header={"jku": issuer.url + "/keys"}, sign=own),
        "kid as a path": issuer.token(kid="../../../../dev/null", sign=own),
        "no kid": issuer.token(header={"kid": None}),
        "unknown kid": issuer.token(kid="unknown"),
        "claims changed": head + "." + b64(json.dumps(stranger).encode()) + "." + signature,
        "signature cut": good[:-4],
        "signature in the other alphabet": next(
            token.rpartition(".")[0] + "." + token.rpartition(".")[2].translate(str.maketrans("-_", "+/"))
            for token in (issuer.token(jti=str(number)) for number in range(100))
            if set("-_") & set(token.rpartition(".")[2])
        ),
        "crit": issuer.token(header={"crit": ["exp"]}),
        "other issuer": issuer.token(iss="https://evil.example"),
        "issuer with a slash": issuer.token(iss=issuer.url + "/"),
        "other audience": issuer.token(aud="evil"),
        "audience beside client_id": issuer.token(aud="evil", client_id=AUDIENCE),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=now - 1),
        "no expiry": issuer.token(exp=None),
        "expiry as text": issuer.token(exp=str(now + 600)),
        "not yet": issuer.token(nbf=now + 600),
        "from the future": issuer.token(iat=now + 600),
        "no object": b64(b'{"alg":"RS256","kid":"one"}') + "." + b64(b"[]") + "." + signature,
        "padding": head + "=." + body + "." + signature,
        "empty": "..",
        "long": "a" * 9000,
        "nested": b64(b"[" * 3000) + "." + b64(b"{}") + ".AA",
    }


def test_jwt_classic_flaws(jwt_api, issuer):
    for name, token in forged(issuer).items():
        answer = jwt_api.send("GET", "/any", headers=bearer(token))
        assert (answer.status, answer.body) == (401, b'{"message":"Unauthorized"}'), name
    assert jwt_api.send("GET", "/any", headers=bearer(issuer.token())).status == 200


def test_keys_are_fetched_once_and_unknown_ones_do_not_flood_the_issuer(server, issuer, echo, unique):
    fresh = Issuer()
    threading.Thread(target=fresh.serve_forever, daemon=True).start()
    api = Api(server, unique("jwt"))
    api.allow(echo)
    authorizer = api.client.create_authorizer(
        ApiId=api.id, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.querystring.token"],
        JwtConfiguration={"Issuer": fresh.url, "Audience": [AUDIENCE]},
    )["AuthorizerId"]
    api.route("$default", api.integrate(echo), AuthorizationType="JWT", AuthorizerId=authorizer)
    api.stage()
    for _ in range(5):
        assert api.send("GET", "/?token=" + fresh.token()).status == 200
    for index in range(20):
        assert api.send("GET", "/?token=" + fresh.token(kid=f"unknown-{index}")).status == 401
    # A slow run may span several of the ten seconds between two requests; never one for each token.
    assert fresh.requests.count("/keys") < 10
    fresh.shutdown()
    fresh.server_close()
    assert api.send("GET", "/?token=" + fresh.token()).status == 200  # known keys go on
    api.delete()


def test_an_issuer_that_cannot_be_reached_lets_nobody_in(server, issuer, echo, unique):
    api = Api(server, unique("jwt"))
    api.allow(echo)
    authorizer = api.client.create_authorizer(
        ApiId=api.id, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": "http://127.0.0.1:1", "Audience": [AUDIENCE]},
    )["AuthorizerId"]
    api.route("$default", api.integrate(echo), AuthorizationType="JWT", AuthorizerId=authorizer)
    api.stage()
    answer = api.send("GET", "/", headers=bearer(issuer.token(iss="http://127.0.0.1:1")))
    assert (answer.status, answer.body) == (401, b'{"message":"Unauthorized"}')
    api.delete()


# Answers by the token: allow, deny, fail, bad, or a policy for one path; and counts, in the context, how often it ran.
AUTHORIZER = """
import json
runs = 0
def handler(event, context):
    global runs
    runs += 1
    token = (event.get("headers") or {}).get("x-token", "")
    if token == "fail":
        raise RuntimeError("no")
    if token == "bad":
        return "what"
    seen = {"runs": runs, "event": json.dumps(event), "flag": True}
    if SIMPLE:
        return {"isAuthorized": token == "allow", "context": seen}
    arn = event.get("routeArn") or event["methodArn"]
    effect = "Deny" if token == "deny" else "Allow"
    resource = arn if token == "one" else arn.split("/")[0] + "/*"
    return {
        "principalId": "me", "context": seen,
        "policyDocument": {"Version": "2012-10-17", "Statement": [
            {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}]},
    }
"""


def lambda_api(server, make_function, echo, name, version, simple, ttl, sources=("$request.header.X-Token",)):
    function = make_function(AUTHORIZER.replace("SIMPLE", str(simple)))
    api = Api(server, name)
    api.allow(echo)
    authorizer = api.client.create_authorizer(
        ApiId=api.id, Name="fn", AuthorizerType="REQUEST", IdentitySource=list(sources),
        AuthorizerUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function.arn}/invocations",
        AuthorizerPayloadFormatVersion=version, EnableSimpleResponses=simple, AuthorizerResultTtlInSeconds=ttl,
    )["AuthorizerId"]
    api.allow(function, "authorizer", api.arn(f"authorizers/{authorizer}"))
    integration = api.integrate(echo)
    for key in ("GET /a", "GET /b/{id}"):
        api.route(key, integration, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    api.stage()
    return api, authorizer


def context_of(answer):
    return answer.json["requestContext"]["authorizer"]["lambda"]


def test_lambda_authorizer_simple(server, make_function, echo, unique):
    api, _ = lambda_api(server, make_function, echo, unique("fn"), "2.0", True, 0)
    answer = api.send("GET", "/b/7?q=1", headers={"X-Token": "allow", "Cookie": "c=1"})
    context = context_of(answer)
    assert context["flag"] is True and context["runs"] == 1
    event = json.loads(context["event"])
    assert set(event) == {
        "version", "type", "routeArn", "identitySource", "routeKey", "rawPath", "rawQueryString", "cookies", "headers",
        "queryStringParameters", "requestContext", "pathParameters",
    }
    assert (event["type"], event["identitySource"]) == ("REQUEST", ["allow"])
    assert event["routeArn"] == api.arn("$default/GET/b/{id}")
    assert context_of(api.send("GET", "/a", headers={"X-Token": "allow"}))["runs"] == 2  # nothing is kept
    denied = api.send("GET", "/a", headers={"X-Token": "deny"})
    assert (denied.status, denied.body) == (403, b'{"message":"Forbidden"}')
    missing = api.send("GET", "/a")
    assert (missing.status, missing.body) == (401, b'{"message":"Unauthorized"}')
    for token in ("fail", "bad"):
        failed = api.send("GET", "/a", headers={"X-Token": token})
        assert (failed.status, failed.body) == (500, b'{"message":"Internal Server Error"}')
    api.delete()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_lambda_authorizer_policies_and_cache(server, make_function, echo, unique, version):
    api, authorizer = lambda_api(server, make_function, echo, unique("fn"), version, False, 300)
    first = context_of(api.send("GET", "/a", headers={"X-Token": "all"}))
    event = json.loads(first["event"])
    if version == "1.0":
        assert event["methodArn"] == api.arn("$default/GET/a") and event["authorizationToken"] == "all"
        assert event["version"] == "1.0" and event["resource"] == "/a"
    assert context_of(api.send("GET", "/b/1", headers={"X-Token": "all"}))["runs"] == 1
    # A policy that was kept decides for other routes too.
    assert api.send("GET", "/a", headers={"X-Token": "one"}).status == 200
    assert api.send("GET", "/b/1", headers={"X-Token": "one"}).status == 403
    assert api.send("GET", "/a", headers={"X-Token": "deny"}).status == 403
    api.client.reset_authorizers_cache(ApiId=api.id, StageName="$default")
    assert context_of(api.send("GET", "/a", headers={"X-Token": "all"}))["runs"] > 1
    api.delete()


def signed(server, api, path, key=ACCOUNT, secret="test"):
    url = f"http://{api.host}:{server.port}{path}"
    request = botocore.awsrequest.AWSRequest("GET", url)
    credentials = botocore.credentials.Credentials(key, secret)
    botocore.auth.SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    return dict(request.headers)


def test_aws_iam(server, echo, unique):
    api = Api(server, unique("iam"))
    api.allow(echo)
    api.route("GET /x", api.integrate(echo), AuthorizationType="AWS_IAM")
    api.stage()
    refused = api.send("GET", "/x")
    assert (refused.status, refused.body) == (403, b'{"message":"Forbidden"}')
    answer = api.send("GET", "/x", headers=signed(server, api, "/x"))
    assert answer.status == 200
    assert answer.json["requestContext"]["authorizer"]["iam"] == {
        "accessKey": ACCOUNT, "accountId": ACCOUNT, "callerId": ACCOUNT, "cognitoIdentity": None,
        "principalOrgId": None, "userArn": f"arn:aws:iam::{ACCOUNT}:root", "userId": ACCOUNT,
    }
    other = api.send("GET", "/x", headers=signed(server, api, "/x", key="111122223333"))
    assert other.status == 403
    api.delete()


def test_functions_cannot_have_the_server_reach_the_network_for_them(server, runner):
    code = """
import boto3, botocore.exceptions
client = boto3.client("apigatewayv2")
api = client.create_api(Name="x", ProtocolType="HTTP")["ApiId"]
try:
    client.create_integration(ApiId=api, IntegrationType="HTTP_PROXY", IntegrationUri="http://127.0.0.1:1",
        IntegrationMethod="GET", PayloadFormatVersion="1.0")
    result = "made"
except botocore.exceptions.ClientError as error:
    result = error.response["Error"]["Message"]
client.delete_api(ApiId=api)
"""
    assert "egress" in runner(code).json
