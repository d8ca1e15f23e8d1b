import Platform
import Storage
import Synchronization

/// Compiled HTTP and WebSocket APIs by id.
final class APICatalog: Sendable {
    private struct State {
        var apis = CompiledCache<CompiledAPI>()
        var sockets = CompiledCache<Socket>()
    }

    private let state = Mutex(State())
    private let database: any Database

    init(database: any Database) { self.database = database }

    func cached(_ id: String) -> CompiledAPI? { state.withLock { $0.apis[id] } }

    /// Nil when there is no such API.
    func load(_ id: String) async throws -> CompiledAPI? {
        let mark = state.withLock { $0.apis.mark }
        guard let api = try await database.read({ try Self.read(id, in: $0) }) else { return nil }
        state.withLock { $0.apis.keep(api, for: id, since: mark) }
        return api
    }

    func drop(_ id: String) {
        state.withLock { state in
            state.apis.drop(id)
            state.sockets.drop(id)
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
            state.sockets[id] ?? (state.apis[id] != nil ? .other : .unknown)
        }
    }

    /// Nil when there is no such WebSocket API.
    func loadSocket(_ id: String) async throws -> SocketAPI? {
        let mark = state.withLock { $0.sockets.mark }
        let found = try await database.read { transaction -> Socket in
            guard let row = try APIRow.find(id, in: transaction) else { return .unknown }
            return row.proto == SocketRules.proto ? .api(try Self.readSocket(row, in: transaction)) : .other
        }
        switch found {
        case .unknown: return nil
        case .api, .other: state.withLock { $0.sockets.keep(found, for: id, since: mark) }
        }
        if case .api(let api) = found { return api }
        return nil
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
