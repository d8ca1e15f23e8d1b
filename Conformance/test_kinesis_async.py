"""async-kinesis, in a process with libraries of its own: its producer writes, its consumer reads, while shards split."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from .harness import REGION, REPOSITORY

LIBRARIES = REPOSITORY / ".cache/async-kinesis"
PROGRAM = textwrap.dedent("""
    import asyncio, json, sys
    from kinesis import Consumer, Producer

    async def main(url, stream):
        place = dict(endpoint_url=url, region_name="REGION")
        got = []
        async with Producer(stream_name=stream, create_stream=True, create_stream_shards=2, buffer_time=0.05,
                            **place) as producer:
            for number in range(200):
                await producer.put({"number": number}, partition_key=f"key-{number % 13}")
            await producer.flush()
            await producer.client.update_shard_count(
                StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
            for number in range(200, 400):
                await producer.put({"number": number}, partition_key=f"key-{number % 13}")
            await producer.flush()
        async with Consumer(stream_name=stream, sleep_time_no_records=0.1, idle_timeout=0.5, use_list_shards=True,
                            shard_fetch_rate=50, **place) as consumer:
            for _ in range(60):
                async for item in consumer:
                    got.append(item["number"])
                if len(got) >= 400:
                    break
        print(json.dumps(got))

    asyncio.run(main(*sys.argv[1:]))
""").replace("REGION", REGION)


@pytest.mark.skipif(not LIBRARIES.exists(), reason="async-kinesis is not there: Tools/setup python")
def test_producer_and_consumer(server, unique):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url, unique("async")], capture_output=True, text=True, timeout=90,
        env={**os.environ, "PYTHONPATH": str(LIBRARIES), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
             "AWS_EC2_METADATA_DISABLED": "true"})
    assert done.returncode == 0, done.stderr[-3000:]
    got = json.loads(done.stdout.splitlines()[-1])
    assert sorted(got) == list(range(400))
    for key in range(13):
        # The library reads parents and children side by side: order holds within what a shard had.
        mine = [number for number in got if number % 13 == key]
        assert [number for number in mine if number < 200] == [number for number in range(200) if number % 13 == key]
        assert [n for n in mine if n >= 200] == [n for n in range(200, 400) if n % 13 == key]
