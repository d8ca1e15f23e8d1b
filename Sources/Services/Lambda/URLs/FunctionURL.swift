import Contracts
import Platform
import Storage

/// The HTTP endpoint of a function or an alias.
struct FunctionURL: Sendable, Hashable {
    enum AuthType: String, Sendable {
        case none = "NONE"
        case iam = "AWS_IAM"
    }
    enum InvokeMode: String, Sendable {
        case buffered = "BUFFERED"
        case responseStream = "RESPONSE_STREAM"
    }

    /// The first label of its host name; never changes, and is enough to find it by.
    var id: String
    var scope: AccountRegion
    var function: String
    /// Empty for the function itself, else an alias.
    var qualifier: String
    var authType: AuthType
    /// Nil when nobody has chosen, which is `BUFFERED`.
    var invokeMode: InvokeMode?
    var cors: URLCORS?
    var createdAt: Instant
    var modifiedAt: Instant

    var target: FunctionTarget {
        FunctionTarget(scope: scope, name: function, qualifier: qualifier.isEmpty ? nil : qualifier)
    }

    /// The host name that the URL has on AWS, which events name.
    var domainName: String { "\(id).lambda-url.\(scope.region).on.aws" }

    /// Where the URL is served: `http://ID.lambda-url.REGION.localhost:4566/`. `endpoint` is how the caller named this server;
    /// an address cannot have names in front, and is taken for this machine.
    func url(endpoint: String) -> String {
        var scheme = "http://"
        var authority = endpoint[...]
        for known in ["http://", "https://"] where endpoint.hasPrefix(known) {
            scheme = known
            authority = endpoint.dropFirst(known.count)
        }
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let port = colon.map { authority[$0...] } ?? ""
        var host = authority[..<(colon ?? authority.endIndex)]
        let isAddress = host.hasPrefix("[") || host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
        if isAddress || host.isEmpty { host = "localhost" }
        // A client that calls AWS's own names has them point here.
        if host.hasSuffix(".amazonaws.com") { return "\(scheme)\(domainName)\(port)/" }
        return "\(scheme)\(id).lambda-url.\(scope.region).\(host)\(port)/"
    }

    static func text(_ instant: Instant) -> String { instant.iso8601(fractionDigits: 6) }
}

/// Table `lambda_urls`.
enum URLTable {
    static let migration = """
        CREATE TABLE lambda_urls (
            account TEXT NOT NULL, region TEXT NOT NULL, function TEXT NOT NULL, qualifier TEXT NOT NULL,
            id TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (account, region, function, qualifier)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX lambda_urls_id ON lambda_urls (id);
        """

    private static let columns = "account, region, function, qualifier, id, value"

    private static func read(_ row: any Row) throws -> FunctionURL {
        let document = try Document.value(row.text(5))
        return FunctionURL(
            id: row.text(4), scope: AccountRegion(account: row.text(0), region: row.text(1)), function: row.text(2),
            qualifier: row.text(3),
            authType: document["AuthType"]?.string.flatMap(FunctionURL.AuthType.init) ?? .iam,
            invokeMode: document["InvokeMode"]?.string.flatMap(FunctionURL.InvokeMode.init),
            cors: document["Cors"].flatMap { URLCORS(Model.Cors($0)) },
            createdAt: Instant(nanoseconds: document["Created"]?.int ?? 0),
            modifiedAt: Instant(nanoseconds: document["Modified"]?.int ?? 0))
    }

    static func get(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any ReadTransaction
    ) throws -> FunctionURL? {
        try transaction.first(
            """
            SELECT \(columns) FROM lambda_urls
            WHERE account = ? AND region = ? AND function = ? AND qualifier = ?
            """, scope.sql + [.text(function), .text(qualifier)]
        ) { try read($0) }
    }

    static func find(id: String, in transaction: any ReadTransaction) throws -> FunctionURL? {
        try transaction.first("SELECT \(columns) FROM lambda_urls WHERE id = ?", [.text(id)]) { try read($0) }
    }

    static func list(
        _ scope: AccountRegion, _ function: String, after qualifier: String?, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [FunctionURL] {
        try transaction.query(
            """
            SELECT \(columns) FROM lambda_urls
            WHERE account = ? AND region = ? AND function = ? AND qualifier >= ? AND qualifier <> ?
            ORDER BY qualifier LIMIT ?
            """,
            scope.sql + [
                .text(function), .text(qualifier ?? ""),
                // No alias is called so: nothing is passed over on the first page.
                .text(qualifier ?? "$"), .int(Int64(limit)),
            ]
        ) { try read($0) }
    }

    static func put(_ url: FunctionURL, in transaction: any WriteTransaction) throws {
        var document: Fields = [
            "AuthType": .string(url.authType.rawValue), "Created": .int(url.createdAt.nanoseconds),
            "Modified": .int(url.modifiedAt.nanoseconds),
        ]
        if let mode = url.invokeMode { document.append("InvokeMode", .string(mode.rawValue)) }
        if let cors = url.cors { document.append("Cors", cors.output.value) }
        try transaction.execute(
            """
            INSERT INTO lambda_urls (account, region, function, qualifier, id, value) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, function, qualifier) DO UPDATE SET value = excluded.value
            """,
            url.scope.sql + [
                .text(url.function), .text(url.qualifier), .text(url.id), Document.text(.map(document)),
            ])
    }

    /// False when there was none.
    static func delete(
        _ scope: AccountRegion, _ function: String, qualifier: String, in transaction: any WriteTransaction
    ) throws -> Bool {
        try transaction.execute(
            "DELETE FROM lambda_urls WHERE account = ? AND region = ? AND function = ? AND qualifier = ?",
            scope.sql + [.text(function), .text(qualifier)]) > 0
    }
}
