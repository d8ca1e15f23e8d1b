"""A page of server-sent events, streamed by a Node.js function behind its URL and watched in a real browser (headless)."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from websockets.sync.client import connect

from .doors import URL
from .harness import wait_for

CHROMIUM = shutil.which("chromium-headless-shell")

# The last event is not made before the test has put an object, which it does when it has seen the first one.
PAGE = """
const html = `<!doctype html><title>events</title><ul id="seen"></ul><script>
const source = new EventSource("/events");
source.onmessage = (event) => {
    const item = document.createElement("li");
    item.textContent = event.data;
    document.getElementById("seen").append(item);
    if (event.data === "last") source.close();
};
</script>`;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

exports.handler = awslambda.streamifyResponse(async (event, stream) => {
    const page = event.rawPath === "/";
    const out = awslambda.HttpResponseStream.from(stream, {
        statusCode: 200,
        headers: {"content-type": page ? "text/html" : "text/event-stream", "cache-control": "no-store"},
    });
    if (page) return out.end(html);
    out.write("data: first\\n\\n");
    while ((await fetch(process.env.AWS_ENDPOINT_URL + "/" + process.env.BUCKET + "/go")).status !== 200) await wait(20);
    out.write("data: last\\n\\n");
    out.end();
});
"""


class Browser:
    """A tab of a headless Chromium, driven through its debugging protocol."""

    def __init__(self, directory):
        self.log = directory.with_suffix(".log")
        self.process = subprocess.Popen(
            [CHROMIUM, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
             "--remote-debugging-port=0", f"--user-data-dir={directory}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.log, "w"),
            # A script starts the browser, which starts more.
            start_new_session=True)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self):
        def address():
            found = re.search(r"ws://\S+", self.log.read_text())
            return found and found[0]

        address = wait_for(address, seconds=60)
        self.numbers = itertools.count(1)
        self.socket = connect(address, max_size=None, open_timeout=30, proxy=None)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    session = socket = None

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout=30))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self):
        if self.socket:
            self.socket.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def browser(tmp_path):
    assert CHROMIUM, "no chromium-headless-shell: run Tools/setup"
    one = Browser(tmp_path / "profile")
    yield one
    one.close()


def test_the_first_event_is_in_the_page_before_the_last_is_made(browser, server, fast_function, unique):
    bucket = unique("events")
    storage = server.client("s3")
    storage.create_bucket(Bucket=bucket)
    function = fast_function(
        files={"index.js": PAGE}, runtime="nodejs20.x", Environment={"Variables": {"BUCKET": bucket}}, Timeout=60)
    url = URL(function, InvokeMode="RESPONSE_STREAM")
    browser.call("Page.navigate", url=url.address)
    seen = "[...document.querySelectorAll('#seen li')].map((item) => item.textContent).join()"
    assert wait_for(lambda: browser.evaluate(seen)) == "first"
    storage.put_object(Bucket=bucket, Key="go", Body=b"")
    wait_for(lambda: browser.evaluate(seen) == "first,last")
