"""What the conformance tests of mappings with streams share."""

import base64
import json

import pytest
from botocore.exceptions import ClientError

from .harness import wait_for

# Prints every record: sequence number and data.
PRINT = """
    import base64, json

    def handler(event, context):
        for record in event["Records"]:
            if "kinesis" in record:
                print("SEEN", record["eventID"], base64.b64decode(record["kinesis"]["data"]).decode())
            else:
                print("SEEN", record["dynamodb"]["SequenceNumber"], json.dumps(record))
"""


class Stream:
    def __init__(self, server, name, shards=1):
        self.kinesis = server.client("kinesis")
        self.name = name
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        wait_for(lambda: self.summary()["StreamStatus"] == "ACTIVE")
        self.arn = self.summary()["StreamARN"]

    def summary(self):
        return self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]

    def put(self, *data, key="k"):
        """Puts each as a record of its own; the sequence numbers."""
        found = []
        for start in range(0, len(data), 500):
            records = [
                {"Data": one if isinstance(one, bytes) else str(one).encode(), "PartitionKey": key}
                for one in data[start:start + 500]
            ]
            answer = self.kinesis.put_records(StreamName=self.name, Records=records)
            assert answer["FailedRecordCount"] == 0, answer
            found += [record["SequenceNumber"] for record in answer["Records"]]
        return found

    def shards(self):
        return self.kinesis.list_shards(StreamName=self.name)["Shards"]


@pytest.fixture
def make_stream(server, unique):
    made = []

    def make(shards=1, server=server):
        stream = Stream(server, unique("stream"), shards)
        made.append((server, stream))
        return stream

    yield make
    for server_, stream in made:
        if server_.process is None:
            continue
        try:
            stream.kinesis.delete_stream(StreamName=stream.name, EnforceConsumerDeletion=True)
        except ClientError:
            pass


@pytest.fixture
def make_stream_mapping(server):
    """Makes a mapping, waits until it is enabled, and deletes it after the test."""
    made = []

    def make(function, stream, *, wait=True, server=server, **parameters):
        client = server.client("lambda")
        parameters.setdefault("StartingPosition", "TRIM_HORIZON")
        mapping = client.create_event_source_mapping(
            FunctionName=function.name, EventSourceArn=getattr(stream, "arn", stream), **parameters
        )
        made.append((server, mapping["UUID"]))
        if wait:
            wait_for(lambda: get(client, mapping)["State"] in ("Enabled", "Disabled"))
        return mapping

    yield make
    for server_, uuid in made:
        if server_.process is None:
            continue
        try:
            server_.client("lambda").delete_event_source_mapping(UUID=uuid)
        except ClientError:
            pass


def get(client, mapping):
    return client.get_event_source_mapping(UUID=mapping["UUID"])


def seen(function):
    """What `PRINT` printed: pairs of the event's (or sequence) number and the rest."""
    return [tuple(line.split(" ", 2)[1:]) for line in function.log_messages() if line.startswith("SEEN ")]


def data(function):
    return [rest.strip() for _, rest in seen(function)]


def make_destination(client, unique):
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=unique("failed"))["QueueUrl"]
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, got["Attributes"]["QueueArn"]


def bodies(client, url, count):
    """The bodies of so many messages of a queue, which are deleted."""
    sqs = client("sqs")
    found = []

    def receive():
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= count

    wait_for(receive)
    return found


def decode(record):
    return base64.b64decode(record["kinesis"]["data"]).decode()
