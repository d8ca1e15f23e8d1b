"""DynamoDB: tables, indexes, queries, scans, time to live, tags, policies, and what survives restarts."""

import json
import random
import threading
import time

import botocore.exceptions
import pytest

from .dynamodb_helpers import attributes, fails, make_table, schema
from .harness import wait_for


@pytest.fixture
def db(client):
    return client("dynamodb")


GSI = {"IndexName": "by-owner", "KeySchema": schema("owner", "age"), "Projection": {"ProjectionType": "ALL"}}
LSI = {"IndexName": "by-age", "KeySchema": schema("pk", "age"), "Projection": {"ProjectionType": "KEYS_ONLY"}}
TYPES = {"pk": "S", "sk": "S", "owner": "S", "age": "N"}


@pytest.fixture
def indexed(db, unique):
    return make_table(db, unique("indexed"), TYPES, GlobalSecondaryIndexes=[GSI], LocalSecondaryIndexes=[LSI])


def test_life_of_a_table(db, unique):
    name = unique("table")
    made = db.create_table(
        TableName=name, KeySchema=schema("pk"), AttributeDefinitions=attributes(pk="S"),
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}, Tags=[{"Key": "a", "Value": "b"}],
        TableClass="STANDARD_INFREQUENT_ACCESS", DeletionProtectionEnabled=True,
        SSESpecification={"Enabled": True, "SSEType": "KMS"})["TableDescription"]
    assert made["TableStatus"] == "CREATING" and made["TableArn"].endswith(f":table/{name}")
    table = db.describe_table(TableName=made["TableArn"])["Table"]
    assert table["TableStatus"] == "ACTIVE" and table["ItemCount"] == 0
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert table["SSEDescription"]["Status"] == "ENABLED"
    fails(lambda: make_table(db, name), "ResourceInUseException", f"Table already exists: {name}")
    assert name in db.list_tables()["TableNames"] or name in [
        n for page in db.get_paginator("list_tables").paginate() for n in page["TableNames"]]
    fails(lambda: db.delete_table(TableName=name), "ValidationException", "protected against deletion")
    db.update_table(TableName=name, DeletionProtectionEnabled=False)
    db.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    assert db.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    db.put_item(TableName=name, Item={"pk": {"S": "a"}})
    table = db.describe_table(TableName=name)["Table"]
    assert (table["ItemCount"], table["TableSizeBytes"]) == (1, 3)
    assert db.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    db.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    fails(lambda: db.describe_table(TableName=name), "ResourceNotFoundException",
          f"Requested resource not found: Table: {name} not found")
    make_table(db, name)
    assert db.scan(TableName=name)["Count"] == 0  # nothing of its predecessor


@pytest.mark.parametrize("parameters, text", [
    ({"KeySchema": schema("x")}, "Some index key attributes are not defined in AttributeDefinitions"),
    ({"KeySchema": schema("pk", "pk")}, "have the same name"),
    ({"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]}, "The first KeySchemaElement is not a HASH key type"),
    ({"AttributeDefinitions": attributes(pk="S", other="S")}, "does not exactly match number of attributes"),
    ({"BillingMode": "PROVISIONED"}, "must both be specified when BillingMode is PROVISIONED"),
    ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}, "Neither ReadCapacityUnits nor"),
    ({"LocalSecondaryIndexes": [LSI]}, ""),
    ({"GlobalSecondaryIndexes": [{**GSI, "Projection": {"ProjectionType": "INCLUDE"}}],
      "AttributeDefinitions": attributes(pk="S", owner="S", age="N")}, "NonKeyAttributes is not specified"),
    ({"StreamSpecification": {"StreamEnabled": True}}, "StreamViewType"),
    ({"TableName": "a!"}, "Table/index names must be between 3 and 255"),
    ({"GlobalSecondaryIndexes": [GSI, GSI], "AttributeDefinitions": attributes(pk="S", owner="S", age="N")},
     "Duplicate index name: by-owner"),
])
def test_bad_definitions(db, unique, parameters, text):
    given = {"TableName": unique("bad"), "KeySchema": schema("pk"), "AttributeDefinitions": attributes(pk="S"),
             "BillingMode": "PAY_PER_REQUEST", **parameters}
    fails(lambda: db.create_table(**given), "ValidationException", text)


