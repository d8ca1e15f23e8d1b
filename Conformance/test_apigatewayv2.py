"""API Gateway v2: HTTP APIs as boto3 and the AWS CLI make, change, export and delete them."""

import json

import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel

from .harness import ACCOUNT, REGION
from .http_apis import Api
from .lambda_helpers import refused

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:any"


@pytest.fixture
def gateway(client):
    return client("apigatewayv2")


@pytest.fixture
def api(server, unique):
    one = Api(server, unique("api"))
    yield one
    try:
        one.delete()
    except one.client.exceptions.NotFoundException:
        pass


def test_an_api_has_what_it_was_given_and_defaults(gateway, unique, server):
    name = unique("api")
    made = gateway.create_api(
        Name=name, ProtocolType="HTTP", Description="shop", Version="7", Tags={"team": "blue"},
        CorsConfiguration={"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60},
    )
    assert len(made["ApiId"]) == 10
    assert made["ApiEndpoint"] == f"http://{made['ApiId']}.execute-api.localhost:{server.port}"
    assert made["RouteSelectionExpression"] == "${request.method} ${request.path}"
    assert made["ApiKeySelectionExpression"] == "$request.header.x-api-key"
    assert made["DisableExecuteApiEndpoint"] is False
    assert made["CorsConfiguration"] == {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60}
    got = gateway.get_api(ApiId=made["ApiId"])
    for response in (made, got):
        response.pop("ResponseMetadata")
    assert got == made
    updated = gateway.update_api(ApiId=made["ApiId"], Description="new", DisableExecuteApiEndpoint=True)
    assert (updated["Description"], updated["Version"], updated["DisableExecuteApiEndpoint"]) == ("new", "7", True)
    gateway.delete_cors_configuration(ApiId=made["ApiId"])
    assert "CorsConfiguration" not in gateway.get_api(ApiId=made["ApiId"])
    assert made["ApiId"] in [one["ApiId"] for one in gateway.get_apis()["Items"]]
    gateway.delete_api(ApiId=made["ApiId"])
    error = refused(gateway.get_api, ApiId=made["ApiId"])
    assert (error.status, error.code) == (404, "NotFoundException")
    assert error.message == f"Invalid API identifier specified {ACCOUNT}:{made['ApiId']}"


def test_members_that_nobody_set_are_absent(gateway, unique):
    made = gateway.create_api(Name=unique("api"), ProtocolType="HTTP")
    assert not {"Description", "Version", "CorsConfiguration", "ImportInfo", "Warnings"} & made.keys()
    gateway.delete_api(ApiId=made["ApiId"])


def test_pages_of_apis(gateway, server, unique):
    client = server.client("apigatewayv2", account="111122223333")
    ids = {client.create_api(Name=unique("page"), ProtocolType="HTTP")["ApiId"] for _ in range(5)}
    seen = [
        one["ApiId"] for page in client.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": 2})
        for one in page["Items"]
    ]
    assert set(seen) == ids and len(seen) == 5
    assert refused(client.get_apis, NextToken="?!").code == "BadRequestException"
    assert refused(gateway.get_api, ApiId=seen[0]).code == "NotFoundException"  # another account


def test_quick_create_makes_everything(gateway, unique):
    made = gateway.create_api(Name=unique("quick"), ProtocolType="HTTP", Target=FUNCTION)
    [route] = gateway.get_routes(ApiId=made["ApiId"])["Items"]
    [integration] = gateway.get_integrations(ApiId=made["ApiId"])["Items"]
    [stage] = gateway.get_stages(ApiId=made["ApiId"])["Items"]
    assert (route["RouteKey"], route["ApiGatewayManaged"]) == ("$default", True)
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    assert stage["LastDeploymentStatusMessage"].startswith("Successfully deployed stage with deployment ID '")
    gateway.update_api(ApiId=made["ApiId"], Target="https://example.org", RouteKey="GET /x")
    assert gateway.get_routes(ApiId=made["ApiId"])["Items"][0]["RouteKey"] == "GET /x"
    gateway.delete_api(ApiId=made["ApiId"])


def test_routes(api):
    gateway = api.client
    integration = api.integrate(FUNCTION)
    route = api.route("GET /pets/{id}", integration)
    got = gateway.get_route(ApiId=api.id, RouteId=route)
    assert (got["AuthorizationType"], got["ApiKeyRequired"]) == ("NONE", False)
    error = refused(gateway.create_route, ApiId=api.id, RouteKey="GET /pets/{id}")
    assert (error.status, error.code) == (409, "ConflictException")
    assert error.message == "Route with key GET /pets/{id} already exists for this API"
    for bad in ("GET", "GET pets", "FETCH /pets", "GET /{proxy+}/x", "GET  /pets", "get /pets", "GET /a{b}", "$other"):
        error = refused(gateway.create_route, ApiId=api.id, RouteKey=bad)
        assert error.code == "BadRequestException" and "not formatted properly" in error.message, bad
    error = refused(gateway.create_route, ApiId=api.id, RouteKey="GET /x", Target="integrations/none")
    assert (error.status, error.message) == (404, "Invalid Integration identifier specified")
    assert gateway.update_route(ApiId=api.id, RouteId=route, OperationName="pet")["OperationName"] == "pet"
    error = refused(gateway.delete_integration, ApiId=api.id, IntegrationId=integration)
    assert (error.status, error.code) == (409, "ConflictException")
    assert error.message == (
        f"Cannot delete Integration because it is referenced by the following Routes with Ids: [{route}]"
    )
    gateway.delete_route(ApiId=api.id, RouteId=route)
    gateway.delete_integration(ApiId=api.id, IntegrationId=integration)
    assert refused(gateway.get_route, ApiId=api.id, RouteId=route).message == "Invalid Route identifier specified"


def test_integrations(api):
    gateway = api.client
    one = gateway.create_integration(
        ApiId=api.id, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION, PayloadFormatVersion="2.0"
    )
    assert (one["TimeoutInMillis"], one["ConnectionType"], one["IntegrationMethod"]) == (30000, "INTERNET", "POST")
    two = gateway.update_integration(ApiId=api.id, IntegrationId=one["IntegrationId"], TimeoutInMillis=1000)
    assert two["TimeoutInMillis"] == 1000 and two["IntegrationUri"] == FUNCTION
    for parameters, text in [
        ({"IntegrationType": "AWS_PROXY", "IntegrationUri": FUNCTION}, "PayloadFormatVersion is a required parameter"),
        ({"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}, "IntegrationUri"),
        ({"IntegrationType": "MOCK", "IntegrationUri": "x", "PayloadFormatVersion": "1.0"}, "not supported"),
        (
            {
                "IntegrationType": "HTTP_PROXY", "IntegrationUri": "ftp://x", "PayloadFormatVersion": "1.0",
                "IntegrationMethod": "GET",
            },
            "Invalid HTTP endpoint",
        ),
        (
            {
                "IntegrationType": "HTTP_PROXY", "IntegrationUri": "http://x", "PayloadFormatVersion": "1.0",
                "IntegrationMethod": "GET", "RequestParameters": {"append:header.Authorization": "x"},
            },
            "Operations on header authorization are restricted",
        ),
    ]:
        error = refused(gateway.create_integration, ApiId=api.id, **parameters)
        assert error.code == "BadRequestException" and text in error.message, (parameters, error)
    error = refused(
        gateway.create_integration, ApiId=api.id, IntegrationType="AWS_PROXY", IntegrationSubtype="SQS-SendMessage",
        PayloadFormatVersion="1.0",
    )
    assert error.status == 501 and "IntegrationSubtype" in error.message


def test_parameters_are_merged_and_removed_one_by_one(api):
    gateway = api.client
    id = api.proxy("https://example.org", RequestParameters={"append:header.a": "1", "overwrite:path": "/x"})
    got = gateway.update_integration(
        ApiId=api.id, IntegrationId=id, RequestParameters={"append:header.a": "", "append:header.b": "2"}
    )
    assert got["RequestParameters"] == {"overwrite:path": "/x", "append:header.b": "2"}


def test_stages_and_deployments(api):
    gateway = api.client
    error = refused(gateway.create_deployment, ApiId=api.id)
    assert (error.code, error.message) == (
        "BadRequestException", "Unable to deploy API because no routes exist in this API")
    api.route("GET /", api.integrate(FUNCTION))
    stage = gateway.create_stage(ApiId=api.id, StageName="dev", StageVariables={"a": "1", "b": "2"})
    assert (stage["AutoDeploy"], stage["StageVariables"], stage["RouteSettings"]) == (False, {"a": "1", "b": "2"}, {})
    assert stage["DefaultRouteSettings"] == {"DetailedMetricsEnabled": False} and "DeploymentId" not in stage
    assert refused(gateway.create_stage, ApiId=api.id, StageName="dev").code == "ConflictException"
    assert refused(gateway.create_stage, ApiId=api.id, StageName="a/b").code == "BadRequestException"
    deployment = gateway.create_deployment(ApiId=api.id, StageName="dev", Description="first")
    assert (deployment["DeploymentStatus"], deployment["AutoDeployed"]) == ("DEPLOYED", False)
    id = deployment["DeploymentId"]
    assert gateway.get_stage(ApiId=api.id, StageName="dev")["DeploymentId"] == id
    assert "Active stages" in refused(gateway.delete_deployment, ApiId=api.id, DeploymentId=id).message
    changed = gateway.update_stage(
        ApiId=api.id, StageName="dev", StageVariables={"a": ""}, Description="d",
        RouteSettings={"GET /": {"ThrottlingRateLimit": 5.5, "ThrottlingBurstLimit": 2}},
    )
    assert changed["StageVariables"] == {"b": "2"}
    assert changed["RouteSettings"] == {"GET /": {"ThrottlingRateLimit": 5.5, "ThrottlingBurstLimit": 2}}
    gateway.delete_route_settings(ApiId=api.id, StageName="dev", RouteKey="GET /")
    assert gateway.get_stage(ApiId=api.id, StageName="dev")["RouteSettings"] == {}
    gateway.delete_stage(ApiId=api.id, StageName="dev")
    gateway.delete_deployment(ApiId=api.id, DeploymentId=id)
    assert refused(gateway.get_stage, ApiId=api.id, StageName="dev").message == "Invalid Stage identifier specified"


def test_automatic_deployments_follow_every_change_and_old_ones_go(api):
    gateway = api.client
    integration = api.integrate(FUNCTION)
    api.stage()
    ids = set()
    for number in range(15):
        api.route(f"GET /{number}", integration)
        ids.add(gateway.get_stage(ApiId=api.id, StageName="$default")["DeploymentId"])
    assert len(ids) == 15
    kept = gateway.get_deployments(ApiId=api.id)["Items"]
    assert len(kept) <= 12 and all(one["AutoDeployed"] for one in kept)


def test_access_log_settings_are_checked(api):
    gateway = api.client
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:x"
    for settings in (
        {"DestinationArn": arn, "Format": "no id"},
        {"DestinationArn": "arn:aws:s3:::x", "Format": "$context.requestId"},
        {"DestinationArn": arn, "Format": "$context.requestId\n"},
    ):
        error = refused(gateway.create_stage, ApiId=api.id, StageName="x", AccessLogSettings=settings)
        assert error.code == "BadRequestException"
    good = {"DestinationArn": arn, "Format": "$context.requestId"}
    gateway.create_stage(ApiId=api.id, StageName="x", AccessLogSettings=good)
    # As Terraform takes them away.
    assert "AccessLogSettings" not in gateway.update_stage(ApiId=api.id, StageName="x", AccessLogSettings={})
    assert gateway.update_stage(ApiId=api.id, StageName="x", AccessLogSettings=good)["AccessLogSettings"] == good
    gateway.delete_access_log_settings(ApiId=api.id, StageName="x")
    assert "AccessLogSettings" not in gateway.get_stage(ApiId=api.id, StageName="x")


def test_empty_cors_settings_are_none(gateway, unique):
    """As Terraform takes them away."""
    made = gateway.create_api(Name=unique("api"), ProtocolType="HTTP", CorsConfiguration={})
    assert "CorsConfiguration" not in made
    gateway.update_api(ApiId=made["ApiId"], CorsConfiguration={"AllowOrigins": ["*"]})
    answer = gateway.update_api(ApiId=made["ApiId"], Description="d", CorsConfiguration={})
    assert "CorsConfiguration" not in answer
    assert "CorsConfiguration" not in gateway.get_api(ApiId=made["ApiId"])
    gateway.delete_api(ApiId=made["ApiId"])


def test_http_apis_have_no_execution_logs(api):
    for settings in ({"LoggingLevel": "INFO"}, {"DataTraceEnabled": True}):
        error = refused(api.client.create_stage, ApiId=api.id, StageName="x", DefaultRouteSettings=settings)
        assert error.message == "Execution logs are not supported on protocolType HTTP"


def test_authorizers(api):
    gateway = api.client
    jwt = gateway.create_authorizer(
        ApiId=api.id, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": "https://issuer.example", "Audience": ["a"]},
    )
    assert "AuthorizerUri" not in jwt and "AuthorizerResultTtlInSeconds" not in jwt
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
    request = gateway.create_authorizer(
        ApiId=api.id, Name="fn", AuthorizerType="REQUEST", IdentitySource=["$request.header.x"], AuthorizerUri=uri,
        AuthorizerPayloadFormatVersion="2.0",
    )
    assert (request["AuthorizerResultTtlInSeconds"], request["EnableSimpleResponses"]) == (300, False)
    error = refused(
        gateway.create_authorizer, ApiId=api.id, Name="bad", AuthorizerType="REQUEST", IdentitySource=[],
        AuthorizerUri="arn:aws:sqs:us-east-1:1:q", AuthorizerPayloadFormatVersion="2.0",
    )
    assert "Invalid Authorizer URI" in error.message
    route = api.route(
        "GET /", api.integrate(FUNCTION), AuthorizationType="JWT", AuthorizerId=jwt["AuthorizerId"],
        AuthorizationScopes=["read"],
    )
    error = refused(gateway.delete_authorizer, ApiId=api.id, AuthorizerId=jwt["AuthorizerId"])
    assert error.code == "ConflictException" and route in error.message
    assert refused(
        gateway.create_route, ApiId=api.id, RouteKey="GET /x", AuthorizationType="JWT",
        AuthorizerId=request["AuthorizerId"],
    ).code == "BadRequestException"
    updated = gateway.update_route(ApiId=api.id, RouteId=route, AuthorizationType="NONE")
    assert "AuthorizerId" not in updated and "AuthorizationScopes" not in updated
    gateway.delete_authorizer(ApiId=api.id, AuthorizerId=jwt["AuthorizerId"])
    assert [one["Name"] for one in gateway.get_authorizers(ApiId=api.id)["Items"]] == ["fn"]


def test_models_and_tags(api):
    gateway = api.client
    model = gateway.create_model(ApiId=api.id, Name="Pet", Schema='{"type": "object"}')
    assert gateway.get_model(ApiId=api.id, ModelId=model["ModelId"])["ContentType"] == "application/json"
    assert refused(gateway.create_model, ApiId=api.id, Name="Pet", Schema="{}").code == "ConflictException"
    gateway.delete_model(ApiId=api.id, ModelId=model["ModelId"])
    api.stage("dev")
    for path in (f"/apis/{api.id}", f"/apis/{api.id}/stages/dev"):
        arn = f"arn:aws:apigateway:{REGION}::{path}"
        gateway.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
        gateway.untag_resource(ResourceArn=arn, TagKeys=["a"])
        assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}
    assert refused(gateway.get_tags, ResourceArn="arn:aws:apigateway:us-east-1::/x/y").code == "BadRequestException"


def test_what_is_missing_says_so(gateway):
    for call, parameters in [
        (gateway.create_vpc_link, {"Name": "x", "SubnetIds": ["s"]}),
        (gateway.create_domain_name, {"DomainName": "example.org"}),
        (gateway.list_portals, {}),
    ]:
        error = refused(call, **parameters)
        assert error.status == 501 and "not implemented by Martlet yet" in error.message


DOCUMENT = {
    "openapi": "3.0.1",
    "info": {"title": "shop", "version": "1.0", "description": "d"},
    "x-amazon-apigateway-cors": {"allowOrigins": ["*"], "allowMethods": ["GET"], "maxAge": 5},
    "tags": [{"name": "team", "x-amazon-apigateway-tag-value": "blue"}],
    "components": {
        "securitySchemes": {
            "token": {
                "type": "oauth2",
                "x-amazon-apigateway-authorizer": {
                    "type": "jwt",
                    "identitySource": "$request.header.Authorization",
                    "jwtConfiguration": {"issuer": "https://issuer.example", "audience": ["a"]},
                },
            }
        },
        "x-amazon-apigateway-integrations": {
            "shared": {"type": "aws_proxy", "uri": FUNCTION, "payloadFormatVersion": "2.0", "httpMethod": "POST"}
        },
    },
    "paths": {
        "/pets/{id}": {
            "get": {
                "operationId": "pet",
                "security": [{"token": ["read"]}],
                "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/shared"},
            },
            "x-amazon-apigateway-any-method": {
                "x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/shared"},
            },
        },
        "/$default": {
            "x-amazon-apigateway-any-method": {
                "isDefaultRoute": True,
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy", "uri": "https://example.org", "httpMethod": "ANY",
                    "payloadFormatVersion": "1.0", "requestParameters": {"append:header.a": "$request.path"},
                },
            }
        },
    },
}


