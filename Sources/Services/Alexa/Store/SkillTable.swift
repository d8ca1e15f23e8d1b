import Platform
import Storage

/// A skill's row.
struct SkillRecord: Sendable {
    var id: String
    var created: Instant
    var updated: Instant
    var revision: Int64
    var isEnabled: Bool
    var manifest: Value
    /// `lastUpdateRequest` of its manifest.
    var outcome: Value

    var facts: SkillManifest { SkillManifest(document: manifest) }
    var eTag: String { ETag.make(id, revision) }
}

enum ETag {
    static func make(_ id: String, _ revision: Int64) -> String {
        let name = id.split(separator: ".").last ?? ""
        return hexEncoded(Array(name.utf8.prefix(6))) + "-" + String(revision)
    }
}

enum SkillTable {
    private static let columns = "id, created, updated, revision, enabled, manifest, outcome"

    static func get(_ id: String, in transaction: any ReadTransaction) throws -> SkillRecord? {
        try transaction.first("SELECT \(columns) FROM alexa_skill WHERE id = ?", [.text(id)], record)
    }

    static func put(_ skill: SkillRecord, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO alexa_skill (id, created, updated, revision, enabled, manifest, outcome)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, revision = excluded.revision,
            enabled = excluded.enabled, manifest = excluded.manifest, outcome = excluded.outcome
            """,
            [
                .text(skill.id), .int(skill.created.nanoseconds), .int(skill.updated.nanoseconds), .int(skill.revision),
                .bool(skill.isEnabled), .blob(JSON.encode(skill.manifest)), .blob(JSON.encode(skill.outcome)),
            ])
    }

    /// Whether it was there. Everything of the skill goes with it.
    static func delete(_ id: String, in transaction: any WriteTransaction) throws -> Bool {
        for table in ["alexa_model", "alexa_build", "alexa_session"] {
            try transaction.execute("DELETE FROM \(table) WHERE skill = ?", [.text(id)])
        }
        return try transaction.execute("DELETE FROM alexa_skill WHERE id = ?", [.text(id)]) > 0
    }

    static func count(in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) FROM alexa_skill") { $0.int(0) } ?? 0
    }

    /// Skills behind a place, oldest first.
    static func list(
        after place: (created: Int64, id: String), limit: Int, in transaction: any ReadTransaction
    ) throws -> [SkillRecord] {
        try transaction.query(
            "SELECT \(columns) FROM alexa_skill WHERE (created, id) > (?, ?) ORDER BY created, id LIMIT ?",
            [.int(place.created), .text(place.id), .int(Int64(limit))], record)
    }

    private static func record(_ row: any Row) -> SkillRecord {
        SkillRecord(
            id: row.text(0), created: Instant(nanoseconds: row.int(1)), updated: Instant(nanoseconds: row.int(2)),
            revision: row.int(3), isEnabled: row.bool(4), manifest: Documents.read(row.blob(5)),
            outcome: Documents.read(row.blob(6)))
    }
}

enum Documents {
    /// A document that cannot be read counts as empty.
    static func read(_ bytes: [UInt8]) -> Value { (try? JSON.parse(bytes)) ?? [:] }
}
