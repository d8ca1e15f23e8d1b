import Crypto
import Platform

/// Brings the tables of all services to the newest form, in one transaction: one sync at the first start.
enum Migrator {
    /// Raised when the tables of the store itself (`martlet_migrations`) change their meaning.
    static let storeFormat: Int64 = 1

    /// Throws `Failure(.configuration)` for an edited migration or a database of a newer Martlet.
    static func run(_ migrations: [Migrations], on connection: SQLiteConnection) throws {
        try connection.use { session in
            try session.script("BEGIN IMMEDIATE")
            do {
                let transaction = SQLiteTransaction(session, isReader: false)
                defer { transaction.end() }
                try checkFormat(transaction, session)
                for service in migrations { try apply(service, transaction, session) }
                try session.script("COMMIT")
            } catch {
                if session.isInTransaction { try? session.script("ROLLBACK") }
                throw error
            }
        }
    }

    private static func checkFormat(_ transaction: SQLiteTransaction, _ session: SQLiteSession) throws {
        let format = try transaction.first("PRAGMA user_version", []) { $0.int(0) } ?? 0
        guard format <= storeFormat else {
            throw Failure(
                .configuration,
                "The database has store format \(format); this Martlet knows \(storeFormat). Use the newer Martlet "
                    + "that wrote it.")
        }
        guard format == 0 else { return }
        try session.script(
            """
            CREATE TABLE martlet_migrations (
                service TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL,
                PRIMARY KEY (service, number)
            ) WITHOUT ROWID;
            PRAGMA user_version = \(storeFormat)
            """)
    }

    private static func apply(
        _ migrations: Migrations, _ transaction: SQLiteTransaction, _ session: SQLiteSession
    ) throws {
        let applied = try transaction.query(
            "SELECT number, checksum FROM martlet_migrations WHERE service = ? ORDER BY number",
            [.text(migrations.service)]
        ) { ($0.int(0), $0.text(1)) }
        guard applied.count <= migrations.steps.count else {
            throw Failure(
                .configuration,
                "The database has \(applied.count) migrations of \(migrations.service); this Martlet knows "
                    + "\(migrations.steps.count). Use the newer Martlet that wrote it.")
        }
        for (index, step) in migrations.steps.enumerated() {
            let number = Int64(index) + 1
            let checksum = hexEncoded(SHA256.hash(data: Array(step.utf8)))
            if index < applied.count {
                guard applied[index] == (number, checksum) else {
                    throw Failure(
                        .configuration,
                        "Migration \(number) of \(migrations.service) is not the one that this database was made "
                            + "with. A migration that has landed is never edited: add a new one.")
                }
                continue
            }
            try session.script(step)
            guard session.isInTransaction else {
                throw Failure(.bug, "Migration \(number) of \(migrations.service) ends the transaction it runs in.")
            }
            try transaction.execute(
                "INSERT INTO martlet_migrations (service, number, checksum) VALUES (?, ?, ?)",
                [.text(migrations.service), .int(number), .text(checksum)])
        }
    }
}
