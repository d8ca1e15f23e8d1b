"""What REST APIs do not do yet is refused by name, by whatever way it is asked for: nothing is taken and then not done."""

import json

import pytest
from botocore.exceptions import ClientError

from .rest_apis import RestApi

VTL = "#set($x = $input.path('$.a'))$x"
BACKEND = "https://backend.example/"


def answer(call, *arguments, **parameters):
    """(code, message) of what refuses the call; None when it is carried out."""
    try:
        call(*arguments, **parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    return None


def assert_missing(answers):
    """Of what was asked for by name, each is refused as missing."""
    wrong = {what: found for what, found in answers.items()
             if not found or "not implemented by Martlet yet" not in found[1]}
    assert not wrong


@pytest.fixture
def api(server, unique):
    made = RestApi(server, unique("missing"))
    place = made.method("/", "GET", apiKeyRequired=True)
    made.client.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    made.client.put_method_response(**place, statusCode="200")
    made.deploy()
    yield made
    for plan in made.client.get_usage_plans()["items"]:
        for stage in plan["apiStages"]:
            if stage["apiId"] == made.id:
                made.client.update_usage_plan(usagePlanId=plan["id"], **patch("/apiStages", f"{made.id}:prod", op="remove"))
    made.client.delete_rest_api(restApiId=made.id)


def patch(path, value=None, op="replace"):
    return {"patchOperations": [{"op": op, "path": path, **({} if value is None else {"value": value})}]}


def test_canaries(api):
    client, deployment = api.client, api.client.get_deployments(restApiId=api.id)["items"][0]["id"]
    stage = {"restApiId": api.id, "stageName": "prod"}
    canary = {"percentTraffic": 10.0}
    assert_missing({
        "create_deployment": answer(client.create_deployment, restApiId=api.id, stageName="prod", canarySettings=canary),
        "create_stage": answer(client.create_stage, restApiId=api.id, stageName="c", deploymentId=deployment,
                               canarySettings={**canary, "deploymentId": deployment}),
        "percentTraffic": answer(client.update_stage, **stage, **patch("/canarySettings/percentTraffic", "10")),
        "deploymentId": answer(client.update_stage, **stage, **patch("/canarySettings/deploymentId", deployment)),
        "variable": answer(
            client.update_stage, **stage, **patch("/canarySettings/stageVariableOverrides/x", "1", op="add")),
        "useStageCache": answer(client.update_stage, **stage, **patch("/canarySettings/useStageCache", "true")),
        "promote": answer(client.update_stage, **stage, patchOperations=[
            {"op": "copy", "from": "/canarySettings/deploymentId", "path": "/deploymentId"}]),
        "promote variables": answer(client.update_stage, **stage, patchOperations=[
            {"op": "copy", "from": "/canarySettings/stageVariableOverrides", "path": "/variables"}]),
    })
    assert "canarySettings" not in client.get_stage(**stage)


def test_usage_plans(api):
    client, stages = api.client, [{"apiId": api.id, "stage": "prod"}]
    quota, throttle = {"limit": 10, "period": "DAY"}, {"/x/GET": {"rateLimit": 1.0, "burstLimit": 1}}
    plan = client.create_usage_plan(name="plan", apiStages=stages, throttle={"rateLimit": 5.0, "burstLimit": 5})["id"]
    key = client.create_api_key(name="key", enabled=True)["id"]
    client.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    path = f"/apiStages/{api.id}:prod/throttle/~1x~1GET"
    assert_missing({
        "quota": answer(client.create_usage_plan, name="q", quota=quota),
        "throttle of a method": answer(client.create_usage_plan, name="t", apiStages=[{**stages[0], "throttle": throttle}]),
        "patched quota": answer(client.update_usage_plan, usagePlanId=plan, **patch("/quota/limit", "10")),
        "patched period": answer(client.update_usage_plan, usagePlanId=plan, **patch("/quota/period", "DAY")),
        "added quota": answer(client.update_usage_plan, usagePlanId=plan, **patch("/quota", json.dumps(quota), op="add")),
        "patched throttle": answer(
            client.update_usage_plan, usagePlanId=plan, **patch(path + "/rateLimit", "1")),
        "added throttle": answer(
            client.update_usage_plan, usagePlanId=plan, **patch(path, json.dumps(throttle["/x/GET"]), op="add")),
        "product code": answer(client.update_usage_plan, usagePlanId=plan, **patch("/productCode", "code")),
        "usage": answer(client.get_usage, usagePlanId=plan, startDate="2026-01-01", endDate="2026-01-02"),
        "updated usage": answer(client.update_usage, usagePlanId=plan, keyId=key, **patch("/remaining", "10")),
        "import of keys": answer(client.import_api_keys, body=b"name,key\nx,y", format="csv"),
        "stage keys": answer(client.create_api_key, name="s", stageKeys=[{"restApiId": api.id, "stageName": "prod"}]),
    })
    kept = client.get_usage_plan(usagePlanId=plan)
    assert "quota" not in kept and kept["apiStages"] == stages
    client.update_usage_plan(usagePlanId=plan, **patch("/apiStages", f"{api.id}:prod", op="remove"))
    client.delete_usage_plan(usagePlanId=plan)
    client.delete_api_key(apiKey=key)


def document(api, **integration):
    return json.dumps({
        "swagger": "2.0", "info": {"title": "imported", "version": "1"},
        "paths": {"/x": {"get": {"responses": {"200": {"description": ""}}, "x-amazon-apigateway-integration": {
            "type": "mock", "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "responses": {"default": {"statusCode": "200"}}, **integration}}}}}).encode()


def test_templates_and_integrations(api):
    client, place = api.client, api.method("/t", "GET")
    client.put_method_response(**place, statusCode="200")
    mock = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    client.put_integration(**place, **mock)
    arn = "arn:aws:apigateway:us-east-1:sqs:path/000000000000/q"
    integrations = {
        "template of a request": {"type": "MOCK", "requestTemplates": {"application/json": VTL}},
        "AWS": {"type": "AWS", "integrationHttpMethod": "POST", "uri": arn},
        "HTTP": {"type": "HTTP", "integrationHttpMethod": "GET", "uri": BACKEND},
        "VPC link": {"type": "HTTP_PROXY", "integrationHttpMethod": "GET", "uri": BACKEND, "connectionType": "VPC_LINK",
                     "connectionId": "link"},
    }
    assert_missing({what: answer(client.put_integration, **place, **more) for what, more in integrations.items()})
    assert_missing({what: answer(client.import_rest_api, body=document(
        api, **{name.replace("integrationHttpMethod", "httpMethod"): value for name, value in more.items()}))
        for what, more in integrations.items()})
    static = {"application/json": '{"fixed": true}'}
    client.put_integration_response(**place, statusCode="200", responseTemplates=static)
    assert_missing({
        "response": answer(client.put_integration_response, **place, statusCode="200",
                           responseTemplates={"application/json": VTL}),
        "patched request": answer(client.update_integration, **place, **patch("/requestTemplates/application~1json", VTL)),
        "added request": answer(client.update_integration, **place, **patch("/requestTemplates/text~1plain", VTL, op="add")),
        "patched response": answer(
            client.update_integration_response, **place, statusCode="200",
            **patch("/responseTemplates/application~1json", VTL)),
        "imported response": answer(client.import_rest_api, body=document(api, responses={
            "default": {"statusCode": "200", "responseTemplates": {"application/json": VTL}}})),
        "put response": answer(client.put_rest_api, restApiId=api.id, mode="merge", body=document(api, responses={
            "default": {"statusCode": "200", "responseTemplates": {"application/json": VTL}}})),
    })
    assert client.get_integration_response(**place, statusCode="200")["responseTemplates"] == static


def test_what_stands_around_them(api):
    client, stage = api.client, {"restApiId": api.id, "stageName": "prod"}
    assert_missing({
        "cache": answer(client.update_stage, **stage, **patch("/cacheClusterEnabled", "true")),
        "client certificate": answer(client.generate_client_certificate),
        "domain name": answer(client.create_domain_name, domainName="x.example"),
        "VPC link": answer(client.create_vpc_link, name="x", targetArns=["arn:aws:elasticloadbalancing:x"]),
        "documentation part": answer(
            client.create_documentation_part, restApiId=api.id, location={"type": "API"}, properties="{}"),
        "SDK": answer(client.get_sdk, **stage, sdkType="javascript"),
        "user pools": answer(client.create_authorizer, restApiId=api.id, name="u", type="COGNITO_USER_POOLS",
                             identitySource="method.request.header.Authorization", providerARNs=["arn:aws:cognito-idp:x"]),
    })
