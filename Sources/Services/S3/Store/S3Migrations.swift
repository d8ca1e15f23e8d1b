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
            """,
            // Versions. An object that is there already is the null version of its key, and its oldest. Adding columns
            // rewrites no row.
            """
            ALTER TABLE s3_object ADD COLUMN version TEXT;
            ALTER TABLE s3_object ADD COLUMN rank INTEGER NOT NULL DEFAULT 9223372036854775807;
            CREATE TABLE s3_version (
                bucket TEXT NOT NULL,
                key BLOB NOT NULL,
                rank INTEGER NOT NULL,
                version TEXT,
                marker INTEGER NOT NULL,
                superseded INTEGER,
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
                PRIMARY KEY (bucket, key, rank)
            ) WITHOUT ROWID;
            CREATE UNIQUE INDEX s3_version_null ON s3_version (bucket, key) WHERE version IS NULL;
            ALTER TABLE s3_bucket ADD COLUMN versioning INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE s3_bucket ADD COLUMN ownership INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE s3_bucket ADD COLUMN public_access INTEGER NOT NULL DEFAULT 15;
            ALTER TABLE s3_bucket ADD COLUMN policy TEXT;
            ALTER TABLE s3_bucket ADD COLUMN acl BLOB;
            ALTER TABLE s3_bucket ADD COLUMN encryption BLOB;
            ALTER TABLE s3_bucket ADD COLUMN settings INTEGER NOT NULL DEFAULT 0;
            CREATE TABLE s3_setting (
                bucket TEXT NOT NULL,
                name TEXT NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (bucket, name)
            ) WITHOUT ROWID;
            CREATE INDEX s3_setting_by_name ON s3_setting (name, bucket);
            """,
            // Parts whose references are let go of behind the transaction that removed them.
            """
            CREATE TABLE s3_leftover (
                id INTEGER NOT NULL PRIMARY KEY,
                upload TEXT,
                holds INTEGER NOT NULL DEFAULT 1,
                parts BLOB
            );
            """,
            // Restored copies of archived objects, by the id of the object.
            """
            CREATE TABLE s3_restore (
                bucket TEXT NOT NULL,
                key BLOB NOT NULL,
                id TEXT NOT NULL,
                version TEXT,
                expires INTEGER NOT NULL,
                PRIMARY KEY (bucket, key, id)
            ) WITHOUT ROWID;
            CREATE INDEX s3_restore_by_expiry ON s3_restore (expires);
            """,
        ])
}
