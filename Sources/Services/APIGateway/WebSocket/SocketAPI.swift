import Platform
import Wire

/// A WebSocket API with its stages, ready to serve.
final class SocketAPI: Sendable {
    let id: String
    let scope: AccountRegion
    let isDisabled: Bool
    let stages: [String: SocketStage]

    init(id: String, scope: AccountRegion, isDisabled: Bool, stages: [String: SocketStage]) {
        self.id = id
        self.scope = scope
        self.isDisabled = isDisabled
        self.stages = stages
    }

    /// Of what is used, as permissions and policies name it: `RESOURCE` is `STAGE/ROUTE`.
    func arn(_ resource: String) -> String { "arn:aws:execute-api:\(scope.region):\(scope.account):\(id)/\(resource)" }
}

/// A stage with the deployment that it serves.
final class SocketStage: Sendable {
    let name: String
    let variables: [(name: String, value: String)]
    let selection: SelectionExpression?
    let routes: [String: SocketRoute]
    let throttle: ThrottleSettings?
    let buckets = Throttle()
    let accessLog: CompiledStage.AccessLog?

    init(
        name: String, variables: [(name: String, value: String)], selection: SelectionExpression?,
        routes: [String: SocketRoute], throttle: ThrottleSettings?, accessLog: CompiledStage.AccessLog?
    ) {
        self.name = name
        self.variables = variables
        self.selection = selection
        self.routes = routes
        self.throttle = throttle
        self.accessLog = accessLog
    }

    static let connect = "$connect"
    static let disconnect = "$disconnect"
    static let fallback = "$default"

    /// The route of a message; the two of the connection's life are not to be had by naming them.
    func route(of body: Value?) -> SocketRoute? {
        if let key = selection?.evaluate(body), key != Self.connect, key != Self.disconnect, let route = routes[key] {
            return route
        }
        return routes[Self.fallback]
    }

    func admits(_ route: SocketRoute, now: Instant) -> Bool {
        guard let settings = route.throttle ?? throttle else { return true }
        return buckets.admits(route.throttle == nil ? "" : route.key, settings, now: now)
    }
}

struct SocketRoute: Sendable {
    enum Authorization: Sendable {
        case none, iam
        case lambda(LambdaAuthorizer)
        /// An authorizer that is gone: nobody gets in.
        case broken
    }
    enum Target: Sendable {
        case function(arn: String)
        case http(url: String, method: String)
        case mock(status: Int)
        case broken(String)
    }
    struct Integration: Sendable {
        var target: Target
        var timeout: Duration
        var credentials: String?
        /// The payload is base64, and the backend gets what it stands for.
        var convertsToBinary: Bool
    }

    var key: String
    var authorization: Authorization
    var integration: Integration?
    /// What the integration answers goes to the client.
    var responds: Bool
    var throttle: ThrottleSettings?
}

/// Makes compiled WebSocket APIs out of documents as they are stored.
enum SocketCompiler {
    static func compile(
        stage document: Value, _ deployment: Compiler.Deployment, responding: Set<String>, selection: String?,
        scope: AccountRegion
    ) -> SocketStage {
        let stage = V2Model.Stage(document)
        let variables = (stage.stageVariables ?? []).map { (name: $0.key, value: $0.value) }
        var overrides: [String: ThrottleSettings] = [:]
        for (key, settings) in stage.routeSettings ?? [] { overrides[key] = Compiler.throttle(settings) }
        var integrations: [String: SocketRoute.Integration] = [:]
        for (id, value) in deployment.integrations { integrations[id] = integration(value, variables) }
        var routes: [String: SocketRoute] = [:]
        for value in deployment.routes {
            let route = V2Model.Route(value)
            guard let key = route.routeKey, SocketRules.isRouteKey(key) else { continue }
            let target = route.target.flatMap { target in
                target.hasPrefix("integrations/") ? integrations[String(target.dropFirst(13))] : nil
            }
            routes[key] = SocketRoute(
                key: key, authorization: authorization(route, deployment.authorizers, variables), integration: target,
                responds: responding.contains(route.routeId ?? ""), throttle: overrides[key])
        }
        return SocketStage(
            name: stage.stageName ?? "", variables: variables, selection: selection.flatMap { SelectionExpression($0) },
            routes: routes, throttle: stage.defaultRouteSettings.flatMap(Compiler.throttle),
            accessLog: Compiler.accessLog(
                format: stage.accessLogSettings?.format, destination: stage.accessLogSettings?.destinationArn, of: scope
            ))
    }

    private static func integration(_ value: Value, _ variables: [(name: String, value: String)])
        -> SocketRoute.Integration
    {
        let integration = V2Model.Integration(value)
        let uri = FunctionURI.substitute(integration.integrationUri ?? "", stageVariables: variables)
        let target: SocketRoute.Target
        switch integration.integrationType {
        case "AWS_PROXY":
            target =
                FunctionURI.function(in: uri).map { .function(arn: $0) }
                ?? .broken("The integration names no function: \(uri)")
        case "HTTP_PROXY": target = .http(url: uri, method: integration.integrationMethod ?? "POST")
        case "MOCK":
            let templates = integration.requestTemplates ?? []
            let template = templates.first { $0.key == "$default" } ?? templates.first
            target = .mock(status: template.flatMap { SocketRules.mockStatus($0.value) } ?? 200)
        default: target = .broken("Integrations of this type are not served.")
        }
        return SocketRoute.Integration(
            target: target,
            timeout: .milliseconds(integration.timeoutInMillis ?? Int(Limits.socketIntegrationMilliseconds)),
            credentials: integration.credentialsArn,
            convertsToBinary: integration.contentHandlingStrategy == "CONVERT_TO_BINARY")
    }

    private static func authorization(
        _ route: V2Model.Route, _ authorizers: [String: Value], _ variables: [(name: String, value: String)]
    ) -> SocketRoute.Authorization {
        switch route.authorizationType ?? "NONE" {
        case "NONE": return .none
        case "AWS_IAM": return .iam
        case "CUSTOM":
            guard let authorizer = route.authorizerId.flatMap({ authorizers[$0] }).map({ V2Model.Authorizer($0) }),
                let uri = authorizer.authorizerUri,
                let function = FunctionURI.function(in: FunctionURI.substitute(uri, stageVariables: variables))
            else { return .broken }
            return .lambda(
                LambdaAuthorizer(
                    id: authorizer.authorizerId ?? "", function: function, version: .v1, allowsSimple: false,
                    identitySources: authorizer.identitySource ?? [], lifetime: .zero,
                    credentials: authorizer.authorizerCredentialsArn))
        default: return .broken
        }
    }
}
