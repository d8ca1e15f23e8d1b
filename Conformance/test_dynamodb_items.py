"""DynamoDB: items, conditions, updates, batches and transactions, with boto3's client and resource."""

import threading
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from boto3.dynamodb.conditions import Attr, Key

from .dynamodb_helpers import make_table, fails


@pytest.fixture
def db(client):
    return client("dynamodb")


@pytest.fixture
def table(db, unique):
    return make_table(db, unique("table"))


def test_every_type_comes_back(db, table):
    item = {
        "pk": {"S": "a"}, "sk": {"N": "-1.50"}, "text": {"S": "ü\"\\\n"}, "empty": {"S": ""}, "blob": {"B": b"\x00\xff"},
        "yes": {"BOOL": True}, "nothing": {"NULL": True}, "list": {"L": [{"N": "1"}, {"M": {"x": {"S": "y"}}}, {"L": []}]},
        "map": {"M": {}}, "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["3", "1E2"]}, "bs": {"BS": [b"2", b"1"]},
        "big": {"N": "12345678901234567890123456789012345678"}, "tiny": {"N": "1E-130"},
    }
    db.put_item(TableName=table, Item=item)
    answer = db.get_item(TableName=table, Key={"pk": {"S": "a"}, "sk": {"N": "-1.5"}})
    got = answer["Item"]
    assert "x-amz-crc32" in answer["ResponseMetadata"]["HTTPHeaders"]
    assert got["sk"] == {"N": "-1.5"}
    assert sorted(got["ss"]["SS"]) == ["a", "b"] and sorted(got["ns"]["NS"]) == ["100", "3"]
    assert sorted(got["bs"]["BS"]) == [b"1", b"2"]
    for name in ("text", "empty", "blob", "yes", "nothing", "list", "map", "big"):
        assert got[name] == item[name]
    assert Decimal(got["tiny"]["N"]) == Decimal("1E-130")
    assert "Item" not in db.get_item(TableName=table, Key={"pk": {"S": "b"}, "sk": {"N": "1"}})


def test_keys_are_checked(db, table):
    put = lambda **item: lambda: db.put_item(TableName=table, Item=item)  # noqa: E731
    fails(put(pk={"S": "a"}), "ValidationException",
          "One or more parameter values were invalid: Missing the key sk in the item")
    fails(put(pk={"N": "1"}, sk={"N": "1"}), "ValidationException",
          "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N")
    fails(put(pk={"S": ""}, sk={"N": "1"}), "ValidationException",
          "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
          "string value. Key: pk")
    fails(put(pk={"S": "x" * 2049}, sk={"N": "1"}), "ValidationException", "Size of hashkey has exceeded")
    fails(lambda: db.get_item(TableName=table, Key={"pk": {"S": "a"}}), "ValidationException",
          "The provided key element does not match the schema")
    fails(put(pk={"S": "a"}, sk={"N": "1"}, big={"S": "x" * 409600}), "ValidationException",
          "Item size has exceeded the maximum allowed size")
    fails(lambda: db.get_item(TableName="nowhere-at-all", Key={"pk": {"S": "a"}}), "ResourceNotFoundException",
          "Requested resource not found")
    fails(lambda: db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}}, Expected={}),
          "ValidationException", "Expected")


