public import Contracts
import Platform
public import Policies

extension LambdaService {
    /// What an operation needs of a role session's policies (Service Authorization Reference, AWS Lambda). The calls of
    /// functions weigh the function's own policy too, and ask by themselves.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        if operation.hasPrefix("Invoke") { return [] }
        let (input, scope) = (request.input, request.context.scope)
        let prefix = "arn:aws:lambda:\(scope.region):\(scope.account)"
        func text(_ name: String) -> String? { input[name]?.string }
        let resource: String
        switch operation {
        case "CreateEventSourceMapping", "ListEventSourceMappings": resource = "*"
        case _ where text("FunctionName") != nil:
            let name = text("FunctionName") ?? ""
            resource = "\(prefix):function:\(FunctionName(name)?.name ?? name)"
        case _ where text("LayerName") != nil:
            let name = text("LayerName") ?? ""
            let layer = name.hasPrefix("arn:") ? name : "\(prefix):layer:\(name)"
            resource = input["VersionNumber"]?.int.map { "\(layer):\($0)" } ?? layer
        case _ where text("UUID") != nil: resource = "\(prefix):event-source-mapping:\(text("UUID") ?? "")"
        default: resource = text("Resource") ?? text("Arn") ?? text("CodeSigningConfigArn") ?? "*"
        }
        let action = operation == "GetLayerVersionByArn" ? "GetLayerVersion" : operation
        var needs = [PermissionNeed("lambda:\(action)", resource)]
        // Whoever gives a function a role acts as that role from then on.
        if let role = text("Role"), ["CreateFunction", "UpdateFunctionConfiguration"].contains(operation) {
            needs.append(PermissionNeed("iam:PassRole", role))
        }
        return needs
    }
}
