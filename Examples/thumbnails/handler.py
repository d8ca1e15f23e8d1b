"""Makes a thumbnail of every picture put into a bucket, and writes it into another bucket.

Environment: THUMBNAIL_BUCKET (required), THUMBNAIL_PIXELS (longest side, default 256).
"""

import io
import os
import urllib.parse
import warnings

import boto3
from PIL import Image, ImageOps

BUCKET = os.environ["THUMBNAIL_BUCKET"]
PIXELS = int(os.environ.get("THUMBNAIL_PIXELS", "256"))
JPEG_QUALITY = 85

# A small file can hold a picture that is too large for the function's memory: Pillow's warning becomes an error.
warnings.simplefilter("error", Image.DecompressionBombWarning)

s3 = boto3.client("s3")


class BrokenImage(Exception):
    """The object is not a picture that can be read."""


def handler(event, context):
    return [thumbnail_of(record["s3"]) for record in event["Records"]]


def thumbnail_of(source):
    bucket = source["bucket"]["name"]
    key = urllib.parse.unquote_plus(source["object"]["key"])  # notifications carry it encoded as in a form
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        image = Image.open(io.BytesIO(data))
        size, kind = image.size, image.format
        small = ImageOps.exif_transpose(image)  # cameras note how they were held instead of turning the pixels
        small.thumbnail((PIXELS, PIXELS))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenImage(f"s3://{bucket}/{key} ({len(data)} bytes) is not a readable picture: {error}") from error

    name = f"{key}.jpg"
    output = io.BytesIO()
    on_white(small).save(output, "JPEG", quality=JPEG_QUALITY)
    s3.put_object(Bucket=BUCKET, Key=name, Body=output.getvalue(), ContentType="image/jpeg")
    print(f"{key}: {kind} {size[0]}x{size[1]}, {len(data)} bytes -> {name} {small.width}x{small.height}, {output.tell()} bytes")
    return {"key": name, "width": small.width, "height": small.height}


def on_white(image):
    """The picture as RGB: JPEG has no transparency."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")
