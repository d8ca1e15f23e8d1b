"""CloudWatch's metrics, alarms and dashboards (sections 1.2, 6.6 and 7.12 of the reference) with real clients: boto3 in each of the
three protocols that it knows, and the AWS CLI, which speaks the query protocol."""

import datetime
import functools
import gzip
import json
import math
import urllib.error
import urllib.request

import botocore.session
import pytest

from .expect import assert_not_implemented, aws_error
from .harness import ACCOUNT, REGION, wait_for
from .sns_helpers import Queue as TopicQueue

UTC = datetime.timezone.utc


def now():
    return datetime.datetime.now(UTC)


@pytest.fixture
def cloudwatch(client):
    return client("cloudwatch")


@pytest.fixture(params=["smithy-rpc-v2-cbor", "json", "query"])
def speaking(request, server):
    """A client that speaks one protocol of those that the model names."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def only(service, kind, *more, **others):
        model = load(service, kind, *more, **others)
        if kind == "service-2":
            model = {**model, "metadata": {**model["metadata"], "protocol": request.param, "protocols": [request.param]}}
        return model

    loader.load_service_model = only
    one = session.create_client(
        "cloudwatch", region_name=REGION, endpoint_url=server.url, aws_access_key_id="test", aws_secret_access_key="test")
    types = {"smithy-rpc-v2-cbor": "application/cbor", "json": "application/x-amz-json-1.0",
             "query": "application/x-www-form-urlencoded; charset=utf-8"}
    sent = []
    one.meta.events.register("before-send.cloudwatch", lambda request, **_: sent.append(request))
    yield one
    found = {str(request.headers.get("content-type"), "ascii") if isinstance(request.headers.get("content-type"), bytes)
             else request.headers.get("content-type") for request in sent}
    assert found == {types[request.param]}


@pytest.fixture
def namespace(unique):
    return unique("Conformance/")


@functools.cache
def started():
    return now().replace(second=0, microsecond=0)


def minute(ago=0):
    """So many minutes before the first test of this file: one clock for a test, whenever a minute ends. -29 is ahead of all."""
    return started() - datetime.timedelta(minutes=ago)


def query(namespace, name="m", stat="Sum", id="q", period=60, **more):
    metric = {"Namespace": namespace, "MetricName": name, **more}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def data(cloudwatch, queries, minutes=30, **more):
    return cloudwatch.get_metric_data(
        MetricDataQueries=queries, StartTime=minute(minutes), EndTime=minute(-29), ScanBy="TimestampAscending",
        **more)["MetricDataResults"]


def values(cloudwatch, queries, **more):
    return [result["Values"] for result in data(cloudwatch, queries, **more)]


def test_values_are_put_and_read(speaking, namespace):
    cloudwatch = speaking
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "m", "Timestamp": minute(3), "Value": 1.5, "Unit": "Seconds"},
        {"MetricName": "m", "Timestamp": minute(3), "Value": 2.5, "Unit": "Seconds"},
        {"MetricName": "m", "Timestamp": minute(2), "Values": [10, 20], "Counts": [3, 1], "Unit": "Seconds"},
        {"MetricName": "m", "Timestamp": minute(1), "Unit": "Seconds",
         "StatisticValues": {"SampleCount": 4, "Sum": 8, "Minimum": 1, "Maximum": 5}}])
    wanted = [query(namespace, stat=stat, id=stat.lower()) for stat in ("Sum", "SampleCount", "Minimum", "Maximum", "p50")]
    wanted.append({"Id": "mean", "Expression": "sum / samplecount", "Label": "mean"})
    results = data(cloudwatch, wanted)
    assert {result["Id"]: result["Values"] for result in results} == {
        "sum": [4.0, 50.0, 8.0], "samplecount": [2.0, 4.0, 4.0], "minimum": [1.5, 10.0, 1.0],
        "maximum": [2.5, 20.0, 5.0], "p50": [1.5, 10.0], "mean": [2.0, 12.5, 2.0]}
    assert results[0]["Timestamps"] == [minute(3), minute(2), minute(1)]
    assert results[0]["Label"] == "m" and results[0]["StatusCode"] == "Complete" and results[-1]["Label"] == "mean"

    answer = cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName="m", StartTime=minute(10), EndTime=minute(), Period=600,
        ExtendedStatistics=["p50", "tm99"])
    assert answer["Datapoints"] == [] and answer["Label"] == "m"  # sets of statistics have no percentiles
    (point,) = cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName="m", StartTime=minute(10), EndTime=minute(), Period=600,
        Statistics=["Sum", "Average", "SampleCount", "Minimum", "Maximum"])["Datapoints"]
    assert (point["Sum"], point["Average"], point["SampleCount"], point["Unit"]) == (62.0, 6.2, 10.0, "Seconds")


def test_metrics_are_listed(cloudwatch, namespace):
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": name, "Value": 1, "Dimensions": [{"Name": "Zone", "Value": zone}, {"Name": "App", "Value": "x"}]}
        for name in ("a", "b") for zone in ("one", "two")])

    def listed(**filters):
        pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace, **filters)
        return [(m["MetricName"], {d["Name"]: d["Value"] for d in m["Dimensions"]}) for p in pages for m in p["Metrics"]]

    assert len(listed()) == 4
    assert listed(MetricName="a", Dimensions=[{"Name": "Zone", "Value": "two"}]) == [("a", {"App": "x", "Zone": "two"})]
    assert len(listed(Dimensions=[{"Name": "App"}], RecentlyActive="PT3H")) == 4
    assert listed(Dimensions=[{"Name": "Nothing"}]) == []


def test_large_requests_come_compressed(speaking, namespace):
    """botocore compresses what is larger than 10 KB."""
    cloudwatch = speaking
    sent = []
    cloudwatch.meta.events.register("before-send.cloudwatch.PutMetricData", lambda request, **_: sent.append(request))
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "m", "Value": number, "Dimensions": [{"Name": "Number", "Value": f"{number % 10}"}]}
        for number in range(1000)])
    headers = {name.lower(): value for name, value in sent[0].headers.items()}
    assert headers["content-encoding"] in ("gzip", b"gzip")
    dimensions = [{"Name": "Number", "Value": "3"}]
    assert sum(values(cloudwatch, [query(namespace, stat="SampleCount", Dimensions=dimensions)])[0]) == 100


def test_answers_come_in_pages(cloudwatch, namespace):
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "m", "Timestamp": minute(ago), "Value": ago} for ago in range(1, 25)])
    pages = list(cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query(namespace)], StartTime=minute(25), EndTime=minute(), MaxDatapoints=5))
    found = [value for page in pages for result in page["MetricDataResults"] for value in result["Values"]]
    assert found == [float(ago) for ago in range(1, 25)] and len(pages) >= 5
    with aws_error("InvalidNextToken"):
        cloudwatch.get_metric_data(
            MetricDataQueries=[query(namespace)], StartTime=minute(5), EndTime=minute(), NextToken="nonsense")


@pytest.mark.parametrize("datum, code, text", [
    ({"Value": 1, "Values": [1]}, "InvalidParameterCombination",
     "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have "
     "specified both."),
    ({"Value": 1, "StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 1, "Maximum": 1}},
     "InvalidParameterCombination",
     "The parameters MetricData.member.1.Value and MetricData.member.1.StatisticValues are mutually exclusive and you "
     "have specified both."),
    ({"Values": [1, 2], "Counts": [1]}, "InvalidParameterValue",
     "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size."),
    ({"Value": 1, "Dimensions": [{"Name": "Région", "Value": "x"}]}, "InvalidParameterValue",
     "The value Région for parameter MetricData.member.1.Dimensions.member.1.Name contains non-ASCII characters."),
    ({"Value": 1, "Dimensions": [{"Name": ":d", "Value": "x"}]}, "InvalidParameterValue", None),
    ({"Value": 1, "Dimensions": [{"Name": "d", "Value": " "}]}, "InvalidParameterValue", None),
    ({"Value": math.nan}, "InvalidParameterValue", None),
    ({"Value": math.inf}, "InvalidParameterValue", None),
    ({"Value": -math.inf}, "InvalidParameterValue", None),
    ({"Value": 2.0 ** 361}, "InvalidParameterValue", None),
    ({"Values": [1.0] * 151}, "InvalidParameterValue", None),
    ({"Values": [1], "Counts": [-1]}, "InvalidParameterValue", None),
    ({}, "MissingParameter", None),
    ({"Value": 1, "Timestamp": datetime.datetime(2001, 1, 1, tzinfo=UTC)}, "InvalidParameterValue", None),
    ({"Value": 1, "Timestamp": datetime.datetime(2200, 1, 1, tzinfo=UTC)}, "InvalidParameterValue", None),
    ({"Value": 1, "StorageResolution": 7}, "InvalidParameterValue", None),
    ({"Value": 1, "Dimensions": [{"Name": f"d{n}", "Value": "x"} for n in range(31)]}, "ValidationError", None),
    ({"Value": 1, "Dimensions": [{"Name": "d", "Value": "x"}] * 2}, "InvalidParameterValue", None),
])
def test_bad_data_are_refused(cloudwatch, namespace, datum, code, text):
    with aws_error(code, text):
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", **datum}])
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == []


def test_bad_questions_are_refused(cloudwatch, namespace):
    with aws_error("InvalidParameterValue", "The parameter StartTime must be less than the parameter EndTime."):
        cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName="m", StartTime=minute(), EndTime=minute(5), Period=60, Statistics=["Sum"])
    start = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    with aws_error(
            "InvalidParameterCombination",
            "You have requested up to 86400 datapoints, which exceeds the limit of 1440. You may reduce the datapoints "
            "requested by increasing Period, or decreasing the time range."):
        cloudwatch.get_metric_statistics(
            Namespace=namespace, MetricName="m", StartTime=start, EndTime=start + datetime.timedelta(days=1), Period=1,
            Statistics=["Sum"])
    for expression in ("SEARCH('{X} y', 'Sum')", "q +", "nobody * 2", "e"):
        with aws_error("ValidationError"):
            data(cloudwatch, [query(namespace), {"Id": "e", "Expression": expression}])
    with aws_error("ValidationError"):
        data(cloudwatch, [query(namespace, stat="Median")])


def test_json_by_hand(server, namespace):
    """The middle generation of SDKs speaks JSON 1.0; numbers that JSON does not have come as texts."""
    def call(operation, document, body=None, **headers):
        request = urllib.request.Request(
            server.url, body or json.dumps(document).encode(), {
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"GraniteServiceVersion20100801.{operation}", **headers})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    document = {"Namespace": namespace, "MetricData": [{"MetricName": "j", "Value": -0.0}, {"MetricName": "j", "Value": 3}]}
    assert call("PutMetricData", document)[0] == 200
    packed = gzip.compress(json.dumps(document).encode())
    assert call("PutMetricData", None, packed, **{"Content-Encoding": "gzip"})[0] == 200
    status, answer = call("GetMetricStatistics", {
        "Namespace": namespace, "MetricName": "j", "StartTime": minute(5).timestamp(), "EndTime": minute(-30).timestamp(),
        "Period": 3600, "Statistics": ["Sum", "Minimum"]})
    assert status == 200 and answer["Datapoints"][0]["Sum"] == 6 and answer["Datapoints"][0]["Minimum"] == 0
    for value in ("NaN", "Infinity", "-Infinity"):
        bad = {"Namespace": namespace, "MetricData": [{"MetricName": "j", "Value": value}]}
        status, answer = call("PutMetricData", bad)
        assert status == 400 and answer["__type"].endswith("InvalidParameterValueException")
    huge = b'{"Namespace": "x", "MetricData": [{"MetricName": "j", "Value": 1e400}]}'
    assert call("PutMetricData", None, huge)[0] == 400
    bomb = gzip.compress(b'{"Namespace":"' + b"x" * (64 << 20) + b'"}')
    assert call("PutMetricData", None, bomb, **{"Content-Encoding": "gzip"})[0] == 413
    assert call("PutMetricData", None, b"\x1f\x8b nonsense that is no gzip", **{"Content-Encoding": "gzip"})[0] == 400


def test_the_command_line(aws, namespace, unique):
    name = unique("alarm")
    aws("cloudwatch", "put-metric-data", "--namespace", namespace, "--metric-name", "m", "--value", "42", "--unit", "Count",
        "--dimensions", "Host=a,Zone=b")
    (metric,) = aws("cloudwatch", "list-metrics", "--namespace", namespace).json["Metrics"]
    assert {d["Name"]: d["Value"] for d in metric["Dimensions"]} == {"Host": "a", "Zone": "b"}
    answer = aws(
        "cloudwatch", "get-metric-statistics", "--namespace", namespace, "--metric-name", "m", "--dimensions",
        "Name=Host,Value=a", "Name=Zone,Value=b", "--start-time", f"{minute(9):%Y-%m-%dT%H:%M:%SZ}", "--end-time",
        f"{minute(-40):%Y-%m-%dT%H:%M:%SZ}", "--period", "3600", "--statistics", "Sum", "Average").json
    assert answer["Datapoints"][0]["Sum"] == 42.0 and answer["Datapoints"][0]["Unit"] == "Count"
    aws("cloudwatch", "put-metric-alarm", "--alarm-name", name, "--namespace", namespace, "--metric-name", "m",
        "--statistic", "Sum", "--period", "60", "--evaluation-periods", "3", "--threshold", "1e9", "--comparison-operator",
        "GreaterThanThreshold", "--treat-missing-data", "ignore", "--tags", "Key=team,Value=x")
    (alarm,) = aws("cloudwatch", "describe-alarms", "--alarm-names", name).json["MetricAlarms"]
    assert alarm["Threshold"] == 1e9 and alarm["StateValue"] == "INSUFFICIENT_DATA" and alarm["Period"] == 60
    assert aws("cloudwatch", "list-tags-for-resource", "--resource-arn", alarm["AlarmArn"]).json["Tags"] == [
        {"Key": "team", "Value": "x"}]
    failed = aws("cloudwatch", "set-alarm-state", "--alarm-name", name, "--state-value", "INVALID", "--state-reason", "x",
                 check=False)
    assert "ValidationError" in failed.error and "enum value set" in failed.error
    aws("cloudwatch", "delete-alarms", "--alarm-names", name)
    assert aws("cloudwatch", "describe-alarms", "--alarm-names", name).json["MetricAlarms"] == []


def alarm(cloudwatch, name, namespace, **more):
    cloudwatch.put_metric_alarm(**{
        "AlarmName": name, "Namespace": namespace, "MetricName": "m", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 2.0, "ComparisonOperator": "GreaterThanThreshold", **more})


def state(cloudwatch, name):
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


def test_alarms_are_kept_as_they_were_put(cloudwatch, namespace, unique):
    name = unique("alarm")
    given = dict(
        AlarmDescription="words", ActionsEnabled=False, OKActions=[f"arn:aws:sns:{REGION}:{ACCOUNT}:t"],
        Dimensions=[{"Name": "a", "Value": "b"}], Unit="Seconds", EvaluationPeriods=3, DatapointsToAlarm=2,
        TreatMissingData="breaching")
    alarm(cloudwatch, name, namespace, **given, Tags=[{"Key": "k", "Value": "v"}])
    found = state(cloudwatch, name)
    assert {key: found[key] for key in given} == given
    arn = found["AlarmArn"]
    assert arn == f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "l", "Value": "w"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["k"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "l", "Value": "w"}]
    with aws_error("ResourceNotFoundException", status=404):
        cloudwatch.list_tags_for_resource(ResourceARN=arn + "x")
    (same,) = cloudwatch.describe_alarms_for_metric(
        Namespace=namespace, MetricName="m", Dimensions=[{"Name": "a", "Value": "b"}])["MetricAlarms"]
    assert same["AlarmName"] == name
    assert cloudwatch.describe_alarms_for_metric(Namespace=namespace, MetricName="m")["MetricAlarms"] == []
    cloudwatch.enable_alarm_actions(AlarmNames=[name])
    assert state(cloudwatch, name)["ActionsEnabled"] is True
    for number in range(3):
        alarm(cloudwatch, f"{name}-{number}", namespace)
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=name, PaginationConfig={"PageSize": 2})
    assert [a["AlarmName"] for p in pages for a in p["MetricAlarms"]] == [name] + [f"{name}-{n}" for n in range(3)]
    cloudwatch.delete_alarms(AlarmNames=[name, "nobody"] + [f"{name}-{n}" for n in range(3)])
    assert cloudwatch.describe_alarms(AlarmNamePrefix=name)["MetricAlarms"] == []
    (last, first) = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="ConfigurationUpdate")[
        "AlarmHistoryItems"][::2]
    assert first["HistorySummary"] == f'Alarm "{name}" created' and last["HistorySummary"] == f'Alarm "{name}" deleted'


@pytest.mark.parametrize("change", [
    {"Period": 45}, {"Period": 86400, "EvaluationPeriods": 8}, {"TreatMissingData": "nonsense"},
    {"EvaluationPeriods": 1, "DatapointsToAlarm": 2}, {"AlarmActions": ["nonsense"]},
    {"ComparisonOperator": "GreaterThanUpperThreshold"}, {"Statistic": "Sum", "ExtendedStatistic": "p90"},
    {"Threshold": math.nan}, {"Metrics": [{"Id": "a", "Expression": "1"}]},
])
def test_bad_alarms_are_refused(cloudwatch, namespace, unique, change):
    name = unique("alarm")
    with pytest.raises(cloudwatch.exceptions.ClientError) as caught:
        alarm(cloudwatch, name, namespace, **change)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def test_states_set_by_hand(cloudwatch, namespace, unique):
    name = unique("alarm")
    with aws_error(
            "ValidationError",
            "1 validation error detected: Value 'INVALID' at 'stateValue' failed to satisfy constraint: Member must "
            "satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="INVALID", StateReason="x")
    with aws_error("ResourceNotFound", status=404):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="x")


def test_dashboards(cloudwatch, unique):
    name = unique("board")
    body = json.dumps({"widgets": []})
    assert cloudwatch.put_dashboard(DashboardName=name, DashboardBody=body)["DashboardValidationMessages"] == []
    found = cloudwatch.get_dashboard(DashboardName=name)
    assert found["DashboardBody"] == body and found["DashboardArn"] == f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}"
    (entry,) = cloudwatch.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
    assert entry["Size"] == len(body)
    cloudwatch.delete_dashboards(DashboardNames=[name])
    with aws_error("ResourceNotFound", status=404):
        cloudwatch.get_dashboard(DashboardName=name)
    with aws_error(
            "InvalidParameterValue",
            "The value for field DashboardName contains invalid characters. It can only contain alphanumerics, dash (-) "
            "and underscore (_). "):
        cloudwatch.put_dashboard(DashboardName="a b", DashboardBody=body)
    with aws_error("InvalidParameterInput"):
        cloudwatch.put_dashboard(DashboardName=name, DashboardBody="{nonsense")


def test_what_is_missing_says_so(cloudwatch):
    assert_not_implemented(
        lambda: cloudwatch.put_composite_alarm(AlarmName="x", AlarmRule="ALARM(y)"), "PutCompositeAlarm")
    assert_not_implemented(
        lambda: cloudwatch.get_metric_widget_image(MetricWidget="{}"), "GetMetricWidgetImage")


def test_an_alarm_tells_a_topic_and_a_bus(server, cloudwatch, namespace, unique):
    name = unique("alarm")
    events, sqs = server.client("events"), server.client("sqs")
    topic = TopicQueue(server)
    url = sqs.create_queue(QueueName=unique("bus"))["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rsplit('/', 1)[1]}"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}]})})
    events.put_rule(Name=name, EventPattern=json.dumps({
        "source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"], "detail": {"alarmName": [name]}}))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": queue}])
    sns = server.client("sns")
    arn = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=topic.arn)
    alarm(cloudwatch, name, namespace, AlarmActions=[arn], AlarmDescription="tells")

    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "m", "Value": 21.5}])
    (body,) = topic.bodies(1)
    assert body["Subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
    message = json.loads(body["Message"])
    assert message["NewStateReason"].startswith("Threshold Crossed: 1 datapoint [21.5 (")
    assert message["NewStateReason"].endswith("was greater than the threshold (2.0).")
    assert (message["OldStateValue"], message["NewStateValue"], message["Region"]) == (
        "INSUFFICIENT_DATA", "ALARM", "US East (N. Virginia)")
    assert message["Trigger"] == {
        "MetricName": "m", "Namespace": namespace, "StatisticType": "Statistic", "Statistic": "SUM", "Unit": None,
        "Dimensions": [], "Period": 60, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 2.0, "TreatMissingData": "missing", "EvaluateLowSampleCountPercentile": ""}

    event = wait_for(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))[0]
    event = json.loads(event["Body"])
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    assert event["resources"] == [arn] and event["detail"]["state"]["value"] == "ALARM"
    (metric,) = event["detail"]["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"namespace": namespace, "name": "m", "dimensions": {}}, "period": 60, "stat": "Sum"}
    found = state(cloudwatch, name)
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [21.5]
    summaries = [item["HistorySummary"] for item in cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]]
    assert "Alarm updated from INSUFFICIENT_DATA to ALARM" in summaries
    cloudwatch.delete_alarms(AlarmNames=[name])


def test_failing_functions_set_off_an_alarm_that_calls_another(server, cloudwatch, make_function, unique):
    """Lambda's own metrics, an alarm on them, and the function that it calls."""
    bad = make_function("def handler(event, context):\n    raise ValueError('no')")
    seen = make_function("def handler(event, context):\n    print('ALARM ' + __import__('json').dumps(event))")
    name = unique("alarm")
    bad_name, seen_arn = bad.name, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{seen.name}"
    server.client("lambda").add_permission(
        FunctionName=seen.name, StatementId="alarm", Action="lambda:InvokeFunction",
        Principal="lambda.alarms.cloudwatch.amazonaws.com",
        SourceArn=f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}")
    alarm(
        cloudwatch, name, "AWS/Lambda", MetricName="Errors", Dimensions=[{"Name": "FunctionName", "Value": bad_name}],
        AlarmActions=[seen_arn, seen_arn + "x"], Threshold=1.0, ComparisonOperator="GreaterThanOrEqualToThreshold")
    for _ in range(3):
        assert "FunctionError" in server.client("lambda").invoke(FunctionName=bad_name)
    line = wait_for(lambda: [m for m in seen.log_messages() if m.startswith("ALARM ")])[0]
    event = json.loads(line.removeprefix("ALARM "))
    assert event["source"] == "aws.cloudwatch" and event["accountId"] == ACCOUNT
    assert event["alarmData"]["state"]["value"] == "ALARM" and event["alarmData"]["alarmName"] == name
    history = [item["HistorySummary"] for item in cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]]
    assert f"Successfully executed action {seen_arn}" in history
    assert any(line.startswith(f"Failed to execute action {seen_arn}x. Received error:") for line in history)

    def sums():
        dimensions = [{"Name": "FunctionName", "Value": bad_name}]
        return values(cloudwatch, [
            query("AWS/Lambda", metric, stat, f"q{index}", 3600, Dimensions=dimensions)
            for index, (metric, stat) in enumerate((
                ("Invocations", "Sum"), ("Errors", "Sum"), ("Throttles", "Sum"), ("Duration", "SampleCount"),
                ("ConcurrentExecutions", "Maximum"), ("Errors", "Average")))], minutes=31)

    wait_for(lambda: [sum(found) for found in sums()][:4] == [3.0, 3.0, 0.0, 3.0])
    assert max(sums()[4]) == 1 and max(sums()[5]) == 1
    resources = {
        tuple(sorted((d["Name"], d["Value"]) for d in m["Dimensions"]))
        for m in cloudwatch.list_metrics(
            Namespace="AWS/Lambda", MetricName="Duration",
            Dimensions=[{"Name": "FunctionName", "Value": bad_name}])["Metrics"]}
    assert resources == {(("FunctionName", bad_name),), (("FunctionName", bad_name), ("Resource", bad_name))}
    cloudwatch.delete_alarms(AlarmNames=[name])


