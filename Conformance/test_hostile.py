"""Malformed requests for each of AWS's protocols: refused in its own form, and nothing else happens. Broken HTTP is in
test_hostile_http.py."""

import pytest
from botocore.exceptions import ClientError

from .hostile import refused, unharmed, victim_in
from .raw import exchange, request, scope

DEEP = 100_000
JSON11 = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    with victim_in(tmp_path_factory.mktemp("hostile")) as server:
        server.client("s3").create_bucket(Bucket="victim")
        yield server


@pytest.fixture(autouse=True)
def _unharmed(victim):
    with unharmed(victim):
        yield


# rest-json

BODIES = {
    "empty": b"",
    "open": b"{",
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "bytes": b"\xff\xfe\x00",
    "nul": b"\0" * 100,
    "deep lists": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "deep member": b'{"Environment":' + b'{"Variables":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "wrong types": b'{"FunctionName":1,"Code":[],"Timeout":"x","Layers":{"a":1},"Role":null}',
    "huge number": b'{"FunctionName":"f","Timeout":' + b"9" * 100_000 + b"}",
    "infinite": b'{"FunctionName":"f","Timeout":1e999999999}',
    "nan": b'{"Timeout":NaN}',
    "lone surrogate": b'{"FunctionName":"\\ud800"}',
    "bad escape": b'{"FunctionName":"\\x41"}',
    "not base64": b'{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"!!!!"}}',
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(50_000)) + b"}",
    "trailing": b"{} {}",
    "utf-16": '{"a":1}'.encode("utf-16"),
    "open text": b'{"a":"' + b"x" * 100_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_rest_json_bodies(victim, name):
    refused(victim, request("POST", "/2015-03-31/functions", BODIES[name], Authorization=scope("lambda")))


@pytest.mark.parametrize(
    "path",
    [
        "/2015-03-31/functions/%00",
        "/2015-03-31/functions/%ff%fe/configuration",
        "/2015-03-31/functions/..%2f..%2fetc%2fpasswd",
        "/2015-03-31/functions/" + "x" * 60_000,
        "/2015-03-31/functions/?MaxItems=abc",
        "/2015-03-31/functions/%",
        "/2015-03-31/functions/%zz/policy",
        "/2015-03-31/functions/?MaxItems=99999999999999999999999",
        "/2015-03-31/functions/?Marker=%ff%ff",
        "/2015-03-31/nothing",
        "/2015-03-31/functions/" + "a/" * 5_000,
        "/2018-10-31/layers/x/versions/99999999999999999999",
        "/2018-10-31/layers/x/versions/-1",
    ],
    ids=lambda path: path[:40],
)
def test_rest_json_paths(victim, path):
    refused(victim, request("GET", path, Authorization=scope("lambda")))


@pytest.mark.parametrize(
    "context", ["!!!", "bm90IGpzb24=", "W1tbW1tbW1tb", "A" * 4_000], ids=["not base64", "not json", "open", "long"]
)
def test_client_contexts(victim, context):
    refused(
        victim,
        request(
            "POST",
            "/2015-03-31/functions/nope/invocations",
            b"{}",
            Authorization=scope("lambda"),
            X_Amz_Client_Context=context,
        ),
    )


# json 1.1


@pytest.mark.parametrize("name", set(BODIES) - {"empty"})
def test_json_bodies(victim, name):
    refused(
        victim,
        request(
            "POST",
            "/",
            BODIES[name],
            Authorization=scope("logs"),
            X_Amz_Target="Logs_20140328.CreateLogGroup",
            Content_Type=JSON11,
        ),
    )


@pytest.mark.parametrize(
    "target",
    [
        "Logs_20140328.",
        "Logs_20140328.Nope",
        "Nope.CreateLogGroup",
        ".",
        "",
        "Logs_20140328.CreateLogGroup.X",
        "x" * 5_000,
    ],
)
def test_json_targets(victim, target):
    refused(
        victim,
        request("POST", "/", b"{}", Authorization=scope("logs"), X_Amz_Target=target, Content_Type=JSON11),
        range(400, 502),
    )


def test_an_empty_json_body_is_an_empty_input(victim):
    answer = exchange(
        victim,
        request(
            "POST",
            "/",
            b"",
            Authorization=scope("logs"),
            X_Amz_Target="Logs_20140328.CreateLogGroup",
            Content_Type=JSON11,
        ),
    )
    assert answer.status == 400 and "logGroupName" in answer.body.decode()


# query

