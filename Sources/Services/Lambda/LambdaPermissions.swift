public import Contracts
import Platform
public import Policies
public import Storage
import Wire

extension LambdaService {
    /// What an operation needs of a role session's policies (Service Authorization Reference, AWS Lambda). The calls of
    /// functions weigh the function's own policy too, and ask by themselves; so do those that name a mapping by its UUID, whose
    /// function is known only once it is found.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        if operation.hasPrefix("Invoke") || ownMappingOperations.contains(operation) { return [] }
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
            let layer = name.hasPrefix("arn:") ? canonical(name) : "\(prefix):layer:\(name)"
            resource = input["VersionNumber"]?.int.map { "\(layer):\($0)" } ?? layer
        default:
            resource = (text("Resource") ?? text("Arn") ?? text("CodeSigningConfigArn")).map(canonical) ?? "*"
        }
        let action = operation == "GetLayerVersionByArn" ? "GetLayerVersion" : operation
        var needs = [PermissionNeed("lambda:\(action)", resource, conditions: conditions(operation, request))]
        // Whoever gives a function a role acts as that role from then on.
        if let role = text("Role"), ["CreateFunction", "UpdateFunctionConfiguration"].contains(operation) {
            needs.append(.passRole(role, to: "lambda.amazonaws.com"))
        }
        return needs
    }

    /// The condition keys of Lambda that follow from the request (Service Authorization Reference, "Condition keys for AWS
    /// Lambda").
    private static func conditions(_ operation: String, _ request: OperationRequest) -> [String: [String]] {
        let (input, scope) = (request.input, request.context.scope)
        var keys: [String: [String]] = [:]
        if operation == "CreateEventSourceMapping", let name = input["FunctionName"]?.string {
            let function = FunctionName(name)?.name ?? name
            keys[functionKey] = ["arn:aws:lambda:\(scope.region):\(scope.account):function:\(function)"]
        }
        if let layers = input["Layers"]?.list, !layers.isEmpty { keys["lambda:layer"] = layers.compactMap(\.string) }
        if let type = (input["AuthType"] ?? input["FunctionUrlAuthType"])?.string {
            keys["lambda:functionurlauthtype"] = [type]
        }
        if operation == "AddPermission", let principal = input["Principal"]?.string {
            keys["lambda:principal"] = [principal]
        }
        if let signing = input["CodeSigningConfigArn"]?.string { keys["lambda:codesigningconfigarn"] = [signing] }
        return keys
    }

    /// `aws:ResourceTag` of the function that is asked for.
    public static func conditions(
        _ need: PermissionNeed, _ asked: AskedKeys, in transaction: any ReadTransaction
    ) throws -> ConditionValues {
        try asked.resourceTags {
            guard let target = FunctionTarget(arn: need.resource) else { return nil }
            return try FunctionTable.get(target.scope, target.name, in: transaction)?.tags
        }
    }

    private static let functionKey = "lambda:functionarn"
    private static let ownMappingOperations: Set = [
        "GetEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping",
    ]

    /// The mapping of a UUID, to which the caller may do `action`: as a mapping of the function that it has, and of the one
    /// that it is to have (`target`). Who may not ask does not learn whether there is one. Throws AccessDeniedException and
    /// ResourceNotFoundException.
    func mapping(
        _ uuid: String?, _ action: String, target: FunctionTarget? = nil, _ context: OperationContext,
        in transaction: any ReadTransaction
    ) throws -> MappingRecord {
        let id = (uuid ?? "").lowercased()
        let record = try MappingTable.get(context.scope, id, in: transaction)
        if context.principal.isRoleSession, let authorizer = try connections().authorizer {
            let (name, prefix) = ("lambda:" + action, "arn:aws:lambda:\(context.scope.region):\(context.scope.account)")
            let resource = "\(prefix):event-source-mapping:\(id)"
            var keys = [record?.target, target].compactMap { target in
                target.map { [Self.functionKey: ["\(prefix):function:\($0.name)"]] }
            }
            if keys.isEmpty { keys = [[:]] }
            for key in keys {
                let decision = try authorizer.decide(
                    for: context, action: name, resource: resource, more: { _ in key }, in: transaction)
                if decision == .allowed { continue }
                let refusal = decision == .explicitlyDenied ? PolicyRefusal.deniedByIdentity : .notAllowedByIdentity
                throw AWSError.lambda(
                    "AccessDeniedException", status: 403,
                    "User: \(context.principal.arn) is not authorized to perform: \(name) on resource: \(resource) "
                        + refusal.reason(name))
            }
        }
        guard let record else { throw AWSError.noMapping }
        return record
    }

    /// One spelling of what may be spelled in several ways: whatever the partition, the version or alias of a function, and
    /// the case of a mapping's id. What is forbidden by one is by all.
    private static func canonical(_ text: String) -> String {
        guard let arn = ARN(text) else { return text }
        var parts = arn.resource.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.first == "function" { parts = Array(parts.prefix(2)) }
        if parts.first == "event-source-mapping" { parts = parts.map { $0.lowercased() } }
        return "arn:aws:lambda:\(arn.region):\(arn.account):\(parts.joined(separator: ":"))"
    }
}
