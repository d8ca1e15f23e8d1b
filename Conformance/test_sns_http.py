"""HTTP subscribers: the handshake, signatures, retries, dead-letter queues, and the death of the server."""

import configparser
import json
import time
import urllib.error

import boto3
import pytest

from .expect import aws_error
from .harness import REGION, unique, wait_for
from .sns_helpers import Queue, confirmed, get, subscriber, verify


@pytest.fixture
def sns(client):
    return client("sns")


@pytest.fixture
def topic(sns):
    return sns.create_topic(Name=unique("topic"))["TopicArn"]


@pytest.fixture
def listener():
    with subscriber() as one:
        yield one


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_handshake_and_signed_notifications(sns, topic, listener, version):
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=listener.url)
    assert answer["SubscriptionArn"] == "pending confirmation"
    asked, headers = listener.body(0), listener.headers(0)
    assert list(asked) == ["Type", "MessageId", "Token", "TopicArn", "Message", "SubscribeURL", "Timestamp",
                           "SignatureVersion", "Signature", "SigningCertURL"]
    assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert headers["x-amz-sns-message-id"] == asked["MessageId"] and headers["x-amz-sns-topic-arn"] == topic
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    verify(asked)
    [listed] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    sns.publish(TopicArn=topic, Message="nobody listens yet")
    assert b"ConfirmSubscriptionResult" in get(asked["SubscribeURL"])
    [listed] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    arn = listed["SubscriptionArn"]
    assert arn.startswith(topic)
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["ConfirmationWasAuthenticated"] == "false" and attributes["PendingConfirmation"] == "false"
    sns.publish(TopicArn=topic, Message="hello", Subject="Subject")
    told, headers = listener.body(1), listener.headers(1)
    assert told["Type"] == "Notification" and told["Message"] == "hello" and told["SignatureVersion"] == version
    assert headers["x-amz-sns-subscription-arn"] == arn
    verify(told)
    told["Message"] = "forged"
    with pytest.raises(Exception):
        verify(told)


def test_the_link_unsubscribes_and_a_second_brings_back(sns, topic, listener):
    arn = confirmed(sns, topic, listener)
    sns.publish(TopicArn=topic, Message="one")
    get(listener.body(1)["UnsubscribeURL"])
    farewell = listener.body(2)
    assert farewell["Type"] == "UnsubscribeConfirmation"
    verify(farewell)
    with aws_error("NotFound", "Subscription does not exist", 404):
        sns.get_subscription_attributes(SubscriptionArn=arn)
    get(farewell["SubscribeURL"])
    sns.publish(TopicArn=topic, Message="again")
    assert listener.body(3)["Message"] == "again"


def test_a_guarded_subscription_needs_a_signature(sns, topic, listener):
    arn = sns.subscribe(
        TopicArn=topic, Protocol="http", Endpoint=listener.url, ReturnSubscriptionArn=True)["SubscriptionArn"]
    token = listener.body(0)["Token"]
    sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    sns.publish(TopicArn=topic, Message="one")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(listener.body(1)["UnsubscribeURL"])
    assert caught.value.code == 403
    sns.unsubscribe(SubscriptionArn=arn)


def test_a_subscriber_that_fails_at_first(sns, topic, listener):
    """The shared server's waits are divided by 600: 20 seconds are 33 ms."""
    confirmed(sns, topic, listener)
    listener.answers = [500, 503, 429]
    sns.publish(TopicArn=topic, Message="at last")
    listener.wait(5)
    assert [json.loads(r[2])["Message"] for r in listener.requests[1:]] == ["at last"] * 4
    assert len({json.loads(r[2])["MessageId"] for r in listener.requests[1:]}) == 1
    time.sleep(0.3)
    assert len(listener.requests) == 5


def test_what_is_never_taken_goes_to_the_dead_letter_queue(server, sns, topic, listener):
    dead = Queue(server)
    confirmed(sns, topic, listener, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    listener.answers = [500] * 4
    sns.publish(TopicArn=topic, Message="refused")
    [body] = dead.bodies(1)
    assert body["Message"] == "refused" and len(listener.requests) == 5
    verify(body)
    listener.answers = [403]
    sns.publish(TopicArn=topic, Message="forbidden")
    assert dead.bodies(1)[0]["Message"] == "forbidden"
    assert len(listener.requests) == 6


def test_a_dead_endpoint(server, sns, topic):
    dead = Queue(server)
    with subscriber() as one:
        confirmed(sns, topic, one, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead.arn}))
    sns.publish(TopicArn=topic, Message="nobody there")
    assert dead.bodies(1)[0]["Message"] == "nobody there"


