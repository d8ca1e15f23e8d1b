"""aws-lambda-powertools' batch processing in a deployed function."""

import json
from importlib.metadata import files
from pathlib import Path

import pytest

from .harness import wait_for

HANDLER = """
import json
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, SqsFifoPartialProcessor
from aws_lambda_powertools.utilities.batch import process_partial_response

standard = BatchProcessor(event_type=EventType.SQS)
fifo = SqsFifoPartialProcessor(skip_group_on_error=True)

def record_handler(record):
    body = record.json_body
    print("SEEN", body["n"], record.attributes.approximate_receive_count)
    if body["bad"]:
        raise ValueError("bad")

def handler(event, context):
    processor = fifo if event["Records"][0]["eventSourceARN"].endswith(".fifo") else standard
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""


def package_files():
    """The library and what it needs, from the environment that the tests run in."""
    found = {}
    for distribution in ("aws-lambda-powertools", "jmespath", "typing_extensions"):
        for file in files(distribution):
            path = Path(file.locate())
            if path.suffix == ".py" and not str(file).startswith("..") and "event_handler" not in str(file):
                found[str(file)] = path.read_text()
    return found


@pytest.mark.parametrize("fifo", [False, True])
def test_partial_failures(client, make_function, unique, fifo):
    function = make_function(
        files={"index.py": HANDLER, **package_files()}, MemorySize=1769, Timeout=2,
        Environment={"Variables": {"POWERTOOLS_SERVICE_NAME": "test", "POWERTOOLS_DEV": "true"}})
    sqs = client("sqs")
    suffix = ".fifo" if fifo else ""
    kind = {"FifoQueue": "true"} if fifo else {}
    dead = sqs.create_queue(QueueName=unique("dead") + suffix, Attributes=kind)["QueueUrl"]
    arn = {}
    arn[dead] = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn[dead], "maxReceiveCount": 2})
    url = sqs.create_queue(
        QueueName=unique("work") + suffix, Attributes={"VisibilityTimeout": "2", "RedrivePolicy": redrive, **kind}
    )["QueueUrl"]
    arn[url] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for number in range(10):
        more = {"MessageGroupId": f"g{number % 2}", "MessageDeduplicationId": str(number)} if fifo else {}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"n": number, "bad": number == 4}), **more)
    client("lambda").create_event_source_mapping(
        FunctionName=function.name, EventSourceArn=arn[url], FunctionResponseTypes=["ReportBatchItemFailures"])

    def dead_letters():
        names = ["ApproximateNumberOfMessages"]
        return int(sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"][names[0]])

    def left():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(got[name]) for name in names)

    # Of a FIFO queue, what follows a failure in its group fails with it, as often.
    expected = [4, 6, 8] if fifo else [4]
    wait_for(lambda: dead_letters() == len(expected) and left() == 0)
    dead_numbers = []
    for _ in expected:
        [message] = sqs.receive_message(QueueUrl=dead)["Messages"]
        dead_numbers.append(json.loads(message["Body"])["n"])
        sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
    assert dead_numbers == expected

    def seen():
        return [line.split()[1:3] for line in function.log_messages() if line.startswith("SEEN")]

    wait_for(lambda: len(seen()) == (9 if fifo else 11))
    assert {int(number) for number, _ in seen()} == set(range(10)) - set(expected[1:])
    assert [count for number, count in seen() if number == "4"] == ["1", "2"]
    for parity in (0, 1):
        order = [int(number) for number, count in seen() if int(number) % 2 == parity and count == "1"]
        assert not fifo or order == sorted(order)
