"""What the Lambda conformance tests share."""

import pytest
from botocore.exceptions import ClientError

from .harness import REGION, zip_bytes

ECHO = "def handler(event, context):\n    return event\n"
OTHER = "def handler(event, context):\n    return 'other'\n"
NO_REVISION = "00000000-0000-0000-0000-000000000000"


class Refusal:
    """An error that a call was answered with."""

    def __init__(self, error):
        self.code = error.response["Error"]["Code"]
        self.message = error.response["Error"]["Message"]
        self.status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        self.type = error.response.get("Type")

    def __repr__(self):
        return f"{self.status} {self.code}: {self.message}"


def refused(call, **parameters):
    """Makes a call that must fail; its `Refusal`."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return Refusal(caught.value)


def arn(name, qualifier=None, account="000000000000", region=REGION):
    return f"arn:aws:lambda:{region}:{account}:function:{name}" + (f":{qualifier}" if qualifier else "")


def code(source=ECHO):
    return zip_bytes({"index.py": source})
