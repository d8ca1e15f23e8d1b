import Platform
import Storage
import Wire

/// A row of an API: HTTP here, WEBSOCKET and REST later.
struct APIRow: Sendable {
    var id: String
    var scope: AccountRegion
    var proto: String
    /// Members as in the model, without the id.
    var document: Value

    static let columns = "id, account, region, protocol, document"

    init(_ row: any Row) throws {
        id = row.text(0)
        scope = AccountRegion(account: row.text(1), region: row.text(2))
        proto = row.text(3)
        document = try Documents.decode(row.blob(4))
    }

    init(id: String, scope: AccountRegion, proto: String, document: Value) {
        self.id = id
        self.scope = scope
        self.proto = proto
        self.document = document
    }

    /// By its id alone: what the data plane has.
    static func find(_ id: String, in transaction: any ReadTransaction) throws -> APIRow? {
        try transaction.first("SELECT \(columns) FROM apigateway_api WHERE id = ?", [.text(id)], APIRow.init)
    }

    static func require(_ id: String, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> APIRow {
        guard let row = try find(id, in: transaction), row.scope == scope, row.proto != "REST" else {
            throw GatewayError.noAPI(id, scope)
        }
        return row
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int {
        try transaction.first(
            "SELECT count(*) FROM apigateway_api WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)]
        ) { Int($0.int(0)) } ?? 0
    }

    /// In the order of their ids, behind `after`; of the protocols of API Gateway v2.
    static func list(_ scope: AccountRegion, after: String, limit: Int, in transaction: any ReadTransaction) throws
        -> [APIRow]
    {
        try transaction.query(
            """
            SELECT \(columns) FROM apigateway_api WHERE account = ? AND region = ? AND id > ? AND protocol <> 'REST'
            ORDER BY id LIMIT ?
            """, [.text(scope.account), .text(scope.region), .text(after), .int(Int64(limit))], APIRow.init)
    }

    func insert(created: Instant, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "INSERT INTO apigateway_api (id, account, region, protocol, created, document) VALUES (?, ?, ?, ?, ?, ?)",
            [
                .text(id), .text(scope.account), .text(scope.region), .text(proto), .int(created.milliseconds),
                .blob(Documents.encode(document)),
            ])
    }

    func update(in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "UPDATE apigateway_api SET document = ? WHERE id = ?", [.blob(Documents.encode(document)), .text(id)])
    }

    static func delete(_ id: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("DELETE FROM apigateway_item WHERE api = ?", [.text(id)])
        try transaction.execute("DELETE FROM apigateway_api WHERE id = ?", [.text(id)])
    }
}

/// What belongs to an API.
enum ItemKind: String, Sendable {
    case route, integration, authorizer, model, stage, deployment
    /// Ids are `integration/id` and `route/id`.
    case integrationResponse, routeResponse
    /// The cross-origin settings of a deployment.
    case cors
    /// Of REST APIs. A resource has its methods, integrations and their responses in its document.
    case resource, requestValidator, gatewayResponse
    /// What of a REST API itself deployments copy.
    case settings

    /// As error texts name it.
    var name: String {
        switch self {
        case .route: "Route"
        case .integration: "Integration"
        case .authorizer: "Authorizer"
        case .model: "Model"
        case .stage: "Stage"
        case .deployment: "Deployment"
        case .integrationResponse: "Integration Response"
        case .routeResponse: "Route Response"
        case .cors: "Cors"
        case .resource: "Resource"
        case .requestValidator: "Request Validator"
        case .gatewayResponse: "Gateway Response"
        case .settings: "Settings"
        }
    }
}

/// A row of `apigateway_item`.
struct Item: Sendable {
    var id: String
    var document: Value

    private init(_ row: any Row) throws {
        id = row.text(0)
        document = try Documents.decode(row.blob(1))
    }

    static func find(
        _ kind: ItemKind, _ id: String, api: String, deployment: String = "", in transaction: any ReadTransaction
    ) throws -> Value? {
        try transaction.first(
            "SELECT id, document FROM apigateway_item WHERE api = ? AND deployment = ? AND kind = ? AND id = ?",
            [.text(api), .text(deployment), .text(kind.rawValue), .text(id)], Item.init)?.document
    }

    static func require(_ kind: ItemKind, _ id: String, api: String, in transaction: any ReadTransaction) throws
        -> Value
    {
        guard let found = try find(kind, id, api: api, in: transaction) else {
            throw GatewayError.notFound(kind)
        }
        return found
    }

