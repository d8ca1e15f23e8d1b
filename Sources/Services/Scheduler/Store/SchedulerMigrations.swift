import Storage

/// Documents are JSON. A schedule without `due` fires no more. A group with a state is being deleted.
let schedulerMigrations = Migrations(
    service: "scheduler",
    steps: [
        """
        CREATE TABLE scheduler_group (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, document BLOB NOT NULL,
            deleting BIGINT, PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE INDEX scheduler_group_deleting ON scheduler_group (deleting) WHERE deleting IS NOT NULL;
        CREATE TABLE scheduler_schedule (
            account TEXT NOT NULL, region TEXT NOT NULL, grp TEXT NOT NULL, name TEXT NOT NULL,
            document BLOB NOT NULL, occurrence BIGINT, due BIGINT, PRIMARY KEY (account, region, grp, name)
        ) WITHOUT ROWID;
        CREATE INDEX scheduler_schedule_due ON scheduler_schedule (due) WHERE due IS NOT NULL;
        """
    ])
