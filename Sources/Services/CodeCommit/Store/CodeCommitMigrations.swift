import Storage

/// `codecommit_ref` keeps what has been announced of each reference, which is what the API shows: git moves references on
/// disk, and a difference is an event that is still owed. `codecommit_push` names the repositories in which that may be so.
let codeCommitMigrations = Migrations(
    service: "codecommit",
    steps: [
        """
        CREATE TABLE codecommit_repository (
            account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL,
            modified BIGINT NOT NULL, document BLOB NOT NULL,
            PRIMARY KEY (account, region, name)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX codecommit_repository_id ON codecommit_repository (id);
        CREATE INDEX codecommit_repository_modified ON codecommit_repository (account, region, modified, name);
        CREATE TABLE codecommit_ref (
            repository TEXT NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
            PRIMARY KEY (repository, name)
        ) WITHOUT ROWID;
        CREATE TABLE codecommit_push (
            id TEXT NOT NULL PRIMARY KEY, repository TEXT NOT NULL, caller TEXT NOT NULL
        );
        CREATE TABLE codecommit_trash (id TEXT NOT NULL PRIMARY KEY);
        """
    ])
