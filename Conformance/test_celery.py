"""Celery with its SQS transport (kombu): real workers that take real tasks from a queue here."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from .harness import wait_for

TASKS = """
import os
from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"], backend="file://" + os.environ["RESULTS"])
app.conf.update(
    task_default_queue=os.environ["QUEUE"],
    broker_transport_options={
        "region": "us-east-1", "is_secure": False, "wait_time_seconds": 2, "polling_interval": 0.1,
        "visibility_timeout": int(os.environ.get("VISIBILITY", "30")),
    },
    worker_prefetch_multiplier=1, task_acks_late=True, task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True, worker_enable_remote_control=False, worker_send_task_events=False,
)

@app.task
def add(a, b):
    return a + b

@app.task(bind=True, max_retries=3)
def flaky(self, path):
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) < 3:
        raise self.retry(countdown=0)
    return os.path.getsize(path)

@app.task
def fail():
    raise ValueError("as asked")

@app.task
def slow(path):
    import time
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    with open(path) as file:
        first = len(file.readlines()) == 1
    if first:
        time.sleep(60)
    return "finished"
"""


class Celery:
    """A project in a folder of its own, and its workers."""

    def __init__(self, folder, server, queue, visibility=30):
        self.folder = folder
        (folder / "tasks.py").write_text(textwrap.dedent(TASKS))
        (folder / "results").mkdir()
        self.environment = dict(
            os.environ, BROKER=f"sqs://000000000000:x@127.0.0.1:{server.port}", RESULTS=str(folder / "results"),
            QUEUE=queue, VISIBILITY=str(visibility), AWS_EC2_METADATA_DISABLED="true", PYTHONPATH=str(folder),
            AWS_DEFAULT_REGION="us-east-1")
        self.workers = []

    def start_worker(self, pool="prefork"):
        log = open(self.folder / f"worker{len(self.workers)}.log", "wb")
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", "worker", f"--pool={pool}", "--concurrency=2", "--loglevel=INFO",
             "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.workers.append(worker)
        return worker

    def kill(self, worker):
        try:
            os.killpg(worker.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        worker.wait(10)

    def run(self, text, timeout=60):
        """Runs a client of the tasks; answers what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", "from tasks import *\n" + textwrap.dedent(text)], cwd=self.folder,
            env=self.environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr + self.logs()
        return done.stdout.strip()

    def logs(self):
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.folder.glob("worker*.log"))

    def stop(self):
        for worker in self.workers:
            self.kill(worker)


@pytest.fixture
def celery(server, unique, tmp_path):
    made = []

    def make(**options):
        folder = tmp_path / f"celery{len(made)}"
        folder.mkdir()
        one = Celery(folder, server, unique("celery"), **options)
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop()


@pytest.mark.slow
def test_tasks_run_and_their_results_come_back(celery):
    project = celery()
    project.start_worker()
    text = """
        results = [add.delay(n, n) for n in range(40)]
        print(sum(result.get(timeout=50) for result in results))
    """
    assert project.run(text) == str(sum(2 * n for n in range(40)))


@pytest.mark.slow
def test_failures_are_reported_and_retries_happen(celery, tmp_path):
    project = celery()
    project.start_worker()
    path = tmp_path / "attempts"
    text = f"""
        failed = fail.delay()
        try:
            failed.get(timeout=40)
        except ValueError as error:
            print(error)
        print(flaky.delay({str(path)!r}).get(timeout=40))
    """
    assert project.run(text, timeout=100).split("\n") == ["as asked", "3"]


@pytest.mark.slow
def test_a_countdown_is_kept(celery):
    project = celery()
    project.start_worker("solo")
    text = """
        import time
        begin = time.time()
        result = add.apply_async((1, 2), countdown=3)
        print(result.get(timeout=40), time.time() - begin >= 2.9)
    """
    assert project.run(text) == "3 True"


@pytest.mark.slow
def test_a_task_of_a_killed_worker_comes_again(celery, tmp_path):
    """Acknowledged late: the message is in flight when its worker dies, and returns after its visibility timeout."""
    project = celery(visibility=5)
    first = project.start_worker()
    path = tmp_path / "runs"
    identifier = project.run(f"print(slow.delay({str(path)!r}).id)")
    wait_for(path.exists, 30)
    project.kill(first)
    project.start_worker()
    assert project.run(f"print(app.AsyncResult({identifier!r}).get(timeout=60))", timeout=90) == "finished"
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.slow
def test_purge_and_count(celery, client):
    project = celery()
    project.run("[add.delay(1, 1) for _ in range(5)]")
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=project.environment["QUEUE"])["QueueUrl"]

    def count():
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    wait_for(lambda: count() == 5)
    # kombu answers ten times the count, because it asks for it ten times.
    assert int(project.run("print(app.control.purge())")) > 0
    wait_for(lambda: count() == 0)
