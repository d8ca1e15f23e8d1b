"""What the tests of REST APIs share: an API made with boto3, in front of a function, and requests to it."""

from .harness import ACCOUNT, REGION
from .http_apis import send


def function_uri(function, streams=False):
    path = "2021-11-15/functions" if streams else "2015-03-31/functions"
    end = "response-streaming-invocations" if streams else "invocations"
    return f"arn:aws:apigateway:{REGION}:lambda:path/{path}/{function.arn}/{end}"


class RestApi:
    """A REST API of the test's own."""

    def __init__(self, server, name, **parameters):
        self.server = server
        self.client = server.client("apigateway")
        made = self.client.create_rest_api(name=name, **parameters)
        self.id, self.root = made["id"], made["rootResourceId"]
        self.host = f"{self.id}.execute-api.localhost"
        self.resources = {"/": self.root}

    def arn(self, rest="*"):
        return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}/{rest}"

    def allow(self, function, statement="rest", source=None):
        function.client.add_permission(
            FunctionName=function.name,
            StatementId=f"{statement}-{self.id}",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=source or self.arn(),
        )

    def resource(self, path):
        if path not in self.resources:
            parent, part = path.rsplit("/", 1)
            made = self.client.create_resource(
                restApiId=self.id, parentId=self.resource(parent or "/"), pathPart=part
            )
            self.resources[path] = made["id"]
        return self.resources[path]

    def method(self, path, name="ANY", authorizationType="NONE", **parameters):
        place = dict(restApiId=self.id, resourceId=self.resource(path), httpMethod=name)
        self.client.put_method(**place, authorizationType=authorizationType, **parameters)
        return place

    def function(self, path, function, name="ANY", streams=False, **parameters):
        place = self.method(path, name, **parameters)
        more = {"responseTransferMode": "STREAM"} if streams else {}
        self.client.put_integration(
            **place, type="AWS_PROXY", integrationHttpMethod="POST", uri=function_uri(function, streams), **more
        )

    def deploy(self, stage="prod", **parameters):
        return self.client.create_deployment(restApiId=self.id, stageName=stage, **parameters)["id"]

    def send(self, method="GET", path="/", body=None, headers=(), stage="prod"):
        return send(self.server, self.host, method, f"/{stage}{path}", body, headers)

    def delete(self):
        self.client.delete_rest_api(restApiId=self.id)


def proxy_api(server, name, function, **parameters):
    """An API with one function behind everything, deployed to `prod`."""
    api = RestApi(server, name, **parameters)
    api.allow(function)
    api.function("/", function)
    api.function("/{proxy+}", function)
    api.deploy()
    return api
