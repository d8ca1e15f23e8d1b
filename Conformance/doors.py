"""Function URLs as tests reach them: by path, which needs no names to resolve, or by the Host header."""

import http.client
import json

PUBLIC = dict(AuthType="NONE")


def open_to_all(function, qualifier=None):
    """Both grants that AWS wants since October 2025."""
    lambda_ = function.client
    more = {"Qualifier": qualifier} if qualifier else {}
    lambda_.add_permission(
        FunctionName=function.name, StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*",
        FunctionUrlAuthType="NONE", **more,
    )
    lambda_.add_permission(
        FunctionName=function.name, StatementId="invoke", Action="lambda:InvokeFunction", Principal="*",
        InvokedViaFunctionUrl=True, **more,
    )


class URL:
    """One function URL."""

    def __init__(self, function, grant=True, **parameters):
        self.function = function
        self.server = function.server
        self.config = function.client.create_function_url_config(
            FunctionName=function.name, **{**PUBLIC, **parameters}
        )
        self.address = self.config["FunctionUrl"]
        self.host = self.address.split("/")[2]
        self.id = self.host.split(".")[0]
        if grant:
            open_to_all(function, parameters.get("Qualifier"))

    @property
    def base(self):
        """The URL for clients that resolve no names below localhost."""
        return f"{self.server.url}/_aws/lambda-url/{self.id}"

    def ask(self, method="GET", path="/", body=None, headers=None, host=True):
        """(status, headers in lower case, body), by host name or by path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = dict(headers or {})
        if host:
            headers.setdefault("Host", self.host if host is True else host)
        else:
            path = f"/_aws/lambda-url/{self.id}{path}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        self.response = response
        return response.status, {name.lower(): value for name, value in response.getheaders()}, data

    def event(self, *arguments, **parameters):
        """What a function that returns its event was given."""
        status, _, body = self.ask(*arguments, **parameters)
        assert status == 200, body
        return json.loads(body)
