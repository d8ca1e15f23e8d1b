import Platform
import Storage

/// Table `lambda_policies`: a resource policy for each qualifier; the function's own has the empty qualifier.
enum PolicyTable {
    static func get(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any ReadTransaction
    ) throws -> ResourcePolicy? {
        try text(scope, function, qualifier: qualifier, in: transaction).map {
            ResourcePolicy(statements: try Document.value($0).list ?? [])
        }
    }

    /// The policy's statements as they are stored: what a `PolicyCache` knows it by.
    static func text(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any ReadTransaction
    ) throws -> String? {
        try transaction.first(
            """
            SELECT statements FROM lambda_policies
            WHERE account = ? AND region = ? AND function = ? AND qualifier = ?
            """, scope.sql + [.text(function), .text(qualifier)]
        ) { $0.text(0) }
    }

    /// Stores the policy; one without statements is removed.
    static func put(
        _ policy: ResourcePolicy, _ scope: AccountRegion, _ function: String, qualifier: String,
        in transaction: any WriteTransaction
    ) throws {
        if policy.statements.isEmpty {
            try transaction.execute(
                "DELETE FROM lambda_policies WHERE account = ? AND region = ? AND function = ? AND qualifier = ?",
                scope.sql + [.text(function), .text(qualifier)])
            return
        }
        try transaction.execute(
            """
            INSERT INTO lambda_policies (account, region, function, qualifier, statements) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, region, function, qualifier) DO UPDATE SET statements = excluded.statements
            """,
            scope.sql + [.text(function), .text(qualifier), Document.text(.list(policy.statements))])
    }
}

/// Table `lambda_event_invoke_configs`: settings of asynchronous invocation for each qualifier.
enum EventInvokeConfigTable {
    static func get(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any ReadTransaction
    ) throws -> EventInvokeSettings? {
        try transaction.first(
            """
            SELECT qualifier, value FROM lambda_event_invoke_configs
            WHERE account = ? AND region = ? AND function = ? AND qualifier = ?
            """, scope.sql + [.text(function), .text(qualifier)]
        ) { EventInvokeSettings(document: try Document.value($0.text(1))) }
    }

    static func list(
        _ scope: AccountRegion, _ function: String, after qualifier: String, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [(qualifier: String, settings: EventInvokeSettings)] {
        try transaction.query(
            """
            SELECT qualifier, value FROM lambda_event_invoke_configs
            WHERE account = ? AND region = ? AND function = ? AND qualifier > ? ORDER BY qualifier LIMIT ?
            """, scope.sql + [.text(function), .text(qualifier), .int(Int64(limit))]
        ) { ($0.text(0), EventInvokeSettings(document: try Document.value($0.text(1)))) }
    }

    static func put(
        _ settings: EventInvokeSettings, _ scope: AccountRegion, _ function: String, qualifier: String,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO lambda_event_invoke_configs (account, region, function, qualifier, value)
            VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, region, function, qualifier) DO UPDATE SET value = excluded.value
            """, scope.sql + [.text(function), .text(qualifier), Document.text(settings.document)])
    }

    /// False when there was none.
    static func delete(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any WriteTransaction
    ) throws -> Bool {
        try transaction.execute(
            """
            DELETE FROM lambda_event_invoke_configs
            WHERE account = ? AND region = ? AND function = ? AND qualifier = ?
            """, scope.sql + [.text(function), .text(qualifier)]) > 0
    }
}

/// What goes with a function or with one of its qualifiers when that is deleted.
enum Belongings {
    static func delete(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any WriteTransaction
    ) throws {
        for table in ["lambda_policies", "lambda_event_invoke_configs", "lambda_urls"] {
            try transaction.execute(
                "DELETE FROM \(table) WHERE account = ? AND region = ? AND function = ? AND qualifier = ?",
                scope.sql + [.text(function), .text(qualifier)])
        }
    }

    static func deleteAll(_ scope: AccountRegion, _ function: String, in transaction: any WriteTransaction) throws {
        for table in ["lambda_policies", "lambda_event_invoke_configs", "lambda_aliases", "lambda_urls"] {
            try transaction.execute(
                "DELETE FROM \(table) WHERE account = ? AND region = ? AND function = ?",
                scope.sql + [.text(function)])
        }
    }
}
