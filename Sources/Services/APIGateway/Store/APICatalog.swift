import Platform
import Storage
import Synchronization

/// Compiled APIs by id. What was changed is dropped by the commit that changed it, before that is answered; the next request
/// loads it.
final class APICatalog: Sendable {
    private struct State {
        var apis: [String: CompiledAPI] = [:]
        var sockets: [String: SocketAPI] = [:]
        /// APIs that are no WebSocket APIs, which never changes.
        var others: Set<String> = []
        /// Counts changes: what was read before one is not kept after it.
        var generation: UInt64 = 0
    }

    private let state = Mutex(State())
    private let database: any Database

    init(database: any Database) { self.database = database }

    func cached(_ id: String) -> CompiledAPI? { state.withLock { $0.apis[id] } }

    /// Nil when there is no such API.
    func load(_ id: String) async throws -> CompiledAPI? {
        let generation = state.withLock { $0.generation }
        guard let api = try await database.read({ try Self.read(id, in: $0) }) else { return nil }
        state.withLock { state in
            guard state.generation == generation else { return }
            if state.apis.count >= Limits.compiledAPIs { state.apis = [:] }
            state.apis[id] = api
        }
        return api
    }

    func drop(_ id: String) {
        state.withLock { state in
            state.generation += 1
            state.apis[id] = nil
            state.sockets[id] = nil
            state.others.remove(id)
        }
    }

    // MARK: WebSocket APIs

    enum Socket: Sendable {
        case api(SocketAPI)
        /// Of another protocol.
        case other
        case unknown
    }

    /// What is known without the database.
    func cachedSocket(_ id: String) -> Socket {
        state.withLock { state in
            if let api = state.sockets[id] { return .api(api) }
            return state.apis[id] != nil || state.others.contains(id) ? .other : .unknown
        }
    }

    /// Nil when there is no such WebSocket API.
    func loadSocket(_ id: String) async throws -> SocketAPI? {
        let generation = state.withLock { $0.generation }
        let (api, isOther) = try await database.read { transaction -> (SocketAPI?, Bool) in
            guard let row = try APIRow.find(id, in: transaction) else { return (nil, false) }
            guard row.proto == SocketRules.proto else { return (nil, true) }
            return (try Self.readSocket(row, in: transaction), false)
        }
        state.withLock { state in
            guard state.generation == generation else { return }
            if state.sockets.count >= Limits.compiledAPIs { state.sockets = [:] }
            if state.others.count >= Limits.compiledAPIs { state.others = [] }
            state.sockets[id] = api
            if isOther { state.others.insert(id) }
        }
        return api
    }

    private static func readSocket(_ row: APIRow, in transaction: any ReadTransaction) throws -> SocketAPI {
        var stages: [String: SocketStage] = [:]
        let api = V2Model.Api(row.document)
        for item in try Item.list(.stage, api: row.id, in: transaction) {
            var deployment = Compiler.Deployment()
            var responding: Set<String> = []
            if let served = V2Model.Stage(item.document).deploymentId {
                deployment = try read(deployment: served, api: row.id, in: transaction)
                let responses = try Item.list(.routeResponse, api: row.id, deployment: served, in: transaction)
                responding = Set(responses.map { String($0.id.prefix { $0 != "/" }) })
            }
            stages[item.id] = SocketCompiler.compile(
                stage: item.document, deployment, responding: responding, selection: api.routeSelectionExpression,
                scope: row.scope)
        }
        return SocketAPI(
            id: row.id, scope: row.scope, isDisabled: api.disableExecuteApiEndpoint ?? false, stages: stages)
    }

    private static func read(_ id: String, in transaction: any ReadTransaction) throws -> CompiledAPI? {
        guard let row = try APIRow.find(id, in: transaction), row.proto == "HTTP" else { return nil }
        var deployments: [String: Compiler.Deployment] = [:]
        var stages: [String: CompiledStage] = [:]
        for item in try Item.list(.stage, api: id, in: transaction) {
            let served = V2Model.Stage(item.document).deploymentId
            var deployment = Compiler.Deployment()
            if let served {
                if deployments[served] == nil {
                    deployments[served] = try read(deployment: served, api: id, in: transaction)
                }
                deployment = deployments[served] ?? deployment
            }
            stages[item.id] = Compiler.compile(stage: item.document, deployment, api: id, scope: row.scope)
        }
        return CompiledAPI(
            id: id, scope: row.scope, isDisabled: V2Model.Api(row.document).disableExecuteApiEndpoint ?? false,
            stages: stages)
    }

    private static func read(deployment: String, api: String, in transaction: any ReadTransaction) throws
        -> Compiler.Deployment
    {
        var answer = Compiler.Deployment()
        answer.routes = try Item.list(.route, api: api, deployment: deployment, in: transaction).map(\.document)
        for item in try Item.list(.integration, api: api, deployment: deployment, in: transaction) {
            answer.integrations[item.id] = item.document
        }
        for item in try Item.list(.authorizer, api: api, deployment: deployment, in: transaction) {
            answer.authorizers[item.id] = item.document
        }
        answer.cors = try Item.find(.cors, "cors", api: api, deployment: deployment, in: transaction)
        return answer
    }
}