def fill(db, table, count=30):
    items = [{"pk": {"S": f"p{n % 3}"}, "sk": {"S": f"s{n:02}"}, "n": {"N": str(n)},
              **({"owner": {"S": f"o{n % 2}"}, "age": {"N": str(n - 10)}} if n % 5 else {})} for n in range(count)]
    for start in range(0, count, 25):
        db.batch_write_item(RequestItems={
            table: [{"PutRequest": {"Item": item}} for item in items[start:start + 25]]})
    return items


def numbers(answer):
    return [int(item["n"]["N"]) for item in answer["Items"]]


def test_indexes(db, indexed):
    items = fill(db, indexed)
    sparse = [n for n in range(30) if n % 5]
    answer = db.query(TableName=indexed, IndexName="by-owner", KeyConditionExpression="#o = :o AND age < :a",
                      ExpressionAttributeNames={"#o": "owner"},
                      ExpressionAttributeValues={":o": {"S": "o1"}, ":a": {"N": "3"}}, ReturnConsumedCapacity="INDEXES")
    assert numbers(answer) == [n for n in sparse if n % 2 == 1 and n - 10 < 3]  # negative ones first
    assert answer["ConsumedCapacity"]["GlobalSecondaryIndexes"]["by-owner"]["CapacityUnits"] == 0.5
    answer = db.query(TableName=indexed, IndexName="by-age", KeyConditionExpression="pk = :p", ScanIndexForward=False,
                      ExpressionAttributeValues={":p": {"S": "p1"}}, ConsistentRead=True)
    assert [item["sk"]["S"] for item in answer["Items"]] == [f"s{n:02}" for n in reversed(sparse) if n % 3 == 1]
    assert set(answer["Items"][0]) == {"pk", "sk", "age"}
    answer = db.query(TableName=indexed, IndexName="by-age", KeyConditionExpression="pk = :p", Select="ALL_ATTRIBUTES",
                      ExpressionAttributeValues={":p": {"S": "p1"}})
    assert "n" in answer["Items"][0]
    assert db.scan(TableName=indexed, IndexName="by-owner")["Count"] == len(sparse)
    # An item leaves and enters an index with its attributes.
    key = {name: items[1][name] for name in ("pk", "sk")}
    db.update_item(TableName=indexed, Key=key, UpdateExpression="REMOVE age")
    assert db.scan(TableName=indexed, IndexName="by-owner")["Count"] == len(sparse) - 1
    db.update_item(TableName=indexed, Key=key, UpdateExpression="SET age = :a",
                   ExpressionAttributeValues={":a": {"N": "99"}})
    db.delete_item(TableName=indexed, Key={name: items[2][name] for name in ("pk", "sk")})
    table = db.describe_table(TableName=indexed)["Table"]
    assert table["ItemCount"] == 29
    assert table["GlobalSecondaryIndexes"][0]["ItemCount"] == len(sparse) - 1
    assert table["LocalSecondaryIndexes"][0]["ItemCount"] == len(sparse) - 1
    fails(lambda: db.put_item(TableName=indexed, Item={**key, "age": {"S": "x"}}), "ValidationException",
          "Type mismatch for Index Key age Expected: N Actual: S IndexName:")
    fails(lambda: db.scan(TableName=indexed, IndexName="none"), "ValidationException",
          "The table does not have the specified index: none")
    fails(lambda: db.scan(TableName=indexed, IndexName="by-owner", ConsistentRead=True), "ValidationException",
          "Consistent reads are not supported on global secondary indexes")


