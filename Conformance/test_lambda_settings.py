"""Permissions, tags, concurrency, settings of asynchronous invocation, and what is stored beside."""

import json

import pytest

from .lambda_helpers import ECHO, NO_REVISION, arn, refused


@pytest.fixture
def lambda_(client):
    return client("lambda")


@pytest.fixture
def function(make_function):
    return make_function(ECHO)


def test_permissions(lambda_, function):
    name = function.name
    none = refused(lambda_.get_policy, FunctionName=name)
    assert (none.status, none.message) == (404, "The resource you requested does not exist.")
    grant = {
        "FunctionName": name, "StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
        "SourceArn": "arn:aws:s3:::photos", "SourceAccount": "000000000000",
    }
    added = lambda_.add_permission(**grant)
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = {
        "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction", "Resource": function.arn,
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": "000000000000"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::photos"},
        },
    }
    assert added["Statement"] == json.dumps(statement, separators=(",", ":"))
    policy = lambda_.get_policy(FunctionName=name)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == lambda_.get_function_configuration(FunctionName=name)["RevisionId"]
    conflict = refused(lambda_.add_permission, **grant)
    assert (conflict.status, conflict.code) == (409, "ResourceConflictException")
    assert conflict.message == (
        "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing "
        "statement."
    )
    wrong = refused(lambda_.add_permission, **{**grant, "StatementId": "b", "RevisionId": NO_REVISION})
    assert wrong.status == 412 and "Call the GetPolicy API" in wrong.message
    account = lambda_.add_permission(
        FunctionName=name, StatementId="acct", Action="lambda:GetFunction", Principal="111122223333"
    )
    assert json.loads(account["Statement"])["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    lambda_.remove_permission(FunctionName=name, StatementId="acct")
    missing = refused(lambda_.remove_permission, FunctionName=name, StatementId="acct")
    assert missing.message == "Statement acct is not found in resource policy."
    lambda_.remove_permission(FunctionName=name, StatementId="s3")
    assert refused(lambda_.remove_permission, FunctionName=name, StatementId="s3").message == (
        "No policy is associated with the given resource."
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"Principal": "invalid.nonaws.com"},
         "The provided principal was invalid. Please check the principal and try again."),
        ({"Qualifier": "$LATEST"}, "We currently do not support adding policies for $LATEST."),
        ({"Qualifier": "42"}, "Function not found: {arn}:42"),
        ({"Qualifier": "alias-doesnotexist"}, "Cannot find alias arn: {arn}:alias-doesnotexist"),
        ({"Qualifier": "valid-with-$-but-doesnotexist"}, "Function not found: {arn}:valid-with-$-but-doesnotexist"),
        ({"StatementId": "example.com"},
         "1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy constraint: "
         "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"),
    ],
)
def test_permissions_that_are_refused(lambda_, function, change, message):
    grant = {
        "FunctionName": function.name, "StatementId": "s", "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com", **change,
    }
    assert refused(lambda_.add_permission, **grant).message == message.format(arn=function.arn)


def test_permissions_of_an_alias(lambda_, function):
    name = function.name
    lambda_.publish_version(FunctionName=name)
    alias = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    added = lambda_.add_permission(
        FunctionName=name, Qualifier="live", StatementId="s", Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
    )
    assert json.loads(added["Statement"])["Resource"] == arn(name, "live")
    assert refused(lambda_.get_policy, FunctionName=name).status == 404, "policies belong to qualifiers"
    revision = lambda_.get_policy(FunctionName=name, Qualifier="live")["RevisionId"]
    assert revision == lambda_.get_alias(FunctionName=name, Name="live")["RevisionId"] != alias["RevisionId"]


def test_tags(lambda_, function):
    lambda_.tag_resource(Resource=function.arn, Tags={"a": "1", "b": "2"})
    lambda_.untag_resource(Resource=function.arn, TagKeys=["a", "none"])
    assert lambda_.list_tags(Resource=function.arn)["Tags"] == {"b": "2"}
    many = refused(lambda_.tag_resource, Resource=function.arn, Tags={f"k{i}": "v" for i in range(50)})
    assert many.message == "Number of tags exceeds resource tag limit."
    empty = refused(lambda_.tag_resource, Resource=function.arn, Tags={})
    assert empty.message == "An error occurred and the request cannot be processed."
    qualified = refused(lambda_.tag_resource, Resource=function.arn + ":$LATEST", Tags={"a": "1"})
    assert qualified.message == (
        "Tags on function aliases and versions are not supported. Please specify a function ARN."
    )
    missing = refused(lambda_.list_tags, Resource=arn("no-such-function"))
    assert missing.message == f"Function not found: {arn('no-such-function')}"
    invalid = refused(lambda_.list_tags, Resource="arn:aws:something")
    assert invalid.code == "ValidationException"


