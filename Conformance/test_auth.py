"""`--auth sigv4`: signatures of every kind, good and bad, with the credentials that the server makes."""

import configparser
import datetime
import hashlib
import hmac
import http.client
import io
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore import UNSIGNED

from .expect import aws_error
from .harness import AWS_CLI, REGION, Server

MISMATCH = re.compile("^The request signature we calculated does not match the signature you provided.")


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("auth") / "data", ["--auth", "sigv4"])
    server.start()
    server.client = None  # its credentials are not the usual ones
    yield server
    server.kill9()


@pytest.fixture(scope="module")
def keys(strict):
    parser = configparser.ConfigParser()
    parser.read(strict.data_dir / "credentials")
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


@pytest.fixture
def signed(strict, keys):
    """`signed("s3", secret="wrong")`: a boto3 client."""

    def make(service, key=None, secret=None, token=None, **config):
        settings = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
        return boto3.session.Session().client(
            service,
            endpoint_url=strict.url,
            region_name=REGION,
            aws_access_key_id=key or keys[0],
            aws_secret_access_key=secret or keys[1],
            aws_session_token=token,
            config=botocore.config.Config(**settings),
        )

    return make


def status_of(service):
    """Of refused signatures: AWS's JSON services answer 400, all others 403."""
    return 400 if service == "logs" else 403


@pytest.fixture(scope="module")
def bucket(strict, keys):
    s3 = boto3.session.Session().client(
        "s3", endpoint_url=strict.url, region_name=REGION, aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
    )
    s3.create_bucket(Bucket="signed")
    s3.put_object(Bucket="signed", Key="an object/ä+b", Body=b"content")
    return "signed"


# Headers


def test_every_protocol_is_signed(signed, bucket):
    assert signed("sts").get_caller_identity()["Account"] == "000000000000"
    assert signed("lambda").list_functions()["Functions"] == []
    assert signed("logs").describe_log_groups()["logGroups"] == []
    assert signed("iam").list_roles()["Roles"] == []
    assert signed("s3").get_object(Bucket=bucket, Key="an object/ä+b")["Body"].read() == b"content"


def test_odd_paths_and_queries_are_signed(signed, bucket):
    s3 = signed("s3")
    for key in ("a//b", "a/../b", "a b+c%20", "~tilde!*'()", "ünï/€", "a=b&c?d#e", "trailing/", "%2F", "a\tb"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]
        s3.delete_object(Bucket=bucket, Key=key)


def test_uploads_of_every_signing(signed, bucket):
    for settings in ({"payload_signing_enabled": True}, {"payload_signing_enabled": False}):
        s3 = signed("s3", s3={"addressing_style": "path", **settings})
        for checksum in ("CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"):
            body = io.BytesIO(b"streamed" * 20_000)
            s3.put_object(Bucket=bucket, Key="streamed", Body=body, ChecksumAlgorithm=checksum)
            assert s3.get_object(Bucket=bucket, Key="streamed")["Body"].read() == body.getvalue()
    signed("s3").delete_object(Bucket=bucket, Key="streamed")


