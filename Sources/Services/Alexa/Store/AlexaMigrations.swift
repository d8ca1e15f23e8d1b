import Storage

/// Documents are JSON, as clients gave them. A skill has no account or Region: the vendor is this server. `revision` grows with
/// every change of a row's document; ETags are made of it. A simulation without `status` SUCCESSFUL or FAILED that another process
/// has begun (`process`) will not end.
let alexaMigrations = Migrations(
    service: "alexa",
    steps: [
        """
        CREATE TABLE alexa_skill (
            id TEXT NOT NULL PRIMARY KEY, created BIGINT NOT NULL, updated BIGINT NOT NULL, revision BIGINT NOT NULL,
            enabled BIGINT NOT NULL, manifest BLOB NOT NULL, outcome BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX alexa_skill_created ON alexa_skill (created, id);
        CREATE TABLE alexa_model (
            skill TEXT NOT NULL, locale TEXT NOT NULL, version BIGINT NOT NULL, created BIGINT NOT NULL,
            document BLOB NOT NULL, PRIMARY KEY (skill, locale, version)
        );
        CREATE TABLE alexa_build (
            skill TEXT NOT NULL, locale TEXT NOT NULL, version BIGINT NOT NULL, outcome BLOB NOT NULL,
            PRIMARY KEY (skill, locale)
        ) WITHOUT ROWID;
        CREATE TABLE alexa_session (
            skill TEXT NOT NULL, device TEXT NOT NULL, used BIGINT NOT NULL, document BLOB NOT NULL,
            PRIMARY KEY (skill, device)
        ) WITHOUT ROWID;
        CREATE INDEX alexa_session_used ON alexa_session (used);
        CREATE TABLE alexa_simulation (
            id TEXT NOT NULL PRIMARY KEY, skill TEXT NOT NULL, created BIGINT NOT NULL, process TEXT NOT NULL,
            status TEXT NOT NULL, document BLOB NOT NULL
        );
        CREATE INDEX alexa_simulation_created ON alexa_simulation (created);
        CREATE TABLE alexa_key (
            number BIGINT NOT NULL PRIMARY KEY, private_key BLOB NOT NULL, root TEXT NOT NULL, chain TEXT NOT NULL,
            name TEXT NOT NULL
        );
        """
    ])