def described(gateway, id):
    """An API without the ids that each import makes anew."""
    authorizers = {one["AuthorizerId"]: one for one in gateway.get_authorizers(ApiId=id)["Items"]}
    integrations = {one["IntegrationId"]: one for one in gateway.get_integrations(ApiId=id)["Items"]}
    routes = {}
    for route in gateway.get_routes(ApiId=id)["Items"]:
        integration = dict(integrations[route["Target"].removeprefix("integrations/")])
        integration.pop("IntegrationId")
        authorizer = authorizers.get(route.get("AuthorizerId"), {}).get("Name")
        routes[route["RouteKey"]] = (
            route["AuthorizationType"], authorizer, route.get("AuthorizationScopes"), route.get("OperationName"),
            json.dumps(integration, sort_keys=True),
        )
    return routes


@pytest.mark.parametrize("output", ["JSON", "YAML"])
def test_import_and_export_are_each_others_reverse(gateway, output):
    made = gateway.import_api(Body=json.dumps(DOCUMENT))
    assert (made["Name"], made["Version"], made["Tags"]) == ("shop", "1.0", {"team": "blue"})
    assert made["CorsConfiguration"] == {"AllowOrigins": ["*"], "AllowMethods": ["GET"], "MaxAge": 5}
    first = described(gateway, made["ApiId"])
    assert set(first) == {"GET /pets/{id}", "ANY /pets/{id}", "$default"}
    assert first["GET /pets/{id}"][:4] == ("JWT", "token", ["read"], "pet")
    assert len(gateway.get_integrations(ApiId=made["ApiId"])["Items"]) == 2
    exported = gateway.export_api(ApiId=made["ApiId"], Specification="OAS30", OutputType=output)["body"].read()
    again = gateway.import_api(Body=exported.decode())
    assert described(gateway, again["ApiId"]) == first
    reduced = {**DOCUMENT, "paths": {"/only": DOCUMENT["paths"]["/pets/{id}"]}}
    gateway.reimport_api(ApiId=again["ApiId"], Body=json.dumps(reduced))
    assert set(described(gateway, again["ApiId"])) == {"GET /only", "ANY /only"}
    for one in (made, again):
        gateway.delete_api(ApiId=one["ApiId"])