FORMS = {
    "nothing": b"",
    "no action": b"Version=2010-05-08",
    "unknown action": b"Action=Nope&Version=2010-05-08",
    "other version": b"Action=GetRole&Version=1999-01-01&RoleName=x",
    "bad escape": b"Action=GetRole&Version=2010-05-08&RoleName=%zz",
    "cut escape": b"Action=GetRole&Version=2010-05-08&RoleName=%",
    "not utf-8": b"Action=GetRole&Version=2010-05-08&RoleName=%ff%fe",
    "huge index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.99999999999999999999.Key=a",
    "sparse index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.2000000000.Key=a&Tags.member.2000000000.Value=b",
    "negative index": b"Action=TagRole&Version=2010-05-08&RoleName=x&Tags.member.-1.Key=a",
    "deep": b"Action=CreateRole&Version=2010-05-08&" + b".".join([b"a"] * 50_000) + b"=1",
    "many": b"Action=CreateRole&Version=2010-05-08&" + b"&".join(b"a%d=1" % i for i in range(50_000)),
    "twice": b"Action=GetRole&Action=CreateRole&Version=2010-05-08&RoleName=x",
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", FORMS)
def test_query_forms(victim, name):
    refused(victim, request("POST", "/", FORMS[name], Authorization=scope("iam"), Content_Type=FORM), range(400, 502))


# rest-xml

ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(10))
    + b"]><Delete><Object><Key>&k;</Key></Object></Delete>"
)
EXTERNAL = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Delete><Object><Key>&x;</Key></Object></Delete>"
)
DOCUMENTS = {
    "empty": b"",
    "open": b"<Delete>",
    "not xml": b"{}",
    "wrong root": b"<Nope/>",
    "deep": b"<a>" * DEEP,
    "deep and closed": b"<a>" * DEEP + b"</a>" * DEEP,
    "entities": ENTITIES,
    "external": EXTERNAL,
    "many attributes": b"<Delete " + b" ".join(b'a%d="1"' % i for i in range(20_000)) + b"></Delete>",
    "bytes": b"\xff\xfe<\0D\0",
    "mismatch": b"<Delete><Object></Delete></Object>",
    "cdata": b"<Delete><![CDATA[",
    "comment": b"<Delete><!-- ",
    "bad reference": b"<Delete><Object><Key>&#x110000;&#xd800;&nope;</Key></Object></Delete>",
    "too many": b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_xml_documents(victim, name):
    answer = refused(victim, request("POST", "/victim?delete", DOCUMENTS[name], Authorization=scope("s3")))
    assert b"root:" not in answer.body and b"aaaaaaaaaaaaaaaaaaaa" not in answer.body


@pytest.mark.parametrize("name", ["open", "not xml", "deep", "entities", "external", "bytes"])
@pytest.mark.parametrize("path", ["/victim?notification", "/newbucket"])
def test_xml_settings(victim, path, name):
    refused(victim, request("PUT", path, DOCUMENTS[name], Authorization=scope("s3")))


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Content_MD5": "nonsense"}, "/victim/k"),
        ({"Content_MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "/victim/k"),
        ({"x_amz_checksum_sha256": "AAAA"}, "/victim/k"),
        ({"x_amz_checksum_crc32": "!!"}, "/victim/k"),
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "/victim/k"),
        ({"x_amz_content_sha256": "0" * 64}, "/victim/k"),
        ({"x_amz_copy_source": "%zz"}, "/victim/k"),
        ({"x_amz_copy_source": "/../../etc/passwd"}, "/victim/k"),
        ({}, "/victim/" + "k" * 1025),
        ({}, "/victim/%ff%fe"),
        ({"x_amz_meta_a": "x" * 3000}, "/victim/k"),
        ({}, "/victim/k?partNumber=1&uploadId=nope"),
        ({}, "/victim/k?partNumber=99999999999999999999&uploadId=x"),
        ({}, "/-bad-/k"),
    ],
)
def test_s3_puts(victim, headers, path):
    refused(victim, request("PUT", path, b"body", Authorization=scope("s3"), **headers), range(400, 502))


# CBOR: no service that speaks it is there yet