def test_reserved_concurrency(server, make_function):
    account = "333344445555"
    function = make_function(ECHO, account=account)
    lambda_ = server.client("lambda", account=account)
    name = function.name
    got = lambda_.get_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in got
    assert lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7) [
        "ReservedConcurrentExecutions"
    ] == 7
    assert lambda_.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    settings = lambda_.get_account_settings()
    assert settings["AccountLimit"] == {
        "TotalCodeSize": 80530636800, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800,
        "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 993,
    }
    assert settings["AccountUsage"]["FunctionCount"] == 1
    high = refused(lambda_.put_function_concurrency, FunctionName=name, ReservedConcurrentExecutions=901)
    assert high.message == (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100]."
    )
    qualified = refused(
        lambda_.put_function_concurrency, FunctionName=function.arn + ":$LATEST", ReservedConcurrentExecutions=1
    )
    assert qualified.message == (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    )
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    throttled = refused(lambda_.invoke, FunctionName=name)
    assert (throttled.status, throttled.code) == (429, "TooManyRequestsException")
    lambda_.delete_function_concurrency(FunctionName=name)
    assert function.invoke(1).json == 1


def test_event_invoke_config(lambda_, make_function, function):
    name = function.name
    other = make_function(ECHO)
    none = refused(lambda_.get_function_event_invoke_config, FunctionName=name)
    assert (none.status, none.message) == (
        404, f"The function {arn(name, '$LATEST')} doesn't have an EventInvokeConfig"
    )
    assert refused(lambda_.put_function_event_invoke_config, FunctionName=name).message == (
        "You must specify at least one of error handling or destination setting."
    )
    put = lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert put["FunctionArn"] == arn(name, "$LATEST")
    assert put["MaximumRetryAttempts"] == 0 and "MaximumEventAgeInSeconds" not in put
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    destination = {"OnFailure": {"Destination": other.arn}}
    updated = lambda_.update_function_event_invoke_config(
        FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig=destination
    )
    assert updated["MaximumRetryAttempts"] == 0 and updated["MaximumEventAgeInSeconds"] == 60
    assert updated["DestinationConfig"] == {"OnSuccess": {}, **destination}
    itself = refused(
        lambda_.put_function_event_invoke_config, FunctionName=name,
        DestinationConfig={"OnSuccess": {"Destination": function.arn}},
    )
    assert itself.message == "You can't specify the function as a destination for itself."
    absent = refused(
        lambda_.put_function_event_invoke_config, FunctionName=name,
        DestinationConfig={"OnSuccess": {"Destination": arn("no-such-function")}},
    )
    assert absent.message == f"The destination ARN {arn('no-such-function')} is invalid."
    listed = lambda_.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [item["FunctionArn"] for item in listed] == [arn(name, "$LATEST")]
    lambda_.delete_function_event_invoke_config(FunctionName=name)
    assert refused(lambda_.delete_function_event_invoke_config, FunctionName=name).status == 404
    missing = refused(lambda_.put_function_event_invoke_config, FunctionName="no-such", MaximumRetryAttempts=0)
    assert missing.message == "The function doesn't exist."


def test_stored_settings(lambda_, function):
    name = function.name
    signing = lambda_.get_function_code_signing_config(FunctionName=name)
    assert signing["FunctionName"] == name and not signing.get("CodeSigningConfigArn")
    assert lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    lambda_.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    invalid = refused(lambda_.put_function_recursion_config, FunctionName=name, RecursiveLoop="InvalidValue")
    assert invalid.message == (
        "1 validation error detected: Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Terminate, Allow]"
    )
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    lambda_.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert lambda_.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"


def test_operations_that_are_not_there_say_so(lambda_, function):
    refusal = refused(lambda_.list_provisioned_concurrency_configs, FunctionName=function.name)
    assert refusal.status == 501 and "ListProvisionedConcurrencyConfigs" in refusal.message


def test_command_line(aws, function):
    name = function.name
    aws(
        "lambda", "add-permission", "--function-name", name, "--statement-id", "s", "--action", "lambda:InvokeFunction",
        "--principal", "s3.amazonaws.com", "--source-arn", "arn:aws:s3:::photos",
    )
    assert "arn:aws:s3:::photos" in aws("lambda", "get-policy", "--function-name", name).json["Policy"]
    aws("lambda", "remove-permission", "--function-name", name, "--statement-id", "s")
    aws("lambda", "tag-resource", "--resource", function.arn, "--tags", "a=1")
    assert aws("lambda", "list-tags", "--resource", function.arn).json["Tags"] == {"a": "1"}
    aws("lambda", "untag-resource", "--resource", function.arn, "--tag-keys", "a")
    aws("lambda", "put-function-event-invoke-config", "--function-name", name, "--maximum-retry-attempts", "1")
    got = aws("lambda", "get-function-event-invoke-config", "--function-name", name).json
    assert got["MaximumRetryAttempts"] == 1
    assert aws("lambda", "get-account-settings").json["AccountLimit"]["ConcurrentExecutions"] == 1000
