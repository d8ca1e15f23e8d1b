import Storage

enum Schema {
    /// - `dynamodb_counts` gives tables and indexes their ids, which are never used again, and counts what is in them.
    /// - `dynamodb_items.key`: see `KeySchema`. A table with row ids, because items are larger than what SQLite keeps well in
    ///   the nodes of a tree without them; the entries of indexes point at the row, which stays where it is when its item
    ///   changes, so that a change that leaves an index's key alone does not touch the index.
    /// - `expires`, seconds since 1970: of tables with time to live.
    /// - `dynamodb_records.id` is the sequence number.
    /// - `dynamodb_jobs`: background work that is under way, with how far it has come.
    static let migrations = Migrations(
        service: "dynamodb",
        steps: [
            """
            CREATE TABLE dynamodb_counts (
                id INTEGER PRIMARY KEY AUTOINCREMENT, items INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
            );
            CREATE TABLE dynamodb_tables (
                id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                uuid TEXT NOT NULL, created INTEGER NOT NULL, definition BLOB NOT NULL, tags BLOB NOT NULL
            );
            CREATE UNIQUE INDEX dynamodb_tables_name ON dynamodb_tables (account, region, name);
            CREATE TABLE dynamodb_items (
                id INTEGER PRIMARY KEY, table_id INTEGER NOT NULL, key BLOB NOT NULL, expires INTEGER, item BLOB NOT NULL
            );
            CREATE UNIQUE INDEX dynamodb_items_key ON dynamodb_items (table_id, key);
            CREATE INDEX dynamodb_items_expires ON dynamodb_items (expires) WHERE expires IS NOT NULL;
            CREATE TABLE dynamodb_entries (
                index_id INTEGER NOT NULL, key BLOB NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (index_id, key)
            ) WITHOUT ROWID;
            CREATE TABLE dynamodb_streams (
                id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL,
                table_name TEXT NOT NULL, label TEXT NOT NULL, view TEXT NOT NULL, key BLOB NOT NULL,
                created INTEGER NOT NULL, ended INTEGER
            );
            CREATE UNIQUE INDEX dynamodb_streams_name ON dynamodb_streams (account, region, table_name, label);
            CREATE INDEX dynamodb_streams_ended ON dynamodb_streams (ended) WHERE ended IS NOT NULL;
            CREATE TABLE dynamodb_shards (
                id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, parent TEXT, created INTEGER NOT NULL,
                first INTEGER NOT NULL, closed INTEGER, last INTEGER
            );
            CREATE INDEX dynamodb_shards_stream ON dynamodb_shards (stream, id);
            CREATE INDEX dynamodb_shards_closed ON dynamodb_shards (closed) WHERE closed IS NOT NULL;
            CREATE TABLE dynamodb_records (
                id INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, created INTEGER NOT NULL,
                event INTEGER NOT NULL, by_service INTEGER NOT NULL, size INTEGER NOT NULL, keys BLOB NOT NULL,
                old BLOB, new BLOB
            );
            CREATE INDEX dynamodb_records_shard ON dynamodb_records (shard, id);
            CREATE TABLE dynamodb_jobs (
                id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, table_id INTEGER NOT NULL,
                target INTEGER NOT NULL, position BLOB NOT NULL
            );
            CREATE TABLE dynamodb_tokens (
                account TEXT NOT NULL, region TEXT NOT NULL, token TEXT NOT NULL, digest BLOB NOT NULL,
                expires INTEGER NOT NULL, PRIMARY KEY (account, region, token)
            ) WITHOUT ROWID;
            CREATE INDEX dynamodb_tokens_expires ON dynamodb_tokens (expires);
            """
        ])
}