def test_return_values_and_conditions(db, table):
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    assert "Attributes" not in db.put_item(TableName=table, Item={**key, "v": {"N": "1"}}, ReturnValues="ALL_OLD")
    assert db.put_item(TableName=table, Item={**key, "v": {"N": "2"}}, ReturnValues="ALL_OLD")["Attributes"]["v"] == {
        "N": "1"}
    error = fails(
        lambda: db.put_item(TableName=table, Item=key, ConditionExpression="attribute_not_exists(pk)",
                            ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        "ConditionalCheckFailedException", "The conditional request failed")
    assert error.response["Item"]["v"] == {"N": "2"}

    def update(expression, returned, **values):
        return db.update_item(
            TableName=table, Key=key, UpdateExpression=expression, ReturnValues=returned,
            **({"ExpressionAttributeValues": {f":{n}": v for n, v in values.items()}} if values else {})
        ).get("Attributes")

    assert update("SET v = v + :d, w = :w", "UPDATED_NEW", d={"N": "3"}, w={"S": "x"}) == {
        "v": {"N": "5"}, "w": {"S": "x"}}
    assert update("ADD v :d REMOVE w", "UPDATED_OLD", d={"N": "1"}) == {"v": {"N": "5"}, "w": {"S": "x"}}
    assert update("SET l = list_append(if_not_exists(l, :e), :n)", "ALL_NEW", e={"L": []}, n={"L": [{"N": "1"}]}) == {
        **key, "v": {"N": "6"}, "l": {"L": [{"N": "1"}]}}
    assert update("SET l[0] = :x", "ALL_OLD", x={"S": "y"})["l"] == {"L": [{"N": "1"}]}
    assert update("ADD s :s", "UPDATED_NEW", s={"SS": ["a", "b"]}) == {"s": {"SS": ["a", "b"]}}
    assert update("DELETE s :s", "UPDATED_NEW", s={"SS": ["a"]}) == {"s": {"SS": ["b"]}}
    fails(lambda: update("SET pk = :x", "NONE", x={"S": "y"}), "ValidationException",
          "Cannot update attribute pk. This attribute is part of the key")
    fails(lambda: update("SET m.x = :x", "NONE", x={"S": "y"}), "ValidationException",
          "The document path provided in the update expression is invalid for update")
    fails(lambda: update("SET v = :x, v = :y", "NONE", x={"S": "y"}, y={"S": "y"}), "ValidationException",
          "Two document paths overlap")
    fails(lambda: db.put_item(TableName=table, Item=key, ReturnValues="ALL_NEW"), "ValidationException", "ReturnValues")
    old = db.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD", ConditionExpression="v = :six",
                         ExpressionAttributeValues={":six": {"N": "6.0"}})["Attributes"]
    assert old["v"] == {"N": "6"}
    assert db.update_item(TableName=table, Key=key, ReturnValues="ALL_NEW")["Attributes"] == key


@pytest.mark.parametrize("expression, names, values, text", [
    ("size = :v", None, {":v": {"N": "1"}}, "Attribute name is a reserved keyword; reserved keyword: size"),
    ("a = :nope", None, {":v": {"N": "1"}}, "An expression attribute value used in expression is not defined"),
    ("#nope = :v", {"#a": "a"}, {":v": {"N": "1"}}, "An expression attribute name used in the document path is not"),
    ("a = :v", {"#a": "a"}, {":v": {"N": "1"}}, "Value provided in ExpressionAttributeNames unused in expressions"),
    ("a = :v", None, {":v": {"N": "1"}, ":w": {"N": "1"}}, "Value provided in ExpressionAttributeValues unused"),
    ("a == :v", None, {":v": {"N": "1"}}, "Invalid ConditionExpression: Syntax error; token: \"=\""),
    ("(" * 500 + "a = :v" + ")" * 500, None, {":v": {"N": "1"}}, "Invalid ConditionExpression"),
    ("a = :v" + " AND a = :v" * 400, None, {":v": {"N": "1"}}, "ConditionExpression"),
    ("a = :v", None, {":v": {"N": "x"}}, "The parameter cannot be converted to a numeric value: x"),
    ("a = :v", None, {":v": {}}, "Supplied AttributeValue is empty"),
    ("a = :v", None, {":v": {"SS": []}}, "ExpressionAttributeValues contains invalid value"),
])
def test_hostile_expressions(db, table, expression, names, values, text):
    parameters = {"ExpressionAttributeNames": names} if names else {}
    fails(lambda: db.put_item(
        TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}}, ConditionExpression=expression,
        ExpressionAttributeValues=values, **parameters), "ValidationException", text)


