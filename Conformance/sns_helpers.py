"""What the SNS conformance tests share: topics, queues that a topic may send to, and an HTTP subscriber."""

import base64
import contextlib
import http.server
import json
import socket
import threading
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from .harness import ACCOUNT, REGION, unique, wait_for


def topic_arn(name, account=ACCOUNT, region=REGION):
    return f"arn:aws:sns:{region}:{account}:{name}"


class Queue:
    """A queue to which topics may send."""

    def __init__(self, server, name=None, account=None, **attributes):
        self.sqs = server.client("sqs", account=account)
        name = name or unique("queue")
        if attributes.get("FifoQueue"):
            name += ".fifo"
        self.arn = f"arn:aws:sqs:{REGION}:{account or ACCOUNT}:{name}"
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": self.arn}]}
        self.url = self.sqs.create_queue(
            QueueName=name, Attributes={"Policy": json.dumps(policy), **attributes})["QueueUrl"]

    def messages(self, count, seconds=20):
        """So many messages, as they come. Fails when they do not."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} messages"
            answer = self.sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"],
                AttributeNames=["All"])
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
        return found

    def bodies(self, count, seconds=20):
        return [json.loads(message["Body"]) for message in self.messages(count, seconds)]

    def is_empty(self):
        answer = self.sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=1)
        return not answer.get("Messages")


class Subscriber:
    """An HTTP server that keeps what is posted to it. `answers`: statuses to give first, or "hang"."""

    def __init__(self):
        self.requests = []  # (path, headers, body)
        self.answers = []
        self.connections = []
        subscriber = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                subscriber.connections.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = subscriber.answers.pop(0) if subscriber.answers else 200
                subscriber.requests.append((self.path, dict(self.headers), body, time.monotonic()))
                if status == "hang":
                    time.sleep(20)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:  # kept alive for the next request
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait(self, count, seconds=30):
        wait_for(lambda: len(self.requests) >= count, seconds)
        return self.requests[:count]

    def body(self, index):
        self.wait(index + 1)
        return json.loads(self.requests[index][2])

    def headers(self, index):
        self.wait(index + 1)
        return self.requests[index][1]


@contextlib.contextmanager
def subscriber():
    one = Subscriber()
    try:
        yield one
    finally:
        one.close()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def confirmed(sns, topic, one, **attributes):
    """Subscribes an HTTP subscriber by the link that it is sent; the subscription's ARN."""
    arn = sns.subscribe(
        TopicArn=topic, Protocol="http", Endpoint=one.url, ReturnSubscriptionArn=True, Attributes=attributes
    )["SubscriptionArn"]
    start = len(one.requests)
    wait_for(lambda: any(b"SubscriptionConfirmation" in r[2] for r in one.requests[max(start - 1, 0):]))
    message = next(json.loads(r[2]) for r in one.requests if b"SubscriptionConfirmation" in r[2])
    assert arn.encode() in get(message["SubscribeURL"])
    return arn


def verify(message):
    """AWS's public recipe ("Verifying the signatures of Amazon SNS messages"): raises if the signature does not hold."""
    if message["Type"] == "Notification":
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    certificate = x509.load_pem_x509_certificate(get(message["SigningCertURL"]))
    algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
    key = certificate.public_key()
    key.verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)
    # Its own issuer: the certificate holds by its own key.
    key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256())
    return certificate
