import Storage

/// The service's tables. Keys are bytes, so that every engine orders them as S3 does.
enum S3Tables {
    static let migrations = Migrations(
        service: "s3",
        steps: [
            """
            CREATE TABLE s3_bucket (
                name TEXT NOT NULL PRIMARY KEY,
                account TEXT NOT NULL,
                region TEXT NOT NULL,
                created INTEGER NOT NULL,
                notifications BLOB NOT NULL
            ) WITHOUT ROWID;
            CREATE INDEX s3_bucket_by_account ON s3_bucket (account, name);
            CREATE TABLE s3_object (
                bucket TEXT NOT NULL,
                key BLOB NOT NULL,
                id TEXT NOT NULL,
                size INTEGER NOT NULL,
                etag TEXT NOT NULL,
                modified INTEGER NOT NULL,
                storage_class TEXT NOT NULL,
                checksum_algorithm TEXT,
                checksum_type TEXT,
                checksum TEXT,
                multipart INTEGER NOT NULL,
                upload TEXT,
                metadata BLOB NOT NULL,
                parts BLOB NOT NULL,
                PRIMARY KEY (bucket, key)
            ) WITHOUT ROWID;
            CREATE TABLE s3_upload (
                bucket TEXT NOT NULL,
                key BLOB NOT NULL,
                id TEXT NOT NULL,
                initiated INTEGER NOT NULL,
                initiator TEXT NOT NULL,
                storage_class TEXT NOT NULL,
                checksum_algorithm TEXT NOT NULL,
                checksum_type TEXT NOT NULL,
                checksum_explicit INTEGER NOT NULL,
                changes INTEGER NOT NULL,
                metadata BLOB NOT NULL,
                PRIMARY KEY (bucket, key, id)
            ) WITHOUT ROWID;
            CREATE TABLE s3_part (
                upload TEXT NOT NULL,
                number INTEGER NOT NULL,
                size INTEGER NOT NULL,
                etag TEXT NOT NULL,
                modified INTEGER NOT NULL,
                part BLOB NOT NULL,
                PRIMARY KEY (upload, number)
            ) WITHOUT ROWID;
            CREATE TABLE s3_sequencer (
                id INTEGER NOT NULL PRIMARY KEY,
                value INTEGER NOT NULL
            );
            INSERT INTO s3_sequencer (id, value) VALUES (1, 0);
            """
        ])
}
