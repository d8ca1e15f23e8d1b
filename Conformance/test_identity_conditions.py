"""What policies ask beside action and resource: tags of requests, resources and callers; the source of a service that assumes a
role; how long sessions last and what they hand on. Real clients, `--auth sigv4`."""

import json
import re
import urllib.error
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from .expect import aws_error
from .harness import REGION
from .test_identities import package, role, trust  # noqa: F401
from .test_policies import ACCOUNT, signed, strict  # noqa: F401

# ruff: noqa: F811


def is_denied(call):
    """Whether a call is refused by policies; fails for any other refusal."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        assert "not authorized to perform" in str(error), error
        return True
    return False


def sourced(service, source):
    """The trust of AWS's guides against the confused deputy."""
    return trust({"Service": f"{service}.amazonaws.com"}, Condition={
        "StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": source}})


def test_services_assume_roles_for_a_source(signed, unique):
    name, queue = unique("source"), f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    iam, scheduler, events, logs = signed("iam"), signed("scheduler"), signed("events"), signed("logs")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    stream = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust({"Service": "sqs.amazonaws.com"}))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))
    scheduler.create_schedule_group(Name=name)
    events.put_rule(Name=name, ScheduleExpression="rate(1 day)", State="DISABLED")
    logs.create_log_group(logGroupName=name)
    signed("kinesis").create_stream(StreamName=name, ShardCount=1)
    calls = [
        ("scheduler", f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{name}", lambda: scheduler.create_schedule(
            Name=name, GroupName=name, ScheduleExpression="rate(1 day)", FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": queue, "RoleArn": arn})),
        ("events", f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}", lambda: events.put_targets(
            Rule=name, Targets=[{"Id": "1", "Arn": queue, "RoleArn": arn}])),
        ("logs", f"arn:aws:logs:{REGION}:{ACCOUNT}:*", lambda: logs.put_subscription_filter(
            logGroupName=name, filterName=name, filterPattern="", destinationArn=stream, roleArn=arn)),
        ("lambda", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}", lambda: signed("lambda").create_function(
            FunctionName=name, Runtime="python3.11", Role=arn, Handler="app.handler", Code={"ZipFile": package()})),
    ]
    for service, source, call in calls:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=sourced(service, source.replace(name, "other").replace(":*", ":x")))
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400, service
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=sourced(service, source))
        call()


