"""What the tests of DynamoDB share."""

import pytest
from botocore.exceptions import ClientError

KEYS = ("HASH", "RANGE")


def schema(*names):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, KEYS)]


def attributes(**types):
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]


def make_table(db, name, types=None, key=("pk", "sk"), **parameters):
    """An on-demand table, ready to use; its name."""
    db.create_table(
        TableName=name, KeySchema=schema(*key), AttributeDefinitions=attributes(**(types or {"pk": "S", "sk": "N"})),
        BillingMode="PAY_PER_REQUEST", **parameters)
    db.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return name


def fails(call, code, text):
    """`call` must be refused with this code, and with this text somewhere in the message. The error."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value
    assert error.response["Error"]["Code"] == code, error
    assert text in error.response["Error"]["Message"], error
    return error
