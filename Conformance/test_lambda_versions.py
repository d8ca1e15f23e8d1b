"""Versions and aliases."""

import pytest

from .lambda_helpers import ECHO, NO_REVISION, OTHER, arn, code, refused

VERSION = "def handler(event, context):\n    return [context.function_version, context.invoked_function_arn]\n"


@pytest.fixture
def lambda_(client):
    return client("lambda")


def publish(function, **parameters):
    answer = function.client.publish_version(FunctionName=function.name, **parameters)
    function.client.get_waiter("published_version_active").wait(
        FunctionName=function.name, Qualifier=answer["Version"], WaiterConfig={"Delay": 0.05}
    )
    return answer


def change(function, **parameters):
    function.client.update_function_configuration(FunctionName=function.name, **parameters)
    function.wait()


def test_publish(lambda_, make_function):
    function = make_function(VERSION)
    first = publish(function, Description="one")
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["Version"], first["Description"]) == ("1", "one")
    assert first["FunctionArn"] == arn(function.name, "1")
    assert publish(function, Description="again")["Version"] == "1", "nothing changed"
    change(function, Timeout=9)
    assert publish(function)["Version"] == "2"
    assert lambda_.get_function_configuration(FunctionName=function.name, Qualifier="1")["Timeout"] == 3
    lambda_.delete_function(FunctionName=function.name, Qualifier="2")
    change(function, Timeout=10)
    assert publish(function)["Version"] == "3", "numbers are not reused"
    listed = lambda_.list_versions_by_function(FunctionName=function.name)["Versions"]
    assert [item["Version"] for item in listed] == ["$LATEST", "1", "3"]
    assert [item["FunctionArn"] for item in listed] == [arn(function.name, v) for v in ("$LATEST", "1", "3")]
    assert function.invoke(Qualifier="1").json == ["1", arn(function.name, "1")]
    assert function.invoke().json == ["$LATEST", function.arn]
    assert function.invoke(Qualifier="3").version == "3"


