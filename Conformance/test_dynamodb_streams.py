"""DynamoDB Streams: a record for every change, in order; shards and iterators."""

import time

import pytest

from .dynamodb_helpers import fails, make_table
from .harness import wait_for


@pytest.fixture
def db(client):
    return client("dynamodb")


@pytest.fixture
def streams(client):
    return client("dynamodbstreams")


def streamed(db, name, view="NEW_AND_OLD_IMAGES"):
    make_table(db, name, StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    return db.describe_table(TableName=name)["Table"]["LatestStreamArn"]


def iterator(streams, arn, kind="TRIM_HORIZON", **more):
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][-1]["ShardId"]
    return streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def records(streams, arn, kind="TRIM_HORIZON", **more):
    return streams.get_records(ShardIterator=iterator(streams, arn, kind, **more))["Records"]


def test_every_change_has_its_record(db, streams, unique):
    table = unique("streamed")
    arn = streamed(db, table)
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    one, two = {**key, "v": {"B": b"\x01"}}, {**key, "v": {"S": "x"}}
    db.put_item(TableName=table, Item=one)
    db.put_item(TableName=table, Item=one)  # changes nothing
    db.update_item(TableName=table, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": two["v"]})
    with pytest.raises(db.exceptions.ConditionalCheckFailedException):
        db.delete_item(TableName=table, Key=key, ConditionExpression="attribute_not_exists(pk)")
    db.delete_item(TableName=table, Key=key)
    db.delete_item(TableName=table, Key=key)
    db.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": {"pk": {"S": "t"}, "sk": {"N": "1"}}}}])
    db.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": {"pk": {"S": "b"}, "sk": {"N": "1"}}}}]})
    got = records(streams, arn)
    assert [record["eventName"] for record in got] == ["INSERT", "MODIFY", "REMOVE", "INSERT", "INSERT"]
    first, second, third = (record["dynamodb"] for record in got[:3])
    assert first["Keys"] == key and first["NewImage"] == one and "OldImage" not in first
    assert (second["OldImage"], second["NewImage"]) == (one, two)
    assert third["OldImage"] == two and "NewImage" not in third
    assert first["StreamViewType"] == "NEW_AND_OLD_IMAGES" and first["SizeBytes"] == 3 + 4 + 3 + 4 + 2
    numbers = [record["dynamodb"]["SequenceNumber"] for record in got]
    assert numbers == sorted(numbers) and len(set(numbers)) == 5
    assert len({record["eventID"] for record in got}) == 5 and all(len(record["eventID"]) == 32 for record in got)
    assert got[0]["eventSource"] == "aws:dynamodb" and got[0]["eventVersion"] == "1.1"
    assert abs(first["ApproximateCreationDateTime"].timestamp() - time.time()) < 120


@pytest.mark.parametrize("view, images", [
    ("KEYS_ONLY", set()), ("NEW_IMAGE", {"NewImage"}), ("OLD_IMAGE", {"OldImage"}),
    ("NEW_AND_OLD_IMAGES", {"OldImage", "NewImage"})])
def test_views(db, streams, unique, view, images):
    table = unique("view")
    arn = streamed(db, table, view)
    for value in "12":
        db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}, "v": {"N": value}})
    change = records(streams, arn)[1]["dynamodb"]
    assert {"OldImage", "NewImage"} & set(change) == images and change["StreamViewType"] == view


def test_iterators(db, streams, unique):
    table = unique("iterators")
    arn = streamed(db, table, "KEYS_ONLY")

    def put(*numbers):
        for number in numbers:
            db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": str(number)}})

    def seen(answer):
        return [int(record["dynamodb"]["Keys"]["sk"]["N"]) for record in answer]

    put(0, 1, 2)
    latest = iterator(streams, arn, "LATEST")
    put(3, 4)
    answer = streams.get_records(ShardIterator=latest)
    assert seen(answer["Records"]) == [3, 4]
    assert seen(streams.get_records(ShardIterator=answer["NextShardIterator"])["Records"]) == []
    put(5)
    assert seen(streams.get_records(ShardIterator=answer["NextShardIterator"])["Records"]) == [5]
    first = streams.get_records(ShardIterator=iterator(streams, arn), Limit=2)
    assert seen(first["Records"]) == [0, 1]
    assert seen(streams.get_records(ShardIterator=first["NextShardIterator"])["Records"]) == [2, 3, 4, 5]
    number = first["Records"][1]["dynamodb"]["SequenceNumber"]
    assert seen(records(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=number)) == [1, 2, 3, 4, 5]
    assert seen(records(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number)) == [2, 3, 4, 5]
    for forged in ("nothing", latest[:-8] + "AAAAAAA=", latest.replace(table, "another-table"), "x" * 100):
        fails(lambda: streams.get_records(ShardIterator=forged), "ValidationException", "Invalid ShardIterator")
    fails(lambda: iterator(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber="9" * 24), "ValidationException", "")
    fails(lambda: iterator(streams, arn, "AT_SEQUENCE_NUMBER"), "ValidationException", "SequenceNumber")
    fails(lambda: streams.get_shard_iterator(StreamArn=arn, ShardId="shardId-00000000000000000000-00000000",
                                             ShardIteratorType="LATEST"), "ResourceNotFoundException", "Shard")


def test_streams_are_switched_off_and_on(db, streams, unique):
    table = unique("switched")
    arn = streamed(db, table)
    db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "1"}})
    on = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    fails(lambda: db.update_table(TableName=table, StreamSpecification=on), "ValidationException",
          "Table already has an enabled stream")
    db.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "2"}})
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    assert "EndingSequenceNumber" in described["Shards"][0]["SequenceNumberRange"]
    answer = streams.get_records(ShardIterator=iterator(streams, arn))
    assert len(answer["Records"]) == 1 and "NextShardIterator" not in answer
    db.update_table(TableName=table, StreamSpecification=on)
    newer = db.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    assert newer != arn
    db.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"N": "3"}})
    assert len(records(streams, newer)) == 1
    assert [one["StreamArn"] for one in streams.list_streams(TableName=table)["Streams"]] == sorted([arn, newer])
    assert streams.list_streams(TableName=table, Limit=1)["LastEvaluatedStreamArn"] == arn
    db.delete_table(TableName=table)
    assert streams.describe_stream(StreamArn=newer)["StreamDescription"]["StreamStatus"] == "DISABLED"
    gone = newer[:-4] + "0000"
    fails(lambda: streams.describe_stream(StreamArn=gone), "ResourceNotFoundException",
          f"Requested resource not found: Stream: {gone} not found")


def test_deletions_by_the_service_say_so(db, streams, unique):
    table = unique("expiring")
    arn = streamed(db, table, "OLD_IMAGE")
    db.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "end"})
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "end": {"N": str(int(time.time()) - 10)}}
    db.put_item(TableName=table, Item=item)
    removed = wait_for(lambda: [r for r in records(streams, arn) if r["eventName"] == "REMOVE"])[0]
    assert removed["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert removed["dynamodb"]["OldImage"] == item
