"""The API of SQS, measured on this machine against the release binary, beside the blueprint's goals.

Rates by wrk on the JSON protocol, durable, messages of 1 KB; deletions and latencies by plain sockets. Nothing here fails a
build.

    python Benchmarks/queues.py [--quick]
"""

import json
import multiprocessing
import time

from bench import Keepalive, http, latencies, row, run_parts, wrk

BODY = "x" * 1024
HEADERS = "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{}\r\n"


def request(operation, **members):
    return http("POST", "/", json.dumps(members).encode(), HEADERS.format(operation))


def script(operation, **members):
    """A wrk script that sends one call again and again."""
    text = json.dumps(members).replace("\\", "\\\\").replace("'", "\\'")
    return ("wrk.method = 'POST'\n"
            "wrk.headers['Content-Type'] = 'application/x-amz-json-1.0'\n"
            f"wrk.headers['X-Amz-Target'] = 'AmazonSQS.{operation}'\n"
            f"wrk.body = '{text}'\n")


def batch(size=10, body=BODY):
    return [{"Id": str(number), "MessageBody": body} for number in range(size)]


class Caller(Keepalive):
    """As Keepalive, for any request; answers the decoded body."""

    def __init__(self, port):
        super().__init__(port, b"")

    def __call__(self, operation, **members):
        self.socket.sendall(request(operation, **members))
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(262144)
            if not piece:
                raise SystemExit("connection closed")
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length"))
        while len(body) < length:
            body += self.socket.recv(262144)
        if int(head.split()[1]) != 200:
            raise SystemExit(f"{operation}: {body.decode()}")
        return json.loads(body) if body else {}


def queue(server, name, **attributes):
    return Caller(server.port)("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]


def fill(server, url, count, body=BODY):
    call = Caller(server.port)
    for _ in range(count // 10):
        call("SendMessageBatch", QueueUrl=url, Entries=batch(body=body))


def rates(server, seconds):
    for clients in (1, 8):
        goal = (">= 8,000 /s", ">= 6,000 /s") if clients == 8 else ("-", "-")
        url = queue(server, f"rate{clients}")
        measured(server, f"SendMessage, {clients} clients", clients, seconds, goal[0],
                 script("SendMessage", QueueUrl=url, MessageBody=BODY))
        # What was sent is more than can be received in this time.
        measured(server, f"ReceiveMessage, {clients} clients", clients, seconds, goal[1],
                 script("ReceiveMessage", QueueUrl=url, VisibilityTimeout=600))
        url = queue(server, f"batches{clients}")
        measured(server, f"SendMessageBatch of 10, {clients} clients", clients, seconds, "-",
                 script("SendMessageBatch", QueueUrl=url, Entries=batch()), messages=10)
        measured(server, f"ReceiveMessage of 10, {clients} clients", clients, min(seconds, 2), "-",
                 script("ReceiveMessage", QueueUrl=url, VisibilityTimeout=600, MaxNumberOfMessages=10), messages=10)


def measured(server, what, clients, seconds, goal, text, messages=1):
    cpu = server.cpu_seconds()
    rate, total, errors = wrk(server.port, "/", clients, seconds, text)
    each = (server.cpu_seconds() - cpu) / max(total, 1) * 1e6
    shown = f"{rate * messages:,.0f} /s"
    row(what, shown, goal, f"server {each:.0f} us a call {errors}")


def handles(server, url, count):
    call, found = Caller(server.port), []
    while len(found) < count:
        messages = call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get("Messages", [])
        found += [message["ReceiptHandle"] for message in messages]
    return found


def delete_all(port, url, found, begin, out):
    call = Caller(port)
    begin.wait()
    start = time.time()
    for handle in found:
        call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    out.put((start, time.time()))


def deletions(server, count):
    for clients in (1, 8):
        url = queue(server, f"deletions{clients}")
        fill(server, url, count)
        found = handles(server, url, count)
        begin, out = multiprocessing.Event(), multiprocessing.Queue()
        workers = [
            multiprocessing.Process(target=delete_all, args=(server.port, url, found[n::clients], begin, out))
            for n in range(clients)]
        for worker in workers:
            worker.start()
        time.sleep(0.5)
        cpu = server.cpu_seconds()
        begin.set()
        times = [out.get() for _ in workers]
        took = max(end for _, end in times) - min(start for start, _ in times)
        for worker in workers:
            worker.join()
        each = (server.cpu_seconds() - cpu) / count * 1e6
        row(f"DeleteMessage, {clients} clients (Python)", f"{count / took:,.0f} /s", "-", f"server {each:.0f} us a call")


def send_latency(server):
    url = queue(server, "latency")
    p50, p99 = latencies(Keepalive(server.port, request("SendMessage", QueueUrl=url, MessageBody=BODY)), 1000)
    row("SendMessage, sequential p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")


if __name__ == "__main__":
    run_parts(__doc__, {
        "rates": lambda server, quick: rates(server, 2 if quick else 6),
        "deletions": lambda server, quick: deletions(server, 1_000 if quick else 5_000),
        "latency": lambda server, quick: send_latency(server),
    })
