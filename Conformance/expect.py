"""What tests expect of errors: AWS's code, HTTP status and text."""

import contextlib
import re

import botocore.exceptions
import pytest


@contextlib.contextmanager
def aws_error(code, message=None, status=400):
    """The block must fail with this error. `message`: the exact text, or a compiled pattern to be found in it."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield caught
    response = caught.value.response
    got = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
    text = response["Error"]["Message"]
    assert got == (code, status), f"{got}: {text}"
    if isinstance(message, re.Pattern):
        assert message.search(text), text
    elif message is not None:
        assert text == message


def assert_not_implemented(call, operation):
    """Calls an operation that is missing: the answer must be an error that names it."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] >= 400
    assert operation in response["Error"]["Message"] + response["Error"]["Code"], response


def answer(call):
    """The HTTP status of an answer, and the answer without its metadata: what the service itself said."""
    response = dict(call)
    return response.pop("ResponseMetadata")["HTTPStatusCode"], response


def command_failed(result, code, operation, message):
    """The AWS CLI must have failed with a service's error, and show it."""
    assert result.code == 254, (result.code, result.error)
    assert f"An error occurred ({code}) when calling the {operation} operation" in result.error
    assert result.error.endswith(f": {message}\n"), result.error
