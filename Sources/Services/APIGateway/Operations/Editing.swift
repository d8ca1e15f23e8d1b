import Contracts
import Platform
import Storage
import Wire

/// What all operations of the control plane share: the store, and what must follow a change.
struct Editor: Sendable {
    let database: any Database
    let catalog: APICatalog
    let answers: AuthorizerCache
    let sockets: SocketHub
    /// Whether functions may have this server make requests to the network for them.
    let functionsReachTheNetwork: Bool

    /// Runs `body` on an API of the caller and, when it changed what deployments copy, deploys stages that do so by themselves.
    func edit<T: Sendable>(
        _ apiID: String?, _ context: OperationContext, deploys: Bool = true,
        _ body: @escaping @Sendable (APIRow, any WriteTransaction) throws -> T
    ) async throws -> T {
        let (id, scope, now) = (apiID ?? "", context.scope, context.now)
        return try await database.write { [catalog, answers] transaction in
            let api = try APIRow.require(id, scope, in: transaction)
            let result = try body(api, transaction)
            if deploys { try Deployments.deployAutomatically(api: id, now: now, in: transaction) }
            transaction.afterCommit {
                catalog.drop(id)
                answers.forget(api: id)
            }
            return result
        }
    }

    func read<T: Sendable>(
        _ apiID: String?, _ context: OperationContext,
        _ body: @escaping @Sendable (APIRow, any ReadTransaction) throws -> T
    ) async throws -> T {
        let (id, scope) = (apiID ?? "", context.scope)
        return try await database.read { transaction in
            try body(try APIRow.require(id, scope, in: transaction), transaction)
        }
    }

    /// Once an API, or one stage of it, is deleted, those who are connected to it are told.
    func closeSockets(of api: String, stage: String? = nil, after transaction: any WriteTransaction) {
        transaction.afterCommit { [catalog, sockets] in
            // First: what is gone does not answer the goodbye of its connections.
            catalog.drop(api)
            sockets.close(api: api, stage: stage)
        }
    }

    /// Whether the API is a WebSocket API. Throws as `read`.
    func isSocket(_ apiID: String?, _ context: OperationContext) async throws -> Bool {
        try await read(apiID, context) { api, _ in api.proto == SocketRules.proto }
    }

    /// Refuses what would have this server reach the network for a function that cannot itself.
    func checkNetwork(_ context: OperationContext, what: String) throws(AWSError) {
        if !functionsReachTheNetwork, case .roleSession = context.principal {
            throw GatewayError.bad("Functions may not create \(what) while --egress is isolated")
        }
    }

    /// The same of stage variables: hosts of integrations may be made of them.
    func checkVariables(_ request: OperationRequest) throws(AWSError) {
        if request.input["StageVariables"]?.fields?.isEmpty == false {
            try checkNetwork(request.context, what: "stage variables")
        }
    }
}

/// Pages of items: `MaxResults` and `NextToken`.
struct Paging: Sendable {
    var limit: Int
    var after: String

    init(_ input: Value) throws(AWSError) {
        limit = Limits.page
        if let text = input["MaxResults"]?.string {
            guard let number = Int(text), number > 0 else { throw GatewayError.bad("Invalid value for maxResults") }
            limit = min(number, Limits.page)
        }
        after = ""
        if let token = input["NextToken"]?.string {
            guard let key = PageToken.decodeText(token) else { throw GatewayError.bad("Invalid NextToken") }
            after = key
        }
    }

    /// The page out of one item more than it holds.
    func page(_ rows: [(id: String, value: Value)]) -> Value {
        var output: Value = ["Items": .list(rows.prefix(limit).map(\.value))]
        if rows.count > limit { output["NextToken"] = .string(PageToken.encode(rows[limit - 1].id)) }
        return output
    }
}

extension Value {
    /// The members that `names` name.
    func picking(_ names: [String]) -> Value {
        var fields = Fields()
        for name in names {
            if let value = self[name], !value.isNull { fields[name] = value }
        }
        return .map(fields)
    }

    /// With the members of `input` that `names` name put over its own. One that is null is not given.
    func merging(_ input: Value, _ names: [String]) -> Value {
        var result = self
        for name in names {
            if let value = input[name], !value.isNull { result[name] = value }
        }
        return result
    }

    /// As `merging`, of a map, key by key; an empty text removes its key.
    func mergingMap(_ name: String, _ input: Value) -> Value {
        guard let changes = input[name]?.fields else { return self }
        var map = self[name]?.fields ?? Fields()
        for entry in changes.entries { map[entry.name] = entry.value.string == "" ? nil : entry.value }
        var result = self
        result[name] = .map(map)
        return result
    }
}
