"""Policies that look into a request: whose items, which attributes, which mapping's function; under `--auth sigv4`."""

import re

import pytest

from .expect import aws_error
from .harness import REGION
from .test_identities import package, refused, role, trust  # noqa: F401
from .test_policies import ACCOUNT, TRUST, document, signed, strict  # noqa: F401

EXPLICIT = "because of an explicit deny in an identity-based policy"
ITEMS = ["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan"]


@pytest.fixture
def make_table(signed, unique):  # noqa: F811
    def make(kind, *indexes):
        name = unique("table")
        signed("dynamodb").create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": kind}]
            + [{"AttributeName": index, "AttributeType": "S"} for index in indexes],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            **({"GlobalSecondaryIndexes": [
                {"IndexName": index, "KeySchema": [{"AttributeName": index, "KeyType": "HASH"}],
                 "Projection": {"ProjectionType": "ALL"}} for index in indexes]} if indexes else {}))
        return name

    return make


def denied(action, table):
    return aws_error("AccessDeniedException", re.compile(
        rf"dynamodb:{action} on resource: arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table} because no identity-based "), 400)


def mine_only(role, table, *keys):  # noqa: F811
    role.allow(ITEMS, f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}*", Condition={
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": list(keys)}})


def operations(client, table, key, other=None):
    """Every operation that names items by key, on `key`; those on several also on `other`."""
    keys = [key] if other is None else [other, key]
    value = {":k": key}
    return {
        "PutItem": lambda: client.put_item(TableName=table, Item={"id": key}),
        "GetItem": lambda: client.get_item(TableName=table, Key={"id": key}),
        "UpdateItem": lambda: client.update_item(TableName=table, Key={"id": key}),
        "Query": lambda: client.query(
            TableName=table, KeyConditionExpression="id = :k", ExpressionAttributeValues=value),
        "BatchGetItem": lambda: client.batch_get_item(RequestItems={table: {"Keys": [{"id": k} for k in keys]}}),
        "BatchWriteItem": lambda: client.batch_write_item(
            RequestItems={table: [{"PutRequest": {"Item": {"id": k}}} for k in keys]}),
        "BatchWriteItem ": lambda: client.batch_write_item(
            RequestItems={table: [{"DeleteRequest": {"Key": {"id": k}}} for k in keys]}),
        "GetItem ": lambda: client.transact_get_items(
            TransactItems=[{"Get": {"TableName": table, "Key": {"id": k}}} for k in keys]),
        "PutItem ": lambda: client.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": {"id": k}}} for k in keys]),
        "ConditionCheckItem": lambda: client.transact_write_items(TransactItems=[
            {"ConditionCheck": {"TableName": table, "Key": {"id": k}, "ConditionExpression": "attribute_exists(id)"}}
            for k in keys]),
        "DeleteItem": lambda: client.delete_item(TableName=table, Key={"id": key}),
    }


@pytest.mark.parametrize("kind, allowed, mine, also, other", [
    ("S", ["me", "${aws:PrincipalAccount}"], "me", ACCOUNT, "you"),
    # One number has many spellings.
    ("N", ["17", "18"], "1.70e1", "018.0", "170"),
    ("B", ["AAH/", "AAI="], b"\x00\x01\xff", b"\x00\x02", b"\x00\x01"),
], ids=["text", "number", "binary"])
def test_leading_keys(role, signed, make_table, kind, allowed, mine, also, other):  # noqa: F811
    table = make_table(kind)
    mine_only(role, table, *allowed)
    client = role.client("dynamodb")
    for call in operations(client, table, {kind: mine}, {kind: also}).values():
        call()
    for single in (True, False):
        for name, call in operations(client, table, {kind: other}, None if single else {kind: mine}).items():
            with denied(name.strip(), table):
                call()
    # Nothing is named: ForAllValues holds of it. Whoever means to forbid Scan does not list it.
    assert client.scan(TableName=table)["Count"] == 1


def test_leading_keys_of_an_index(role, signed, make_table):  # noqa: F811
    table = make_table("S", "owner")
    signed("dynamodb").put_item(TableName=table, Item={"id": {"S": "1"}, "owner": {"S": "me"}})
    mine_only(role, table, "me")
    client = role.client("dynamodb")

    def query(owner):
        return client.query(
            TableName=table, IndexName="owner", KeyConditionExpression="#o = :o",
            ExpressionAttributeNames={"#o": "owner"}, ExpressionAttributeValues={":o": {"S": owner}})

    assert query("me")["Count"] == 1
    with denied("Query", f"{table}/index/owner"):
        query("1")


