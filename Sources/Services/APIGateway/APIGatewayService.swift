public import Contracts
public import Logging
public import Platform
public import Storage
import Wire

/// API Gateway: HTTP APIs (`apigatewayv2`), and the door behind which all APIs are served (`*.execute-api.*`).
public final class APIGatewayService: Sendable, HTTPDoor {
    /// API Gateway v2.
    public let definition: ServiceDefinition
    public static var migrations: Migrations { Schema.migrations }

    public let label = "execute-api"
    public let bodyLimit = Limits.payload

    private let door: ExecuteDoor

    /// `functionsReachTheNetwork`: unless it is set, role sessions cannot create HTTP integrations and JWT authorizers: a
    /// function that reaches no network must not have the server reach it instead.
    public init(
        database: any Database, functions: any FunctionCaller, http: any OutboundHTTP, logs: any LogSink,
        authorizer: any Authorizer, time: any TimeSource, functionsReachTheNetwork: Bool, logger: Logger
    ) throws {
        let catalog = APICatalog(database: database)
        let answers = AuthorizerCache()
        door = ExecuteDoor(
            catalog: catalog, functions: functions, http: http, logs: logs,
            iam: IAMAuthorizer(database: database, authorizer: authorizer), keys: IssuerKeys(http: http),
            answers: answers, deadlines: Deadlines(time: time), time: time, logger: logger)
        let editor = Editor(
            database: database, catalog: catalog, answers: answers, functionsReachTheNetwork: functionsReachTheNetwork)
        definition = ServiceDefinition(
            schema: try ServiceSchema(text: APIGatewayV2Schema.text), operations: Self.operations(editor),
            bodyLimit: Limits.document * 2)
    }

    public func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
        door.respond(to: request, completion)
    }

    private static func operations(_ editor: Editor) -> [String: OperationHandler] {
        let apis = APIOperations(editor: editor)
        let documents = DocumentOperations(editor: editor)
        let routes = RouteOperations(editor: editor)
        let integrations = IntegrationOperations(editor: editor)
        let authorizers = AuthorizerOperations(editor: editor)
        let stages = StageOperations(editor: editor)
        let deployments = DeploymentOperations(editor: editor)
        let models = ModelOperations(editor: editor)
        let tags = Tags(editor: editor)
        return [
            "CreateApi": .asynchronous(apis.create), "GetApi": .asynchronous(apis.get),
            "GetApis": .asynchronous(apis.list), "UpdateApi": .asynchronous(apis.update),
            "DeleteApi": .asynchronous(apis.delete), "DeleteCorsConfiguration": .asynchronous(apis.deleteCORS),
            "ImportApi": .asynchronous(documents.importAPI), "ReimportApi": .asynchronous(documents.reimport),
            "ExportApi": .asynchronous(documents.export),
            "CreateRoute": .asynchronous(routes.create), "GetRoute": .asynchronous(routes.get),
            "GetRoutes": .asynchronous(routes.list), "UpdateRoute": .asynchronous(routes.update),
            "DeleteRoute": .asynchronous(routes.delete),
            "DeleteRouteRequestParameter": .asynchronous(routes.deleteRequestParameter),
            "CreateIntegration": .asynchronous(integrations.create), "GetIntegration": .asynchronous(integrations.get),
            "GetIntegrations": .asynchronous(integrations.list),
            "UpdateIntegration": .asynchronous(integrations.update),
            "DeleteIntegration": .asynchronous(integrations.delete),
            "CreateAuthorizer": .asynchronous(authorizers.create), "GetAuthorizer": .asynchronous(authorizers.get),
            "GetAuthorizers": .asynchronous(authorizers.list), "UpdateAuthorizer": .asynchronous(authorizers.update),
            "DeleteAuthorizer": .asynchronous(authorizers.delete),
            "ResetAuthorizersCache": .asynchronous(authorizers.resetCache),
            "CreateStage": .asynchronous(stages.create), "GetStage": .asynchronous(stages.get),
            "GetStages": .asynchronous(stages.list), "UpdateStage": .asynchronous(stages.update),
            "DeleteStage": .asynchronous(stages.delete),
            "DeleteAccessLogSettings": .asynchronous(stages.deleteAccessLog),
            "DeleteRouteSettings": .asynchronous(stages.deleteRouteSettings),
            "CreateDeployment": .asynchronous(deployments.create), "GetDeployment": .asynchronous(deployments.get),
            "GetDeployments": .asynchronous(deployments.list), "UpdateDeployment": .asynchronous(deployments.update),
            "DeleteDeployment": .asynchronous(deployments.delete),
            "CreateModel": .asynchronous(models.create), "GetModel": .asynchronous(models.get),
            "GetModels": .asynchronous(models.list), "UpdateModel": .asynchronous(models.update),
            "DeleteModel": .asynchronous(models.delete),
            "GetTags": .asynchronous(tags.get), "TagResource": .asynchronous(tags.tag),
            "UntagResource": .asynchronous(tags.untag),
        ]
    }
}
