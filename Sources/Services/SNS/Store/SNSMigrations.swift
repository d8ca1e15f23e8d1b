import Storage

/// `token` confirms a pending subscription, or restores one that was unsubscribed by its link (`state` 2) until `expires`.
/// The FIFO sequence has a table of its own, so that a publish does not rewrite the topic's attributes.
let snsMigrations = Migrations(
    service: "sns",
    steps: [
        """
        CREATE TABLE sns_topic (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, attributes BLOB NOT NULL,
            tags BLOB NOT NULL, protection TEXT, deleted BIGINT NOT NULL DEFAULT 0,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE TABLE sns_sequence (
            account TEXT NOT NULL, region TEXT NOT NULL, topic TEXT NOT NULL, last BIGINT NOT NULL,
            published BIGINT NOT NULL, PRIMARY KEY (account, region, topic)
        ) WITHOUT ROWID;
        CREATE TABLE sns_deduplication (
            account TEXT NOT NULL, region TEXT NOT NULL, topic TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,
            message TEXT NOT NULL, sequence BIGINT NOT NULL, expires BIGINT NOT NULL,
            PRIMARY KEY (account, region, topic, scope, id)
        ) WITHOUT ROWID;
        CREATE INDEX sns_deduplication_expires ON sns_deduplication (expires);
        CREATE TABLE sns_subscription (
            account TEXT NOT NULL, region TEXT NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL,
            protocol TEXT NOT NULL, endpoint TEXT NOT NULL, attributes BLOB NOT NULL, principal TEXT NOT NULL,
            server TEXT NOT NULL, state BIGINT NOT NULL, authenticated BIGINT NOT NULL, guarded BIGINT NOT NULL,
            filtered BIGINT NOT NULL, token TEXT, expires BIGINT, PRIMARY KEY (account, region, topic, id)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX sns_subscription_endpoint ON sns_subscription
            (account, region, topic, protocol, endpoint);
        CREATE INDEX sns_subscription_owner ON sns_subscription (owner, region, account, topic, id);
        CREATE INDEX sns_subscription_token ON sns_subscription (token) WHERE token IS NOT NULL;
        CREATE INDEX sns_subscription_expires ON sns_subscription (expires) WHERE expires IS NOT NULL;
        CREATE TABLE sns_key (
            number BIGINT PRIMARY KEY, name TEXT NOT NULL, private_key BLOB NOT NULL, certificate TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
        "CREATE INDEX sns_topic_fifo ON sns_topic (account, region) WHERE name LIKE '%.fifo';",
    ])
