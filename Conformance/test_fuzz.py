"""Valid requests, mutated by a seed and sent by hand: the server answers something that HTTP allows, never 500, and stays
up. MARTLET_SEED repeats a run."""

import base64
import concurrent.futures
import json
import os
import random

import pytest

from .functions import FAST_MB
from .harness import zip_bytes
from .hostile import RESIDENT_LIMIT_MB, victim_in
from .raw import exchange, request, resident_mb, scope

SEED = os.environ.get("MARTLET_SEED", "martlet")
ROUNDS = 3_000
CONNECTIONS = 24
INCOMPLETE_S = 0.5  # after this, what was sent is taken for the beginning of a request
JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


def corpus():
    """Valid requests of every protocol; most of them change something when they are sent as they are."""
    package = base64.b64encode(zip_bytes({"index.py": "def handler(e, c): return e"})).decode()
    function = {
        "FunctionName": "fuzzed",
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": package},
        "MemorySize": FAST_MB,
        "Environment": {"Variables": {"A": "ä"}},
        "Tags": {"k": "v"},
    }
    chunked = b"5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nx-amz-checksum-crc32:YWJjZA==\r\n\r\n"

    def rest(method, path, value=None, **headers):
        return request(
            method,
            path,
            json.dumps(value).encode() if value is not None else b"",
            Authorization=scope("lambda"),
            **headers,
        )

    def logs(operation, **value):
        return request(
            "POST",
            "/",
            json.dumps(value).encode(),
            Authorization=scope("logs"),
            X_Amz_Target=f"Logs_20140328.{operation}",
            Content_Type=JSON11,
        )

    def sqs(operation, **value):
        return request(
            "POST",
            "/",
            json.dumps(value).encode(),
            Authorization=scope("sqs"),
            X_Amz_Target=f"AmazonSQS.{operation}",
            Content_Type="application/x-amz-json-1.0",
        )

    def s3(method, path, body=b"", **headers):
        return request(method, path, body, Authorization=scope("s3"), **headers)

    return [
        rest("POST", "/2015-03-31/functions", function),
        rest("GET", "/2015-03-31/functions/?MaxItems=5"),
        rest(
            "POST",
            "/2015-03-31/functions/target/invocations",
            {"a": [1, 2, {"b": "text"}]},
            X_Amz_Invocation_Type="RequestResponse",
            X_Amz_Log_Type="Tail",
            X_Amz_Client_Context="eyJjdXN0b20iOnt9fQ==",
        ),
        rest("POST", "/2015-03-31/functions/target/invocations", {"a": 1}, X_Amz_Invocation_Type="Event"),
        rest("PUT", "/2015-03-31/functions/target/configuration", {"Timeout": 5, "Layers": [], "Description": "d"}),
        rest("POST", "/2015-03-31/functions/target/aliases", {"Name": "a", "FunctionVersion": "$LATEST"}),
        rest(
            "POST",
            "/2015-03-31/functions/target/policy",
            {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"},
        ),
        rest(
            "POST",
            "/2018-10-31/layers/fuzzed/versions",
            {"Content": {"ZipFile": package}, "CompatibleRuntimes": ["python3.11"]},
        ),
        rest(
            "POST",
            "/2015-03-31/event-source-mappings",
            {
                "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:target",
                "FunctionName": "target",
                "BatchSize": 5,
                "FilterCriteria": {"Filters": [{"Pattern": '{"body":{"a":[{"numeric":[">",1,"<=",5]},{"wildcard":"b*"}]}}'}]},
                "ScalingConfig": {"MaximumConcurrency": 2},
            },
        ),
        sqs("CreateQueue", QueueName="fuzzed.fifo", Attributes={"FifoQueue": "true", "DelaySeconds": "1"}, tags={"a": "b"}),
        sqs(
            "SetQueueAttributes",
            QueueUrl="http://127.0.0.1/000000000000/target",
            Attributes={
                "RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:target","maxReceiveCount":3}',
                "VisibilityTimeout": "0",
            },
        ),
        sqs(
            "SendMessage",
            QueueUrl="http://127.0.0.1/000000000000/target",
            MessageBody="b\u00e4",
            DelaySeconds=1,
            MessageAttributes={"n": {"DataType": "Number", "StringValue": "1.5"}},
            MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}},
        ),
        sqs(
            "SendMessageBatch",
            QueueUrl="/000000000000/target",
            Entries=[{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "y"}],
        ),
        sqs("ReceiveMessage", QueueUrl="/000000000000/target", MaxNumberOfMessages=10, AttributeNames=["All"], WaitTimeSeconds=0),
        sqs("ChangeMessageVisibility", QueueUrl="/000000000000/target", ReceiptHandle="AQEBAAAA", VisibilityTimeout=1),
        sqs("ListQueues", QueueNamePrefix="t", MaxResults=3, NextToken="YQ=="),
        request(
            "POST",
            "/000000000000/target",
            b"Action=SendMessage&Version=2012-11-05&MessageBody=b&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType=String"
            b"&MessageAttribute.1.Value.StringValue=v",
            Authorization=scope("sqs"),
            Content_Type=FORM,
        ),
        request(
            "GET",
            "/000000000000/target?Action=ReceiveMessage&Version=2012-11-05&AttributeName.1=All&MaxNumberOfMessages=2",
            Authorization=scope("sqs"),
        ),
        logs("CreateLogGroup", logGroupName="/fuzz", tags={"a": "b"}),
        logs(
            "PutLogEvents",
            logGroupName="/fuzz",
            logStreamName="s",
            logEvents=[{"timestamp": 1767225600000, "message": "m"}],
        ),
        logs(
            "FilterLogEvents",
            logGroupName="/fuzz",
            filterPattern='{ ($.a = "b*") && ($.c >= 1.5e3) || $.d[0] IS NULL }',
        ),
        logs("FilterLogEvents", logGroupName="/fuzz", filterPattern='ERROR "two words" -not ?either'),
        logs("DescribeLogStreams", logGroupName="/fuzz", orderBy="LastEventTime", descending=True, limit=3),
        request(
            "POST",
            "/",
            b"Action=CreateRole&Version=2010-05-08&RoleName=fuzz&Path=%2Fa%2F&AssumeRolePolicyDocument=%7B%22Statement%22%3A%5B%5D%7D"
            b"&Tags.member.1.Key=k&Tags.member.1.Value=v",
            Authorization=scope("iam"),
            Content_Type=FORM,
        ),
        request(
            "POST",
            "/",
            b"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fr&RoleSessionName=s"
            b"&DurationSeconds=900&Tags.member.1.Key=a&Tags.member.1.Value=b",
            Authorization=scope("sts"),
            Content_Type=FORM,
        ),
        s3(
            "PUT",
            "/fuzz-bucket",
            b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>',
        ),
        s3(
            "PUT",
            "/target/key%20%C3%A4?x-id=PutObject",
            b"body of an object",
            x_amz_meta_a="b",
            Content_MD5="OR/tX0wVPn1WQ4MrCZ2F4w==",
        ),
        s3(
            "PUT",
            "/target/chunked",
            chunked,
            x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            Content_Encoding="aws-chunked",
            x_amz_decoded_content_length="8",
            x_amz_trailer="x-amz-checksum-crc32",
        ),
        s3(
            "GET",
            "/target/key?list-type=2&prefix=a&delimiter=%2F&max-keys=10&encoding-type=url",
            Range="bytes=0-5,7-9",
            If_None_Match='"abc", *',
            If_Modified_Since="Wed, 21 Oct 2026 07:28:00 GMT",
        ),
        s3("GET", "/target?list-type=2&prefix=a&delimiter=%2F&max-keys=10&continuation-token=YWJj&start-after=b"),
        s3(
            "POST",
            "/target?delete",
            b"<Delete><Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>",
        ),
        s3("POST", "/target/multi?uploads"),
        s3("PUT", "/target/multi?partNumber=1&uploadId=abc", b"part"),
        s3(
            "POST",
            "/target/multi?uploadId=abc",
            b'<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>',
        ),
        s3(
            "PUT",
            "/target?notification",
            b"<NotificationConfiguration><CloudFunctionConfiguration><Id>i</Id><CloudFunction>arn:aws:lambda:us-east-1:000000000000:function:target"
            b"</CloudFunction><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>x</Value></FilterRule></S3Key></Filter>"
            b"</CloudFunctionConfiguration></NotificationConfiguration>",
        ),
        s3("PUT", "/target/copy", x_amz_copy_source="/target/key", x_amz_metadata_directive="REPLACE"),
        request(
            "GET",
            "/target/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + "0" * 64,
        ),
        request(
            "POST",
            "/service/GraniteServiceVersion20100801/operation/PutMetricData",
            b"\xbf\x61a\x81\x01\xff",
            Smithy_Protocol="rpc-v2-cbor",
            Content_Type="application/cbor",
        ),
    ]