def test_an_index_is_added_filled_and_removed(db, unique):
    table = make_table(db, unique("later"), {"pk": "S", "sk": "S"})
    fill(db, table, 300 + 5)
    db.update_table(TableName=table, AttributeDefinitions=attributes(owner="S", age="N"),
                    GlobalSecondaryIndexUpdates=[{"Create": GSI}])
    for number in range(5):  # meanwhile
        db.put_item(TableName=table, Item={"pk": {"S": "new"}, "sk": {"S": str(number)}, "owner": {"S": "o0"},
                                           "age": {"N": "1"}})

    def index():
        described = db.describe_table(TableName=table)["Table"]
        return described["TableStatus"] == "ACTIVE" and described["GlobalSecondaryIndexes"][0]

    assert wait_for(index)["ItemCount"] == 244 + 5
    assert db.scan(TableName=table, IndexName="by-owner")["Count"] == 244 + 5
    fails(lambda: db.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Create": GSI}]),
          "ValidationException", "already exists")
    db.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-owner"}}])
    assert "GlobalSecondaryIndexes" not in db.describe_table(TableName=table)["Table"]
    assert db.describe_table(TableName=table)["Table"]["AttributeDefinitions"] == attributes(pk="S", sk="S")


def query(db, table, text, **more):
    values = more.pop("values")
    return db.query(TableName=table, KeyConditionExpression=text, ExpressionAttributeValues=values, **more)


def test_queries(db, indexed):
    fill(db, indexed)
    p0, all_of_p0 = {":p": {"S": "p0"}}, list(range(0, 30, 3))
    assert numbers(query(db, indexed, "pk = :p", values=p0)) == all_of_p0
    assert numbers(query(db, indexed, "pk = :p", values=p0, ScanIndexForward=False)) == all_of_p0[::-1]
    for operator, wanted in (("=", [12]), ("<", [0, 3, 6, 9]), ("<=", [0, 3, 6, 9, 12]), (">", [15, 18, 21, 24, 27]),
                             (">=", [12, 15, 18, 21, 24, 27])):
        assert numbers(query(db, indexed, f"pk = :p AND sk {operator} :s", values={**p0, ":s": {"S": "s12"}})) == wanted
    assert numbers(query(db, indexed, "pk = :p AND begins_with(sk, :s)", values={**p0, ":s": {"S": "s1"}})) == [
        12, 15, 18]
    assert numbers(query(db, indexed, "sk BETWEEN :a AND :b AND pk = :p",
                         values={**p0, ":a": {"S": "s03"}, ":b": {"S": "s09"}})) == [3, 6, 9]
    found, start, pages = [], {}, 0
    while True:
        answer = query(db, indexed, "pk = :p", values=p0, Limit=3, **start)
        found, pages = found + numbers(answer), pages + 1
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert found == all_of_p0 and pages == 4
    answer = query(db, indexed, "pk = :p", values={**p0, ":n": {"N": "20"}}, FilterExpression="n > :n",
                   ProjectionExpression="n")
    assert numbers(answer) == [21, 24, 27] and answer["ScannedCount"] == 10 and set(answer["Items"][0]) == {"n"}
    fails(lambda: query(db, indexed, "pk = :p", values={**p0, ":n": {"S": "a"}}, FilterExpression="sk > :n"),
          "ValidationException", "Filter Expression can only contain non-primary key attributes")
    fails(lambda: query(db, indexed, "sk = :p", values=p0), "ValidationException",
          "Query condition missed key schema element: pk")
    fails(lambda: query(db, indexed, "pk = :p AND sk = :n", values={**p0, ":n": {"N": "1"}}), "ValidationException", "")
    fails(lambda: query(db, indexed, "pk = :p", values=p0, ExclusiveStartKey={"pk": {"S": "p1"}, "sk": {"S": "s"}}),
          "ValidationException", "The provided starting key is outside query boundaries based on provided conditions")
    fails(lambda: query(db, indexed, "pk = :p", values=p0, ExclusiveStartKey={"pk": {"S": "p1"}}),
          "ValidationException", "The provided starting key is invalid")
    fails(lambda: db.query(TableName=indexed, KeyConditions={}), "ValidationException", "KeyConditions")