def test_publish_guards(lambda_, make_function):
    function = make_function(ECHO)
    sha = lambda_.get_function_configuration(FunctionName=function.name)["CodeSha256"]
    wrong = refused(lambda_.publish_version, FunctionName=function.name, CodeSha256="somenonexistentsha256")
    assert wrong.code == "InvalidParameterValueException"
    assert wrong.message == (
        f"CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST ({sha}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    revision = refused(lambda_.publish_version, FunctionName=function.name, RevisionId=NO_REVISION)
    assert (revision.status, revision.code) == (412, "PreconditionFailedException")
    missing = refused(lambda_.publish_version, FunctionName="no-such-function")
    assert missing.message == f"Function not found: {arn('no-such-function')}"


def test_publish_with_create_and_update(lambda_, make_function):
    function = make_function(ECHO, Publish=True)
    assert lambda_.get_function_configuration(FunctionName=function.name, Qualifier="1")["Version"] == "1"
    updated = lambda_.update_function_code(FunctionName=function.name, ZipFile=code(OTHER), Publish=True)
    assert (updated["Version"], updated["FunctionArn"]) == ("2", arn(function.name, "2"))
    function.wait()
    assert function.invoke(1, Qualifier="1").json == 1
    assert function.invoke(1, Qualifier="2").json == "other"


def test_alias(lambda_, make_function):
    function = make_function(VERSION)
    publish(function)
    created = lambda_.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1", Description="d")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["AliasArn"] == arn(function.name, "live")
    assert (created["Name"], created["FunctionVersion"], created["Description"]) == ("live", "1", "d")
    assert "RoutingConfig" not in created
    invoked = function.invoke(Qualifier="live")
    assert invoked.json == ["1", arn(function.name, "live")] and invoked.version == "1"
    assert lambda_.get_alias(FunctionName=function.name, Name="live")["RevisionId"] == created["RevisionId"]
    updated = lambda_.update_alias(FunctionName=function.name, Name="live", FunctionVersion="$LATEST")
    assert updated["RevisionId"] != created["RevisionId"]
    assert function.invoke(Qualifier="live").json == ["$LATEST", arn(function.name, "live")]
    assert [a["Name"] for a in lambda_.list_aliases(FunctionName=function.name)["Aliases"]] == ["live"]
    assert lambda_.list_aliases(FunctionName=function.name, FunctionVersion="1")["Aliases"] == []
    for _ in range(2):
        answer = lambda_.delete_alias(FunctionName=function.name, Name="live")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = refused(lambda_.get_alias, FunctionName=function.name, Name="live")
    assert (gone.status, gone.message) == (404, f"Cannot find alias arn: {arn(function.name, 'live')}")


def test_alias_errors(lambda_, make_function):
    function = make_function(ECHO)
    publish(function)
    change(function, Timeout=9)
    publish(function)
    name = function.name
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")

    def create(alias="other", version="1", **weights):
        parameters = {"FunctionName": name, "Name": alias, "FunctionVersion": version}
        if weights:
            parameters["RoutingConfig"] = {"AdditionalVersionWeights": {k[1:]: v for k, v in weights.items()}}
        return refused(lambda_.create_alias, **parameters)

    taken = create("live")
    assert (taken.status, taken.code) == (409, "ResourceConflictException")
    assert taken.message == f"Alias already exists: {arn(name, 'live')}"
    assert create(version="9").message == f"Function not found: {arn(name, '9')}"
    assert create(v1=0.5).message == (
        "Invalid function version 1. Function version 1 is already included in routing configuration."
    )
    assert create(v2=0.5, v3=0.1).message == "Number of items in AdditionalVersionWeights cannot be greater than 1"
    assert create(version="$LATEST", v1=0.5).message == (
        "$LATEST is not supported for an alias pointing to more than 1 version"
    )
    too_high = create(v2=2.0)
    assert too_high.code == "ValidationException"
    assert too_high.message == (
        "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must "
        "have value greater than or equal to 0.0, Member must not be null]"
    )
    number = create("2024")
    assert number.message == (
        "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
    )
    missing = refused(lambda_.update_alias, FunctionName=name, Name="none", FunctionVersion="1")
    assert missing.message == f"Alias not found: {arn(name, 'none')}"
    assert refused(lambda_.update_alias, FunctionName=name, Name="live", RevisionId=NO_REVISION).status == 412
    held = refused(lambda_.delete_function, FunctionName=name, Qualifier="1")
    assert (held.status, held.message) == (
        409, "Unable to delete version because the following aliases reference it: [live]"
    )
    assert refused(lambda_.invoke, FunctionName=name, Qualifier="none").message == (
        f"Function not found: {arn(name, 'none')}"
    )


def test_alias_weights(lambda_, make_function):
    function = make_function(VERSION)
    publish(function)
    change(function, Timeout=9)
    publish(function)
    weights = {"AdditionalVersionWeights": {"2": 1.0}}
    created = lambda_.create_alias(
        FunctionName=function.name, Name="live", FunctionVersion="1", RoutingConfig=weights
    )
    assert created["RoutingConfig"] == weights
    assert function.invoke(Qualifier="live").version == "2"
    lambda_.update_alias(
        FunctionName=function.name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}}
    )
    seen = {function.invoke(Qualifier="live").version for _ in range(64)}
    assert seen == {"1", "2"}, "either of two missing in 64 draws of one half: one run in 2^63"
    lambda_.update_alias(FunctionName=function.name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert {function.invoke(Qualifier="live").version for _ in range(8)} == {"1"}


def test_command_line(aws, make_function):
    function = make_function(ECHO)
    assert aws("lambda", "publish-version", "--function-name", function.name).json["Version"] == "1"
    aws("lambda", "wait", "published-version-active", "--function-name", function.name, "--qualifier", "1")
    aws("lambda", "create-alias", "--function-name", function.name, "--name", "live", "--function-version", "1")
    got = aws("lambda", "get-alias", "--function-name", function.name, "--name", "live").json
    assert got["FunctionVersion"] == "1"
    aws("lambda", "update-alias", "--function-name", function.name, "--name", "live", "--description", "x")
    assert aws("lambda", "list-aliases", "--function-name", function.name).json["Aliases"][0]["Description"] == "x"
    assert len(aws("lambda", "list-versions-by-function", "--function-name", function.name).json["Versions"]) == 2
    aws("lambda", "delete-alias", "--function-name", function.name, "--name", "live")