def test_asynchronous_events_are_measured(server, cloudwatch, make_function):
    bad = make_function("def handler(event, context):\n    raise ValueError('no')")
    lambda_ = server.client("lambda")
    lambda_.put_function_event_invoke_config(FunctionName=bad.name, MaximumRetryAttempts=0)
    lambda_.invoke(FunctionName=bad.name, InvocationType="Event", Payload=b"{}")
    dimensions = [{"Name": "FunctionName", "Value": bad.name}]

    def counted():
        return [sum(found) for found in values(cloudwatch, [
            query("AWS/Lambda", metric, stat, f"q{index}", 3600, Dimensions=dimensions)
            for index, (metric, stat) in enumerate((
                ("AsyncEventsReceived", "Sum"), ("AsyncEventsDropped", "Sum"), ("AsyncEventAge", "SampleCount")))],
            minutes=59)]

    # An attempt that was throttled has an age, too.
    def is_counted():
        received, dropped, ages = counted()
        return received == dropped == 1 and ages >= 1

    wait_for(is_counted)


def test_the_age_of_stream_records_is_measured(server, cloudwatch, make_function, unique):
    kinesis, lambda_ = server.client("kinesis"), server.client("lambda")
    function, stream = make_function("def handler(event, context): pass"), unique("stream")
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100})
    mapping = lambda_.create_event_source_mapping(
        FunctionName=function.name, StartingPosition="TRIM_HORIZON",
        EventSourceArn=f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}")["UUID"]
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    ages = query("AWS/Lambda", "IteratorAge", "SampleCount", "q", 3600,
                 Dimensions=[{"Name": "FunctionName", "Value": function.name}])
    wait_for(lambda: sum(values(cloudwatch, [ages], minutes=31)[0]) >= 1)
    lambda_.delete_event_source_mapping(UUID=mapping)
    kinesis.delete_stream(StreamName=stream)


