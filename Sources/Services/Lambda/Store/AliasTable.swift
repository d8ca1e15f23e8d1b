import Platform
import Storage
import Wire

/// An alias of a function.
struct AliasRecord: Sendable, Hashable {
    var scope: AccountRegion
    var function: String
    var name: String
    var version: String
    /// The second version and the share of invocations that it gets, 0…1.
    var additional: AdditionalVersion?
    var description: String
    var revision: String

    struct AdditionalVersion: Sendable, Hashable {
        var version: String
        var weight: Double
    }

    var arn: String { scope.functionARN(function, qualifier: name) }

    /// The alias as the API shows it.
    var output: Model.AliasConfiguration {
        var output = Model.AliasConfiguration()
        output.aliasArn = arn
        output.name = name
        output.functionVersion = version
        output.description = description
        if let additional {
            output.routingConfig = Model.AliasRoutingConfiguration([
                "AdditionalVersionWeights": [additional.version: .double(additional.weight)]
            ])
        }
        output.revisionId = revision
        return output
    }

    /// The version that one invocation goes to. `draw` is uniform in 0..<1.
    func pick(draw: Double) -> String {
        guard let additional, draw < additional.weight else { return version }
        return additional.version
    }

    func refers(to number: String) -> Bool { version == number || additional?.version == number }
}

/// Table `lambda_aliases`.
enum AliasTable {
    static func get(
        _ scope: AccountRegion, _ function: String, _ name: String, in transaction: any ReadTransaction
    ) throws -> AliasRecord? {
        try transaction.first(
            "SELECT name, value FROM lambda_aliases WHERE account = ? AND region = ? AND function = ? AND name = ?",
            scope.sql + [.text(function), .text(name)]
        ) { try read($0, scope, function) }
    }

    /// Up to `limit` aliases that are wanted, after a name, by name.
    static func list(
        _ scope: AccountRegion, _ function: String, after name: String = "", limit: Int,
        in transaction: any ReadTransaction, where isWanted: (AliasRecord) -> Bool = { _ in true }
    ) throws -> [AliasRecord] {
        var found: [AliasRecord] = []
        var last = name
        while found.count < limit {
            let rows = try transaction.query(
                """
                SELECT name, value FROM lambda_aliases
                WHERE account = ? AND region = ? AND function = ? AND name > ? ORDER BY name LIMIT ?
                """, scope.sql + [.text(function), .text(last), .int(Int64(Limits.filteredRows))]
            ) { try read($0, scope, function) }
            found += rows.filter(isWanted)
            guard rows.count == Limits.filteredRows, let end = rows.last else { break }
            last = end.name
        }
        return Array(found.prefix(limit))
    }

    static func put(_ alias: AliasRecord, in transaction: any WriteTransaction) throws {
        var document: Fields = [
            "Version": .string(alias.version), "Description": .string(alias.description),
            "Revision": .string(alias.revision),
        ]
        if let additional = alias.additional {
            document.append("AdditionalVersion", .string(additional.version))
            document.append("Weight", .double(additional.weight))
        }
        try transaction.execute(
            """
            INSERT INTO lambda_aliases (account, region, function, name, value) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, region, function, name) DO UPDATE SET value = excluded.value
            """, alias.scope.sql + [.text(alias.function), .text(alias.name), Document.text(.map(document))])
    }

    static func delete(
        _ scope: AccountRegion, _ function: String, _ name: String, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            "DELETE FROM lambda_aliases WHERE account = ? AND region = ? AND function = ? AND name = ?",
            scope.sql + [.text(function), .text(name)])
    }

    private static func read(_ row: any Row, _ scope: AccountRegion, _ function: String) throws -> AliasRecord {
        let document = try Document.value(row.text(1))
        var alias = AliasRecord(
            scope: scope, function: function, name: row.text(0), version: document["Version"]?.string ?? "",
            description: document["Description"]?.string ?? "", revision: document["Revision"]?.string ?? "")
        if let version = document["AdditionalVersion"]?.string {
            alias.additional = .init(version: version, weight: document["Weight"]?.double ?? 0)
        }
        return alias
    }
}
