"""Functions that several tests deploy, and a bootstrap for provided.* that needs nothing but the host's Python."""

# A whole CPU, so that tests are about behaviour: with the default 128 MB a function gets a fourteenth of one.
FAST_MB = 1769

# Speaks the Runtime API on its own connection. The event decides: {"raise": …}, {"exit": 3}, {"echo": …}.
BOOTSTRAP = """#!/usr/bin/python3 -S
import http.client, json, os, signal, sys

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None, headers={}):
    api.request(method, "/2018-06-01/runtime" + path, body, headers)
    response = api.getresponse()
    return response, response.read()

if os.environ.get("FAIL_INIT"):
    call("POST", "/init/error", json.dumps({"errorMessage": "no luck", "errorType": "Runtime.BadStart"}),
         {"Lambda-Runtime-Function-Error-Type": "Runtime.BadStart"})
    sys.exit(1)

while True:
    head, body = call("GET", "/invocation/next")
    request = "/invocation/" + head.getheader("Lambda-Runtime-Aws-Request-Id")
    event = json.loads(body)
    if not isinstance(event, dict):
        event = {}
    if "raise" in event:
        call("POST", request + "/error", json.dumps({"errorMessage": event["raise"], "errorType": "My.Error"}),
             {"Lambda-Runtime-Function-Error-Type": "Function.MyError"})
    elif "exit" in event:
        os._exit(event["exit"])
    elif "kill" in event:
        os.kill(os.getpid(), event["kill"])
    elif "headers" in event:
        call("POST", request + "/response", json.dumps(dict(head.getheaders())))
    elif "raw" in event:
        call("POST", request + "/response", event["raw"])
    else:
        call("POST", request + "/response", body)
"""


def provided(bootstrap=BOOTSTRAP, mode=0o755):
    """What make_function needs for a function whose runtime is its own `bootstrap`."""
    return {"files": {"bootstrap": (bootstrap, mode)}, "runtime": "provided.al2023", "handler": "any"}


# Runs the Python text in the event's "run", which leaves its result in `result`; what it may need is there already.
RUN = """
import json, os, signal, socket, subprocess, sys, threading, time

def handler(event, context):
    scope = {**globals(), "event": event, "context": context, "result": None}
    exec(event["run"], scope)
    return scope["result"]
"""
