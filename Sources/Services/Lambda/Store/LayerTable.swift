import Platform
import Storage
import Wire

/// One version of a layer.
struct LayerRecord: Sendable {
    var version: LayerVersionName
    var code: BlobID
    var codeSize: Int64
    var unpackedBytes: Int64
    var description: String
    var license: String?
    var runtimes: [String]?
    var architectures: [String]?
    var created: Instant
    var policy = ResourcePolicy()
    /// Changes with every change of the policy; nil while there is none.
    var policyRevision: String?

    /// As lists show it.
    var listItem: Model.LayerVersionsListItem {
        var item = Model.LayerVersionsListItem()
        item.layerVersionArn = version.arn
        item.version = Int(version.version)
        item.description = description
        item.createdDate = created.iso8601(fractionDigits: 3).dropLast() + "+0000"
        item.compatibleArchitectures = architectures
        item.compatibleRuntimes = runtimes
        item.licenseInfo = license
        return item
    }

    /// As GetLayerVersion and PublishLayerVersion show it.
    func output(location: String) -> Model.GetLayerVersionResponse {
        var output = Model.GetLayerVersionResponse()
        output.content = Model.LayerVersionContentOutput([
            "Location": .string(location), "CodeSha256": .string(Presentation.codeSHA256(code.hex)),
            "CodeSize": .int(codeSize),
        ])
        output.layerArn = version.layerARN
        for entry in listItem.value.fields?.entries ?? [] { output.value[entry.name] = entry.value }
        return output
    }

    func isCompatible(runtime: String?, architecture: String?) -> Bool {
        if let runtime, runtimes?.contains(runtime) != true { return false }
        if let architecture, architectures?.contains(architecture) != true { return false }
        return true
    }
}

/// Tables `lambda_layers` and `lambda_layer_versions`.
enum LayerTable {
    private static let columns =
        "account, region, name, number, code, code_size, unpacked, value, policy, policy_revision"

    static func get(_ name: LayerVersionName, in transaction: any ReadTransaction) throws -> LayerRecord? {
        try transaction.first(
            """
            SELECT \(columns) FROM lambda_layer_versions
            WHERE account = ? AND region = ? AND name = ? AND number = ?
            """, name.scope.sql + [.text(name.name), .int(name.version)]
        ) { try read($0) }
    }

    /// Up to `limit` versions of a layer that are wanted, below a number, newest first.
    static func versions(
        _ layer: LayerName, before number: Int64, limit: Int, in transaction: any ReadTransaction,
        where isWanted: (LayerRecord) -> Bool
    ) throws -> [LayerRecord] {
        var found: [LayerRecord] = []
        var last = number
        while found.count < limit {
            let rows = try transaction.query(
                """
                SELECT \(columns) FROM lambda_layer_versions
                WHERE account = ? AND region = ? AND name = ? AND number < ? ORDER BY number DESC LIMIT ?
                """, layer.scope.sql + [.text(layer.name), .int(last), .int(Int64(Limits.filteredRows))]
            ) { try read($0) }
            found += rows.filter(isWanted)
            guard rows.count == Limits.filteredRows, let end = rows.last else { break }
            last = end.version.version
        }
        return Array(found.prefix(limit))
    }

    /// The newest version that is wanted of each layer after a name, for up to `limit` layers that have one.
    static func newest(
        _ scope: AccountRegion, after name: String, limit: Int, in transaction: any ReadTransaction,
        where isWanted: (LayerRecord) -> Bool
    ) throws -> [LayerRecord] {
        var found: [LayerRecord] = []
        var last = name
        while found.count < limit {
            let names = try transaction.query(
                "SELECT name FROM lambda_layers WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
                scope.sql + [.text(last), .int(Int64(Limits.filteredRows))]
            ) { $0.text(0) }
            for name in names where found.count < limit {
                found += try versions(
                    LayerName(name, in: scope), before: .max, limit: 1, in: transaction, where: isWanted)
            }
            guard names.count == Limits.filteredRows, let end = names.last else { break }
            last = end
        }
        return found
    }

    /// Takes the next number of a layer; numbers are never reused.
    static func takeNumber(_ layer: LayerName, in transaction: any WriteTransaction) throws -> Int64 {
        let next = try transaction.first(
            "SELECT next_version FROM lambda_layers WHERE account = ? AND region = ? AND name = ?",
            layer.scope.sql + [.text(layer.name)]
        ) { $0.int(0) }
        let number = next ?? 1
        try transaction.execute(
            """
            INSERT INTO lambda_layers (account, region, name, next_version) VALUES (?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE SET next_version = excluded.next_version
            """, layer.scope.sql + [.text(layer.name), .int(number + 1)])
        return number
    }

    static func put(_ record: LayerRecord, in transaction: any WriteTransaction) throws {
        var document: Fields = [
            "Description": .string(record.description), "Created": .int(record.created.milliseconds),
        ]
        document["License"] = record.license.map { .string($0) }
        document["Runtimes"] = record.runtimes.map { .strings($0) }
        document["Architectures"] = record.architectures.map { .strings($0) }
        let hasPolicy = !record.policy.statements.isEmpty
        try transaction.execute(
            """
            INSERT INTO lambda_layer_versions (\(columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name, number) DO UPDATE
            SET value = excluded.value, policy = excluded.policy, policy_revision = excluded.policy_revision
            """,
            record.version.scope.sql + [
                .text(record.version.name), .int(record.version.version), .text(record.code.hex),
                .int(record.codeSize), .int(record.unpackedBytes), Document.text(.map(document)),
                hasPolicy ? Document.text(.list(record.policy.statements)) : .null,
                .optional(record.policyRevision),
            ])
    }

    static func delete(_ name: LayerVersionName, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM lambda_layer_versions WHERE account = ? AND region = ? AND name = ? AND number = ?",
            name.scope.sql + [.text(name.name), .int(name.version)])
    }

    static func codeBytes(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COALESCE(SUM(code_size), 0) FROM lambda_layer_versions WHERE account = ? AND region = ?", scope.sql
        ) { $0.int(0) } ?? 0
    }

    private static func read(_ row: any Row) throws -> LayerRecord {
        let document = try Document.value(row.text(7))
        guard let code = BlobID(hex: row.text(4)) else {
            throw Failure(.corrupt, "lambda_layer_versions has a row without code")
        }
        let scope = AccountRegion(account: row.text(0), region: row.text(1))
        var record = LayerRecord(
            version: LayerVersionName(scope: scope, name: row.text(2), version: row.int(3)), code: code,
            codeSize: row.int(5), unpackedBytes: row.int(6), description: document["Description"]?.string ?? "",
            license: document["License"]?.string, runtimes: document["Runtimes"]?.list?.compactMap(\.string),
            architectures: document["Architectures"]?.list?.compactMap(\.string),
            created: Instant(milliseconds: document["Created"]?.int ?? 0))
        if let policy = row.optionalText(8) {
            record.policy = ResourcePolicy(statements: try Document.value(policy).list ?? [])
        }
        record.policyRevision = row.optionalText(9)
        return record
    }
}