    /// In the order of their ids, behind `after`; `prefix` is what ids begin with.
    static func list(
        _ kind: ItemKind, api: String, deployment: String = "", prefix: String = "", after: String = "",
        limit: Int = 100_000, in transaction: any ReadTransaction
    ) throws -> [Item] {
        try transaction.query(
            """
            SELECT id, document FROM apigateway_item WHERE api = ? AND deployment = ? AND kind = ? AND id > ?
            AND id >= ? AND substr(id, 1, length(?)) = ? ORDER BY id LIMIT ?
            """,
            [
                .text(api), .text(deployment), .text(kind.rawValue), .text(after), .text(prefix), .text(prefix),
                .text(prefix), .int(Int64(limit)),
            ], Item.init)
    }

    static func count(_ kind: ItemKind, api: String, in transaction: any ReadTransaction) throws -> Int {
        try transaction.first(
            "SELECT count(*) FROM apigateway_item WHERE api = ? AND deployment = '' AND kind = ?",
            [.text(api), .text(kind.rawValue)]
        ) { Int($0.int(0)) } ?? 0
    }

    /// Inserts or replaces.
    static func put(
        _ kind: ItemKind, _ id: String, _ document: Value, api: String, deployment: String = "",
        in transaction: any WriteTransaction
    ) throws {
        try put(
            kind, id, encoded: Documents.encode(document), api: api, deployment: deployment, in: transaction)
    }

    /// The same of a document that is encoded.
    static func put(
        _ kind: ItemKind, _ id: String, encoded document: [UInt8], api: String, deployment: String = "",
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO apigateway_item (api, deployment, kind, id, document) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (api, deployment, kind, id) DO UPDATE SET document = excluded.document
            """,
            [
                .text(api), .text(deployment), .text(kind.rawValue), .text(id), .blob(document),
            ])
    }

    static func delete(_ kind: ItemKind, _ id: String, api: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            "DELETE FROM apigateway_item WHERE api = ? AND deployment = '' AND kind = ? AND id = ?",
            [.text(api), .text(kind.rawValue), .text(id)])
    }

    /// Deletes what ids begin with `prefix`.
    static func delete(_ kind: ItemKind, prefix: String, api: String, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            DELETE FROM apigateway_item WHERE api = ? AND deployment = '' AND kind = ? AND id >= ?
            AND substr(id, 1, length(?)) = ?
            """, [.text(api), .text(kind.rawValue), .text(prefix), .text(prefix), .text(prefix)])
    }
}

/// Documents as they are stored: JSON, times as epoch milliseconds in members that are known to be times.
enum Documents {
    private static let times: Set<String> = ["CreatedDate", "LastUpdatedDate", "createdDate", "lastUpdatedDate"]

    static func encode(_ document: Value) -> [UInt8] {
        guard var fields = document.fields else { return JSON.encode(document) }
        for name in times {
            if let time = fields[name]?.timestamp { fields[name] = .int(time.milliseconds) }
        }
        return JSON.encode(.map(fields))
    }

    static func decode(_ bytes: [UInt8]) throws -> Value {
        guard let value = try? JSON.parse(bytes), var fields = value.fields else {
            throw Failure(.corrupt, "A stored document of API Gateway is no JSON object.")
        }
        for name in times {
            if let time = fields[name]?.int { fields[name] = .timestamp(Instant(milliseconds: time)) }
        }
        return .map(fields)
    }
}

enum GatewayError {
    static func noAPI(_ id: String, _ scope: AccountRegion) -> AWSError {
        AWSError(
            "NotFoundException", status: 404, "Invalid API identifier specified \(scope.account):\(id)",
            fields: ["ResourceType": "Api"])
    }

    static func notFound(_ kind: ItemKind) -> AWSError {
        AWSError("NotFoundException", status: 404, "Invalid \(kind.name) identifier specified")
    }

    static func bad(_ message: String) -> AWSError { AWSError("BadRequestException", status: 400, message) }
    static func conflict(_ message: String) -> AWSError { AWSError("ConflictException", status: 409, message) }

    static func missing(_ what: String) -> AWSError {
        AWSError("NotImplementedException", status: 501, "\(what) is not implemented by Martlet yet.")
    }

    static func tooMany(_ what: String, _ limit: Int) -> AWSError {
        AWSError(
            "TooManyRequestsException", status: 429,
            "The number of \(what) reached the limit of \(limit).", fields: ["LimitType": .string(what)])
    }
}