def test_documents_that_programs_write(gateway, server):
    """FastAPI's own: OpenAPI 3.1, names of operations that no route can have, and members without a value."""
    app = FastAPI(title="Shop")

    class Item(BaseModel):
        name: str
        price: float | None = None

    @app.get("/api/v1/organisations/{organisation}/warehouses/{warehouse}/items/{item}")
    def read_the_item_of_a_warehouse(organisation: str, warehouse: int, item: str, q: str | None = None):
        pass

    @app.post("/items", status_code=201)
    def make(body: list[Item]) -> dict[str, Item]:
        pass

    document = app.openapi()
    long = "/api/v1/organisations/{organisation}/warehouses/{warehouse}/items/{item}"
    nothing = {"description": None, "x-amazon-apigateway-policy": None, "x-amazon-apigateway-cors": None}
    document["paths"]["/items"]["post"]["x-amazon-apigateway-integration"] = {
        "type": "http_proxy", "uri": "https://backend.example/", "httpMethod": "ANY", "credentials": None,
        "requestParameters": None, "timeoutInMillis": None,
        "responses": {"default": {"statusCode": "200", "responseTemplates": None, "responseParameters": None}}}
    rest = server.client("apigateway")
    for text in (json.dumps(document | nothing), yaml.safe_dump(document | nothing)):
        made = rest.import_rest_api(body=text.encode())
        paths = {item["path"]: item for item in rest.get_resources(restApiId=made["id"], limit=500, embed=["methods"])["items"]}
        assert long in paths and "policy" not in made
        method = paths["/items"]["resourceMethods"]["POST"]
        assert method["operationName"] == "make_items_post" and method["methodIntegration"]["type"] == "HTTP_PROXY"
        assert "credentials" not in method["methodIntegration"]
        rest.delete_rest_api(restApiId=made["id"])
        made = gateway.import_api(Body=text)
        routes = {item["RouteKey"]: item for item in gateway.get_routes(ApiId=made["ApiId"])["Items"]}
        assert set(routes) == {f"GET {long}", "POST /items"} and "OperationName" not in routes[f"GET {long}"]
        assert any("operationId" in warning for warning in made["Warnings"])
        (integration,) = gateway.get_integrations(ApiId=made["ApiId"])["Items"]
        assert "CredentialsArn" not in integration and integration["TimeoutInMillis"] == 30000
        gateway.delete_api(ApiId=made["ApiId"])


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "{", "null", "openapi: '2.0'", '{"swagger": "2.0", "info": {"title": "x"}}',
        '{"openapi": "3.0.1"}', "a: &a [x]\nb: *a\n", "a: &a [x, x]\nb: &b [*a, *a]\n? *b\n: 1\n",
        "[" * 5000, "- " * 5000, "{" * 5000, "\x00", "a:\n\tb",
        '{"openapi": "3.0.1", "info": {"title": "x"}, "paths": {"x": {"get": {}}}}',
    ],
)
def test_documents_that_are_none_are_refused(gateway, body):
    assert refused(gateway.import_api, Body=body).code == "BadRequestException"


def test_the_command_line(aws, unique):
    made = aws("apigatewayv2", "create-api", "--name", unique("cli"), "--protocol-type", "HTTP").json
    assert aws("apigatewayv2", "get-api", "--api-id", made["ApiId"]).json["Name"] == made["Name"]
    aws("apigatewayv2", "delete-api", "--api-id", made["ApiId"])
    failed = aws("apigatewayv2", "get-api", "--api-id", made["ApiId"], check=False)
    assert failed.code == 254 and "(NotFoundException)" in failed.error


def test_apis_survive_kill9(make_server, unique):
    server = make_server()
    api = Api(server, unique("api"))
    api.route("GET /", api.integrate(FUNCTION))
    api.stage()
    before = described(api.client, api.id)
    server.restart("kill9")
    assert described(server.client("apigatewayv2"), api.id) == before
