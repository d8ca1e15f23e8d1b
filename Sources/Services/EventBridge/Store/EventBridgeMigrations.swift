import Storage

/// Documents are JSON. `due` is when a rule's schedule fires next. A bus's revision changes with everything that its rules
/// and targets do, so that compiled rules in memory are known to be those of the store.
let eventBridgeMigrations = Migrations(
    service: "events",
    steps: [
        """
        CREATE TABLE events_bus (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, document BLOB NOT NULL,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE TABLE events_rule (
            account TEXT NOT NULL, region TEXT NOT NULL, bus TEXT NOT NULL, name TEXT NOT NULL, document BLOB NOT NULL,
            due BIGINT, PRIMARY KEY (account, region, bus, name)
        ) WITHOUT ROWID;
        CREATE INDEX events_rule_due ON events_rule (due) WHERE due IS NOT NULL;
        CREATE TABLE events_target (
            account TEXT NOT NULL, region TEXT NOT NULL, bus TEXT NOT NULL, rule TEXT NOT NULL, id TEXT NOT NULL,
            arn TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (account, region, bus, rule, id)
        ) WITHOUT ROWID;
        CREATE INDEX events_target_arn ON events_target (account, region, bus, arn, rule);
        CREATE TABLE events_revision (
            account TEXT NOT NULL, region TEXT NOT NULL, bus TEXT NOT NULL, revision BIGINT NOT NULL,
            PRIMARY KEY (account, region, bus)
        ) WITHOUT ROWID;
        """
    ])
