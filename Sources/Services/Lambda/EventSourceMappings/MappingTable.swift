import Contracts
import Platform
import Storage
import Wire

/// Table `lambda_event_source_mappings`.
enum MappingTable {
    /// `active` is 1 for whatever the runner must know of at its start.
    static let migration = """
        CREATE TABLE lambda_event_source_mappings (
            account TEXT NOT NULL, region TEXT NOT NULL, id TEXT NOT NULL, revision BIGINT NOT NULL,
            state TEXT NOT NULL, enabled BIGINT NOT NULL, active BIGINT NOT NULL, source TEXT NOT NULL,
            function TEXT NOT NULL, qualifier TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (account, region, id)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX lambda_event_source_mappings_function
            ON lambda_event_source_mappings (account, region, function, qualifier, source);
        CREATE INDEX lambda_event_source_mappings_page
            ON lambda_event_source_mappings (account, region, function, qualifier, id);
        CREATE INDEX lambda_event_source_mappings_source ON lambda_event_source_mappings (account, region, source, id);
        CREATE INDEX lambda_event_source_mappings_active ON lambda_event_source_mappings (id) WHERE active = 1;
        """

    static func get(
        _ scope: AccountRegion, _ id: String, in transaction: any ReadTransaction
    ) throws -> MappingRecord? {
        try transaction.first(
            """
            SELECT \(MappingRecord.columns) FROM lambda_event_source_mappings
            WHERE account = ? AND region = ? AND id = ?
            """, scope.sql + [.text(id)]
        ) { try MappingRecord(row: $0) }
    }

    /// Throws what the tagging operations answer for one that is not there.
    static func require(
        _ scope: AccountRegion, _ id: String, in transaction: any ReadTransaction
    ) throws -> MappingRecord {
        guard let record = try get(scope, id, in: transaction) else {
            throw AWSError.mappingNotFound(scope.eventSourceMappingARN(id))
        }
        return record
    }

    static func put(_ record: MappingRecord, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO lambda_event_source_mappings
                (account, region, id, revision, state, enabled, active, source, function, qualifier, value)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, id) DO UPDATE
            SET revision = excluded.revision, state = excluded.state, enabled = excluded.enabled,
                active = excluded.active, source = excluded.source, function = excluded.function,
                qualifier = excluded.qualifier, value = excluded.value
            """,
            record.scope.sql + [
                .text(record.id), .int(record.revision), .text(record.state.rawValue), .bool(record.isEnabled),
                .bool(record.state != .disabled), .text(record.source), .text(record.function),
                .text(record.qualifier), Document.text(record.document),
            ])
    }

    static func delete(_ scope: AccountRegion, _ id: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM lambda_event_source_mappings WHERE account = ? AND region = ? AND id = ?",
            scope.sql + [.text(id)])
    }

    /// The id of the mapping of this function (with this qualifier) with this source.
    static func id(
        _ target: FunctionTarget, source: String, in transaction: any ReadTransaction
    ) throws -> String? {
        try transaction.first(
            """
            SELECT id FROM lambda_event_source_mappings
            WHERE account = ? AND region = ? AND function = ? AND qualifier = ? AND source = ?
            """, target.scope.sql + [.text(target.name), .text(target.qualifier ?? ""), .text(source)]
        ) { $0.text(0) }
    }

    /// Ordered by id.
    static func list(
        _ scope: AccountRegion, source: String?, target: FunctionTarget?, after id: String, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [MappingRecord] {
        let head = """
            SELECT \(MappingRecord.columns) FROM lambda_event_source_mappings
            WHERE account = ? AND region = ?
            """
        let tail = "AND id > ? ORDER BY id LIMIT ?"
        let end: [SQLValue] = [.text(id), .int(Int64(limit))]
        let function: [SQLValue] = target.map { [.text($0.name), .text($0.qualifier ?? "")] } ?? []
        switch (source, target) {
        case (nil, nil):
            return try transaction.query("\(head) \(tail)", scope.sql + end) { try MappingRecord(row: $0) }
        case (let source?, nil):
            return try transaction.query("\(head) AND source = ? \(tail)", scope.sql + [.text(source)] + end) {
                try MappingRecord(row: $0)
            }
        case (nil, .some):
            return try transaction.query(
                "\(head) AND function = ? AND qualifier = ? \(tail)", scope.sql + function + end
            ) { try MappingRecord(row: $0) }
        case (let source?, .some):
            return try transaction.query(
                "\(head) AND function = ? AND qualifier = ? AND source = ? \(tail)",
                scope.sql + function + [.text(source)] + end
            ) { try MappingRecord(row: $0) }
        }
    }

    /// Of every account and Region, ordered by id.
    static func active(after id: String, limit: Int, in transaction: any ReadTransaction) throws -> [MappingRecord] {
        try transaction.query(
            """
            SELECT \(MappingRecord.columns) FROM lambda_event_source_mappings
            WHERE active = 1 AND id > ? ORDER BY id LIMIT ?
            """, [.text(id), .int(Int64(limit))]
        ) { try MappingRecord(row: $0) }
    }
}
