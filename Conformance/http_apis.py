"""What the tests of HTTP APIs share: an API in front of a function, and requests to it as a browser or curl sends them."""

import http.client
import json
from contextlib import closing
from importlib.metadata import files
from pathlib import Path

from .harness import ACCOUNT, REGION

ECHO = "def handler(event, context):\n    return event\n"

# Answers what the request says it shall: the function of a test decides in its body.
PUPPET = """
import base64, json

def handler(event, context):
    body = event.get("body") or "{}"
    order = json.loads(base64.b64decode(body) if event["isBase64Encoded"] else body)
    if "raise" in order:
        raise RuntimeError(order["raise"])
    return order.get("answer", event)
"""


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.body = response.read()
        self.fields = [(name.lower(), value) for name, value in response.getheaders()]
        self.headers = dict(self.fields)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def all(self, name):
        return [value for known, value in self.fields if known == name]

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:300]!r}"


def send(server, host, method="GET", path="/", body=None, headers=()):
    """One request over a connection of its own; headers as a mapping or as pairs, which may repeat names."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host:
            connection.putheader("Host", f"{host}:{server.port}")
        data = body.encode() if isinstance(body, str) else body
        if data is not None:
            connection.putheader("Content-Length", str(len(data)))
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            connection.putheader(name, value)
        connection.endheaders(data)
        return Answer(connection.getresponse())


class Api:
    """An HTTP API of the test's own."""

    def __init__(self, server, name, **parameters):
        self.server = server
        self.client = server.client("apigatewayv2")
        made = self.client.create_api(Name=name, ProtocolType="HTTP", **parameters)
        self.id = made["ApiId"]
        self.endpoint = made["ApiEndpoint"]
        self.host = f"{self.id}.execute-api.localhost"

    def arn(self, rest="*/*"):
        return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/{rest}"

    def allow(self, function, statement="api", source=None):
        function.client.add_permission(
            FunctionName=function.name,
            StatementId=f"{statement}-{self.id}",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=source or self.arn("*"),
        )

    def integrate(self, function, version="2.0", **parameters):
        return self.client.create_integration(
            ApiId=self.id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=function if isinstance(function, str) else function.arn,
            PayloadFormatVersion=version,
            **parameters,
        )["IntegrationId"]

    def proxy(self, url, method="ANY", **parameters):
        return self.client.create_integration(
            ApiId=self.id,
            IntegrationType="HTTP_PROXY",
            IntegrationUri=url,
            IntegrationMethod=method,
            PayloadFormatVersion="1.0",
            **parameters,
        )["IntegrationId"]

    def route(self, key, integration, **parameters):
        return self.client.create_route(
            ApiId=self.id, RouteKey=key, Target=f"integrations/{integration}", **parameters
        )["RouteId"]

    def stage(self, name="$default", **parameters):
        return self.client.create_stage(ApiId=self.id, StageName=name, AutoDeploy=True, **parameters)

    def send(self, method="GET", path="/", body=None, headers=()):
        return send(self.server, self.host, method, path, body, headers)

    def delete(self):
        self.client.delete_api(ApiId=self.id)


def simple_api(server, name, function, version="2.0", keys=("$default",), **parameters):
    """An API with one function behind some routes, deployed to $default."""
    api = Api(server, name, **parameters)
    api.allow(function)
    integration = api.integrate(function, version)
    for key in keys:
        api.route(key, integration)
    api.stage()
    return api


def packages(*names):
    """Distributions of the environment that the tests run in, as files of a function's package."""
    found = {}
    for name in names:
        for file in files(name):
            path = Path(file.locate())
            # Some packages ask for their own version.
            if path.suffix in (".py", ".so") or path.name == "METADATA":
                if not str(file).startswith(".."):
                    found[str(file)] = (path.read_bytes(), 0o755)
    return found