def test_attributes(role, signed, make_table):  # noqa: F811
    """The documentation's policy: some attributes, and never all."""
    table = make_table("S")
    signed("dynamodb").put_item(TableName=table, Item={"id": {"S": "a"}, "n": {"N": "1"}, "secret": {"S": "s"}})
    role.allow(ITEMS, "*", Condition={
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["id", "n"]},
        "StringEqualsIfExists": {
            "dynamodb:Select": "SPECIFIC_ATTRIBUTES", "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]}})
    client = role.client("dynamodb")
    key = {"TableName": table, "Key": {"id": {"S": "a"}}}
    secret = {":s": {"S": "s"}}
    assert client.get_item(**key, ProjectionExpression="n")["Item"] == {"n": {"N": "1"}}
    assert client.scan(TableName=table, ProjectionExpression="id")["Count"] == 1
    assert client.update_item(
        **key, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": {"N": "1"}},
        ReturnValues="UPDATED_NEW")["Attributes"] == {"n": {"N": "2"}}
    for call in (
        lambda: client.get_item(**key),
        lambda: client.get_item(**key, ProjectionExpression="n, secret"),
        lambda: client.scan(TableName=table),
        lambda: client.scan(
            TableName=table, ProjectionExpression="id", FilterExpression="secret = :s", ExpressionAttributeValues=secret),
        lambda: client.update_item(**key, UpdateExpression="SET n = secret"),
        lambda: client.put_item(TableName=table, Item={"id": {"S": "b"}, "secret": {"S": "s"}}),
        lambda: client.delete_item(**key, ConditionExpression="secret = :s", ExpressionAttributeValues=secret),
        lambda: client.delete_item(**key, ReturnValues="ALL_OLD"),
        lambda: client.delete_item(
            **key, ConditionExpression="attribute_not_exists(id)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
    ):
        with aws_error("AccessDeniedException", re.compile("because no identity-based policy"), 400):
            call()
    # Only in transactions.
    role.allow("dynamodb:DeleteItem", "*", effect="Deny", Condition={
        "StringNotEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}})
    with aws_error("AccessDeniedException", re.compile(EXPLICIT), 400):
        client.delete_item(**key)
    client.transact_write_items(TransactItems=[{"Delete": key}])


def test_a_mapping_by_its_id_is_one_of_its_function(role, signed, unique):  # noqa: F811
    api = signed("lambda")
    name, other = unique("fn"), unique("fn")
    execution = f"arn:aws:iam::{ACCOUNT}:role/{unique('execution')}"
    iam = signed("iam")
    iam.create_role(RoleName=execution.rpartition("/")[2], AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(
        RoleName=execution.rpartition("/")[2],
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole")
    signed("sqs").create_queue(QueueName=name)
    for function in (name, other):
        api.create_function(
            FunctionName=function, Runtime="python3.11", Role=execution, Handler="app.handler",
            Code={"ZipFile": package()})
        api.get_waiter("function_active_v2").wait(FunctionName=function)
    ids = [api.create_event_source_mapping(
        FunctionName=function, EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", Enabled=False)["UUID"]
        for function in (name, other)]
    role.allow("lambda:*EventSourceMapping", "*", Condition={
        "ArnEquals": {"lambda:FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"}})
    client = role.client("lambda")

    def refusal(action, id):
        return refused(f"lambda:{action}EventSourceMapping", f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{id}")

    assert client.get_event_source_mapping(UUID=ids[0].upper())["UUID"] == ids[0]
    client.update_event_source_mapping(UUID=ids[0], BatchSize=5)
    nobody = "00000000-0000-4000-8000-000000000000"
    for id in (ids[1], nobody):
        with refusal("Get", id):
            client.get_event_source_mapping(UUID=id)
        with refusal("Update", id):
            client.update_event_source_mapping(UUID=id, BatchSize=5)
        with refusal("Delete", id):
            client.delete_event_source_mapping(UUID=id)
    # Neither one's own to another function, nor another's to one's own.
    with refusal("Update", ids[0]):
        client.update_event_source_mapping(UUID=ids[0], FunctionName=other)
    with refusal("Update", ids[1]):
        client.update_event_source_mapping(UUID=ids[1], FunctionName=name)
    client.delete_event_source_mapping(UUID=ids[0])
    with aws_error("ResourceNotFoundException", None, 404):
        api.get_event_source_mapping(UUID=nobody)


def test_logs_take_only_a_role_that_trusts_them(signed, unique):  # noqa: F811
    name = unique("logs")
    logs, iam = signed("logs"), signed("iam")
    logs.create_log_group(logGroupName=name)
    signed("kinesis").create_stream(StreamName=name, ShardCount=1)
    filter = {
        "logGroupName": name, "filterName": "f", "filterPattern": "",
        "destinationArn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Service": "sqs.amazonaws.com"}))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document("kinesis:PutRecord*"))
    with aws_error("InvalidParameterException", re.compile("Could not deliver test message"), 400):
        logs.put_subscription_filter(**filter)
    assert logs.describe_subscription_filters(logGroupName=name)["subscriptionFilters"] == []
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust({"Service": "logs.amazonaws.com"}))
    logs.put_subscription_filter(**filter)