def test_resource_interface(server, table):
    import boto3
    resource = boto3.resource(
        "dynamodb", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test").Table(table)
    with resource.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"pk": f"p{number % 3}", "sk": number, "even": number % 2 == 0, "w": Decimal("1.5")})
    answer = resource.query(
        KeyConditionExpression=Key("pk").eq("p1") & Key("sk").between(10, 40), FilterExpression=Attr("even").eq(True),
        ScanIndexForward=False)
    assert [int(item["sk"]) for item in answer["Items"]] == [40, 34, 28, 22, 16, 10]
    assert answer["ScannedCount"] == 11
    assert resource.scan(Select="COUNT")["Count"] == 60


def test_consumed_capacity(db, table):
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    cost = db.put_item(TableName=table, Item={**key, "x": {"S": "y" * 2000}}, ReturnConsumedCapacity="TOTAL")
    assert cost["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 2.0}
    cost = db.get_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert cost["CapacityUnits"] == 0.5
    cost = db.get_item(TableName=table, Key=key, ConsistentRead=True, ReturnConsumedCapacity="INDEXES")
    assert cost["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}
    cost = db.transact_write_items(
        TransactItems=[{"Put": {"TableName": table, "Item": key}}], ReturnConsumedCapacity="TOTAL")
    assert cost["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]


def test_batches(db, table):
    puts = [{"PutRequest": {"Item": {"pk": {"S": "a"}, "sk": {"N": str(n)}}}} for n in range(25)]
    assert db.batch_write_item(RequestItems={table: puts})["UnprocessedItems"] == {}
    keys = [{"pk": {"S": "a"}, "sk": {"N": str(n)}} for n in range(30)]
    got = db.batch_get_item(RequestItems={table: {"Keys": keys, "ProjectionExpression": "sk"}})
    assert sorted(int(item["sk"]["N"]) for item in got["Responses"][table]) == list(range(25))
    assert got["UnprocessedKeys"] == {}
    fails(lambda: db.batch_write_item(RequestItems={table: puts + puts[:1]}), "ValidationException", "")
    fails(lambda: db.batch_write_item(RequestItems={table: puts[:1] * 2}), "ValidationException",
          "Provided list of item keys contains duplicates")
    fails(lambda: db.batch_get_item(RequestItems={table: {"Keys": keys[:1] * 2}}), "ValidationException",
          "Provided list of item keys contains duplicates")
    fails(lambda: db.batch_get_item(RequestItems={"nowhere": {"Keys": keys}}), "ResourceNotFoundException", "")
    db.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": key}} for key in keys[:25]]})
    assert db.scan(TableName=table)["Count"] == 0


def test_batch_get_leaves_what_is_too_much(db, table):
    for number in range(45):
        db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "x": {"S": "x" * 400_000}})
    request, found = {table: {"Keys": [{"pk": {"S": "a"}, "sk": {"N": str(n)}} for n in range(45)]}}, []
    calls = 0
    while request:
        answer = db.batch_get_item(RequestItems=request)
        found += [int(item["sk"]["N"]) for item in answer["Responses"][table]]
        request, calls = answer["UnprocessedKeys"], calls + 1
    assert sorted(found) == list(range(45)) and calls == 2


def test_transactions(db, table):
    def item(number, **more):
        return {"pk": {"S": "t"}, "sk": {"N": str(number)}, **more}

    db.put_item(TableName=table, Item=item(1, v={"N": "1"}))
    error = fails(lambda: db.transact_write_items(TransactItems=[
        {"Put": {"TableName": table, "Item": item(2)}},
        {"Update": {"TableName": table, "Key": item(1), "UpdateExpression": "SET v = :v",
                    "ConditionExpression": "v = :w", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    "ExpressionAttributeValues": {":v": {"N": "2"}, ":w": {"N": "7"}}}},
    ]), "TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed]")
    assert error.response["CancellationReasons"] == [
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": item(1, v={"N": "1"})}]
    assert db.scan(TableName=table, Select="COUNT")["Count"] == 1  # nothing of it happened
    fails(lambda: db.transact_write_items(TransactItems=[
        {"Put": {"TableName": table, "Item": item(2)}}, {"Delete": {"TableName": table, "Key": item(2)}}]),
        "ValidationException", "Transaction request cannot include multiple operations on one item")
    db.transact_write_items(TransactItems=[
        {"ConditionCheck": {"TableName": table, "Key": item(1), "ConditionExpression": "attribute_exists(pk)"}},
        {"Put": {"TableName": table, "Item": item(2)}}, {"Delete": {"TableName": table, "Key": item(3)}},
        {"Update": {"TableName": table, "Key": item(4), "UpdateExpression": "ADD v :v",
                    "ExpressionAttributeValues": {":v": {"N": "2"}}}}])
    got = db.transact_get_items(TransactItems=[
        {"Get": {"TableName": table, "Key": item(n), "ProjectionExpression": "v"}} for n in (1, 2, 3, 4)])
    assert got["Responses"] == [{"Item": {"v": {"N": "1"}}}, {"Item": {}}, {}, {"Item": {"v": {"N": "2"}}}]


def test_transaction_tokens(db, table):
    def add(token, amount):
        db.transact_write_items(ClientRequestToken=token, TransactItems=[
            {"Update": {"TableName": table, "Key": {"pk": {"S": "t"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD v :v",
                        "ExpressionAttributeValues": {":v": {"N": amount}}}}])

    add("one", "1")
    add("one", "1")
    add("two", "1")
    fails(lambda: add("one", "2"), "IdempotentParameterMismatchException", "")
    assert db.get_item(TableName=table, Key={"pk": {"S": "t"}, "sk": {"N": "1"}})["Item"]["v"] == {"N": "2"}


def test_counters_and_races(server, db, table):
    """A hundred concurrent ADDs make the exact sum; of as many conditional puts exactly one goes."""
    key = {"pk": {"S": "count"}, "sk": {"N": "1"}}
    won, problems = [], []

    def run(number):
        mine = server.client("dynamodb", user_agent_extra=f"counter/{number}")
        for step in range(10):
            try:
                mine.update_item(TableName=table, Key=key, UpdateExpression="ADD n :one",
                                 ExpressionAttributeValues={":one": {"N": "1"}})
                mine.put_item(TableName=table, Item={"pk": {"S": "once"}, "sk": {"N": str(step)}},
                              ConditionExpression="attribute_not_exists(pk)")
                won.append(step)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    problems.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert db.get_item(TableName=table, Key=key)["Item"]["n"] == {"N": "100"}
    assert sorted(won) == list(range(10))


def nested(depth):
    return '{"L":[' * depth + '{"N":"1"}' + "]}" * depth


@pytest.mark.parametrize("member", [
    '"Item": 5', '"Item": []', '"Item": {"pk": "a"}', '"Item": {"pk": {"S": 1}}', '"Item": {"pk": {"N": 1}}',
    '"Item": {"pk": {"S": "a", "N": "1"}, "sk": {"N": "1"}}', '"Item": {"pk": {"XX": "a"}, "sk": {"N": "1"}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1e999999999999999999999"}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"B": "!"}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"NULL": false}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"BOOL": "true"}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": ' + nested(33) + "}",
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": ' + nested(200) + "}",
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"NS": ["1", "1.0"]}}',
    '"Item": {"pk": null, "sk": {"N": "1"}}', '"Item": {"pk": {"S": "a"}, "sk": {"N": "' + "9" * 39 + '"}}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "ConditionExpression": "' + "NOT " * 1000 + 'a"',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "ExpressionAttributeNames": {"#a": "b"}',
    '"Item": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "ReturnValues": "ALL_TIME"',
])
def test_type_confusion(server, db, table, member):
    """A request that makes no sense is the client's fault, and only that."""
    import urllib.error
    import urllib.request
    request = urllib.request.Request(
        server.url, f'{{"TableName": "{table}", {member}}}'.encode(),
        {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.PutItem"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400, caught.value.read()
    assert db.scan(TableName=table, Select="COUNT")["Count"] == 0
