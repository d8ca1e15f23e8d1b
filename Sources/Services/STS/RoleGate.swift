public import Contracts
import Platform
import Policies
public import Storage
import Wire

/// Who may assume which role: the role's trust policy must name the caller, or the caller's account and the caller's own
/// policies allow it (IAM, "Trust policies and permissions").
public struct RoleGate: Sendable {
    static let action = "sts:AssumeRole"
    private let authorizer: any Authorizer
    private let database: any Database

    public init(authorizer: any Authorizer, database: any Database) {
        self.authorizer = authorizer
        self.database = database
    }

    /// What the role says of its sessions; nil when there is none, which only without authentication comes so far. Throws
    /// AccessDenied, in the same words whether there is such a role or not.
    func check(_ request: OperationRequest, _ input: Model.AssumeRoleRequest) async throws -> RoleProperties? {
        let (principal, role) = (request.context.principal, input.roleArn ?? "")
        // Session tags and a source identity are permissions of their own (IAM, "Passing session tags in AWS STS").
        var actions = [Self.action]
        if !(input.tags ?? []).isEmpty { actions.append("sts:TagSession") }
        if input.sourceIdentity != nil { actions.append("sts:SetSourceIdentity") }
        let asked = actions
        let (refused, properties) = try await database.read { [authorizer] transaction in
            let properties = try authorizer.role(role, in: transaction)
            var conditions = Self.conditions(request, input).merging(
                TagConditions.resource(properties?.tags ?? [])
            ) { own, _ in own }
            if case .roleSession(let own, _, _) = principal {
                let tags = try authorizer.role(own, in: transaction)?.tags ?? []
                conditions.merge(TagConditions.keys(TagConditions.principal, tags)) { session, _ in session }
            }
            let refused = try asked.first { action in
                let trust = try authorizer.trust(
                    in: principal, of: role, action: action, conditions: conditions, in: transaction)
                let identity = try authorizer.decide(
                    principal, action: action, resource: role, conditions: { _ in conditions }, in: transaction)
                return switch trust {
                case .allowed: identity == .explicitlyDenied
                case .delegated: identity != .allowed
                case .refused, .noRole: true
                }
            }
            return (refused, properties)
        }
        if let refused { throw Self.refusal(principal, refused, role) }
        return properties
    }

    private static func refusal(_ principal: Principal, _ action: String, _ role: String) -> AWSError {
        AWSError(
            "AccessDenied", status: 403,
            "User: \(principal.arn) is not authorized to perform: \(action) on resource: \(role)")
    }

    private static func conditions(_ request: OperationRequest, _ input: Model.AssumeRoleRequest) -> ConditionValues {
        var keys = request.conditions
        keys["sts:externalid"] = input.externalId.map { [$0] }
        keys["sts:rolesessionname"] = input.roleSessionName.map { [$0] }
        keys["sts:sourceidentity"] = input.sourceIdentity.map { [$0] }
        if let names = input.transitiveTagKeys, !names.isEmpty { keys["sts:transitivetagkeys"] = names }
        return keys
    }
}
