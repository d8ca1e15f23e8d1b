import Platform
import Storage
import Synchronization

/// Compiled REST APIs by id.
final class RESTCatalog: Sendable {
    private let apis = Mutex(CompiledCache<CompiledREST>())
    private let database: any Database

    init(database: any Database) { self.database = database }

    func cached(_ id: String) -> CompiledREST? { apis.withLock { $0[id] } }

    /// Nil when there is no such API, or when it is none of REST.
    func load(_ id: String) async throws -> CompiledREST? {
        let mark = apis.withLock { $0.mark }
        guard let api = try await database.read({ try Self.read(id, in: $0) }) else { return nil }
        apis.withLock { $0.keep(api, for: id, since: mark) }
        return api
    }

    func drop(_ id: String) { apis.withLock { $0.drop(id) } }

    /// Keys and plans have changed.
    func drop(scope: AccountRegion) { apis.withLock { $0.drop { $0.scope == scope } } }

    private static func read(_ id: String, in transaction: any ReadTransaction) throws -> CompiledREST? {
        guard let row = try APIRow.find(id, in: transaction), row.proto == APIRow.rest else { return nil }
        let stages = try Item.list(.stage, api: id, in: transaction)
        let plans = try Owned.list(.usagePlan, row.scope, in: transaction).filter {
            UsagePlans.names($0.document, api: id)
        }
        var deployments: [String: (RESTCompiler.Deployment, JSONSchema.Library)] = [:]
        var compiled: [String: RESTStage] = [:]
        for item in stages {
            let served = item.document["deploymentId"]?.string ?? ""
            guard !served.isEmpty else { continue }
            let (deployment, library): (RESTCompiler.Deployment, JSONSchema.Library)
            if let known = deployments[served] {
                (deployment, library) = known
            } else {
                deployment = try self.deployment(served, api: id, in: transaction)
                library = deployment.library
                deployments[served] = (deployment, library)
            }
            let keys = try self.keys(
                of: plans.filter { UsagePlans.names($0.document, api: id, stage: item.id) }, row.scope, in: transaction)
            compiled[item.id] = RESTCompiler.compile(
                stage: item.document, deployment, library, keys: keys, api: id, scope: row.scope)
        }
        return CompiledREST(
            id: id, scope: row.scope, isDisabled: row.document["disableExecuteApiEndpoint"]?.bool ?? false,
            stages: compiled)
    }

    /// `deployment` is empty for what is being edited.
    static func deployment(_ deployment: String, api: String, in transaction: any ReadTransaction) throws
        -> RESTCompiler.Deployment
    {
        var answer = RESTCompiler.Deployment()
        func documents(_ kind: ItemKind) throws -> [Item] {
            try Item.list(kind, api: api, deployment: deployment, in: transaction)
        }
        answer.resources = try documents(.resource).map(\.document)
        for item in try documents(.authorizer) { answer.authorizers[item.id] = item.document }
        for item in try documents(.model) { answer.models[item.id] = item.document }
        for item in try documents(.requestValidator) { answer.validators[item.id] = item.document }
        answer.responses = try documents(.gatewayResponse).map(\.document)
        answer.settings = try documents(.settings).first?.document ?? [:]
        return answer
    }

    private static func keys(of plans: [Owned], _ scope: AccountRegion, in transaction: any ReadTransaction) throws
        -> [String: PlanKey]
    {
        var keys: [String: PlanKey] = [:]
        for plan in plans {
            let throttle = plan.document["throttle"].flatMap { limits in
                RESTCompiler.throttle([
                    "throttlingRateLimit": limits["rateLimit"] ?? -1,
                    "throttlingBurstLimit": limits["burstLimit"] ?? -1,
                ])
            }
            for item in try Owned.list(.usagePlanKey, scope, prefix: plan.id + "/", in: transaction) {
                guard keys.count < RESTLimits.apiKeys,
                    let key = try Owned.find(.apiKey, item.document["id"]?.string ?? "", scope, in: transaction),
                    let value = key["value"]?.string
                else { continue }
                keys[value] = PlanKey(
                    id: key["id"]?.string ?? "", plan: plan.id, isEnabled: key["enabled"]?.bool ?? false,
                    throttle: throttle)
            }
        }
        return keys
    }
}