def test_api_gateway_assumes_roles_when_it_calls(signed, strict, unique):
    name = unique("fn")
    iam, apis = signed("iam"), signed("apigatewayv2")
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    runs = iam.create_role(RoleName=unique("runs"), AssumeRolePolicyDocument=trust(
        {"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
    caller = unique("caller")
    arn = iam.create_role(RoleName=caller, AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=caller, PolicyName="call", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}}))
    signed("lambda").create_function(
        FunctionName=name, Runtime="python3.11", Role=runs, Handler="app.handler", Code={"ZipFile": package()})
    signed("lambda").get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    api = apis.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    # Whether the role trusts API Gateway is no matter yet, as on AWS.
    integration = apis.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0", CredentialsArn=arn,
        IntegrationUri=function)["IntegrationId"]
    apis.create_route(ApiId=api, RouteKey="GET /x", Target=f"integrations/{integration}")
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)

    def status():
        request = urllib.request.Request(
            f"{strict.url}/x", headers={"Host": f"{api}.execute-api.{REGION}.amazonaws.com"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def trusts(policy):
        iam.update_assume_role_policy(RoleName=caller, PolicyDocument=policy)
        return status()

    assert status() == 500
    assert trusts(trust({"Service": "apigateway.amazonaws.com"})) == 200
    assert trusts(sourced("apigateway", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:other/*")) == 500
    assert trusts(sourced("apigateway", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*")) == 200


def test_tags_of_requests(role, signed, unique):
    """A Deny of the tag `owner` holds wherever tags are given or taken away; an Allow for `team` too."""
    name = unique("tagged")
    queue = signed("sqs").create_queue(QueueName=name)["QueueUrl"]
    signed("kinesis").create_stream(StreamName=name, ShardCount=1)
    table = signed("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])["TableDescription"]["TableArn"]
    signed("cloudwatch").put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold")
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    group = signed("scheduler").create_schedule_group(Name=name)["ScheduleGroupArn"]
    topic = signed("sns").create_topic(Name=name)["TopicArn"]
    signed("logs").create_log_group(logGroupName=name)

    def pair(key):
        return [{"Key": key, "Value": "x"}]

    calls = [
        ("sqs", lambda c, key: c.create_queue(QueueName=f"{name}-{key}", tags={key: "x"})),
        ("sqs", lambda c, key: c.tag_queue(QueueUrl=queue, Tags={key: "x"})),
        ("sqs", lambda c, key: c.untag_queue(QueueUrl=queue, TagKeys=[key])),
        ("kinesis", lambda c, key: c.create_stream(StreamName=f"{name}-{key}", ShardCount=1, Tags={key: "x"})),
        ("kinesis", lambda c, key: c.add_tags_to_stream(StreamName=name, Tags={key: "x"})),
        ("kinesis", lambda c, key: c.remove_tags_from_stream(StreamName=name, TagKeys=[key])),
        ("dynamodb", lambda c, key: c.tag_resource(ResourceArn=table, Tags=pair(key))),
        ("dynamodb", lambda c, key: c.untag_resource(ResourceArn=table, TagKeys=[key])),
        ("cloudwatch", lambda c, key: c.tag_resource(ResourceARN=alarm, Tags=pair(key))),
        ("cloudwatch", lambda c, key: c.untag_resource(ResourceARN=alarm, TagKeys=[key])),
        ("events", lambda c, key: c.create_event_bus(Name=f"{name}-{key}", Tags=pair(key))),
        ("scheduler", lambda c, key: c.create_schedule_group(Name=f"{name}-{key}", Tags=pair(key))),
        ("scheduler", lambda c, key: c.tag_resource(ResourceArn=group, Tags=pair(key))),
        ("scheduler", lambda c, key: c.untag_resource(ResourceArn=group, TagKeys=[key])),
        ("sns", lambda c, key: c.tag_resource(ResourceArn=topic, Tags=pair(key))),
        ("logs", lambda c, key: c.tag_log_group(logGroupName=name, tags={key: "x"})),
        ("logs", lambda c, key: c.untag_log_group(logGroupName=name, tags=[key])),
        ("s3", lambda c, key: c.create_bucket(
            Bucket=f"{name}-{key}", CreateBucketConfiguration={"Tags": pair(key)})),
    ]
    role.allow("*")
    role.allow("*", effect="Deny", Condition={"ForAnyValue:StringEquals": {"aws:TagKeys": ["owner"]}})
    role.allow("*", effect="Deny", Condition={"StringEquals": {"aws:RequestTag/Secret": "x"}})
    for number, (service, call) in enumerate(calls):
        client = role.client(service)
        assert is_denied(lambda: call(client, "owner")), (number, service)
        assert not is_denied(lambda: call(client, "team")), (number, service)
    assert is_denied(lambda: role.client("sqs").tag_queue(QueueUrl=queue, Tags={"secret": "x"}))
    # Names that differ in case only: a Deny of either value holds.
    assert is_denied(lambda: role.client("sqs").tag_queue(QueueUrl=queue, Tags={"secret": "x", "SECRET": "y"}))


def test_tags_of_resources(role, signed, unique):
    """`aws:ResourceTag` of what is used; the account sets the tag, and what was allowed is not any more."""
    name = unique("res")
    sqs, kinesis, dynamodb, sns, events, scheduler, cloudwatch, logs, functions, iam, git = (signed(service) for service in (
        "sqs", "kinesis", "dynamodb", "sns", "events", "scheduler", "cloudwatch", "logs", "lambda", "iam", "codecommit"))
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    kinesis.create_stream(StreamName=name, ShardCount=1)
    table = dynamodb.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])["TableDescription"]["TableArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    rule = events.put_rule(Name=name, ScheduleExpression="rate(1 day)", State="DISABLED")["RuleArn"]
    group = scheduler.create_schedule_group(Name=name)["ScheduleGroupArn"]
    cloudwatch.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold")
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    logs.create_log_group(logGroupName=name)
    runs = iam.create_role(RoleName=name, Path="/app/", AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
    function = functions.create_function(
        FunctionName=name, Runtime="python3.11", Role=runs, Handler="app.handler", Code={"ZipFile": package()})["FunctionArn"]
    repository = git.create_repository(repositoryName=name)["repositoryMetadata"]["Arn"]
    tag, pairs = {"Locked": "yes"}, [{"Key": "Locked", "Value": "yes"}]
    cases = [
        ("sqs", lambda: sqs.tag_queue(QueueUrl=queue, Tags=tag), lambda c: c.send_message(QueueUrl=queue, MessageBody="m")),
        ("kinesis", lambda: kinesis.add_tags_to_stream(StreamName=name, Tags=tag),
         lambda c: c.put_record(StreamName=name, PartitionKey="p", Data=b"d")),
        ("dynamodb", lambda: dynamodb.tag_resource(ResourceArn=table, Tags=pairs),
         lambda c: c.put_item(TableName=name, Item={"k": {"S": "1"}})),
        ("sns", lambda: sns.tag_resource(ResourceArn=topic, Tags=pairs), lambda c: c.publish(TopicArn=topic, Message="m")),
        ("sns", lambda: None, lambda c: c.list_tags_for_resource(ResourceArn=topic)),
        ("events", lambda: events.tag_resource(ResourceARN=rule, Tags=pairs), lambda c: c.describe_rule(Name=name)),
        ("scheduler", lambda: scheduler.tag_resource(ResourceArn=group, Tags=pairs), lambda c: c.get_schedule_group(Name=name)),
        ("cloudwatch", lambda: cloudwatch.tag_resource(ResourceARN=alarm, Tags=pairs),
         lambda c: c.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="r")),
        ("logs", lambda: logs.tag_log_group(logGroupName=name, tags=tag), lambda c: c.describe_log_streams(logGroupName=name)),
        ("lambda", lambda: functions.tag_resource(Resource=function, Tags=tag), lambda c: c.get_function(FunctionName=name)),
        ("lambda", lambda: None, lambda c: c.invoke(FunctionName=name, InvocationType="DryRun")),
        ("iam", lambda: iam.tag_role(RoleName=name, Tags=pairs), lambda c: c.get_role(RoleName=name)),
        ("codecommit", lambda: git.tag_resource(resourceArn=repository, tags=tag), lambda c: c.get_repository(repositoryName=name)),
    ]
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    role.allow("*")
    role.allow("*", effect="Deny", Condition={"StringEquals": {"aws:ResourceTag/locked": "yes"}})
    before = []
    for service, lock, use in cases:
        client = role.client(service)
        before.append(is_denied(lambda: use(client)))
        lock()
        assert is_denied(lambda: use(client)), service
    # Where one tag stands for two cases the second finds it set.
    assert [case[0] for case, denied in zip(cases, before) if denied] == ["sns", "lambda"]


def test_namespaces_and_actions_of_alarms(role):
    """CloudWatch guide: "Using condition keys to limit access to CloudWatch namespaces", "… to limit alarm actions"."""
    cloudwatch = role.client("cloudwatch")

    def is_put_denied(namespace):
        return is_denied(lambda: cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 1}]))

    role.allow("cloudwatch:PutMetricData", Condition={"StringEquals": {"cloudwatch:namespace": "Mine"}})
    assert not is_put_denied("Mine") and is_put_denied("Other")
    role.allow("cloudwatch:PutMetricData")
    role.allow("cloudwatch:PutMetricData", effect="Deny", Condition={"StringEquals": {"cloudwatch:namespace": "Other"}})
    assert not is_put_denied("Mine") and is_put_denied("Other")

    role.allow("cloudwatch:PutMetricAlarm", Condition={"ForAllValues:StringLike": {
        "cloudwatch:AlarmActions": ["arn:aws:sns:*", "arn:aws:ssm:*"]}})
    topic, function = f"arn:aws:sns:{REGION}:{ACCOUNT}:t", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    for actions, denied in (
        ({}, False), ({"AlarmActions": [topic]}, False), ({"AlarmActions": [function]}, True),
        ({"AlarmActions": [topic], "OKActions": [function]}, True), ({"InsufficientDataActions": [function]}, True),
    ):
        assert is_denied(lambda: cloudwatch.put_metric_alarm(
            AlarmName=role.name, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", **actions)) is denied, actions


def test_targets_of_rules(role, signed, unique):
    name = unique("rule")
    signed("events").put_rule(Name=name, ScheduleExpression="rate(1 day)", State="DISABLED")
    events = role.client("events")

    def is_put_denied(*queues):
        targets = [{"Id": queue, "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"} for queue in queues]
        return is_denied(lambda: events.put_targets(Rule=name, Targets=targets))

    role.allow("events:PutTargets", Condition={"ArnLike": {"events:TargetArn": f"arn:aws:sqs:*:{ACCOUNT}:ok*"}})
    assert not is_put_denied("ok") and is_put_denied("bad") and is_put_denied("ok", "bad") and is_put_denied("bad", "ok2")
    role.allow("events:PutTargets", effect="Deny", Condition={"ArnLike": {"events:TargetArn": "arn:aws:sqs:*:*:ok-bad"}})
    assert not is_put_denied("ok", "ok-2") and is_put_denied("ok", "ok-bad")
    role.allow("events:DescribeRule", Condition={"StringEquals": {"events:creatorAccount": "${aws:PrincipalAccount}"}})
    assert not is_denied(lambda: events.describe_rule(Name=name))
    role.allow("events:DescribeRule", effect="Deny", Condition={"StringEquals": {"events:creatorAccount": ACCOUNT}})
    assert is_denied(lambda: events.describe_rule(Name=name))


@pytest.mark.parametrize("condition, allowed, denied", [
    ({"StringEquals": {"events:source": "aws.s3"}}, [{"source": ["aws.s3"]}],
     [{"source": ["aws.ec2"]}, {"source": [{"prefix": "aws"}]}, {"detail-type": ["x"]}]),
    ({"ForAllValues:StringEquals": {"events:source": ["a", "b"]}, "Null": {"events:source": "false"}},
     [{"source": ["a"]}, {"source": ["a", "b"]}, {"$or": [{"source": ["a"]}, {"source": ["b"]}]}],
     [{"source": ["a", "c"]}, {"source": ["a", {"prefix": ""}]}, {"$or": [{"source": ["a"]}, {"source": ["c"]}]},
      {"detail": {"source": ["a"]}}]),
    ({"StringEquals": {"events:detail-type": "T"}}, [{"detail-type": ["T"]}], [{"detail-type": ["U"]}, {"source": ["T"]}]),
    ({"StringEquals": {"events:detail.service": "EC2", "events:detail.eventTypeCode": "CODE"}},
     [{"detail": {"service": ["EC2"], "eventTypeCode": ["CODE"]}}], [{"detail": {"service": ["EC2"]}}]),
    ({"StringEquals": {"events:detail.userIdentity.principalId": "ID"}},
     [{"detail": {"userIdentity": {"principalId": ["ID"]}}}], [{"detail": {"userIdentity": {"type": ["ID"]}}}]),
    ({"StringEquals": {"events:creatorAccount": "${aws:PrincipalAccount}"}}, [{"source": ["a"]}], []),
])
def test_patterns_of_rules(role, condition, allowed, denied):
    """EventBridge guide, "Using IAM policy conditions": what a rule may select."""
    events = role.client("events")
    role.allow("events:PutRule", Condition=condition)
    for pattern in allowed + denied:
        assert is_denied(lambda: events.put_rule(Name=role.name, EventPattern=json.dumps(pattern))) is (pattern in denied), pattern


def test_roles_are_protected_by_their_paths(role, signed, unique):
    name, other = unique("admin"), unique("free")
    for one, path in ((name, "/protected/"), (other, "/")):
        signed("iam").create_role(RoleName=one, Path=path, AssumeRolePolicyDocument=trust({"Service": "lambda.amazonaws.com"}))
    iam = role.client("iam")
    role.allow("iam:*")
    role.allow("iam:*", f"arn:aws:iam::{ACCOUNT}:role/protected/*", effect="Deny")
    policy = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    assert not is_denied(lambda: iam.put_role_policy(RoleName=other, PolicyName="all", PolicyDocument=policy))
    for call in (
        lambda: iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy),
        lambda: iam.put_role_policy(RoleName=name.upper(), PolicyName="all", PolicyDocument=policy),
        lambda: iam.create_role(RoleName=unique("new"), Path="/protected/", AssumeRolePolicyDocument=trust({"AWS": "*"})),
    ):
        assert is_denied(call)


def test_roles_are_made_within_bounds(role, signed, unique):
    """The two guards of AWS's guides for who may make roles: no administrators, and nothing without a boundary."""
    iam, boundary = role.client("iam"), "arn:aws:iam::aws:policy/AWSLambda_FullAccess"
    role.allow("iam:*")
    role.allow(["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"], effect="Deny", Condition={
        "StringNotEquals": {"iam:PermissionsBoundary": boundary}})
    role.allow("iam:AttachRolePolicy", effect="Deny", Condition={
        "ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AdministratorAccess"}})
    free, bound = unique("free"), unique("bound")
    policy = trust({"Service": "lambda.amazonaws.com"})
    everything = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    signed("iam").create_role(RoleName=free, AssumeRolePolicyDocument=policy)
    assert is_denied(lambda: iam.create_role(RoleName=bound, AssumeRolePolicyDocument=policy))
    iam.create_role(RoleName=bound, AssumeRolePolicyDocument=policy, PermissionsBoundary=boundary)
    assert is_denied(lambda: iam.put_role_policy(RoleName=free, PolicyName="all", PolicyDocument=everything))
    iam.put_role_policy(RoleName=bound, PolicyName="all", PolicyDocument=everything)
    for name, is_allowed in (("AdministratorAccess", False), ("AmazonSQSFullAccess", True)):
        arn = f"arn:aws:iam::aws:policy/{name}"
        assert is_denied(lambda: iam.attach_role_policy(RoleName=bound, PolicyArn=arn)) != is_allowed


def test_how_long_sessions_last(signed, unique):
    iam, sts = signed("iam"), signed("sts")

    def made(**members):
        policy = trust({"AWS": [ACCOUNT, "*"]})
        return iam.create_role(RoleName=unique("long"), AssumeRolePolicyDocument=policy, **members)["Role"]["Arn"]

    hour, long = made(), made(MaxSessionDuration=7_200)
    with aws_error(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", 400):
        sts.assume_role(RoleArn=hour, RoleSessionName="me", DurationSeconds=3_601)
    sts.assume_role(RoleArn=hour, RoleSessionName="me", DurationSeconds=3_600)
    keys = sts.assume_role(RoleArn=long, RoleSessionName="me", DurationSeconds=7_200)["Credentials"]
    chained = signed("sts", keys)
    with aws_error(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.", 400):
        chained.assume_role(RoleArn=long, RoleSessionName="me", DurationSeconds=3_601)
    chained.assume_role(RoleArn=long, RoleSessionName="me", DurationSeconds=3_600)


def test_session_policies_are_refused_by_name(signed, unique):
    """What would narrow a session must not be lost: the whole role would be handed out."""
    arn = signed("iam").create_role(RoleName=unique("narrow"), AssumeRolePolicyDocument=trust({"AWS": ACCOUNT}))["Role"]["Arn"]
    deny = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}})
    for parameters in ({"Policy": deny}, {"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]}):
        with aws_error("NotImplementedException", re.compile("session policy"), 501):
            signed("sts").assume_role(RoleArn=arn, RoleSessionName="me", **parameters)


def test_tags_of_sessions(signed, unique):
    """One role for many tenants: each session reaches what carries its tenant's tag."""
    name = unique("tenants")
    iam, sts, sqs = signed("iam"), signed("sts"), signed("sqs")
    policy = json.loads(trust({"AWS": "*"}))
    policy["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    arn = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(policy), Tags=[{"Key": "Tenant", "Value": "nobody"}])["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:*:*:{name}-${{aws:PrincipalTag/tenant}}"},
        {"Effect": "Allow", "Action": "sqs:GetQueueAttributes", "Resource": "*", "Condition": {
            "StringEquals": {"aws:ResourceTag/tenant": "${aws:PrincipalTag/Tenant}"}}}]}))
    urls = {tenant: sqs.create_queue(QueueName=f"{name}-{tenant}", tags={"tenant": tenant})["QueueUrl"]
            for tenant in ("a", "b", "nobody")}

    def reached(keys):
        client = signed("sqs", keys)
        send = [tenant for tenant, url in urls.items()
                if not is_denied(lambda: client.send_message(QueueUrl=url, MessageBody="m"))]
        read = [tenant for tenant, url in urls.items()
                if not is_denied(lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))]
        assert send == read
        return send

    def session(client=sts, **parameters):
        return client.assume_role(RoleArn=arn, RoleSessionName="me", **parameters)["Credentials"]

    def tagged(tenant):
        return [{"Key": "Tenant", "Value": tenant}]

    assert reached(session()) == ["nobody"]
    assert reached(session(Tags=tagged("a"))) == ["a"]
    kept = session(Tags=tagged("b"), TransitiveTagKeys=["tenant"])
    assert reached(kept) == ["b"]
    # The next session has it too, and cannot be another's; one that is not transitive ends with its session.
    assert reached(session(signed("sts", kept))) == ["b"]
    with aws_error("InvalidParameterValue", re.compile("conflicts with a transitive tag key"), 400):
        session(signed("sts", kept), Tags=tagged("a"))
    assert reached(session(signed("sts", session(Tags=tagged("a"))))) == ["nobody"]
    # A resource's policy sees them as well.
    sqs.set_queue_attributes(QueueUrl=urls["b"], Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalTag/tenant": "b"}}}})})
    assert is_denied(lambda: signed("sqs", kept).send_message(QueueUrl=urls["b"], MessageBody="m"))
    with aws_error("PackedPolicyTooLarge", re.compile("tags"), 400):
        session(Tags=[{"Key": f"k{number}", "Value": "v" * 250} for number in range(10)])


def test_tags_of_sessions_go_on(signed, strict, unique):
    """Where a call goes on to another service as its caller, its session's tags count there, not the role's."""
    name = unique("goes-on")
    iam, sts, s3, functions, apis = (signed(service) for service in ("iam", "sts", "s3", "lambda", "apigatewayv2"))
    policy = json.loads(trust({"AWS": "*"}))
    policy["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:TagSession"]
    arn = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(policy), Tags=[{"Key": "Tenant", "Value": "a"}])["Role"]["Arn"]
    runs = iam.create_role(RoleName=unique("runs"), AssumeRolePolicyDocument=trust(
        {"Service": "lambda.amazonaws.com"}))["Role"]["Arn"]
    tenant = "${aws:PrincipalTag/tenant}"
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["lambda:CreateFunction", "iam:PassRole", "execute-api:Invoke"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/{tenant}/*"},
        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"arn:aws:lambda:*:*:function:{name}-{tenant}"}]}))
    s3.create_bucket(Bucket=name)
    api = apis.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
    for owner in ("a", "b"):
        s3.put_object(Bucket=name, Key=f"{owner}/fn.zip", Body=package())
        integration = apis.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0", CredentialsArn="arn:aws:iam::*:user/*",
            IntegrationUri=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}-{owner}")["IntegrationId"]
        apis.create_route(
            ApiId=api, RouteKey=f"GET /{owner}", Target=f"integrations/{integration}", AuthorizationType="AWS_IAM")
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)

    def status(keys, path):
        url, host = f"{strict.url}{path}", f"{api}.execute-api.{REGION}.amazonaws.com"
        request = botocore.awsrequest.AWSRequest("GET", url, headers={"Host": host})
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]), "execute-api", REGION).add_auth(request)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers))) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def create(keys, function, owner):
        return signed("lambda", keys).create_function(
            FunctionName=function, Runtime="python3.11", Role=runs, Handler="app.handler",
            Code={"S3Bucket": name, "S3Key": f"{owner}/fn.zip"})

    sessions = {}
    for owner, other in (("a", "b"), ("b", "a")):
        tags = [] if owner == "a" else [{"Key": "Tenant", "Value": owner}]
        sessions[owner] = sts.assume_role(RoleArn=arn, RoleSessionName="me", Tags=tags)["Credentials"]
        with aws_error("InvalidParameterValueException", re.compile("S3 Error Code: AccessDenied"), 400):
            create(sessions[owner], f"{name}-{owner}", other)
        create(sessions[owner], f"{name}-{owner}", owner)
        functions.get_waiter("function_active_v2").wait(
            FunctionName=f"{name}-{owner}", WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    for owner, other in (("a", "b"), ("b", "a")):
        assert status(sessions[owner], f"/{owner}") == 200
        assert status(sessions[owner], f"/{other}") == 500
