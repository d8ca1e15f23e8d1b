"""What changed references tell others: triggers to functions and topics, EventBridge; and kill -9 among pushes."""

import json
import os
import random
import threading

import pytest

from .codecommit_helpers import Git, git_url
from .harness import Server, wait_for


@pytest.fixture
def codecommit(client):
    return client("codecommit")


@pytest.fixture
def repository(codecommit, unique):
    name = unique("repo")
    codecommit.create_repository(repositoryName=name)
    yield name
    codecommit.delete_repository(repositoryName=name)


def new_queue(client, unique):
    """A queue's URL and ARN; whatever service may send to it."""
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=unique("q"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}]})})
    return url, arn


def receive(client, url):
    """Takes what is in a queue, as JSON."""
    sqs = client("sqs")
    found = []
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found.append(json.loads(message["Body"]))
    return found


def collect(client, url, count):
    got = []

    def enough():
        got.extend(receive(client, url))
        return len(got) >= count

    wait_for(enough)
    return got


FUNCTION = """
import boto3, os

def handler(event, context):
    record = event["Records"][0]
    codecommit = boto3.client("codecommit", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    name = record["eventSourceARN"].split(":")[5]
    commit = codecommit.get_commit(repositoryName=name, commitId=record["codecommit"]["references"][0]["commit"])
    print("SEEN", commit["commit"]["message"].strip(), record["customData"])
    return commit["commit"]["message"]
"""


def test_a_push_calls_a_function(server, codecommit, repository, fast_function, tmp_path):
    function = fast_function(FUNCTION)
    arn = f"arn:aws:codecommit:us-east-1:000000000000:{repository}"
    trigger = {"name": "call", "destinationArn": function.arn, "customData": "mine", "events": ["all"], "branches": []}
    codecommit.put_repository_triggers(repositoryName=repository, triggers=[trigger])
    # Without permission the event goes nowhere, and the push succeeds all the same.
    tested = codecommit.test_repository_triggers(repositoryName=repository, triggers=[trigger])
    assert tested["failedExecutions"][0]["trigger"] == "call"
    function.client.add_permission(
        FunctionName=function.name, StatementId="git", Action="lambda:InvokeFunction",
        Principal="codecommit.amazonaws.com", SourceArn=arn)
    work = Git(tmp_path / "work", git_url(server, repository)).init()
    work.commit({"a": "1"}, "hello function")
    work.run("push", "-q", "origin", "main")
    wait_for(lambda: any("SEEN hello function mine" in line for line in function.log_messages()))


def test_triggers_to_a_topic(server, client, codecommit, repository, unique, tmp_path):
    sns = client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    url, arn = new_queue(client, unique)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    made = codecommit.put_repository_triggers(repositoryName=repository, triggers=[
        {"name": "everything", "destinationArn": topic, "customData": "c", "branches": [], "events": ["all"]},
        {"name": "deletions", "destinationArn": topic, "branches": ["side"], "events": ["deleteReference"]},
    ])
    work = Git(tmp_path / "work", git_url(server, repository)).init()
    first = work.commit({"a": "1"})
    work.run("push", "-q", "origin", "main", "main:side")
    second = work.commit({"a": "2"})
    work.run("push", "-q", "origin", "main")
    work.run("push", "-q", "origin", ":side")
    messages = collect(client, url, 4)
    assert {message["Subject"] for message in messages} == {f"UPDATE: AWS CodeCommit us-east-1 push: {repository}"}
    records = [json.loads(message["Message"])["Records"][0] for message in messages]
    event = next(one for one in records if len(one["codecommit"]["references"]) == 2)
    assert event.pop("eventId") and event.pop("eventTime").endswith("+0000")
    assert event == {
        "awsRegion": "us-east-1",
        "codecommit": {"references": [
            {"commit": first, "created": True, "ref": "refs/heads/main"},
            {"commit": first, "created": True, "ref": "refs/heads/side"}]},
        "customData": "c", "eventName": "ReferenceChanges", "eventPartNumber": 1, "eventSource": "aws:codecommit",
        "eventSourceARN": f"arn:aws:codecommit:us-east-1:000000000000:{repository}", "eventTotalParts": 1,
        "eventTriggerConfigId": made["configurationId"], "eventTriggerName": "everything", "eventVersion": "1.0",
        "userIdentityARN": "arn:aws:iam::000000000000:root",
    }
    updates = [one["codecommit"]["references"] for one in records]
    assert [{"commit": second, "ref": "refs/heads/main"}] in updates
    gone = [one["eventTriggerName"] for one in records if one["codecommit"]["references"][0].get("deleted")]
    assert sorted(gone) == ["deletions", "everything"]


