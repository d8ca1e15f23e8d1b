"""SNS's topics and subscriptions, with boto3 and the AWS CLI."""

import json

import pytest

from .expect import aws_error
from .harness import ACCOUNT, REGION, unique
from .sns_helpers import topic_arn


@pytest.fixture
def sns(client):
    return client("sns")


@pytest.fixture
def topic(sns):
    arn = sns.create_topic(Name=unique("topic"))["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


def queue_arn(name=None):
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name or unique('queue')}"


def test_the_life_of_a_topic(sns):
    name = unique("topic")
    arn = sns.create_topic(Name=name, Attributes={"DisplayName": "Hi"}, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
    assert arn == topic_arn(name)
    assert sns.create_topic(Name=name)["TopicArn"] == arn
    with aws_error("InvalidParameter",
                   "Invalid parameter: Attributes Reason: Topic already exists with different attributes"):
        sns.create_topic(Name=name, Attributes={"DisplayName": "Other"})
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert attributes["DisplayName"] == "Hi" and attributes["Owner"] == ACCOUNT
    assert json.loads(attributes["EffectiveDeliveryPolicy"])["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    statement = json.loads(attributes["Policy"])["Statement"][0]
    assert statement["Resource"] == arn and "SNS:Publish" in statement["Action"]
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="Ho")
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "Ho"
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    pages = sns.get_paginator("list_topics").paginate()
    assert arn in [item["TopicArn"] for page in pages for item in page["Topics"]]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    with aws_error("NotFound", "Topic does not exist", 404):
        sns.get_topic_attributes(TopicArn=arn)


@pytest.mark.parametrize("call, code, message", [
    (lambda sns, topic: sns.create_topic(Name="a b"), "InvalidParameter", "Invalid parameter: Topic Name"),
    (lambda sns, topic: sns.get_topic_attributes(TopicArn="topic"), "InvalidParameter",
     "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"),
    (lambda sns, topic: sns.set_topic_attributes(TopicArn=topic, AttributeName="fake", AttributeValue="x"),
     "InvalidParameter", "Invalid parameter: AttributeName"),
    (lambda sns, topic: sns.subscribe(TopicArn=topic, Protocol="test-protocol", Endpoint="x"),
     "InvalidParameter", "Invalid parameter: Amazon SNS does not support this protocol string: test-protocol"),
    (lambda sns, topic: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="http://localhost:4566/0/q"),
     "InvalidParameter", "Invalid parameter: SQS endpoint ARN"),
    (lambda sns, topic: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn("q.fifo")),
     "InvalidParameter", "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be "
     "subscribed to standard SNS topics"),
    (lambda sns, topic: sns.unsubscribe(SubscriptionArn="x"), "InvalidParameter",
     "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"),
    (lambda sns, topic: sns.unsubscribe(SubscriptionArn=topic), "InvalidParameter",
     "Invalid parameter: SubscriptionId"),
    (lambda sns, topic: sns.publish(TopicArn=topic, Message=""), "InvalidParameter",
     "Invalid parameter: Empty message"),
    (lambda sns, topic: sns.publish(TopicArn=topic, Message="m", Subject=""), "InvalidParameter",
     "Invalid parameter: Subject"),
    (lambda sns, topic: sns.publish(TopicArn=topic, Message="m" * 262_145), "InvalidParameter",
     "Invalid parameter: Message too long"),
    (lambda sns, topic: sns.publish(TopicArn=topic, Message="m", MessageAttributes={
        "attr1": {"DataType": "Stringy", "StringValue": "x"}}), "ParameterValueInvalid",
     "The message attribute 'attr1' has an invalid message attribute type, the set of supported type prefixes is "
     "Binary, Number, and String."),
    (lambda sns, topic: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": "a", "Message": "m"}, {"Id": "a", "Message": "m"}]), "BatchEntryIdsNotDistinct",
     "Two or more batch entries in the request have the same Id."),
    (lambda sns, topic: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[
        {"Id": str(n), "Message": "m"} for n in range(11)]), "TooManyEntriesInBatchRequest",
     "The batch request contains more entries than permissible."),
    (lambda sns, topic: sns.confirm_subscription(TopicArn=topic, Token="short"), "InvalidParameter", "Invalid token"),
])
def test_refusals(sns, topic, call, code, message):
    with aws_error(code, message):
        call(sns, topic)


