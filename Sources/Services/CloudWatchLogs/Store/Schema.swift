import Storage

enum Schema {
    /// `last_event` is -1 for a stream without events, so that its index orders those as the oldest.
    static let migrations = Migrations(
        service: "logs",
        steps: [
            """
            CREATE TABLE logs_group (
                id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                created BIGINT NOT NULL, retention BIGINT, class TEXT NOT NULL, tags BLOB NOT NULL,
                bytes BIGINT NOT NULL DEFAULT 0, kms_key TEXT,
                UNIQUE (account, region, name)
            );
            CREATE TABLE logs_stream (
                id INTEGER PRIMARY KEY, group_id BIGINT NOT NULL, name TEXT NOT NULL, created BIGINT NOT NULL,
                first_event BIGINT, last_event BIGINT NOT NULL DEFAULT -1, last_ingestion BIGINT,
                UNIQUE (group_id, name)
            );
            CREATE INDEX logs_stream_last ON logs_stream (group_id, last_event, name);
            CREATE TABLE logs_event (
                id INTEGER PRIMARY KEY, group_id BIGINT NOT NULL, stream_id BIGINT NOT NULL,
                timestamp BIGINT NOT NULL, ingested BIGINT NOT NULL, message TEXT NOT NULL
            );
            CREATE INDEX logs_event_group ON logs_event (group_id, timestamp, id);
            CREATE INDEX logs_event_stream ON logs_event (stream_id, timestamp, id);
            """,
            // Streams that functions' logs have made may go when their events are gone.
            """
            ALTER TABLE logs_stream ADD COLUMN is_own BIGINT NOT NULL DEFAULT 0;
            CREATE INDEX logs_stream_own ON logs_stream (group_id, last_event) WHERE is_own = 1;
            """,
            // How many filters a group has is in its row, which every append reads: groups without filters pay nothing. A
            // change of any changes `filters_version`. `logs_pending` has events that subscriptions have not seen.
            """
            ALTER TABLE logs_group ADD COLUMN subscriptions BIGINT NOT NULL DEFAULT 0;
            ALTER TABLE logs_group ADD COLUMN metric_filters BIGINT NOT NULL DEFAULT 0;
            ALTER TABLE logs_group ADD COLUMN filters_version BIGINT NOT NULL DEFAULT 0;
            CREATE INDEX logs_group_metered ON logs_group (account, region, name) WHERE metric_filters > 0;
            CREATE TABLE logs_filter (
                group_id BIGINT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, created BIGINT NOT NULL,
                document BLOB NOT NULL, PRIMARY KEY (group_id, kind, name)
            ) WITHOUT ROWID;
            CREATE TABLE logs_pending (
                id INTEGER PRIMARY KEY, group_id BIGINT NOT NULL, stream_id BIGINT NOT NULL,
                first_event BIGINT NOT NULL, last_event BIGINT NOT NULL, lineage TEXT
            );
            """,
        ])
}
