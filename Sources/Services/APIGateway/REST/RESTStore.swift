import Contracts
import Platform
import Storage
import Wire

/// What belongs to an account rather than to an API: API keys, usage plans, account settings.
enum RESTSchema {
    static let migrations = Migrations(
        service: "apigateway-rest",
        steps: [
            """
            CREATE TABLE apigateway_owned (
                account TEXT NOT NULL, region TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
                lookup TEXT NOT NULL, document BLOB NOT NULL, PRIMARY KEY (account, region, kind, id)
            ) WITHOUT ROWID;
            CREATE INDEX apigateway_owned_lookup ON apigateway_owned (account, region, kind, lookup);
            """
        ])
}

/// A row of `apigateway_owned`.
struct Owned: Sendable {
    enum Kind: String, Sendable {
        /// `lookup` is the key's value.
        case apiKey
        case usagePlan
        /// A key of a plan: the id is `plan/key`, `lookup` the key's id.
        case usagePlanKey
        case account
    }

    var id: String
    var document: Value

    private init(_ row: any Row) throws {
        id = row.text(0)
        document = try Documents.decode(row.blob(1))
    }

    static func find(_ kind: Kind, _ id: String, _ scope: AccountRegion, in transaction: any ReadTransaction) throws
        -> Value?
    {
        try transaction.first(
            "SELECT id, document FROM apigateway_owned WHERE account = ? AND region = ? AND kind = ? AND id = ?",
            [.text(scope.account), .text(scope.region), .text(kind.rawValue), .text(id)], Owned.init)?.document
    }

    static func find(
        _ kind: Kind, lookup: String, _ scope: AccountRegion, in transaction: any ReadTransaction
    ) throws -> [Owned] {
        try transaction.query(
            """
            SELECT id, document FROM apigateway_owned WHERE account = ? AND region = ? AND kind = ? AND lookup = ?
            ORDER BY id
            """, [.text(scope.account), .text(scope.region), .text(kind.rawValue), .text(lookup)], Owned.init)
    }

    /// In the order of their ids, behind `after`; `prefix` is what ids begin with.
    static func list(
        _ kind: Kind, _ scope: AccountRegion, prefix: String = "", after: String = "",
        limit: Int = RESTLimits.apiKeys, in transaction: any ReadTransaction
    ) throws -> [Owned] {
        try transaction.query(
            """
            SELECT id, document FROM apigateway_owned WHERE account = ? AND region = ? AND kind = ? AND id > ?
            AND id >= ? AND substr(id, 1, length(?)) = ? ORDER BY id LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(kind.rawValue), .text(after), .text(prefix),
                .text(prefix), .text(prefix), .int(Int64(limit)),
            ], Owned.init)
    }

    static func count(_ kind: Kind, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int {
        try transaction.first(
            "SELECT count(*) FROM apigateway_owned WHERE account = ? AND region = ? AND kind = ?",
            [.text(scope.account), .text(scope.region), .text(kind.rawValue)]
        ) { Int($0.int(0)) } ?? 0
    }

    static func put(
        _ kind: Kind, _ id: String, _ document: Value, lookup: String = "", _ scope: AccountRegion,
        in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO apigateway_owned (account, region, kind, id, lookup, document) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, kind, id) DO UPDATE SET lookup = excluded.lookup, document = excluded.document
            """,
            [
                .text(scope.account), .text(scope.region), .text(kind.rawValue), .text(id), .text(lookup),
                .blob(Documents.encode(document)),
            ])
    }

    static func delete(_ kind: Kind, _ id: String, _ scope: AccountRegion, in transaction: any WriteTransaction) throws
    {
        try transaction.execute(
            "DELETE FROM apigateway_owned WHERE account = ? AND region = ? AND kind = ? AND id = ?",
            [.text(scope.account), .text(scope.region), .text(kind.rawValue), .text(id)])
    }
}

extension APIRow {
    static let rest = "REST"

    /// The caller's REST API of this id.
    static func requireREST(_ id: String, _ scope: AccountRegion, in transaction: any ReadTransaction) throws -> APIRow
    {
        guard let row = try find(id, in: transaction), row.scope == scope, row.proto == rest else {
            throw RESTError.noAPI(id, scope)
        }
        return row
    }

