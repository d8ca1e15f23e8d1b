#!/usr/bin/env python3
"""Deploys the nightly report, tries it, and takes it away again.

    deploy.py                deploy; again after every change of app.py
    deploy.py try            place some orders, let a night pass in a few seconds, show the report
    deploy.py delete

It needs boto3, and a server: AWS_ENDPOINT_URL, or http://127.0.0.1:4566.
"""

import argparse
import datetime
import io
import json
import os
import pathlib
import random
import time
import urllib.request
import zipfile

import boto3

HERE = pathlib.Path(__file__).resolve().parent
NIGHTLY = "cron(0 2 * * ? *)"
PATIENCE_S = 60


class App:
    """The application, whose resources all begin with its name."""

    def __init__(self, endpoint, name="nightly", runtime="python3.12"):
        self.endpoint, self.name, self.runtime = endpoint, name, runtime
        session = boto3.session.Session(
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
            aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
            region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
        )
        self.client = lambda service: session.client(service, endpoint_url=endpoint)
        self.account = self.client("sts").get_caller_identity()["Account"]
        self.region = session.region_name
        self.orders, self.totals, self.bucket = f"{name}-orders", f"{name}-totals", f"{name}-reports-{self.account}"
        self.queue = f"{name}-orders"

    def arn(self, service, resource):
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    # Deploying

    def deploy(self):
        self.role = self.make_role()
        self.make_stores()
        environment = {
            "ORDERS": self.orders, "TOTALS": self.totals, "BUCKET": self.bucket,
            "QUEUE": self.queue_url, "TOPIC": self.topic,
        }
        package = self.package()
        self.functions = {
            handler: self.make_function(handler, package, environment)
            for handler in ("api", "store", "total", "report", "publish", "announce")
        }
        for handler in self.functions:
            self.client("lambda").get_waiter("function_updated_v2").wait(
                FunctionName=self.functions[handler], WaiterConfig={"Delay": 1})
        self.connect_queue_and_stream()
        self.connect_bucket_and_topic()
        self.connect_http()
        self.schedule("nightly", NIGHTLY, {"scheduled": "<aws.scheduler.scheduled-time>"})
        return self

    def make_role(self):
        iam, name = self.client("iam"), f"{self.name}-role"
        trust = [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
            for service in ("lambda", "scheduler")
        ]
        try:
            iam.create_role(
                RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}))
        except iam.exceptions.EntityAlreadyExistsException:
            pass
        actions = ["dynamodb:*", "sqs:*", "s3:*", "sns:Publish", "lambda:InvokeFunction", "logs:*"]
        iam.put_role_policy(RoleName=name, PolicyName="everything-it-needs", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}))
        return f"arn:aws:iam::{self.account}:role/{name}"

    def make_stores(self):
        """The queue, the tables, the bucket and the topic."""
        self.queue_url = self.client("sqs").create_queue(
            QueueName=self.queue, Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        dynamodb = self.client("dynamodb")
        self.make_table(dynamodb, self.orders, [("id", "HASH")], StreamSpecification={
            "StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
        self.make_table(dynamodb, self.totals, [("day", "HASH"), ("product", "RANGE")])
        s3 = self.client("s3")
        try:
            # Only outside of us-east-1 does S3 want to be told where.
            where = {} if self.region == "us-east-1" else {
                "CreateBucketConfiguration": {"LocationConstraint": self.region}}
            s3.create_bucket(Bucket=self.bucket, **where)
        except s3.exceptions.BucketAlreadyOwnedByYou:
            pass
        self.topic = self.client("sns").create_topic(Name=f"{self.name}-reports")["TopicArn"]

    def make_table(self, dynamodb, name, keys, **more):
        try:
            dynamodb.create_table(
                TableName=name, BillingMode="PAY_PER_REQUEST",
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys], **more)
        except dynamodb.exceptions.ResourceInUseException:
            pass
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})

    @staticmethod
    def package():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.write(HERE / "app.py", "app.py")
        return buffer.getvalue()

    def make_function(self, handler, package, environment):
        client, name = self.client("lambda"), f"{self.name}-{handler}"
        settings = {"Environment": {"Variables": environment}, "Timeout": 30, "MemorySize": 1024}
        try:
            made = client.create_function(
                FunctionName=name, Runtime=self.runtime, Role=self.role, Handler=f"app.{handler}",
                Code={"ZipFile": package}, **settings)
        except client.exceptions.ResourceConflictException:
            made = client.update_function_code(FunctionName=name, ZipFile=package)
        return made["FunctionArn"]

    # Connecting

    def allow(self, handler, service, source):
        """Lets a service call a function."""
        client = self.client("lambda")
        try:
            client.add_permission(
                FunctionName=self.functions[handler], StatementId=service, Action="lambda:InvokeFunction",
                Principal=f"{service}.amazonaws.com", SourceArn=source)
        except client.exceptions.ResourceConflictException:
            pass

    def connect_queue_and_stream(self):
        stream = self.client("dynamodb").describe_table(TableName=self.orders)["Table"]["LatestStreamArn"]
        for handler, source, more in (
            ("store", self.arn("sqs", self.queue), {"FunctionResponseTypes": ["ReportBatchItemFailures"]}),
            ("total", stream, {"StartingPosition": "TRIM_HORIZON"}),
        ):
            client = self.client("lambda")
            try:
                client.create_event_source_mapping(
                    FunctionName=self.functions[handler], EventSourceArn=source, **more)
            except client.exceptions.ResourceConflictException:
                pass

    def connect_bucket_and_topic(self):
        self.allow("publish", "s3", f"arn:aws:s3:::{self.bucket}")
        self.client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [{
                "LambdaFunctionArn": self.functions["publish"], "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "reports/"}]}}}]})
        self.allow("announce", "sns", self.topic)
        self.client("sns").subscribe(TopicArn=self.topic, Protocol="lambda", Endpoint=self.functions["announce"])

    def connect_http(self):
        client = self.client("apigatewayv2")
        for api in client.get_apis()["Items"]:
            if api["Name"] == self.name:
                self.api = api["ApiId"]
                return
        self.api = client.create_api(Name=self.name, ProtocolType="HTTP")["ApiId"]
        integration = client.create_integration(
            ApiId=self.api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0",
            IntegrationUri=self.functions["api"])["IntegrationId"]
        for route in ("POST /orders", "GET /"):
            client.create_route(ApiId=self.api, RouteKey=route, Target=f"integrations/{integration}")
        client.create_stage(ApiId=self.api, StageName="$default", AutoDeploy=True)
        self.allow("api", "apigateway", self.arn("execute-api", f"{self.api}/*"))

    def schedule(self, name, expression, event, **more):
        client = self.client("scheduler")
        parameters = {
            "Name": f"{self.name}-{name}", "ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": self.arn("lambda", f"function:{self.name}-report"), "Input": json.dumps(event),
                       "RoleArn": f"arn:aws:iam::{self.account}:role/{self.name}-role"}, **more}
        try:
            client.create_schedule(**parameters)
        except client.exceptions.ConflictException:
            client.update_schedule(**parameters)

    # Trying

    @property
    def url(self):
        """The HTTP API, for programs that resolve no names below localhost."""
        if not hasattr(self, "api"):
            apis = self.client("apigatewayv2").get_apis()["Items"]
            self.api = next(api["ApiId"] for api in apis if api["Name"] == self.name)
        return f"{self.endpoint}/_aws/execute-api/{self.api}"

    def order(self, product, quantity, price):
        body = json.dumps({"product": product, "quantity": quantity, "price": price}).encode()
        request = urllib.request.Request(f"{self.url}/orders", data=body, method="POST",
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)["id"]

    def page(self):
        with urllib.request.urlopen(f"{self.url}/", timeout=PATIENCE_S) as response:
            return response.read().decode()

    def items(self, day):
        """What the table of totals has under a day (or `announced`)."""
        return self.client("dynamodb").query(
            TableName=self.totals, KeyConditionExpression="#day = :day", ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={":day": {"S": day}}, ConsistentRead=True)["Items"]

    def counted(self, day):
        return sum(int(item["orders"]["N"]) for item in self.items(day))

    def night(self, day):
        """A night in a second: a schedule that fires once, for the report of the given day, and then goes."""
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
        self.schedule(
            f"once-{random.randrange(10**9)}", f"at({soon:%Y-%m-%dT%H:%M:%S})", {"day": day},
            ActionAfterCompletion="DELETE")

    def wait(self, what, is_done):
        print(f"   {what} …", end="", flush=True)
        end = time.monotonic() + PATIENCE_S
        while not (found := is_done()):
            if time.monotonic() > end:
                raise SystemExit(f"\nThat did not happen within {PATIENCE_S} s. The functions' logs tell more: "
                                 f"aws logs tail /aws/lambda/{self.name}-report")
            time.sleep(0.1)
        print(" done")
        return found

    def attempt(self):
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        before = self.counted(today)
        print("Orders, over HTTP:")
        for product, quantity, price in (("nest box", 2, 24.50), ("bird seed", 7, 3.20), ("field guide", 1, 39)):
            print(f"   {quantity} × {product}: {self.order(product, quantity, price)}")
        self.wait("queue → table → stream → totals", lambda: self.counted(today) >= before + 3)
        print("A night passes:")
        self.night(today)
        expected = str(self.counted(today))
        note = self.wait("schedule → report → bucket → topic → announcement", lambda: next(
            (item for item in self.items("announced")
             if item["product"]["S"] == today and item["orders"]["S"] == expected), None))
        print(f"   announced: {note['orders']['S']} orders, {note['revenue']['S']} revenue")
        print(f"The report: {self.url}/\n\n{self.page()}")

    # Taking away

    def delete(self):
        """Whatever of it is there."""
        def quietly(call, **parameters):
            try:
                return call(**parameters)
            except Exception as error:
                print(f"   {type(error).__name__}: {error}")

        lambda_, s3 = self.client("lambda"), self.client("s3")
        for api in self.client("apigatewayv2").get_apis()["Items"]:
            if api["Name"] == self.name:
                self.client("apigatewayv2").delete_api(ApiId=api["ApiId"])
        quietly(self.client("scheduler").delete_schedule, Name=f"{self.name}-nightly")
        for handler in ("api", "store", "total", "report", "publish", "announce"):
            for mapping in lambda_.list_event_source_mappings(
                    FunctionName=f"{self.name}-{handler}")["EventSourceMappings"]:
                quietly(lambda_.delete_event_source_mapping, UUID=mapping["UUID"])
            quietly(lambda_.delete_function, FunctionName=f"{self.name}-{handler}")
        quietly(self.client("sns").delete_topic, TopicArn=self.arn("sns", f"{self.name}-reports"))
        sqs = self.client("sqs")
        quietly(lambda: sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=self.queue)["QueueUrl"]))
        for table in (self.orders, self.totals):
            quietly(self.client("dynamodb").delete_table, TableName=table)
        for item in (quietly(s3.list_objects_v2, Bucket=self.bucket) or {}).get("Contents", []):
            s3.delete_object(Bucket=self.bucket, Key=item["Key"])
        quietly(s3.delete_bucket, Bucket=self.bucket)
        iam = self.client("iam")
        quietly(iam.delete_role_policy, RoleName=f"{self.name}-role", PolicyName="everything-it-needs")
        quietly(iam.delete_role, RoleName=f"{self.name}-role")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", nargs="?", default="deploy", choices=["deploy", "try", "delete"])
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"))
    parser.add_argument("--name", default="nightly", help="what all resources begin with")
    parser.add_argument("--runtime", default="python3.12", help="one that this machine has")
    options = parser.parse_args()
    app = App(options.endpoint_url, options.name, options.runtime)
    if options.action == "deploy":
        app.deploy()
        print(f"Deployed. Orders: POST {app.url}/orders   The newest report: {app.url}/\n"
              f"It is made at 02:00 UTC; to see one now: {parser.prog} try")
    elif options.action == "try":
        app.attempt()
    else:
        app.delete()


if __name__ == "__main__":
    main()