def test_scans_in_segments_and_pages(db, indexed):
    fill(db, indexed)
    db.batch_write_item(RequestItems={indexed: [
        {"PutRequest": {"Item": {"pk": {"S": f"q{n}"}, "sk": {"S": "s"}, "n": {"N": str(100 + n)}}}} for n in range(25)]})
    everything = list(range(30)) + list(range(100, 125))
    for total in (1, 4, 7, 1000):
        found = []
        for segment in range(total) if total < 1000 else (0, 999):
            start = {}
            while True:
                answer = db.scan(TableName=indexed, Segment=segment, TotalSegments=total, Limit=7, **start)
                found += numbers(answer)
                if "LastEvaluatedKey" not in answer:
                    break
                start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        if total < 1000:
            assert sorted(found) == everything
    fails(lambda: db.scan(TableName=indexed, Segment=4, TotalSegments=4), "ValidationException",
          "The Segment parameter is zero-based and must be less than parameter TotalSegments")
    pages = list(db.get_paginator("scan").paginate(TableName=indexed, IndexName="by-owner", PaginationConfig={
        "PageSize": 5}))
    assert sum(page["Count"] for page in pages) == 24 and len(pages) >= 5


def test_pages_end_at_a_megabyte(db, unique):
    table = make_table(db, unique("pages"))
    for number in range(7):
        db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "x": {"S": "x" * 300_000}})
    pages = list(db.get_paginator("query").paginate(
        TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}}))
    assert [page["Count"] for page in pages] == [4, 3]


def test_time_to_live(db, unique):
    table = make_table(db, unique("ttl"), StreamSpecification={
        "StreamEnabled": True, "StreamViewType": "OLD_IMAGE"})
    past = str(int(time.time()) - 100)

    def put(number, end):
        db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "end": end})

    put(1, {"N": past})
    put(2, {"N": str(int(time.time()) + 3600)})
    put(3, {"S": past})
    put(4, {"N": str(int(time.time()) - 6 * 365 * 86400)})
    assert db.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    specification = {"Enabled": True, "AttributeName": "end"}
    db.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
    wait_for(lambda: db.describe_time_to_live(TableName=table)["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED", "AttributeName": "end"})
    put(5, {"N": past})
    wait_for(lambda: sorted(item["sk"]["N"] for item in db.scan(TableName=table)["Items"]) == ["2", "3", "4"])
    fails(lambda: db.update_time_to_live(TableName=table, TimeToLiveSpecification=specification),
          "ValidationException", "TimeToLive is already enabled")
    db.update_time_to_live(TableName=table, TimeToLiveSpecification={**specification, "Enabled": False})
    assert db.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"


def test_tags_and_what_tools_ask(db, indexed):
    arn = db.describe_table(TableName=indexed)["Table"]["TableArn"]
    db.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{n:02}", "Value": "v"} for n in range(12)])
    db.untag_resource(ResourceArn=arn, TagKeys=["k00"])
    pages = db.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    assert [tag["Key"] for page in pages for tag in page["Tags"]] == [f"k{n:02}" for n in range(1, 12)]
    assert db.describe_limits()["TableMaxReadCapacityUnits"] == 40000
    backups = db.describe_continuous_backups(TableName=indexed)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert "127.0.0.1" in db.describe_endpoints()["Endpoints"][0]["Address"]
    fails(lambda: db.update_continuous_backups(TableName=indexed, PointInTimeRecoverySpecification={
        "PointInTimeRecoveryEnabled": True}), "ContinuousBackupsUnavailableException", "no backups")
    fails(lambda: db.execute_statement(Statement="SELECT * FROM x"), "NotImplementedException", "ExecuteStatement")


