"""A small Runtime API (2018-06-01) for tests of runtime clients, and a runtime process that talks to it.

It keeps every request, so that tests can look at headers and bodies exactly as they were sent.
"""

import json
import os
import queue
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_S = 15  # for anything that a runtime is expected to do at once


@dataclass
class Answer:
    """What a runtime posted: kind is "response", "error" or "init/error"."""

    kind: str
    request_id: str
    body: bytes
    headers: dict
    trailers: dict = field(default_factory=dict)
    connection: tuple = ()

    @property
    def json(self):
        return json.loads(self.body)


class FakeRuntimeAPI:
    """`invoke` hands an event to the runtime and returns its answer; `init_error` waits for a failed start.

    For one runtime process: the unanswered question of one that was killed would take the next one's event.
    """

    def __init__(self, chunked_events=False, close_after_response=False):
        self.chunked_events = chunked_events
        self.close_after_response = close_after_response
        self.events = queue.Queue()
        self.answers = queue.Queue()
        self.asked = threading.Semaphore(0)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                assert self.path == "/2018-06-01/runtime/invocation/next", self.path
                api.asked.release()
                headers, body = api.events.get()
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                if api.chunked_events:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for start in range(0, len(body), 7):
                        piece = body[start : start + 7]
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def do_POST(self):
                body, trailers = self._body()
                parts = self.path.removeprefix("/2018-06-01/runtime/").split("/")
                kind, request_id = ("init/error", "") if parts[0] == "init" else (parts[2], parts[1])
                api.answers.put(
                    Answer(kind, request_id, body, dict(self.headers.items()), trailers, self.client_address)
                )
                text = b'{"status":"OK"}\n'
                self.send_response(202)
                self.send_header("Content-Length", str(len(text)))
                if api.close_after_response:
                    self.close_connection = True  # without telling: the client must cope
                self.end_headers()
                self.wfile.write(text)

            def _body(self):
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0))), {}
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                trailers = {}
                while line := self.rfile.readline().strip():
                    name, _, value = line.decode().partition(":")
                    trailers[name.strip().lower()] = value.strip()
                return body, trailers

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # runtimes are killed in the middle of things

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def send(self, event, headers=None, timeout_ms=3000):
        """Queues an event (bytes as they are, anything else as JSON); returns its request id."""
        request_id = str(uuid.uuid4())
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.events.put(
            (
                {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + timeout_ms),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
                    **(headers or {}),
                },
                body,
            )
        )
        return request_id

    def answer(self, wait_s=WAIT_S):
        return self.answers.get(timeout=wait_s)

    def invoke(self, event, headers=None, timeout_ms=3000):
        request_id = self.send(event, headers, timeout_ms)
        answer = self.answer()
        assert answer.request_id == request_id
        return answer

    def init_error(self):
        answer = self.answer()
        assert answer.kind == "init/error", answer
        return answer

    def wait_until_asked(self):
        assert self.asked.acquire(timeout=WAIT_S), "the runtime never asked for an invocation"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class RuntimeProcess:
    """A runtime client started as the server starts it, on a folder of code."""

    def __init__(self, api, command, task_root, handler, environment=None, pass_fds=()):
        self.process = subprocess.Popen(
            command,
            cwd=task_root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "LANG": "en_US.UTF-8",
                "TZ": ":UTC",
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "_HANDLER": handler,
                "LAMBDA_TASK_ROOT": str(task_root),
                "AWS_LAMBDA_FUNCTION_NAME": "f",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
                "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef",
                "AWS_REGION": "us-east-1",
                **{name: os.fspath(value) for name, value in (environment or {}).items()},
            },
        )

    def exit_code(self):
        return self.process.wait(WAIT_S)

    def stop(self):
        """Ends the process; returns what it wrote to standard output and error, as text."""
        self.process.kill()
        out, err = self.process.communicate(timeout=WAIT_S)
        return out.decode(), err.decode()
