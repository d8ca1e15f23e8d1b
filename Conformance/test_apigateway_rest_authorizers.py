"""REQUEST authorizers of REST APIs: what they are asked by, how long their answers are kept, the API keys that they name."""

import pytest

from .rest_apis import RestApi, function_uri
from .test_apigatewayv2_http import deploy

# Tells how often it ran, by its environment's memory: its concurrency is one.
AUTHORIZER = """
runs = 0

def handler(event, context):
    global runs
    runs += 1
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    wanted = headers.get("x-wanted", "all")
    resources = {"all": "*", "one": event["methodArn"]}.get(wanted, "*")
    answer = {
        "principalId": "someone",
        "policyDocument": {"Version": "2012-10-17", "Statement": [
            {"Action": "execute-api:Invoke", "Effect": "Deny" if wanted == "deny" else "Allow", "Resource": resources}]},
        "context": {
            "runs": runs, "type": event["type"], "method": event["httpMethod"], "resource": event["resource"],
            "query": (event["queryStringParameters"] or {}).get("user", "-"), "stage": event["requestContext"]["stage"]},
    }
    if "x-names-key" in headers:
        answer["usageIdentifierKey"] = headers["x-names-key"]
    return answer
"""

ECHO = """
import json

def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"])}
"""


@pytest.fixture(scope="module")
def functions(server):
    made = {"echo": deploy(server, "rest-request-echo", ECHO), "authorizer": deploy(server, "rest-request", AUTHORIZER)}
    made["authorizer"].client.put_function_concurrency(
        FunctionName=made["authorizer"].name, ReservedConcurrentExecutions=1)
    yield made
    for function in made.values():
        function.delete()


@pytest.fixture
def make_api(server, functions, unique):
    apis = []

    def make(keys=False, **authorizer):
        api = RestApi(server, unique("request"))
        apis.append(api)
        for function in functions.values():
            api.allow(function)
        made = api.client.create_authorizer(
            restApiId=api.id, name="request", type="REQUEST", authorizerUri=function_uri(functions["authorizer"]),
            **authorizer)
        for path in ("/a", "/b"):
            api.function(
                path, functions["echo"], "GET", authorizationType="CUSTOM", authorizerId=made["id"],
                apiKeyRequired=keys)
        if keys:
            api.client.update_rest_api(restApiId=api.id, patchOperations=[
                {"op": "replace", "path": "/apiKeySource", "value": "AUTHORIZER"}])
        api.deploy()
        return api

    yield make
    for api in apis:
        api.delete()


def ask(api, path="/a", user="u", **headers):
    query = f"?user={user}" if user else ""
    return api.send("GET", path + query, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_answers_are_kept_by_what_identifies_the_caller(make_api):
    api = make_api(
        identitySource="method.request.querystring.user, method.request.header.X-Wanted", authorizerResultTtlInSeconds=300)
    # Without one of the sources nobody is asked.
    for headers in ({}, {"user": None, "X_Wanted": "all"}):
        refused = ask(api, **headers)
        assert (refused.status, refused.text) == (401, '{"message":"Unauthorized"}')
    first = ask(api, X_Wanted="all").json["authorizer"]
    assert (first["type"], first["method"], first["resource"], first["query"], first["stage"]) == (
        "REQUEST", "GET", "/a", "u", "prod")
    assert first["principalId"] == "someone"
    # Kept, for other methods as well; another value of any source is another caller.
    assert ask(api, X_Wanted="all").json["authorizer"]["runs"] == first["runs"]
    assert ask(api, "/b", X_Wanted="all").json["authorizer"]["runs"] == first["runs"]
    assert ask(api, user="v", X_Wanted="all").json["authorizer"]["runs"] != first["runs"]
    # A policy that was kept decides for other methods too.
    assert ask(api, X_Wanted="one").status == 200
    other = ask(api, "/b", X_Wanted="one")
    assert (other.status, other.json) == (403, {"Message": "User is not authorized to access this resource"})
    assert ask(api, X_Wanted="deny").status == 403
    api.client.flush_stage_authorizers_cache(restApiId=api.id, stageName="prod")
    assert ask(api, X_Wanted="all").json["authorizer"]["runs"] != first["runs"]


def test_without_a_lifetime_each_request_is_asked(make_api):
    api = make_api(authorizerResultTtlInSeconds=0)
    runs = [ask(api, user=None).json["authorizer"]["runs"] for _ in range(3)]
    assert len(set(runs)) == 3


def test_keys_that_an_authorizer_names(make_api, unique):
    api = make_api(keys=True, authorizerResultTtlInSeconds=0)
    key = api.client.create_api_key(name=unique("key"), enabled=True)
    plan = api.client.create_usage_plan(name=unique("plan"), apiStages=[{"apiId": api.id, "stage": "prod"}])
    api.client.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    identity = ask(api, X_Names_Key=key["value"]).json["identity"]
    assert identity["apiKeyId"] == key["id"]
    # What the client sends itself does not count, nor does a key that nobody made.
    for headers in ({}, {"x_api_key": key["value"]}, {"X_Names_Key": "x" * 40}):
        refused = ask(api, **headers)
        assert (refused.status, refused.text) == (403, '{"message":"Forbidden"}'), headers
    api.client.update_usage_plan(
        usagePlanId=plan["id"], patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{api.id}:prod"}])
    api.client.delete_usage_plan(usagePlanId=plan["id"])
    api.client.delete_api_key(apiKey=key["id"])
