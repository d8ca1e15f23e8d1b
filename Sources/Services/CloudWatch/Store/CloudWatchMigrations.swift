import Storage

/// `last` is the minute of a metric's newest datum, `time` of a point the second at which it begins, `spread` its
/// distribution (`Distribution.encoded`; NULL when all its values are the same or nothing is known of them: `minimum` and `maximum`
/// tell which). An alarm's `is_fast` is 1 with periods below a minute; `namespace` and `metric` are NULL for metric math.
let cloudWatchMigrations = Migrations(
    service: "cloudwatch",
    steps: [
        """
        CREATE TABLE cloudwatch_metric (
            id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace TEXT NOT NULL,
            name TEXT NOT NULL, dimensions TEXT NOT NULL, last BIGINT NOT NULL,
            UNIQUE (account, region, namespace, name, dimensions)
        );
        CREATE TABLE cloudwatch_point (
            metric BIGINT NOT NULL, resolution BIGINT NOT NULL, time BIGINT NOT NULL, unit BIGINT NOT NULL,
            count DOUBLE PRECISION NOT NULL, sum DOUBLE PRECISION NOT NULL, minimum DOUBLE PRECISION NOT NULL,
            maximum DOUBLE PRECISION NOT NULL, spread BLOB,
            PRIMARY KEY (metric, resolution, time, unit)
        ) WITHOUT ROWID;
        CREATE TABLE cloudwatch_alarm (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, revision BIGINT NOT NULL,
            is_fast BIGINT NOT NULL, namespace TEXT, metric TEXT, document BLOB NOT NULL, state BLOB NOT NULL,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE INDEX cloudwatch_alarm_metric ON cloudwatch_alarm (account, region, namespace, metric, name);
        CREATE INDEX cloudwatch_alarm_fast ON cloudwatch_alarm (account, region, name) WHERE is_fast = 1;
        CREATE TABLE cloudwatch_history (
            id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, alarm TEXT NOT NULL,
            time BIGINT NOT NULL, type TEXT NOT NULL, summary TEXT NOT NULL, data TEXT NOT NULL
        );
        CREATE INDEX cloudwatch_history_alarm ON cloudwatch_history (account, region, alarm, time, id);
        CREATE INDEX cloudwatch_history_all ON cloudwatch_history (account, region, time, id);
        CREATE INDEX cloudwatch_history_time ON cloudwatch_history (time);
        CREATE TABLE cloudwatch_dashboard (
            account TEXT NOT NULL, name TEXT NOT NULL, modified BIGINT NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (account, name)
        );
        """
    ])