def test_resource_policies(db, server, indexed):
    arn = db.describe_table(TableName=indexed)["Table"]["TableArn"]
    fails(lambda: db.get_resource_policy(ResourceArn=arn), "PolicyNotFoundException", arn)
    other = server.client("dynamodb", account="111122223333")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "dynamodb:GetItem", "Resource": arn}]}
    key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    fails(lambda: other.get_item(TableName=arn, Key=key), "AccessDeniedException", "dynamodb:GetItem")
    revision = db.put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))["RevisionId"]
    assert db.get_resource_policy(ResourceArn=arn) | {"ResponseMetadata": 0} == {
        "Policy": json.dumps(policy), "RevisionId": revision, "ResponseMetadata": 0}
    assert "Item" not in other.get_item(TableName=arn, Key=key)
    fails(lambda: other.put_item(TableName=arn, Item=key), "AccessDeniedException", "dynamodb:PutItem")
    db.delete_resource_policy(ResourceArn=arn)
    fails(lambda: other.get_item(TableName=arn, Key=key), "AccessDeniedException", "dynamodb:GetItem")


def test_the_command_line(aws, unique):
    name = unique("cli")
    aws("dynamodb", "create-table", "--table-name", name, "--key-schema", "AttributeName=id,KeyType=HASH",
        "--attribute-definitions", "AttributeName=id,AttributeType=S", "--billing-mode", "PAY_PER_REQUEST")
    aws("dynamodb", "wait", "table-exists", "--table-name", name)
    aws("dynamodb", "put-item", "--table-name", name, "--item", '{"id": {"S": "a"}, "n": {"N": "1"}}')
    assert json.loads(aws("dynamodb", "get-item", "--table-name", name, "--key", '{"id": {"S": "a"}}').text)["Item"] == {
        "id": {"S": "a"}, "n": {"N": "1"}}


LOST = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError,
        botocore.exceptions.ResponseStreamingError)


def test_what_was_acknowledged_survives_kill9(make_server):
    """Puts from four threads, kills in between: every acknowledged item is there, and indexes, counts and the stream agree."""
    server = make_server()
    db = server.client("dynamodb")
    table = make_table(db, "kept", TYPES, GlobalSecondaryIndexes=[GSI],
                       StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    acknowledged, lock, problems = set(), threading.Lock(), []
    left = list(range(400))

    def run(number):
        mine = server.client("dynamodb", user_agent_extra=f"writer/{number}")
        while True:
            with lock:
                if not left:
                    return
                one = left.pop()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    mine.put_item(TableName=table, Item={
                        "pk": {"S": f"p{one % 7}"}, "sk": {"S": str(one)}, "owner": {"S": "o"}, "age": {"N": str(one)}})
                    with lock:
                        acknowledged.add(one)
                    break
                except LOST:
                    time.sleep(0.01)
                except Exception as error:
                    problems.append(error)
                    return

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    generator = random.Random(4)
    for _ in range(4):
        goal = len(acknowledged) + generator.randint(20, 90)
        wait_for(lambda: len(acknowledged) >= min(goal, 400) or problems)
        server.kill9()
        server.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not problems and len(acknowledged) == 400

    def everything(**parameters):
        return [int(item["sk"]["S"]) for page in db.get_paginator("scan").paginate(TableName=table, **parameters)
                for item in page["Items"]]

    assert sorted(everything()) == list(range(400))
    assert sorted(everything(IndexName="by-owner")) == list(range(400))
    described = db.describe_table(TableName=table)["Table"]
    assert described["ItemCount"] == 400 and described["GlobalSecondaryIndexes"][0]["ItemCount"] == 400
    streams = server.client("dynamodbstreams")
    shard = streams.describe_stream(StreamArn=described["LatestStreamArn"])["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=described["LatestStreamArn"], ShardId=shard,
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    # A put that was repeated after a kill changed nothing: one record for each item.
    assert sorted(int(record["dynamodb"]["Keys"]["sk"]["S"]) for record in records) == list(range(400))
