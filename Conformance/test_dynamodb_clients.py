"""DynamoDB with clients that other people wrote: pynamodb, and powertools' idempotency, here and in a deployed function."""

import json

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function)
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyValidationError
from pynamodb.attributes import (
    BinarySetAttribute, JSONAttribute, ListAttribute, MapAttribute, NumberAttribute, NumberSetAttribute, TTLAttribute,
    UnicodeAttribute, UnicodeSetAttribute, UTCDateTimeAttribute, VersionAttribute)
from pynamodb.exceptions import DeleteError, PutError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from .dynamodb_helpers import make_table
from .functions import FAST_MB
from .test_sqs_mappings_powertools import package_files


@pytest.fixture
def model(server, unique):
    class ByState(GlobalSecondaryIndex):
        class Meta:
            index_name = "by-state"
            projection = AllProjection()
        state = UnicodeAttribute(hash_key=True)
        at = NumberAttribute(range_key=True)

    class Order(Model):
        class Meta:
            table_name = unique("pynamo")
            host = server.url
            region = "us-east-1"
            aws_access_key_id = "test"
            aws_secret_access_key = "test"
            billing_mode = "PAY_PER_REQUEST"
        customer = UnicodeAttribute(hash_key=True)
        number = NumberAttribute(range_key=True)
        state = UnicodeAttribute(default="new")
        at = NumberAttribute(default=0)
        tags = UnicodeSetAttribute(null=True)
        sizes = NumberSetAttribute(null=True)
        blobs = BinarySetAttribute(null=True, legacy_encoding=False)
        more = JSONAttribute(null=True)
        lines = ListAttribute(null=True)
        address = MapAttribute(null=True)
        made = UTCDateTimeAttribute(null=True)
        version = VersionAttribute()
        ends = TTLAttribute(null=True)
        by_state = ByState()

    Order.create_table(wait=True)
    return Order


def test_pynamodb(model, server):
    assert model.exists()
    first = model("ann", 1, tags={"a", "b"}, sizes={1, 2.5}, blobs={b"\x00"}, more={"x": [1]}, lines=[1, "two", None],
                  address={"city": "Köln"})
    first.save()
    again = model.get("ann", 1)
    assert (again.tags, again.sizes, again.more, again.lines) == ({"a", "b"}, {1, 2.5}, {"x": [1]}, [1, "two", None])
    assert again.address.city == "Köln" and again.version == 1
    again.update(actions=[model.at.set(model.at + 5), model.tags.add({"c"}), model.lines.set(
        model.lines.append(["end"]))], condition=model.state == "new")
    assert again.at == 5 and again.lines[-1] == "end" and again.version == 2
    with pytest.raises(PutError):
        first.save()  # an old version
    with pytest.raises(UpdateError):
        again.update(actions=[model.at.remove()], condition=model.tags.contains("zzz"))
    with pytest.raises(DeleteError):
        again.delete(condition=model.at.between(6, 9) | model.more.does_not_exist())
    with model.batch_write() as batch:
        for number in range(2, 60):
            batch.save(model("ann", number, state="old" if number % 2 else "new", at=number))
    assert [order.number for order in model.query("ann", model.number > 50)] == list(range(51, 60))
    assert [order.at for order in model.by_state.query("old", model.at.between(50, 55))] == [51, 53, 55]
    assert model.count("ann", filter_condition=model.state.is_in("old")) == 29
    assert len(list(model.scan(model.tags.exists()))) == 1
    assert len(list(model.batch_get([("ann", number) for number in range(1, 120)]))) == 59
    page = model.query("ann", limit=10, page_size=3)
    assert [order.number for order in page] == list(range(1, 11)) and page.last_evaluated_key is not None
    connection = model._get_connection().connection  # with its credentials
    with TransactWrite(connection=connection) as transaction:
        transaction.save(model("bob", 1))
        transaction.update(model("ann", 3), actions=[model.at.set(1000)], condition=model.at == 3,
                           add_version_condition=False)
        transaction.condition_check(model, "ann", 5, condition=model.at == 5)
    with TransactGet(connection=connection) as transaction:
        bob, ann = transaction.get(model, "bob", 1), transaction.get(model, "ann", 3)
    assert bob.get().version == 1 and ann.get().at == 1000
    assert connection.describe_table(model.Meta.table_name)["TableStatus"] == "ACTIVE"
    model.delete_table()
    assert not model.exists()


def test_powertools_idempotency(server, client, unique):
    table = make_table(client("dynamodb"), unique("idempotency"), {"id": "S"}, ("id",))
    session = boto3.client("dynamodb", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
                           aws_secret_access_key="test")
    calls = []

    @idempotent_function(
        data_keyword_argument="order", persistence_store=DynamoDBPersistenceLayer(table, boto3_client=session),
        config=IdempotencyConfig(event_key_jmespath="id", payload_validation_jmespath="amount", expires_after_seconds=60))
    def pay(order):
        calls.append(order)
        if order["amount"] < 0:
            raise ValueError("negative")
        return {"paid": order["amount"]}

    assert pay(order={"id": 1, "amount": 5}) == pay(order={"id": 1, "amount": 5}) == {"paid": 5}
    assert len(calls) == 1
    with pytest.raises(IdempotencyValidationError):
        pay(order={"id": 1, "amount": 6})
    for _ in range(2):  # failures are not remembered
        with pytest.raises(ValueError):
            pay(order={"id": 2, "amount": -1})
    assert len(calls) == 3


HANDLER = """
import os
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent

layer = DynamoDBPersistenceLayer(table_name=os.environ["TABLE"])
runs = []

@idempotent(persistence_store=layer, config=IdempotencyConfig(event_key_jmespath="id"))
def handler(event, context):
    runs.append(event)
    return {"id": event["id"], "runs": len(runs)}
"""


@pytest.mark.parametrize("actions", [["PutItem", "UpdateItem", "GetItem"], ["GetItem"]])
def test_idempotent_functions_and_their_roles(make_server, make_function, unique, actions):
    """In a deployed function, with signatures checked: what the role may not do fails."""
    root = {"MARTLET_ACCESS_KEY_ID": "test", "MARTLET_SECRET_ACCESS_KEY": "test"}
    server = make_server("--auth", "sigv4", environment=root)
    db = server.client("dynamodb")
    table = make_table(db, unique("used"), {"id": "S"}, ("id",))
    arn = db.describe_table(TableName=table)["Table"]["TableArn"]
    function = make_function(
        files={"index.py": HANDLER, **package_files()}, server=server, MemorySize=FAST_MB, Timeout=20,
        Environment={"Variables": {"TABLE": table, "POWERTOOLS_SERVICE_NAME": "test"}})
    role = function.client.get_function_configuration(FunctionName=function.name)["Role"].split("/")[-1]
    server.client("iam").put_role_policy(RoleName=role, PolicyName="table", PolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": [f"dynamodb:{action}" for action in actions], "Resource": arn}]}))
    answer = function.invoke({"id": "a"})
    if "PutItem" in actions:
        assert answer.json == function.invoke({"id": "a"}).json == {"id": "a", "runs": 1}
        assert function.invoke({"id": "b"}).json == {"id": "b", "runs": 2}
        assert db.scan(TableName=table, Select="COUNT")["Count"] == 2
    else:
        assert answer.error and "AccessDenied" in answer.json["errorMessage"] + answer.log
        assert "dynamodb:PutItem on resource: " + arn in answer.json["errorMessage"] + answer.log