    /// In the order of their ids, behind `after`.
    static func listREST(_ scope: AccountRegion, after: String, limit: Int, in transaction: any ReadTransaction) throws
        -> [APIRow]
    {
        try transaction.query(
            """
            SELECT \(columns) FROM apigateway_api WHERE account = ? AND region = ? AND id > ? AND protocol = 'REST'
            ORDER BY id LIMIT ?
            """, [.text(scope.account), .text(scope.region), .text(after), .int(Int64(limit))], APIRow.init)
    }
}

/// What all operations of REST APIs share: the store, and what must follow a change.
struct RESTEditor: Sendable {
    let database: any Database
    let catalog: RESTCatalog
    let answers: AuthorizerCache
    /// Whether functions may have this server make requests to the network for them.
    let functionsReachTheNetwork: Bool

    /// `missing` is answered for an API that is not there, by operations that look for a resource first.
    func edit<T: Sendable>(
        _ request: OperationRequest, otherwise missing: AWSError? = nil,
        _ body: @escaping @Sendable (APIRow, any WriteTransaction) throws -> T
    ) async throws -> T {
        let (id, scope) = (request.input["restApiId"]?.string ?? "", request.context.scope)
        return try await database.write { [catalog, answers] transaction in
            let api = try Self.require(id, scope, missing, in: transaction)
            let result = try body(api, transaction)
            transaction.afterCommit {
                catalog.drop(id)
                answers.forget(api: id)
            }
            return result
        }
    }

    func read<T: Sendable>(
        _ request: OperationRequest, otherwise missing: AWSError? = nil,
        _ body: @escaping @Sendable (APIRow, any ReadTransaction) throws -> T
    ) async throws -> T {
        let (id, scope) = (request.input["restApiId"]?.string ?? "", request.context.scope)
        return try await database.read { transaction in
            try body(try Self.require(id, scope, missing, in: transaction), transaction)
        }
    }

    private static func require(
        _ id: String, _ scope: AccountRegion, _ missing: AWSError?, in transaction: any ReadTransaction
    ) throws -> APIRow {
        do { return try APIRow.requireREST(id, scope, in: transaction) } catch let error as AWSError {
            throw missing ?? error
        }
    }

    /// Changes what belongs to the account; every API that could know of it is compiled anew.
    func editOwned<T: Sendable>(
        _ request: OperationRequest, _ body: @escaping @Sendable (any WriteTransaction) throws -> T
    ) async throws -> T {
        let scope = request.context.scope
        return try await database.write { [catalog] transaction in
            let result = try body(transaction)
            transaction.afterCommit { catalog.drop(scope: scope) }
            return result
        }
    }

    /// Refuses what would have this server reach the network for a function that cannot itself.
    func checkNetwork(_ context: OperationContext, what: String) throws(AWSError) {
        if !functionsReachTheNetwork, case .roleSession = context.principal {
            throw RESTError.bad("Functions may not create \(what) while --egress is isolated")
        }
    }

    /// The same of stage variables, in all the ways in which a request gives them: hosts of integrations may be made of them.
    func checkVariables(_ request: OperationRequest) throws(AWSError) {
        let input = request.input
        let given = [input["variables"], input["stageVariables"]].contains { $0?.fields?.isEmpty == false }
        let patched = (input["patchOperations"]?.list ?? []).contains { patch in
            patch["path"]?.string?.hasPrefix("/variables") == true
        }
        if given || patched { try checkNetwork(request.context, what: "stage variables") }
    }
}

enum RESTError {
    static func noAPI(_ id: String, _ scope: AccountRegion) -> AWSError {
        AWSError("NotFoundException", status: 404, "Invalid API identifier specified \(scope.account):\(id)")
    }
    static func bad(_ message: String) -> AWSError { AWSError("BadRequestException", status: 400, message) }
    static func conflict(_ message: String) -> AWSError { AWSError("ConflictException", status: 409, message) }
    static func notFound(_ message: String) -> AWSError { AWSError("NotFoundException", status: 404, message) }
    static func missing(_ what: String) -> AWSError { GatewayError.missing(what) }
    static func tooMany(_ what: String) -> AWSError {
        AWSError(
            "LimitExceededException", status: 429,
            "Maximum number of \(what) for this account or API has been reached. Please contact AWS if you need more.")
    }