def test_raw_delivery_and_delivery_policies(sns, topic, listener):
    arn = confirmed(sns, topic, listener, RawMessageDelivery="true", DeliveryPolicy=json.dumps({
        "healthyRetryPolicy": {"numRetries": 5, "numNoDelayRetries": 2, "minDelayTarget": 1, "maxDelayTarget": 3},
        "requestPolicy": {"headerContentType": "application/json"}}))
    effective = json.loads(
        sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["EffectiveDeliveryPolicy"])
    assert effective["healthyRetryPolicy"]["numRetries"] == 5
    listener.answers = [500] * 5
    sns.publish(TopicArn=topic, Message='{"raw": true}')
    listener.wait(7)
    for _, headers, body, _ in listener.requests[1:]:
        assert body == b'{"raw": true}'
        assert headers["x-amz-sns-rawdelivery"] == "true" and headers["Content-Type"] == "application/json"


@pytest.mark.slow
def test_a_subscriber_that_hangs(make_server):
    """Fifteen seconds, then it counts as failed; others are not held up."""
    server = make_server("--time-scale", "600")
    sns = server.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    with subscriber() as slow, subscriber() as quick:
        confirmed(sns, topic, slow)
        confirmed(sns, topic, quick)
        slow.answers = ["hang"]
        start = time.monotonic()
        sns.publish(TopicArn=topic, Message="m")
        quick.wait(2)
        assert time.monotonic() - start < 5
        slow.wait(3)
        assert 14 < slow.requests[2][3] - start < 19


def test_links_work_without_a_signature_where_others_need_one(make_server):
    server = make_server("--auth", "sigv4")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{server.url}/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:000000000000:t&Token={'0' * 288}")
    assert caught.value.code == 400 and b"Invalid parameter: Topic" in caught.value.read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{server.url}/?Action=ListTopics&Version=2010-03-31")
    assert caught.value.code == 403 and b"MissingAuthenticationToken" in caught.value.read()


def test_the_handshake_where_requests_are_signed(make_server, listener):
    """The subscriber has no credentials: the links and the certificate must do without."""
    server = make_server("--auth", "sigv4")
    parser = configparser.ConfigParser()
    parser.read(server.data_dir / "credentials")
    keys = parser["default"]
    sns = boto3.session.Session().client(
        "sns", endpoint_url=server.url, region_name=REGION, aws_access_key_id=keys["aws_access_key_id"],
        aws_secret_access_key=keys["aws_secret_access_key"])
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    confirmed(sns, topic, listener)
    sns.publish(TopicArn=topic, Message="hello")
    told = listener.body(1)
    verify(told)
    get(told["UnsubscribeURL"])
    farewell = listener.body(2)
    assert farewell["Type"] == "UnsubscribeConfirmation"
    get(farewell["SubscribeURL"])
    sns.publish(TopicArn=topic, Message="again")
    assert listener.body(3)["Message"] == "again"
    for query in [f"Action=Publish&TopicArn={topic}&Message=m", f"Action=DeleteTopic&TopicArn={topic}"]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f"{server.url}/?{query}&Version=2010-03-31")
        assert caught.value.code == 403


def test_a_subscription_cannot_call_the_server(server, client, sns, topic):
    """The server would be a caller on its own machine, with the account's root rights."""
    name = unique("victim")
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    sns.subscribe(
        TopicArn=topic, Protocol="http",
        Endpoint=f"{server.url}/?Action=DeleteRole&RoleName={name}&Version=2010-05-08")
    queue = client("sqs").create_queue(QueueName=unique("later"))["QueueUrl"]
    client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=2)  # the time in which it was done
    assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name


def test_a_throttle_policy_holds(sns, topic, listener):
    """Two a second: a burst of ten goes out over seconds, and whole."""
    confirmed(sns, topic, listener, RawMessageDelivery="true",
              DeliveryPolicy=json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 2}}))
    for number in range(10):
        sns.publish(TopicArn=topic, Message=str(number))
    listener.wait(11)
    assert {r[2] for r in listener.requests[1:]} == {str(number).encode() for number in range(10)}
    took = listener.requests[10][3] - listener.requests[1][3]
    assert took > 1.5, f"ten deliveries within {took:.1f} s"


@pytest.mark.timeout(180)
def test_nothing_published_is_lost_over_kill9(make_server):
    """Killed between publishing and delivering, again and again: queue and HTTP subscriber have everything."""
    server = make_server("--time-scale", "600")
    sns = server.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    queue = Queue(server)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    published = set()
    with subscriber() as one:
        confirmed(sns, topic, one, RawMessageDelivery="true")
        for round_number in range(5):
            one.answers = [503] * 3
            for number in range(20):
                text = f"{round_number}/{number}"
                sns.publish(TopicArn=topic, Message=text)
                published.add(text)
            server.restart("kill9")
        wait_for(lambda: published <= {r[2].decode() for r in one.requests}, 60)
    got = {m["Body"] for m in queue.messages(len(published), 60)}
    assert got == published
