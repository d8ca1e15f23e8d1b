"""The back office of a small shop: six event sources, six functions, one file.

    POST /orders ──▶ api ──▶ SQS ──▶ store ──▶ DynamoDB ──▶ (its stream) ──▶ total ──▶ DynamoDB
    every night  ──▶ report ──▶ S3 ──▶ publish ──▶ SNS ──▶ announce
    GET /        ──▶ api: the newest report

Nothing here knows Martlet: it is what you would deploy to AWS.
"""

import base64
import datetime
import html
import json
import os
import uuid
from decimal import Decimal, InvalidOperation

import boto3
from boto3.dynamodb.conditions import Key

ORDERS, TOTALS, BUCKET = os.environ["ORDERS"], os.environ["TOTALS"], os.environ["BUCKET"]
tables = boto3.resource("dynamodb")
orders, totals = tables.Table(ORDERS), tables.Table(TOTALS)
sqs, s3, sns = boto3.client("sqs"), boto3.client("s3"), boto3.client("sns")
LATEST = "reports/latest.html"


# HTTP API


def api(event, context):
    """Takes orders, and shows the newest report."""
    if event["routeKey"] == "POST /orders":
        body = event.get("body") or ""
        if event.get("isBase64Encoded"):  # whatever is not text by its content type
            body = base64.b64decode(body)
        try:
            order = read_order(body)
        except ValueError as error:
            return answer(400, {"message": str(error)})
        sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(order))
        return answer(202, {"id": order["id"]})
    try:
        page = s3.get_object(Bucket=BUCKET, Key=LATEST)["Body"].read().decode()
    except s3.exceptions.NoSuchKey:
        page = "<p>There is no report yet. Wait for the night.</p>"
    return answer(200, page, "text/html; charset=utf-8")


def read_order(body):
    try:
        order = json.loads(body)
        quantity, price = int(order["quantity"]), Decimal(str(order["price"]))
        product = str(order["product"])
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise ValueError("An order is {product, quantity, price}.") from error
    if not product or quantity < 1 or not price.is_finite() or price < 0:
        raise ValueError("A product has a name, a quantity of 1 or more, and a price.")
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"id": str(uuid.uuid4()), "day": day, "product": product, "quantity": quantity, "price": str(price)}


def answer(status, body, kind="application/json"):
    return {
        "statusCode": status,
        "headers": {"content-type": kind},
        "body": body if isinstance(body, str) else json.dumps(body),
    }


# SQS


def store(event, context):
    """Keeps orders. A message that cannot be kept comes again, alone; the others of its batch are done."""
    failed = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
            order["price"] = Decimal(order["price"])
            orders.put_item(Item=order)
        except Exception as error:
            print("cannot store", record["messageId"], repr(error))
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


# DynamoDB stream


def total(event, context):
    """Adds new orders to the totals of their day. A stream may bring a record twice: it is counted once."""
    for record in event["Records"]:
        if record["eventName"] != "INSERT":
            continue
        order = record["dynamodb"]["NewImage"]
        day, product, identifier = order["day"]["S"], order["product"]["S"], order["id"]["S"]
        quantity = Decimal(order["quantity"]["N"])
        try:
            tables.meta.client.transact_write_items(TransactItems=[
                {"Put": {
                    "TableName": TOTALS, "Item": {"day": "counted", "product": identifier},
                    "ConditionExpression": "attribute_not_exists(product)"}},
                {"Update": {
                    "TableName": TOTALS, "Key": {"day": day, "product": product},
                    "UpdateExpression": "ADD quantity :quantity, revenue :revenue, orders :one",
                    "ExpressionAttributeValues": {
                        ":quantity": quantity, ":revenue": quantity * Decimal(order["price"]["N"]), ":one": 1}}},
            ])
        except tables.meta.client.exceptions.TransactionCanceledException as error:
            reasons = [reason["Code"] for reason in error.response["CancellationReasons"]]
            if "ConditionalCheckFailed" not in reasons:
                raise
            print("counted already:", identifier)


# Scheduler


def report(event, context):
    """Writes the report of a day: of the one before the scheduled time, unless the schedule names one."""
    day = event.get("day")
    if not day:
        scheduled = datetime.datetime.fromisoformat(event["scheduled"].replace("Z", "+00:00"))
        day = (scheduled - datetime.timedelta(days=1)).date().isoformat()
    lines = totals.query(KeyConditionExpression=Key("day").eq(day))["Items"]
    revenue = sum((line["revenue"] for line in lines), Decimal(0))
    count = sum(int(line["orders"]) for line in lines)
    page = render(day, lines, revenue)
    summary = {"day": day, "orders": str(count), "revenue": str(revenue)}
    for key in (LATEST, f"reports/{day}.html"):
        s3.put_object(
            Bucket=BUCKET, Key=key, Body=page.encode(), ContentType="text/html; charset=utf-8", Metadata=summary)
    return summary


def render(day, lines, revenue):
    rows = "".join(
        f"<tr><td>{html.escape(line['product'])}</td><td>{line['quantity']}</td><td>{line['revenue']:.2f}</td></tr>"
        for line in sorted(lines, key=lambda line: -line["revenue"])
    )
    return (
        f"<!doctype html><title>Report of {day}</title><h1>{day}</h1>"
        f"<table><tr><th>Product<th>Sold<th>Revenue</tr>{rows}</table><p>Altogether: {revenue:.2f}</p>"
    )


# S3


def publish(event, context):
    """Tells everybody that a day's report is there."""
    for record in event["Records"]:
        key = record["s3"]["object"]["key"]
        if key == LATEST:
            continue
        summary = s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
        sns.publish(
            TopicArn=os.environ["TOPIC"], Subject=f"Report of {summary['day']}",
            Message=json.dumps({"key": key, **summary}))


# SNS


def announce(event, context):
    """Would send mail; here it leaves a note in the table and a line in the log."""
    for record in event["Records"]:
        note = json.loads(record["Sns"]["Message"])
        print(f"{record['Sns']['Subject']}: {note['orders']} orders, {note['revenue']} revenue")
        totals.put_item(Item={"day": "announced", "product": note["day"], **{k: note[k] for k in ("orders", "revenue")}})
