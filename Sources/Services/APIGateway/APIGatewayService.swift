public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// API Gateway: HTTP APIs (`apigatewayv2`), REST APIs (`apigateway`), and the door behind which all APIs are served
/// (`*.execute-api.*`).
public final class APIGatewayService: Sendable, HTTPDoor {
    /// API Gateway v2.
    public let definition: ServiceDefinition
    /// API Gateway v1: REST APIs.
    public let restDefinition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }
    public static var restMigrations: Migrations { RESTSchema.migrations }

    public let label = "execute-api"
    public let bodyLimit = Limits.payload

    private let door: ExecuteDoor
    let rest: RESTDoor
    private let logger: Logger
    private let sockets: SocketDoor

    /// `functionsReachTheNetwork`: unless it is set, role sessions cannot create HTTP integrations and JWT authorizers: a
    /// function that reaches no network must not have the server reach it instead. `functionEndpoint` is the URL by which
    /// functions reach this server; events of WebSocket APIs name its port.
    public init(
        database: any Database, functions: any FunctionCaller, http: any OutboundHTTP, logs: any LogSink,
        authorizer: any Authorizer, time: any TimeSource, functionsReachTheNetwork: Bool, functionEndpoint: String,
        logger: Logger
    ) throws {
        let catalog = APICatalog(database: database)
        let answers = AuthorizerCache()
        let deadlines = Deadlines(time: time)
        let functions = IntegratedFunctions(functions: functions, database: database, authorizer: authorizer)
        door = ExecuteDoor(
            catalog: catalog, functions: functions, http: http, logs: logs,
            iam: IAMAuthorizer(database: database, authorizer: authorizer), keys: IssuerKeys(http: http),
            answers: answers, deadlines: deadlines, time: time, logger: logger)
        rest = RESTDoor(
            catalog: RESTCatalog(database: database), database: database, functions: functions, http: http, logs: logs,
            authorizer: authorizer, answers: answers, deadlines: deadlines, time: time)
        self.logger = logger
        let hub = SocketHub(time: time)
        sockets = try SocketDoor(
            catalog: catalog, hub: hub, functions: functions, http: http, logs: logs,
            database: database, authorizer: authorizer, deadlines: deadlines, time: time,
            functionsPort: ":" + ProxyRequest.port(of: functionEndpoint, isSecure: false), logger: logger)
        let editor = Editor(
            database: database, catalog: catalog, answers: answers, sockets: hub,
            functionsReachTheNetwork: functionsReachTheNetwork)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: APIGatewayV2Schema.text),
            operations: Self.operations(editor, Access(database: database, authorizer: authorizer)),
            bodyLimit: Limits.document * 2)
        let restEditor = RESTEditor(
            database: database, catalog: rest.catalog, answers: answers,
            functionsReachTheNetwork: functionsReachTheNetwork)
        restDefinition = ServiceDefinition(
            schema: try ServiceSchema(text: APIGatewayV1Schema.text),
            operations: RESTOperations.table(
                restEditor, rest, Access(database: database, authorizer: authorizer)),
            bodyLimit: Limits.document)
    }

    public func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        guard let id = request.labels.first, ResourceID.isValid(id) else {
            return door.respond(to: request, completion)
        }
        let generation = rest.answers.generation
        if let api = rest.catalog.cached(id) {
            return rest.serve(api, request, generation: generation, completion)
        }
        if door.catalog.cached(id) != nil { return door.respond(to: request, completion) }
        // Known to be a WebSocket API, or not looked for yet.
        sockets.find(request) { api in
            if let api { return self.sockets.respond(to: request, of: api, completion) }
            Task {
                do {
                    guard let api = try await self.rest.catalog.load(id) else {
                        return self.door.respond(to: request, completion)
                    }
                    self.rest.serve(api, request, generation: generation, completion)
                } catch {
                    self.logger.error("cannot load an API", metadata: ["api": "\(id)", "error": "\(error)"])
                    self.rest.fail("\(error)", completion)
                }
            }
        }
    }

    /// Only WebSocket APIs upgrade connections; to the others it is a request like any other.
    public func upgrade(_ request: DoorRequest, _ completion: @escaping @Sendable (WebSocketAnswer) -> Void) {
        sockets.find(request) { api in
            guard let api else { return self.respond(to: request) { completion(.refuse($0)) } }
            self.sockets.connect(request, to: api, completion)
        }
    }

    private static func operations(_ editor: Editor, _ access: Access) -> [String: OperationHandler] {
        let apis = APIOperations(editor: editor)
        let documents = DocumentOperations(editor: editor)
        let routes = RouteOperations(editor: editor)
        let integrations = IntegrationOperations(editor: editor)
        let authorizers = AuthorizerOperations(editor: editor)
        let stages = StageOperations(editor: editor)
        let deployments = DeploymentOperations(editor: editor)
        let models = ModelOperations(editor: editor)
        let tags = Tags(editor: editor)
        let routeResponses = ResponseOperations(editor: editor, family: .route)
        let integrationResponses = ResponseOperations(editor: editor, family: .integration)
        return [
            "CreateApi": access.guarding("POST", apis.create),
            "GetApi": access.guarding("GET", apis.get),
            "GetApis": access.guarding("GET", apis.list),
            "UpdateApi": access.guarding("PATCH", apis.update),
            "DeleteApi": access.guarding("DELETE", apis.delete),
            "DeleteCorsConfiguration": access.guarding("DELETE", apis.deleteCORS),
            "ImportApi": access.guarding("PUT", documents.importAPI),
            "ReimportApi": access.guarding("PUT", documents.reimport),
            "ExportApi": access.guarding("GET", documents.export),
            "CreateRoute": access.guarding("POST", routes.create),
            "GetRoute": access.guarding("GET", routes.get),
            "GetRoutes": access.guarding("GET", routes.list),
            "UpdateRoute": access.guarding("PATCH", routes.update),
            "DeleteRoute": access.guarding("DELETE", routes.delete),
            "DeleteRouteRequestParameter": access.guarding("DELETE", routes.deleteRequestParameter),
            "CreateRouteResponse": access.guarding("POST", routeResponses.create),
            "GetRouteResponse": access.guarding("GET", routeResponses.get),
            "GetRouteResponses": access.guarding("GET", routeResponses.list),
            "UpdateRouteResponse": access.guarding("PATCH", routeResponses.update),
            "DeleteRouteResponse": access.guarding("DELETE", routeResponses.delete),
            "CreateIntegrationResponse": access.guarding("POST", integrationResponses.create),
            "GetIntegrationResponse": access.guarding("GET", integrationResponses.get),
            "GetIntegrationResponses": access.guarding("GET", integrationResponses.list),
            "UpdateIntegrationResponse": access.guarding("PATCH", integrationResponses.update),
            "DeleteIntegrationResponse": access.guarding("DELETE", integrationResponses.delete),
            "CreateIntegration": access.guarding("POST", integrations.create),
            "GetIntegration": access.guarding("GET", integrations.get),
            "GetIntegrations": access.guarding("GET", integrations.list),
            "UpdateIntegration": access.guarding("PATCH", integrations.update),
            "DeleteIntegration": access.guarding("DELETE", integrations.delete),
            "CreateAuthorizer": access.guarding("POST", authorizers.create),
            "GetAuthorizer": access.guarding("GET", authorizers.get),
            "GetAuthorizers": access.guarding("GET", authorizers.list),
            "UpdateAuthorizer": access.guarding("PATCH", authorizers.update),
            "DeleteAuthorizer": access.guarding("DELETE", authorizers.delete),
            "ResetAuthorizersCache": access.guarding("DELETE", authorizers.resetCache),
            "CreateStage": access.guarding("POST", stages.create),
            "GetStage": access.guarding("GET", stages.get),
            "GetStages": access.guarding("GET", stages.list),
            "UpdateStage": access.guarding("PATCH", stages.update),
            "DeleteStage": access.guarding("DELETE", stages.delete),
            "DeleteAccessLogSettings": access.guarding("DELETE", stages.deleteAccessLog),
            "DeleteRouteSettings": access.guarding("DELETE", stages.deleteRouteSettings),
            "CreateDeployment": access.guarding("POST", deployments.create),
            "GetDeployment": access.guarding("GET", deployments.get),
            "GetDeployments": access.guarding("GET", deployments.list),
            "UpdateDeployment": access.guarding("PATCH", deployments.update),
            "DeleteDeployment": access.guarding("DELETE", deployments.delete),
            "CreateModel": access.guarding("POST", models.create),
            "GetModel": access.guarding("GET", models.get),
            "GetModels": access.guarding("GET", models.list),
            "UpdateModel": access.guarding("PATCH", models.update),
            "DeleteModel": access.guarding("DELETE", models.delete),
            "GetTags": access.guarding("GET", tags.get),
            "TagResource": access.guarding("POST", tags.tag),
            "UntagResource": access.guarding("DELETE", tags.untag),
        ]
    }
}
