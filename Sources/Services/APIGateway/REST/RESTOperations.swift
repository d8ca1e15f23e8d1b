import Contracts
import Wire

/// The operations of API Gateway v1.
enum RESTOperations {
    static func table(_ editor: RESTEditor, _ door: RESTDoor, _ access: Access) -> [String: OperationHandler] {
        let parts = [
            apis(editor, access), tree(editor, access), serving(editor, door, access), checks(editor, access),
            keys(editor, access),
        ]
        return parts.reduce(into: [:]) { table, part in table.merge(part) { first, _ in first } }
    }

    private static func apis(_ editor: RESTEditor, _ access: Access) -> [String: OperationHandler] {
        let apis = RESTAPIOperations(editor: editor)
        let documents = RESTDocumentOperations(editor: editor)
        let account = RESTAccountOperations(editor: editor)
        let tags = RESTTags(editor: editor)
        return [
            "CreateRestApi": access.guarding("POST", apis.create),
            "GetRestApi": access.guarding("GET", apis.get),
            "GetRestApis": access.guarding("GET", apis.list),
            "UpdateRestApi": access.guarding("PATCH", apis.update),
            "DeleteRestApi": access.guarding("DELETE", apis.delete),
            "ImportRestApi": access.guarding("POST", documents.importAPI),
            "PutRestApi": access.guarding("PUT", documents.put),
            "GetExport": access.guarding("GET", documents.export),
            "GetAccount": access.guarding("GET", account.get),
            "UpdateAccount": access.guarding("PATCH", account.update),
            "GetTags": access.guarding("GET", tags.get),
            "TagResource": access.guarding("PUT", tags.tag),
            "UntagResource": access.guarding("DELETE", tags.untag),
        ]
    }

    private static func tree(_ editor: RESTEditor, _ access: Access) -> [String: OperationHandler] {
        let resources = ResourceOperations(editor: editor)
        let methods = MethodOperations(editor: editor)
        let integrations = MethodIntegrationOperations(editor: editor)
        return [
            "CreateResource": access.guarding("POST", resources.create),
            "GetResource": access.guarding("GET", resources.get),
            "GetResources": access.guarding("GET", resources.list),
            "UpdateResource": access.guarding("PATCH", resources.update),
            "DeleteResource": access.guarding("DELETE", resources.delete),
            "PutMethod": access.guarding("PUT", methods.put),
            "GetMethod": access.guarding("GET", methods.get),
            "UpdateMethod": access.guarding("PATCH", methods.update),
            "DeleteMethod": access.guarding("DELETE", methods.delete),
            "PutMethodResponse": access.guarding("PUT", methods.putResponse),
            "GetMethodResponse": access.guarding("GET", methods.getResponse),
            "UpdateMethodResponse": access.guarding("PATCH", methods.updateResponse),
            "DeleteMethodResponse": access.guarding("DELETE", methods.deleteResponse),
            "PutIntegration": access.guarding("PUT", integrations.put),
            "GetIntegration": access.guarding("GET", integrations.get),
            "UpdateIntegration": access.guarding("PATCH", integrations.update),
            "DeleteIntegration": access.guarding("DELETE", integrations.delete),
            "PutIntegrationResponse": access.guarding("PUT", integrations.putResponse),
            "GetIntegrationResponse": access.guarding("GET", integrations.getResponse),
            "UpdateIntegrationResponse": access.guarding("PATCH", integrations.updateResponse),
            "DeleteIntegrationResponse": access.guarding("DELETE", integrations.deleteResponse),
        ]
    }

