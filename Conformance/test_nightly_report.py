"""Examples/nightly-report, deployed to a real server and tried: six event sources in one application."""

import datetime
import importlib.util
import sys

import pytest

from .harness import REPOSITORY, default_python, wait_for


def load():
    path = REPOSITORY / "Examples/nightly-report/deploy.py"
    spec = importlib.util.spec_from_file_location("nightly_report_deploy", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def app(server, unique):
    app = load().App(server.url, unique("nightly"), default_python())
    app.deploy()
    yield app
    app.delete()


def test_orders_become_a_report_overnight(app, client):
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    assert "no report yet" in app.page()
    for product, quantity, price in (("nest <box>", 2, 24.5), ("bird seed", 7, 3.2), ("nest <box>", 1, 24.5)):
        assert app.order(product, quantity, price)
    days = wait_for(lambda: [day for day in (today, tomorrow(today)) if app.counted(day) == 3], 60)
    lines = {item["product"]["S"]: item for item in app.items(days[0])}
    assert (lines["nest <box>"]["quantity"]["N"], lines["nest <box>"]["revenue"]["N"]) == ("3", "73.5")
    app.night(days[0])
    announced = wait_for(lambda: app.items("announced"), 60)
    assert announced[0]["product"]["S"] == days[0]
    assert (announced[0]["orders"]["S"], announced[0]["revenue"]["S"]) == ("3", "95.9")
    page = app.page()
    assert f"<h1>{days[0]}</h1>" in page and "nest &lt;box&gt;</td><td>3</td><td>73.50" in page
    assert "Altogether: 95.90" in page
    keys = [item["Key"] for item in client("s3").list_objects_v2(Bucket=app.bucket)["Contents"]]
    assert keys == [f"reports/{days[0]}.html", "reports/latest.html"]


def tomorrow(day):
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=1)).isoformat()


def test_the_schedule_is_nightly_and_a_second_deployment_changes_nothing(app, client):
    schedule = client("scheduler").get_schedule(Name=f"{app.name}-nightly")
    assert schedule["ScheduleExpression"] == "cron(0 2 * * ? *)"
    api = app.api
    app.deploy()
    assert app.api == api
    assert len(client("lambda").list_event_source_mappings(FunctionName=f"{app.name}-store")["EventSourceMappings"]) == 1
