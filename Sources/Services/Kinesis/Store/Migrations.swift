import Storage

enum Schema {
    /// - `kinesis_streams.id` and `kinesis_shards.id` are never used again: iterators and records name them. `open` is the number
    ///   of open shards, `shards_made` the number of the next.
    /// - `kinesis_shards.ended` is the position that closed the shard, `floor` the last position whose record was removed, so that
    ///   numbers go on behind it also when no record is left.
    /// - `kinesis_segments`: records of one put to one shard (`Segment`), from position `first` to `last`. In the order of
    ///   arrival, so that old rows are together; the index serves reading, ends and expiry without touching the data.
    /// - `kinesis_garbage`: shards of deleted streams, whose records are not all removed yet.
    static let migrations = Migrations(
        service: "kinesis",
        steps: [
            """
            CREATE TABLE kinesis_streams (
                id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                stream_id TEXT NOT NULL, created INTEGER NOT NULL, shards_made INTEGER NOT NULL, open INTEGER NOT NULL,
                mode TEXT NOT NULL, settings BLOB NOT NULL, tags BLOB NOT NULL, policy TEXT
            );
            CREATE UNIQUE INDEX kinesis_streams_name ON kinesis_streams (account, region, name);
            CREATE UNIQUE INDEX kinesis_streams_stream_id ON kinesis_streams (stream_id);
            CREATE TABLE kinesis_shards (
                id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, number INTEGER NOT NULL,
                low BLOB NOT NULL, high BLOB NOT NULL, created INTEGER NOT NULL, created_seconds INTEGER NOT NULL,
                parent INTEGER, adjacent INTEGER, ended INTEGER, ended_at INTEGER, floor INTEGER NOT NULL DEFAULT 0
            );
            CREATE UNIQUE INDEX kinesis_shards_number ON kinesis_shards (stream, number);
            CREATE TABLE kinesis_segments (
                id INTEGER PRIMARY KEY, shard INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                bytes INTEGER NOT NULL, data BLOB NOT NULL
            );
            CREATE UNIQUE INDEX kinesis_segments_position ON kinesis_segments (shard, first, last, bytes);
            CREATE TABLE kinesis_consumers (
                id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, name TEXT NOT NULL,
                created INTEGER NOT NULL, tags BLOB NOT NULL, policy TEXT
            );
            CREATE UNIQUE INDEX kinesis_consumers_name ON kinesis_consumers (stream, name);
            CREATE TABLE kinesis_garbage (shard INTEGER PRIMARY KEY);
            """
        ])
}
