"""The API of DynamoDB, measured on this machine against the release binary, beside the blueprint's goals.

Rates by wrk, durable, items of 1 KB with keys at random. Nothing here fails a build.

    python Benchmarks/dynamodb.py [--quick]
"""

import json

from bench import Keepalive, http, latencies, row, run_parts, wrk

KEYS = 20_000
BODY = "x" * 900
HEADERS = "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{}\r\n"


def script(operation, text, count=KEYS):
    """A wrk script that sends one call again and again; KEY in its body is a number at random."""
    before, _, after = text.replace("\\", "\\\\").replace("'", "\\'").partition("KEY")
    return ("wrk.method = 'POST'\n"
            "wrk.headers['Content-Type'] = 'application/x-amz-json-1.0'\n"
            f"wrk.headers['X-Amz-Target'] = 'DynamoDB_20120810.{operation}'\n"
            "math.randomseed(7)\n"
            + (f"function request() return wrk.format(nil, nil, nil, '{before}' .. math.random({count}) .. '{after}') end\n"
               if after else f"wrk.body = '{before}'\n"))


def table(server, name, **more):
    definitions = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]
    server.client("dynamodb").create_table(
        TableName=name, AttributeDefinitions=definitions + more.pop("attributes", []), BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}], **more)


def item(key):
    return {"pk": {"S": key}, "sk": {"N": "1"}, "count": {"N": "12.5"}, "owner": {"S": "somebody"}, "body": {"S": BODY}}


def fill(server, name, count):
    client = server.client("dynamodb")
    for start in range(1, count + 1, 25):
        client.batch_write_item(RequestItems={name: [
            {"PutRequest": {"Item": item(f"key-{number}")}} for number in range(start, start + 25)]})


def measured(server, what, clients, seconds, goal, text):
    cpu = server.cpu_seconds()
    rate, total, errors = wrk(server.port, "/", clients, seconds, text)
    each = (server.cpu_seconds() - cpu) / max(total, 1) * 1e6
    row(what, f"{rate:,.0f} /s", goal, f"server {each:.0f} us a call {errors}")


def rates(server, seconds):
    for clients in (1, 8):
        eight = clients == 8
        name = f"rates{clients}"
        table(server, name)
        put = json.dumps({"TableName": name, "Item": item("key-KEY")})
        measured(server, f"PutItem, {clients} clients", clients, seconds, ">= 6,000 /s" if eight else "-",
                 script("PutItem", put))
        fill(server, name, KEYS)
        get = json.dumps({"TableName": name, "Key": {"pk": {"S": "key-KEY"}, "sk": {"N": "1"}}})
        measured(server, f"GetItem, {clients} clients", clients, seconds, ">= 12,000 /s" if eight else "-",
                 script("GetItem", get))
        query = json.dumps({
            "TableName": name, "KeyConditionExpression": "pk = :p AND sk > :s",
            "ExpressionAttributeValues": {":p": {"S": "key-KEY"}, ":s": {"N": "0"}}})
        measured(server, f"Query of one item, {clients} clients", clients, seconds, "-", script("Query", query))
        update = json.dumps({
            "TableName": name, "Key": {"pk": {"S": "key-KEY"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD hits :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}}})
        measured(server, f"UpdateItem ADD, {clients} clients", clients, seconds, "-", script("UpdateItem", update))


def streams(server, seconds):
    table(server, "streamed", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
          attributes=[{"AttributeName": "owner", "AttributeType": "S"}],
          GlobalSecondaryIndexes=[{"IndexName": "by-owner", "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
                                   "Projection": {"ProjectionType": "ALL"}}])
    put = json.dumps({"TableName": "streamed", "Item": item("key-KEY")})
    measured(server, "PutItem with an index and a stream, 8 clients", 8, seconds, "-", script("PutItem", put, 10**9))


def pages(server, seconds):
    table(server, "pages")
    client = server.client("dynamodb")
    for number in range(0, 1000, 25):
        client.batch_write_item(RequestItems={"pages": [
            {"PutRequest": {"Item": {**item("one"), "sk": {"N": str(number + step)}}}} for step in range(25)]})
    query = json.dumps({
        "TableName": "pages", "KeyConditionExpression": "pk = :p", "Limit": 100,
        "ExpressionAttributeValues": {":p": {"S": "one"}}})
    measured(server, "Query of 100 items (100 KB), 8 clients", 8, seconds, "-", script("Query", query))


def latency(server):
    table(server, "latency")
    # Never the same twice: a put that changes nothing writes nothing.
    request = http("POST", "/", json.dumps({
        "TableName": "latency", "Key": {"pk": {"S": "one"}, "sk": {"N": "1"}}, "UpdateExpression": "ADD hits :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}}}).encode(), HEADERS.format("UpdateItem"))
    p50, p99 = latencies(Keepalive(server.port, request), 1000)
    row("UpdateItem, sequential p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")
    request = http("POST", "/", json.dumps({
        "TableName": "latency", "Key": {"pk": {"S": "one"}, "sk": {"N": "1"}}}).encode(), HEADERS.format("GetItem"))
    p50, p99 = latencies(Keepalive(server.port, request), 1000)
    row("GetItem, sequential p50", f"{p50:.3f} ms", "-", f"p99 {p99:.3f} ms")


if __name__ == "__main__":
    run_parts(__doc__, {
        "rates": lambda server, quick: rates(server, 2 if quick else 6),
        "streams": lambda server, quick: streams(server, 2 if quick else 6),
        "pages": lambda server, quick: pages(server, 2 if quick else 6),
        "latency": lambda server, quick: latency(server),
    })
