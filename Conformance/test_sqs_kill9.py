"""What SQS has acknowledged survives kill -9 at random moments (MARTLET_SEED repeats them, as far as timing allows)."""

import collections
import os
import random
import threading
import time

import botocore.exceptions
import pytest

SEED = os.environ.get("MARTLET_SEED", "martlet")
MESSAGES = 1000
CLIENTS = 4
KILL_AFTER = (40, 160)  # acknowledged messages from one kill to the next
LOST = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)


class Senders:
    """Threads that send until everything was acknowledged, whatever happens to the server."""

    def __init__(self, server, queue, send):
        self.clients = [server.client("sqs", user_agent_extra=f"sender/{i}") for i in range(CLIENTS)]
        self.queue, self.send = queue, send
        self.lock = threading.Lock()
        self.left = collections.deque(range(MESSAGES))
        self.acknowledged = {}  # number -> message id
        self.unsure = collections.Counter()  # tries that were not answered
        self.problems = []
        self.threads = [threading.Thread(target=self._run, args=(one,), daemon=True) for one in self.clients]
        for thread in self.threads:
            thread.start()

    @property
    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def _run(self, client):
        while True:
            with self.lock:
                if not self.left:
                    return
                number = self.left.popleft()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    answer = self.send(client, self.queue, number)
                    with self.lock:
                        self.acknowledged[number] = answer["MessageId"]
                    break
                except LOST:
                    with self.lock:
                        self.unsure[number] += 1
                    time.sleep(0.01)
                except Exception as error:
                    self.problems.append((number, repr(error)))
                    return


def kill_while(server, senders):
    rng = random.Random(f"{SEED}/kills")
    kills = 0
    while senders.is_running:
        # By what was acknowledged, not by time: on a fast machine all would be sent before the third kill.
        goal = len(senders.acknowledged) + rng.randint(*KILL_AFTER)
        while senders.is_running and len(senders.acknowledged) < goal:
            time.sleep(0.002)
        server.restart("kill9")
        kills += 1
    assert not senders.problems
    assert len(senders.acknowledged) == MESSAGES
    return kills


def drain(server, queue, **parameters):
    """Receives and deletes everything; message id and body of each receive."""
    sqs = server.client("sqs")
    got = []
    while messages := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=600, **parameters).get("Messages"):
        got += [(message["MessageId"], message["Body"]) for message in messages]
        answer = sqs.delete_message_batch(QueueUrl=queue, Entries=[
            {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)])
        assert "Failed" not in answer
    return got


@pytest.mark.slow
def test_no_acknowledged_message_is_lost(make_server):
    server = make_server()
    queue = server.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    senders = Senders(server, queue, lambda client, url, number: client.send_message(
        QueueUrl=url, MessageBody=f"{number:04}" * (2000 if number % 10 == 0 else 1)))
    kills = kill_while(server, senders)
    assert kills >= 3
    got = drain(server, queue)
    ids = collections.Counter(message for message, _ in got)
    assert set(senders.acknowledged.values()) <= set(ids), "an acknowledged message is missing"
    assert set(ids.values()) == {1}, "a message was there twice"
    # What was not acknowledged may be there as well, once for each try at most.
    bodies = collections.Counter(int(body[:4]) for _, body in got)
    assert all(bodies[number] <= 1 + senders.unsure[number] for number in range(MESSAGES))


@pytest.mark.slow
def test_a_fifo_queue_has_each_once_and_in_order(make_server):
    server = make_server()
    queue = server.client("sqs").create_queue(QueueName="queue.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    order = collections.defaultdict(list)
    lock = threading.Lock()

    def send(client, url, number):
        answer = client.send_message(
            QueueUrl=url, MessageBody=str(number), MessageGroupId=f"g{number % 7}", MessageDeduplicationId=str(number))
        with lock:
            order[number % 7].append((answer["SequenceNumber"], number))
        return answer

    kill_while(server, Senders(server, queue, send))
    got = [int(body) for _, body in drain(server, queue)]
    assert sorted(got) == list(range(MESSAGES)), "lost, or there twice in spite of its deduplication id"
    for group, sent in order.items():
        assert [number for number in got if number % 7 == group] == [number for _, number in sorted(sent)]


@pytest.mark.slow
def test_receives_and_deletions_survive(make_server):
    """What was deleted with success stays deleted; what was received is hidden as long as was said."""
    server = make_server()
    queue = server.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    sqs = server.client("sqs")
    for start in range(0, 200, 10):
        sqs.send_message_batch(QueueUrl=queue, Entries=[
            {"Id": str(i), "MessageBody": str(start + i)} for i in range(10)])
    rng = random.Random(f"{SEED}/deletions")
    deleted, held, unsure = set(), set(), set()
    stop = threading.Event()

    def kill():
        while not stop.is_set():
            time.sleep(rng.uniform(0.05, 0.3))
            server.restart("kill9")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for _ in range(100):
            try:
                messages = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=600).get("Messages", [])
            except LOST:
                continue
            for message in messages:
                assert message["Body"] not in deleted | held, "received twice"
                if rng.random() < 0.5:
                    held.add(message["Body"])
                    continue
                try:
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                    deleted.add(message["Body"])
                except LOST:
                    unsure.add(message["Body"])
    finally:
        stop.set()
        killer.join()
    rest = {body for _, body in drain(server, queue)}
    assert not rest & (deleted | held | unsure)
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    hidden = int(attributes["ApproximateNumberOfMessagesNotVisible"])
    assert len(held) <= hidden <= 200 - len(deleted) - len(rest)