    static let noResource = notFound("Invalid Resource identifier specified")
    static let noMethod = notFound("Invalid Method identifier specified")
    static let noIntegration = notFound("Invalid Integration identifier specified")
    static let noResponse = notFound("Invalid Response status code specified")
    static let noAuthorizer = notFound("Invalid Authorizer identifier specified")
    static let noStage = notFound("Invalid stage identifier specified")
    static let noDeployment = notFound("Invalid Deployment identifier specified")
    static let noValidator = notFound("Invalid Request Validator identifier specified")
    static func noModel(_ name: String) -> AWSError { notFound("Invalid model name specified: \(name)") }
}

/// Pages of REST APIs: `limit` (25 unless asked, at most 500) and `position`.
struct RESTPaging: Sendable {
    var limit: Int
    var after: String

    init(_ input: Value) throws(AWSError) {
        limit = Int(input["limit"]?.int ?? Int64(RESTLimits.usualPage))
        guard limit > 0 else { throw RESTError.bad("Limit must be positive") }
        limit = min(limit, Limits.page)
        after = ""
        if let token = input["position"]?.string {
            guard let key = PageToken.decodeText(token) else { throw RESTError.bad("Invalid position parameter") }
            after = key
        }
    }

    /// The page out of one item more than it holds.
    func page(_ rows: [(id: String, value: Value)]) -> Value {
        var output: Value = ["items": .list(rows.prefix(limit).map(\.value))]
        if rows.count > limit { output["position"] = .string(PageToken.encode(rows[limit - 1].id)) }
        return output
    }
}

/// Quotas of REST APIs: each with its unit and source. "Quotas" is "Quotas for configuring and running a REST API".
enum RESTLimits {
    /// Of an API (Quotas).
    static let resources = 300
    /// Of an API (Quotas).
    static let stages = 10
    static let authorizers = 10
    /// Of an account and Region (Quotas).
    static let apiKeys = 10_000
    static let usagePlans = 300
    /// Of an API. Own choice.
    static let models = 300
    static let validators = 100
    static let deployments = 300
    /// Characters of a path part and depth of the tree. Own choice.
    static let pathPart = 255
    static let depth = 32
    /// Items of a page when nothing is asked for (API reference, `limit`).
    static let usualPage = 25
    /// Milliseconds of an integration (Quotas: 50 to 29,000, of which the latter can be raised for Regional APIs; API
    /// reference: up to 15 minutes with responseTransferMode STREAM).
    static let shortestTimeout: Int64 = 50
    static let usualTimeout: Int64 = 29_000
    static let longestTimeout: Int64 = 300_000
    static let longestStreamingTimeout: Int64 = 900_000
    /// Of an answer that streams, and without a byte of it (developer guide on the response transfer mode, Regional APIs). The 2 MB
    /// per second to which AWS holds what is behind the first 10 MB are not imitated.
    static let longestStream = Duration.seconds(900)
    static let longestStreamPause = Duration.seconds(300)
    /// Bytes of a stream, and the time for it, that TestInvokeMethod waits for (developer guide, "Troubleshoot issues with
    /// response streaming").
    static let testedStream = 1 << 20
    static let testedStreamTime = Duration.seconds(35)
    /// Seconds that an authorizer's answer is kept (API reference).
    static let authorizerLifetime: Int64 = 3_600
    static let usualAuthorizerLifetime: Int64 = 300
    /// Bytes of a mapping template, a model, and of an API's policy (Quotas: 300 KB, 400 KB, 8,192).
    static let template = 300 << 10
    static let model = 400 << 10
    static let policy = 8_192
    /// Entries of a map in a document (parameters, templates, …). Own choice.
    static let entries = 200
    /// Patch operations of one request. Own choice.
    static let patches = 1_000
    /// Steps of the validation of one body, and depth. Own choice: a schema with references to itself ends here.
    static let validationSteps = 100_000
    static let validationDepth = 64
    /// Problems of one body that are told, and characters of each. Own choice: bodies have megabytes.
    static let validationProblems = 10
    static let validationProblem = 500
    /// The head in front of a streamed response (as function URLs have it; own choice, AWS documents none).
    static let preludeBytes = 64 << 10
}