def test_metrics_embedded_in_logs_arrive(cloudwatch, make_function, namespace):
    """The embedded metric format: what a function prints becomes a metric."""
    document = {"_aws": {"Timestamp": int(now().timestamp() * 1000), "CloudWatchMetrics": [{
        "Namespace": namespace, "Dimensions": [["Kind"]], "Metrics": [{"Name": "Orders", "Unit": "Count"}]}]},
        "Kind": "book", "Orders": [2, 3]}
    function = make_function(f"def handler(event, context):\n    print({json.dumps(document)!r})")
    function.invoke()
    orders = query(namespace, "Orders", "Sum", Dimensions=[{"Name": "Kind", "Value": "book"}])
    wait_for(lambda: sum(values(cloudwatch, [orders], minutes=31)[0]) == 5)


def test_a_killed_server_keeps_what_it_has_acknowledged(make_server, unique):
    server = make_server("--time-scale", "600")
    cloudwatch = server.client("cloudwatch")
    alarm(cloudwatch, "kept", "K")
    acknowledged = 0
    for _ in range(3):
        for _ in range(20):
            cloudwatch.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1, "Timestamp": minute(2)}])
            acknowledged += 1
        server.restart("kill9")
        assert sum(values(cloudwatch, [query("N")])[0]) == acknowledged
    assert state(cloudwatch, "kept")["StateValue"] == "INSUFFICIENT_DATA"
    # A transition that can be seen is in the history, with its action, over another kill.
    cloudwatch.put_metric_data(Namespace="K", MetricData=[{"MetricName": "m", "Value": 5}])
    wait_for(lambda: state(cloudwatch, "kept")["StateValue"] == "ALARM")
    server.restart("kill9")
    history = cloudwatch.describe_alarm_history(AlarmName="kept", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert len([item for item in history if item["HistorySummary"].endswith("to ALARM")]) == 1