@pytest.mark.parametrize("call", [
    lambda sns, topic: sns.publish(PhoneNumber="+4915112345678", Message="m"),
    lambda sns, topic: sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com"),
    lambda sns, topic: sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint="+4915112345678"),
    lambda sns, topic: sns.list_platform_applications(),
    lambda sns, topic: sns.get_sms_attributes(),
    lambda sns, topic: sns.create_platform_endpoint(PlatformApplicationArn="a", Token="t"),
])
def test_what_is_not_there_says_so(sns, topic, call):
    with aws_error("InvalidParameter") as caught:
        call(sns, topic)
    assert "Martlet sends no SMS messages" in str(caught.value)


def test_subscriptions_are_listed_in_pages(sns, topic):
    made = {
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn())["SubscriptionArn"] for _ in range(101)
    }
    first = sns.list_subscriptions_by_topic(TopicArn=topic)
    assert len(first["Subscriptions"]) == 100 and first["NextToken"]
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    assert {item["SubscriptionArn"] for page in pages for item in page["Subscriptions"]} == made
    pages = sns.get_paginator("list_subscriptions").paginate()
    assert made <= {item["SubscriptionArn"] for page in pages for item in page["Subscriptions"]}
    with aws_error("InvalidParameter"):
        sns.list_subscriptions(NextToken="%%")


def test_subscription_attributes(sns, topic):
    endpoint = queue_arn()
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)["SubscriptionArn"]
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)["SubscriptionArn"] == arn
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["PendingConfirmation"] == "false" and attributes["Endpoint"] == endpoint
    with aws_error("InvalidParameter",
                   "Invalid parameter: RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false."):
        sns.set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="test-ValUe")
    with aws_error("InvalidParameter", "Invalid parameter: RedrivePolicy: deadLetterTargetArn is an invalid arn"):
        sns.set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="RedrivePolicy", AttributeValue='{"deadLetterTargetArn": "fake"}')
    policy = json.dumps({"store": ["example"], "price": [{"numeric": [">=", 100]}]})
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy)
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["FilterPolicy"] == policy and attributes["FilterPolicyScope"] == "MessageAttributes"
    sns.unsubscribe(SubscriptionArn=arn)
    sns.unsubscribe(SubscriptionArn=arn)
    with aws_error("NotFound", "Subscription does not exist", 404):
        sns.get_subscription_attributes(SubscriptionArn=arn)
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsDeleted"] == "1"


def test_permissions(sns, topic, client):
    other = client("sns", account="111122223333")
    with aws_error("AuthorizationError", status=403):
        other.publish(TopicArn=topic, Message="m")
    sns.add_permission(TopicArn=topic, Label="one", AWSAccountId=["111122223333"], ActionName=["Publish"])
    other.publish(TopicArn=topic, Message="m")
    with aws_error("AuthorizationError", status=403):
        other.delete_topic(TopicArn=topic)
    with aws_error("InvalidParameter", "Invalid parameter: Statement already exists"):
        sns.add_permission(TopicArn=topic, Label="one", AWSAccountId=["111122223333"], ActionName=["Publish"])
    sns.remove_permission(TopicArn=topic, Label="one")
    with aws_error("AuthorizationError", status=403):
        other.publish(TopicArn=topic, Message="m")
    with aws_error("InvalidParameter", "Invalid parameter: Policy statement action out of service scope!"):
        sns.add_permission(TopicArn=topic, Label="two", AWSAccountId=["111122223333"], ActionName=["Fly"])


def test_data_protection_policies_are_kept(sns, topic):
    policy = json.dumps({"Name": "p", "Version": "2021-06-01", "Statement": []})
    sns.put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy=policy)
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == policy


def test_the_cli(aws):
    name = unique("topic")
    arn = aws("sns", "create-topic", "--name", name).json["TopicArn"]
    subscription = aws("sns", "subscribe", "--topic-arn", arn, "--protocol", "sqs",
                       "--notification-endpoint", queue_arn()).json["SubscriptionArn"]
    assert subscription.startswith(arn)
    published = aws("sns", "publish", "--topic-arn", arn, "--message", "hello", "--message-attributes",
                    '{"a": {"DataType": "String", "StringValue": "b"}}').json
    assert published["MessageId"]
    aws("sns", "delete-topic", "--topic-arn", arn)