def test_events_on_the_bus(server, client, codecommit, repository, unique, tmp_path):
    url, arn = new_queue(client, unique)
    rule = unique("rule")
    events = client("events")
    events.put_rule(Name=rule, EventPattern=json.dumps(
        {"source": ["aws.codecommit"], "detail": {"repositoryName": [repository]}}))
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn}])
    first = codecommit.put_file(
        repositoryName=repository, branchName="main", filePath="a", fileContent=b"1")["commitId"]
    work = Git(tmp_path / "work", git_url(server, repository)).clone()
    work.run("tag", "v1")
    second = work.commit({"a": "2"})
    work.run("push", "-q", "origin", "main", "v1")
    work.run("push", "-q", "origin", ":v1")
    got = collect(client, url, 4)
    assert {one["detail-type"] for one in got} == {"CodeCommit Repository State Change"}
    assert {one["source"] for one in got} == {"aws.codecommit"}
    assert got[0]["resources"] == [f"arn:aws:codecommit:us-east-1:000000000000:{repository}"]
    details = {(one["detail"]["event"], one["detail"]["referenceFullName"]): one["detail"] for one in got}
    identifier = codecommit.get_repository(repositoryName=repository)["repositoryMetadata"]["repositoryId"]
    common = {"callerUserArn": "arn:aws:iam::000000000000:root", "repositoryId": identifier, "repositoryName": repository}
    assert details == {
        ("referenceCreated", "refs/heads/main"): {
            **common, "event": "referenceCreated", "commitId": first, "referenceFullName": "refs/heads/main",
            "referenceName": "main", "referenceType": "branch"},
        ("referenceUpdated", "refs/heads/main"): {
            **common, "event": "referenceUpdated", "commitId": second, "oldCommitId": first,
            "referenceFullName": "refs/heads/main", "referenceName": "main", "referenceType": "branch"},
        ("referenceCreated", "refs/tags/v1"): {
            **common, "event": "referenceCreated", "commitId": first, "referenceFullName": "refs/tags/v1",
            "referenceName": "v1", "referenceType": "tag"},
        ("referenceDeleted", "refs/tags/v1"): {
            **common, "event": "referenceDeleted", "commitId": first, "oldCommitId": first,
            "referenceFullName": "refs/tags/v1", "referenceName": "v1", "referenceType": "tag"},
    }
    events.remove_targets(Rule=rule, Ids=["q"])
    events.delete_rule(Name=rule)


def test_kill9_among_pushes(make_server, unique, tmp_path):
    """What was acknowledged is there, every reference that moved was announced, and nothing is left locked."""
    seed = int(os.environ.get("MARTLET_SEED", random.randrange(1 << 30)))
    kills = int(os.environ.get("MARTLET_GIT_KILLS", 4))
    print("MARTLET_SEED", seed)
    chance = random.Random(seed)
    server = make_server()
    codecommit, name = server.client("codecommit"), unique("repo")
    codecommit.create_repository(repositoryName=name)
    url, arn = new_queue(server.client, unique)
    events = server.client("events")
    events.put_rule(Name="all", EventPattern=json.dumps({"source": ["aws.codecommit"]}))
    events.put_targets(Rule="all", Targets=[{"Id": "q", "Arn": arn}])
    writers = [Git(tmp_path / f"w{number}", git_url(server, name)).init() for number in range(2)]
    acknowledged = {}
    stop = threading.Event()

    def push(number):
        git, step = writers[number], 0
        while not stop.is_set():
            step += 1
            head = git.commit({"a": f"{number} {step}"}, f"{number} {step}")
            if git.run("push", "-q", "--force", "origin", f"HEAD:refs/heads/w{number}", check=False).returncode == 0:
                acknowledged[f"w{number}"] = head

    threads = [threading.Thread(target=push, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    announced = {}

    def take():
        for event in receive(server.client, url):
            detail = event["detail"]
            announced.setdefault(detail["referenceName"], set()).add(detail["commitId"])

    try:
        for _ in range(kills):
            count = len(acknowledged)
            stop.wait(0.3 + chance.random())
            server.restart("kill9")
            before = dict(acknowledged)
            wait_for(lambda: acknowledged != before or count > 99)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    server.restart("kill9")
    for branch, head in acknowledged.items():
        tip = codecommit.get_branch(repositoryName=name, branchName=branch)["branch"]["commitId"]
        git = writers[int(branch[1:])]
        remote = git.text("ls-remote", "origin", f"refs/heads/{branch}").split()[0]
        assert tip == remote, f"seed {seed}: the API and git disagree"
        # The last push may have been carried out without its answer.
        assert git.text("rev-list", "--count", f"{tip}..{head}") == "0", f"seed {seed}: an acknowledged push is lost"

        def told():
            take()
            return tip in announced.get(branch, ())

        wait_for(told)
        git.run("push", "-q", "--force", "origin", f"HEAD:refs/heads/{branch}")
    assert not list((server.data_dir / "git").rglob("*.lock"))