@pytest.mark.parametrize(
    ("service", "call", "code"),
    [
        ("sts", lambda c: c.get_caller_identity(), "SignatureDoesNotMatch"),
        ("iam", lambda c: c.list_roles(), "SignatureDoesNotMatch"),
        ("lambda", lambda c: c.list_functions(), "InvalidSignatureException"),
        ("logs", lambda c: c.describe_log_groups(), "InvalidSignatureException"),
        ("s3", lambda c: c.list_buckets(), "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_secret(signed, service, call, code):
    with aws_error(code, MISMATCH, status_of(service)):
        call(signed(service, secret="wrong"))


@pytest.mark.parametrize(
    ("service", "call", "code", "message"),
    [
        (
            "sts",
            lambda c: c.get_caller_identity(),
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        (
            "lambda",
            lambda c: c.list_functions(),
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            "logs",
            lambda c: c.describe_log_groups(),
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            "s3",
            lambda c: c.list_buckets(),
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
    ],
)
def test_an_unknown_key(signed, service, call, code, message):
    for key in ("AKIAAAAAAAAAAAAAAAAA", "111122223333"):
        with aws_error(code, message, status_of(service)):
            call(signed(service, key=key))


def test_unsigned(strict, bucket):
    s3 = boto3.session.Session().client(
        "s3", endpoint_url=strict.url, region_name=REGION, config=botocore.config.Config(signature_version=UNSIGNED)
    )
    with aws_error("AccessDenied", re.compile("Access Denied|Anonymous"), 403):
        s3.get_object(Bucket=bucket, Key="an object/ä+b")
    api = boto3.session.Session().client(
        "lambda", endpoint_url=strict.url, region_name=REGION, config=botocore.config.Config(signature_version=UNSIGNED)
    )
    with aws_error("MissingAuthenticationTokenException", "Missing Authentication Token", 403):
        api.list_functions()
    assert strict.is_healthy(), "health needs no signature"


def test_a_tampered_body(signed, strict, bucket):
    """What was signed is not what is sent."""
    client = signed("logs")
    client.meta.events.register(
        "before-send.logs.CreateLogGroup",
        lambda request, **_: setattr(request, "body", request.body.replace(b"/good", b"/evil")),
    )
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.create_log_group(logGroupName="/good")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)
    assert signed("logs").describe_log_groups(logGroupNamePrefix="/evil")["logGroups"] == []


def test_role_sessions(signed):
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}}
    signed("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps({"Statement": trust}))
    credentials = signed("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/worker", RoleSessionName="me")[
        "Credentials"
    ]
    session = {
        "key": credentials["AccessKeyId"],
        "secret": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
    }
    assert signed("sts", **session).get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/worker/me"
    for change in ({"token": None}, {"token": "x" + session["token"][1:]}, {"key": "ASIA" + "A" * 16}, {"secret": "x"}):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            signed("sts", **{**session, **change}).get_caller_identity()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_with_the_command_line(strict):
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(strict.data_dir),
        "AWS_SHARED_CREDENTIALS_FILE": str(strict.data_dir / "credentials"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [
        AWS_CLI,
        "--endpoint-url",
        strict.url,
        "sts",
        "get-caller-identity",
        "--output",
        "text",
        "--query",
        "Account",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (0, "000000000000\n"), done.stderr


def test_credentials_are_kept_over_a_restart(strict, keys, signed):
    text = (strict.data_dir / "credentials").read_text()
    session = signed("sts").get_session_token()["Credentials"]
    strict.restart("kill9")
    assert (strict.data_dir / "credentials").read_text() == text
    again = signed("sts", key=session["AccessKeyId"], secret=session["SecretAccessKey"], token=session["SessionToken"])
    assert again.get_caller_identity()["Account"] == "000000000000"


# By hand: what clients do not do


def sign(
    keys, when, method="GET", path="/", query="", region=REGION, service="sts", payload=b"", scope_date=None, headers=()
):
    """The headers of a request signed as AWS describes it."""
    key, secret = keys
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    day = scope_date or stamp[:8]
    given = {"host": "127.0.0.1", "x-amz-date": stamp, **dict(headers)}
    names = ";".join(sorted(given))
    canonical = "\n".join(
        [
            method,
            path,
            query,
            *(f"{name}:{given[name]}" for name in sorted(given)),
            "",
            names,
            hashlib.sha256(payload).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.new(signing, to_sign.encode(), "sha256").hexdigest()
    given["authorization"] = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return given


def who_am_i(strict, headers, payload):
    connection = http.client.HTTPConnection("127.0.0.1", strict.port, timeout=10)
    connection.putrequest("POST", "/", skip_host=True, skip_accept_encoding=True)
    for name, value in {**headers, "content-length": str(len(payload))}.items():
        connection.putheader(name, value)
    connection.endheaders(payload)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


PAYLOAD = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def now(**shift):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**shift)


def test_a_signature_by_hand(strict, keys):
    status, text = who_am_i(strict, sign(keys, now(), "POST", payload=PAYLOAD, headers=FORM), PAYLOAD)
    assert status == 200 and "<Account>000000000000</Account>" in text


@pytest.mark.parametrize("shift", [{"minutes": -4}, {"minutes": 4}, {"minutes": -14}, {"minutes": 14}])
def test_a_clock_a_little_off(strict, keys, shift):
    assert who_am_i(strict, sign(keys, now(**shift), "POST", payload=PAYLOAD, headers=FORM), PAYLOAD)[0] == 200


@pytest.mark.parametrize(
    ("shift", "word"),
    [
        ({"minutes": -16}, "expired"),
        ({"days": -2}, "expired"),
        ({"minutes": 16}, "not yet current"),
        ({"days": 400}, "not yet current"),
    ],
)
def test_a_clock_too_far_off(strict, keys, shift, word):
    status, text = who_am_i(strict, sign(keys, now(**shift), "POST", payload=PAYLOAD, headers=FORM), PAYLOAD)
    assert status == 403 and "<Code>SignatureDoesNotMatch</Code>" in text and f"Signature {word}: " in text, text


def test_scopes_that_do_not_fit(strict, keys):
    for changes in ({"scope_date": "20200101"}, {"service": "nope"}):
        status, _ = who_am_i(strict, sign(keys, now(), "POST", payload=PAYLOAD, headers=FORM, **changes), PAYLOAD)
        assert 400 <= status < 502
    other_region = sign(keys, now(), "POST", payload=PAYLOAD, headers=FORM, region="eu-west-1")
    assert who_am_i(strict, other_region, PAYLOAD)[0] == 200, "a region of the client's choice is no forgery"


def test_changed_after_signing(strict, keys):
    good = sign(keys, now(), "POST", payload=PAYLOAD, headers=FORM)
    for name, value in (
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "localhost"),
        ("x-amz-date", now(seconds=-5).strftime("%Y%m%dT%H%M%SZ")),
        ("authorization", good["authorization"][:-1] + ("0" if good["authorization"][-1] != "0" else "1")),
        ("authorization", re.sub("SignedHeaders=.*?,", "SignedHeaders=host,", good["authorization"])),
    ):
        status, _ = who_am_i(strict, {**good, name: value}, PAYLOAD)
        assert status == 403, name
    assert who_am_i(strict, good, PAYLOAD.replace(b"GetCallerIdentity", b"GetSessionToken"))[0] in (400, 403)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 x",
        "Basic eDp5",
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/sts/aws4_request, SignedHeaders=, Signature=",
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20260101/sts/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 " + "Credential={key}/20260101/us-east-1/sts/aws4_request, " * 200,
        "\x80\xff" * 100,
    ],
    ids=lambda value: value[:40],
)
def test_malformed_authorization(strict, keys, value):
    headers = {
        "host": "127.0.0.1",
        **FORM,
        "authorization": value.format(key=keys[0]),
        "x-amz-date": now().strftime("%Y%m%dT%H%M%SZ"),
    }
    status, text = who_am_i(strict, {name: v.encode("latin-1") for name, v in headers.items()}, PAYLOAD)
    assert status in (400, 403), text
    assert strict.is_healthy()


# Presigned


def fetch(url, data=None, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_presigned_as_boto3_does_by_default(signed, bucket):
    """In us-east-1 boto3 presigns with signature version 2 unless it is told otherwise, and AWS takes that."""
    s3 = signed("s3")
    parameters = {"Bucket": bucket, "Key": "an object/ä+b"}
    url = s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=60)
    assert fetch(url) == (200, b"content")
    assert fetch(url.replace("/an%20object", "/another"))[0] == 403
    assert fetch(s3.generate_presigned_url("get_object", Params=parameters, ExpiresIn=-60))[0] == 403


def test_presigned_by_version_2(signed, strict, bucket):
    """What boto3 puts into such URLs, and S3's refusals."""
    s3 = signed("s3", signature_version="s3")

    def url(operation, client=s3, **parameters):
        return client.generate_presigned_url(operation, Params={"Bucket": bucket, **parameters}, ExpiresIn=60)

    put = url("put_object", Key="v2", Metadata={"Of": "url"}, ContentType="text/plain", StorageClass="STANDARD_IA")
    assert fetch(put, b"by url", "PUT")[0] == 403, "urllib sends another Content-Type"
    request = urllib.request.Request(put, data=b"by url", method="PUT", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    head = signed("s3").head_object(Bucket=bucket, Key="v2")
    assert (head["Metadata"], head["StorageClass"], head["ContentType"]) == ({"of": "url"}, "STANDARD_IA", "text/plain")

    get = url("get_object", Key="v2", ResponseContentType="text/html; charset=utf-8", ResponseCacheControl="no-cache")
    with urllib.request.urlopen(get, timeout=10) as answer:
        assert (answer.headers["content-type"], answer.read()) == ("text/html; charset=utf-8", b"by url")
    assert b"<Key>v2</Key>" in fetch(url("list_objects_v2", Prefix="v"))[1]
    by_host = signed("s3", signature_version="s3", s3={"addressing_style": "virtual"})
    host = urllib.parse.urlsplit(strict.url)
    for text in (url("get_object", by_host, Key="v2"), url("list_objects_v2", by_host)):
        split = urllib.parse.urlsplit(text)
        # The address has no virtual hosts, so boto3 signs for the path.
        assert split.netloc == host.netloc
        virtual = urllib.request.Request(
            f"{strict.url}{split.path.removeprefix('/' + bucket) or '/'}?{split.query}",
            headers={"Host": f"{bucket}.localhost:{host.port}"},
        )
        with urllib.request.urlopen(virtual, timeout=10) as answer:
            assert answer.status == 200

    session = signed("sts").get_session_token()["Credentials"]
    temporary = signed(
        "s3",
        signature_version="s3",
        key=session["AccessKeyId"],
        secret=session["SecretAccessKey"],
        token=session["SessionToken"],
    )
    by_session = url("get_object", temporary, Key="v2")
    assert "x-amz-security-token=" in by_session
    assert fetch(by_session) == (200, b"by url")
    assert fetch(re.sub("&x-amz-security-token=[^&]*", "", by_session))[0] == 403

    plain = url("get_object", Key="v2")
    refusals = [
        (plain, "DELETE", "SignatureDoesNotMatch", "The request signature we calculated does not match"),
        (plain + "&versionId=x", "GET", "SignatureDoesNotMatch", "?versionId=x</StringToSign>"),
        (plain.replace("KeyId=", "KeyId=X"), "GET", "InvalidAccessKeyId", "does not exist in our records."),
        (re.sub("Expires=.*", "Expires=1", plain), "GET", "AccessDenied", "Request has expired"),
        (
            re.sub("Expires=.*", "Expires=soon", plain),
            "GET",
            "AccessDenied",
            "Invalid date (should be seconds since epoch): soon",
        ),
        *(
            (
                re.sub(f"{name}=[^&]*&?", "", plain),
                "GET",
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            )
            for name in ("AWSAccessKeyId", "Signature", "Expires")
        ),
    ]
    for text, method, code, message in refusals:
        status, body = fetch(text, method=method)
        assert status == 403 and f"<Code>{code}</Code>" in body.decode() and message in body.decode(), body
    signed("s3").delete_object(Bucket=bucket, Key="v2")


def test_presigned(signed, bucket):
    s3 = signed("s3", signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "an object/ä+b"}, ExpiresIn=60)
    assert fetch(url) == (200, b"content")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "put"}, ExpiresIn=60)
    assert fetch(put, b"by url", "PUT")[0] == 200
    assert s3.get_object(Bucket=bucket, Key="put")["Body"].read() == b"by url"
    assert fetch(put, method="GET")[0] == 403, "another method was not signed"
    assert fetch(url.replace("/an%20object", "/another"))[0] == 403
    for tampered in (
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&response-content-type=text%2Fhtml",
    ):
        status, body = fetch(tampered)
        assert status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in body, body


def test_presigned_and_expired(strict, signed, bucket, keys):
    def presigned(when, expires):
        stamp = when.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        query = urllib.parse.urlencode(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": f"{keys[0]}/{scope}",
                "X-Amz-Date": stamp,
                "X-Amz-Expires": expires,
                "X-Amz-SignedHeaders": "host",
            },
            quote_via=urllib.parse.quote,
            safe="",
        )
        path = f"/{bucket}/an%20object/%C3%A4%2Bb"
        canonical = f"GET\n{path}\n{query}\nhost:127.0.0.1:{strict.port}\n\nhost\nUNSIGNED-PAYLOAD"
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signing = f"AWS4{keys[1]}".encode()
        for part in scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        return f"{strict.url}{path}?{query}&X-Amz-Signature={hmac.new(signing, to_sign.encode(), 'sha256').hexdigest()}"

    assert fetch(presigned(now(), 60)) == (200, b"content")
    assert fetch(presigned(now(hours=-2), 3 * 3600)) == (200, b"content"), "older than the skew, yet not expired"
    status, body = fetch(presigned(now(seconds=-61), 60))
    assert status == 403 and b"<Code>AccessDenied</Code>" in body and b"Request has expired" in body
    assert fetch(presigned(now(), 604_801))[0] in (400, 403)
    assert fetch(presigned(now(), -1))[0] in (400, 403)
    assert fetch(presigned(now(hours=1), 60))[0] in (400, 403)
