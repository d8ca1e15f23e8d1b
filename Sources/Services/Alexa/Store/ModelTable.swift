import Platform
import Storage

/// Interaction models: every version that was built, and how the last build of each locale went.
enum ModelTable {
    struct Build: Sendable {
        var locale: String
        /// The version that is used; 0 when none was ever built.
        var version: Int64
        var outcome: Value
    }

    struct Version: Sendable {
        var number: Int64
        var created: Instant
        var document: Value
    }

    static func build(_ skill: String, _ locale: String, in transaction: any ReadTransaction) throws -> Build? {
        try transaction.first(
            "SELECT locale, version, outcome FROM alexa_build WHERE skill = ? AND locale = ?",
            [.text(skill), .text(locale)], build)
    }

    static func builds(_ skill: String, in transaction: any ReadTransaction) throws -> [Build] {
        try transaction.query(
            "SELECT locale, version, outcome FROM alexa_build WHERE skill = ? ORDER BY locale LIMIT ?",
            [.text(skill), .int(Int64(Limits.locales))], build)
    }

    private static func build(_ row: any Row) -> Build {
        Build(locale: row.text(0), version: row.int(1), outcome: Documents.read(row.blob(2)))
    }

    static func put(_ build: Build, of skill: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO alexa_build (skill, locale, version, outcome) VALUES (?, ?, ?, ?)
            ON CONFLICT (skill, locale) DO UPDATE SET version = excluded.version, outcome = excluded.outcome
            """,
            [.text(skill), .text(build.locale), .int(build.version), .blob(JSON.encode(build.outcome))])
    }

    /// Adds a version, and drops what is older than `Limits.versions` of them.
    static func add(
        _ document: Value, _ skill: String, _ locale: String, version: Int64, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "INSERT INTO alexa_model (skill, locale, version, created, document) VALUES (?, ?, ?, ?, ?)",
            [
                .text(skill), .text(locale), .int(version), .int(now.nanoseconds), .blob(JSON.encode(document)),
            ])
        try transaction.execute(
            "DELETE FROM alexa_model WHERE skill = ? AND locale = ? AND version <= ?",
            [.text(skill), .text(locale), .int(version - Int64(Limits.versions))])
    }

    static func version(
        _ skill: String, _ locale: String, _ version: Int64, in transaction: any ReadTransaction
    ) throws -> Version? {
        try transaction.first(
            "SELECT version, created, document FROM alexa_model WHERE skill = ? AND locale = ? AND version = ?",
            [.text(skill), .text(locale), .int(version)]
        ) {
            Version(
                number: $0.int(0), created: Instant(nanoseconds: $0.int(1)), document: Documents.read($0.blob(2)))
        }
    }

    /// Without their documents, newest first.
    static func versions(_ skill: String, _ locale: String, in transaction: any ReadTransaction) throws -> [Version] {
        try transaction.query(
            "SELECT version, created FROM alexa_model WHERE skill = ? AND locale = ? ORDER BY version DESC LIMIT ?",
            [.text(skill), .text(locale), .int(Int64(Limits.versions))]
        ) { Version(number: $0.int(0), created: Instant(nanoseconds: $0.int(1)), document: .null) }
    }
}