INTERESTING = [
    b"\0",
    b"\xff",
    b"%00",
    b"%ff",
    b"%",
    b"\r\n",
    b"\n",
    b"../",
    b"[" * 600,
    b'{"a":' * 600,
    b"<a>" * 600,
    b"&amp;",
    b"&#0;",
    b"]]>",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"-9223372036854775809",
    b"1e400",
    b"null",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"A" * 9_000,
    b"\xed\xa0\x80",
    b";",
    b":",
    b",",
    b"=",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xae",
    b"arn:::::",
]


def mutated(rng, data, others):
    """One to four changes; half of the time the length is made right again, so that the body is read."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        end = min(place + rng.randint(1, 1 + rng.choice([1, 8, 60])), len(data))
        kind = rng.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place:place] = rng.choice(INTERESTING)
        elif kind == 2:
            del data[place:end]
        elif kind == 3:
            data[place:place] = data[place:end] * rng.choice([1, 2, 50])
        elif kind == 4:
            data[place:end] = rng.choice(INTERESTING)
        elif kind == 5:
            other = rng.choice(others)
            cut = rng.randrange(len(other))
            data[place:end] = other[cut : cut + rng.randint(1, 80)]
        else:
            data[place:end] = rng.randbytes(end - place)
        if not data:
            data = bytearray(b"\r\n")
    head, separator, body = bytes(data).partition(b"\r\n\r\n")
    if separator and rng.random() < 0.6:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
        head = b"\r\n".join([*lines, b"Content-Length: %d" % len(body)])
    return head + separator + body


@pytest.mark.slow
def test_mutated_requests(tmp_path):
    rng = random.Random(f"{SEED}/fuzz")
    with victim_in(tmp_path) as server:
        server.client("s3").create_bucket(Bucket="target")
        server.client("s3").put_object(Bucket="target", Key="key", Body=b"0123456789")
        server.client("logs").create_log_group(logGroupName="/fuzz")
        server.client("sqs").create_queue(QueueName="target")
        server.client("logs").create_log_stream(logGroupName="/fuzz", logStreamName="s")
        server.client("lambda").create_function(
            FunctionName="target",
            Runtime="python3.11",
            Handler="index.handler",
            Role="arn:aws:iam::000000000000:role/r",
            MemorySize=FAST_MB,
            Code={"ZipFile": zip_bytes({"index.py": "def handler(e, c): return e"})},
        )
        valid = corpus()
        pid = server.process.pid
        bad = []

        def send(number_and_data):
            number, data = number_and_data
            try:
                answer = exchange(server, data, timeout=INCOMPLETE_S)
            except TimeoutError:
                return  # it waits for the rest of the request
            except ConnectionError as error:
                bad.append((number, repr(error), data))
                return
            if answer.status == 500 or answer.status and not 100 <= answer.status < 600:
                bad.append((number, answer, data))

        rounds = [(number, mutated(rng, rng.choice(valid), valid)) for number in range(ROUNDS)]
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(send, rounds))
        assert server.process.poll() is None, f"the server died:\n{server.log_tail()}"
        summary = "\n\n".join(f"round {number}: {what}\n{data[:1500]!r}" for number, what, data in sorted(bad)[:8])
        assert not bad, f"{len(bad)} of {ROUNDS}, seed {SEED!r}:\n{summary}"
        assert server.process.pid == pid and server.is_healthy()
        assert resident_mb(pid) < RESIDENT_LIMIT_MB
        assert server.client("s3").get_object(Bucket="target", Key="key")["Body"].read() is not None
        assert server.client("lambda").get_function(FunctionName="target")["Configuration"]["FunctionName"] == "target"