@pytest.mark.parametrize(
    "body",
    [b"", b"\xbf", b"\x9f" * DEEP, b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xfe"],
    ids=["empty", "open", "deep", "huge", "bytes"],
)
@pytest.mark.parametrize("service", ["GraniteServiceVersion20100801", "Logs_20140328", "Nope", "%ff"])
def test_cbor(victim, service, body):
    refused(
        victim,
        request(
            "POST",
            f"/service/{service}/operation/PutMetricData",
            body,
            Smithy_Protocol="rpc-v2-cbor",
            Content_Type="application/cbor",
            Accept="application/cbor",
        ),
        range(400, 502),
    )


# aws-chunked

STREAMING = {"x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content_Encoding": "aws-chunked"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"zz\r\nbody\r\n0\r\n\r\n", {}),
        (b"-4\r\nbody\r\n0\r\n\r\n", {}),
        (b"ffffffffffffffff\r\nbody", {}),
        (b"fffffffffffffffffffffffff\r\nbody", {}),
        (b"4\r\nbodyX\r\n0\r\n\r\n", {}),
        (b"4\r\nbody\r\n", {}),
        (b"4\r\nbo", {}),
        (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "5"}),
        (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "x"}),
        (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_decoded_content_length": "-1"}),
        (b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", {"x_amz_trailer": "x-amz-checksum-crc32"}),
        (b"4\r\nbody\r\n0\r\n\r\n", {"x_amz_trailer": "x-amz-checksum-crc32"}),
        (b"4\r\nbody\r\n0\r\n" + b"x-amz-junk:" + b"a" * 200_000 + b"\r\n\r\n", {"x_amz_trailer": "x-amz-junk"}),
        (b"4" + b";a=b" * 50_000 + b"\r\nbody\r\n0\r\n\r\n", {}),
        (b"0" * 100_000 + b"4\r\nbody\r\n0\r\n\r\n", {}),
    ],
    ids=lambda value: (value[:24] if isinstance(value, bytes) else value),
)
def test_aws_chunked(victim, body, headers):
    given = {"x_amz_decoded_content_length": "4", **STREAMING, **headers}
    refused(victim, request("PUT", "/victim/chunked", body, Authorization=scope("s3"), **given))


# Signatures: with --auth none they are not checked, but they are read

AUTHORIZATIONS = [
    "AWS4-HMAC-SHA256",
    "AWS4-HMAC-SHA256 ",
    "AWS4-HMAC-SHA256 Credential=",
    "AWS4-HMAC-SHA256 Credential=/////////",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f/g, SignedHeaders=;;;, Signature=",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam",
    "AWS4-HMAC-SHA256 " + "Credential=a," * 5_000,
    "Basic dGVzdDp0ZXN0",
    "Bearer " + "x" * 20_000,
    "AWS test:signature",
    "\xff\xfe",
    ",,,,=,=,=",
    scope("nosuchservice"),
    scope("lambda", region="../../.."),
    scope("lambda", key="1" * 12),
    scope("lambda", key="x" * 10_000),
]


@pytest.mark.parametrize("value", AUTHORIZATIONS, ids=lambda value: value[:40])
@pytest.mark.parametrize("path", ["/2015-03-31/functions/nope/configuration", "/victim/nope", "/"])
def test_authorization_headers(victim, path, value):
    answer = exchange(victim, request("GET", path, Authorization=value))
    assert 200 <= answer.status < 502 and answer.status != 500, answer


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Algorithm=Nope&X-Amz-Credential=x",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%ff",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request&X-Amz-Expires=-1&X-Amz-Date=nope",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test/20260101/us-east-1/s3/aws4_request&X-Amz-Expires=99999999999999999999&X-Amz-Date=20260101T000000Z",
        "&".join(f"X-Amz-Signature={i}" for i in range(2_000)),
        "=" * 5_000,
        "&" * 5_000,
    ],
    ids=lambda query: query[:30],
)
def test_presigned_queries(victim, query):
    answer = exchange(victim, request("GET", "/victim/nope?" + query))
    assert 400 <= answer.status < 500, answer


# Lists that cost more than their length


def test_tags_without_end(victim):
    """Services look at tags one by one before they count them, some inside of a transaction."""
    sqs, table = victim.client("sqs"), "arn:aws:dynamodb:us-east-1:000000000000:table/none"
    queue = sqs.create_queue(QueueName="tagged")["QueueUrl"]
    names = [str(number) for number in range(100_000)]
    for call in (
        lambda: sqs.tag_queue(QueueUrl=queue, Tags=dict.fromkeys(names, "x")),
        lambda: sqs.untag_queue(QueueUrl=queue, TagKeys=names),
        lambda: victim.client("dynamodb").tag_resource(
            ResourceArn=table, Tags=[{"Key": name, "Value": "x"} for name in names]),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] == "ValidationException"
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=queue)
