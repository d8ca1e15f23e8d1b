import Storage

enum Schema {
    /// - `sqs_messages.id` orders messages by arrival and is never used again, so that id and receive count name one receive.
    ///   `visible` is when a message can be received (nanoseconds): its sending, the end of its delay, or the end of its
    ///   visibility timeout; in flight is what was received (`receives` > 0) and is not visible yet. `lane` is the group of
    ///   messages of FIFO queues. The first index serves receiving and counting without the rows, `sqs_messages_sent` expiry: a
    ///   message over its retention goes also while it is in flight or delayed.
    /// - `sqs_lanes` has a row for each group with messages: when its next message can be received.
    /// - `sqs_garbage`: queues that are deleted, whose messages are not all removed yet.
    static let migrations = Migrations(
        service: "sqs",
        steps: [
            """
            CREATE TABLE sqs_queues (
                id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
                created INTEGER NOT NULL, modified INTEGER NOT NULL, purged INTEGER NOT NULL DEFAULT 0,
                attributes BLOB NOT NULL, tags BLOB NOT NULL, dead_letters TEXT
            );
            CREATE UNIQUE INDEX sqs_queues_name ON sqs_queues (account, region, name);
            CREATE INDEX sqs_queues_dead_letters ON sqs_queues (dead_letters, name) WHERE dead_letters IS NOT NULL;
            CREATE TABLE sqs_messages (
                id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, visible INTEGER NOT NULL,
                receives INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL, received INTEGER NOT NULL DEFAULT 0,
                first_received INTEGER NOT NULL DEFAULT 0, lane TEXT, message_id TEXT NOT NULL,
                envelope BLOB NOT NULL, body TEXT
            );
            CREATE INDEX sqs_messages_visible ON sqs_messages (queue, visible, receives, sent);
            CREATE INDEX sqs_messages_lane ON sqs_messages (queue, lane, id) WHERE lane IS NOT NULL;
            CREATE INDEX sqs_messages_held ON sqs_messages (queue, lane, visible)
                WHERE lane IS NOT NULL AND receives > 0;
            CREATE TABLE sqs_bodies (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
            CREATE TABLE sqs_lanes (
                queue INTEGER NOT NULL, lane TEXT NOT NULL, available INTEGER NOT NULL, PRIMARY KEY (queue, lane)
            ) WITHOUT ROWID;
            CREATE INDEX sqs_lanes_available ON sqs_lanes (queue, available);
            CREATE TABLE sqs_deduplications (
                queue INTEGER NOT NULL, lane TEXT NOT NULL, deduplication TEXT NOT NULL, expires INTEGER NOT NULL,
                message INTEGER NOT NULL, message_id TEXT NOT NULL, PRIMARY KEY (queue, lane, deduplication)
            ) WITHOUT ROWID;
            CREATE INDEX sqs_deduplications_expires ON sqs_deduplications (queue, expires);
            CREATE TABLE sqs_attempts (
                queue INTEGER NOT NULL, attempt TEXT NOT NULL, expires INTEGER NOT NULL, messages BLOB NOT NULL,
                PRIMARY KEY (queue, attempt)
            ) WITHOUT ROWID;
            CREATE INDEX sqs_attempts_expires ON sqs_attempts (queue, expires);
            CREATE TABLE sqs_garbage (queue INTEGER PRIMARY KEY);
            CREATE TABLE sqs_move_tasks (
                id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, source TEXT NOT NULL, destination TEXT,
                rate INTEGER, status TEXT NOT NULL, moved INTEGER NOT NULL DEFAULT 0, to_move INTEGER NOT NULL,
                last INTEGER NOT NULL, started INTEGER NOT NULL, failure TEXT
            );
            CREATE INDEX sqs_move_tasks_queue ON sqs_move_tasks (queue, id);
            CREATE INDEX sqs_move_tasks_running ON sqs_move_tasks (status, id);
            """,
            "CREATE INDEX sqs_messages_sent ON sqs_messages (queue, sent);",
        ])
}
