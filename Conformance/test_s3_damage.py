"""Bytes that rot on the disk: an error for who asks for them, never wrong bytes, and nothing else is touched."""

import random

import botocore.exceptions
import pytest


def damage(server, content):
    """Turns one bit in the middle of the file that holds exactly this."""
    found = [path for path in (server.data_dir / "blobs").rglob("*") if path.is_file() and path.read_bytes() == content]
    assert len(found) == 1, found
    with open(found[0], "r+b") as file:
        file.seek(len(content) // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def whole(client, **parameters):
    """The object's bytes; None when the server says that it has none or breaks off."""
    try:
        return client.get_object(Bucket="damage", **parameters)["Body"].read()
    except botocore.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500, error
    except (botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError,
            botocore.exceptions.ConnectionError):
        pass
    return None


@pytest.mark.parametrize("size", [5_000, 200_000, 9_000_000])
def test_damaged_objects(make_server, size):
    server = make_server()
    client = server.client("s3")
    client.create_bucket(Bucket="damage")
    rng = random.Random(size)
    content, other = rng.randbytes(size), rng.randbytes(size)
    client.put_object(Bucket="damage", Key="bad", Body=content)
    client.put_object(Bucket="damage", Key="good", Body=other)
    assert whole(client, Key="bad") == content
    damage(server, content)
    for _ in range(2):
        assert whole(client, Key="bad") is None
    assert whole(client, Key="good") == other
    # Written again, it is whole again.
    client.put_object(Bucket="damage", Key="bad", Body=content)
    assert whole(client, Key="bad") == content