    private static func serving(_ editor: RESTEditor, _ door: RESTDoor, _ access: Access) -> [String: OperationHandler]
    {
        let deployments = RESTDeploymentOperations(editor: editor)
        let stages = RESTStageOperations(editor: editor)
        let authorizers = RESTAuthorizerOperations(editor: editor)
        let tests = TestInvokeOperations(editor: editor, door: door)
        return [
            "CreateDeployment": access.guarding("POST", deployments.create),
            "GetDeployment": access.guarding("GET", deployments.get),
            "GetDeployments": access.guarding("GET", deployments.list),
            "UpdateDeployment": access.guarding("PATCH", deployments.update),
            "DeleteDeployment": access.guarding("DELETE", deployments.delete),
            "CreateStage": access.guarding("POST", stages.create),
            "GetStage": access.guarding("GET", stages.get),
            "GetStages": access.guarding("GET", stages.list),
            "UpdateStage": access.guarding("PATCH", stages.update),
            "DeleteStage": access.guarding("DELETE", stages.delete),
            "FlushStageAuthorizersCache": access.guarding("DELETE", stages.flushAuthorizers),
            "FlushStageCache": access.guarding("DELETE", stages.flushCache),
            "CreateAuthorizer": access.guarding("POST", authorizers.create),
            "GetAuthorizer": access.guarding("GET", authorizers.get),
            "GetAuthorizers": access.guarding("GET", authorizers.list),
            "UpdateAuthorizer": access.guarding("PATCH", authorizers.update),
            "DeleteAuthorizer": access.guarding("DELETE", authorizers.delete),
            "TestInvokeMethod": access.guarding("POST", tests.method),
            "TestInvokeAuthorizer": access.guarding("POST", tests.authorizer),
        ]
    }

    private static func checks(_ editor: RESTEditor, _ access: Access) -> [String: OperationHandler] {
        let models = RESTModelOperations(editor: editor)
        let validators = RequestValidatorOperations(editor: editor)
        let responses = GatewayResponseOperations(editor: editor)
        return [
            "CreateModel": access.guarding("POST", models.create),
            "GetModel": access.guarding("GET", models.get),
            "GetModels": access.guarding("GET", models.list),
            "GetModelTemplate": access.guarding("GET", models.template),
            "UpdateModel": access.guarding("PATCH", models.update),
            "DeleteModel": access.guarding("DELETE", models.delete),
            "CreateRequestValidator": access.guarding("POST", validators.create),
            "GetRequestValidator": access.guarding("GET", validators.get),
            "GetRequestValidators": access.guarding("GET", validators.list),
            "UpdateRequestValidator": access.guarding("PATCH", validators.update),
            "DeleteRequestValidator": access.guarding("DELETE", validators.delete),
            "PutGatewayResponse": access.guarding("PUT", responses.put),
            "GetGatewayResponse": access.guarding("GET", responses.get),
            "GetGatewayResponses": access.guarding("GET", responses.list),
            "UpdateGatewayResponse": access.guarding("PATCH", responses.update),
            "DeleteGatewayResponse": access.guarding("DELETE", responses.delete),
        ]
    }

    private static func keys(_ editor: RESTEditor, _ access: Access) -> [String: OperationHandler] {
        let keys = APIKeyOperations(editor: editor)
        let plans = UsagePlanOperations(editor: editor)
        return [
            "CreateApiKey": access.guarding("POST", keys.create),
            "GetApiKey": access.guarding("GET", keys.get),
            "GetApiKeys": access.guarding("GET", keys.list),
            "UpdateApiKey": access.guarding("PATCH", keys.update),
            "DeleteApiKey": access.guarding("DELETE", keys.delete),
            "CreateUsagePlan": access.guarding("POST", plans.create),
            "GetUsagePlan": access.guarding("GET", plans.get),
            "GetUsagePlans": access.guarding("GET", plans.list),
            "UpdateUsagePlan": access.guarding("PATCH", plans.update),
            "DeleteUsagePlan": access.guarding("DELETE", plans.delete),
            "CreateUsagePlanKey": access.guarding("POST", plans.createKey),
            "GetUsagePlanKey": access.guarding("GET", plans.getKey),
            "GetUsagePlanKeys": access.guarding("GET", plans.listKeys),
            "DeleteUsagePlanKey": access.guarding("DELETE", plans.deleteKey),
        ]
    }
}
