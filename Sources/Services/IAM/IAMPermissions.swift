public import Contracts
import Platform
public import Policies
public import Storage

extension IAMService {
    /// What an operation needs of a role session's policies; `complete` adds the path of a role that is there.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        let (input, account) = (request.input, request.context.scope.account)
        func text(_ name: String) -> String? { input[name]?.string }
        let prefix = "arn:aws:iam::\(account):"
        // Who creates something says where it will be.
        let path = operation == "CreateRole" || operation == "CreatePolicy" ? text("Path") ?? "/" : "/"
        var resource = "*"
        if let role = text("RoleName") {
            resource = "\(prefix)role\(path)\(role)"
        } else if let user = text("UserName") {
            resource = "\(prefix)user/\(user)"
        } else if let policy = text("PolicyArn") {
            resource = policy
        } else if let policy = text("PolicyName") {
            resource = "\(prefix)policy\(path)\(policy)"
        }
        var need = PermissionNeed("iam:\(operation)", resource)
        if let boundary = text("PermissionsBoundary") { need.conditions[boundaryKey] = [boundary] }
        if text("RoleName") != nil, let policy = text("PolicyArn") { need.conditions["iam:policyarn"] = [policy] }
        return [need]
    }

    private static let boundaryKey = "iam:permissionsboundary"

    /// Requests name a role without its path, policies with it.
    public static func complete(_ need: inout PermissionNeed, in transaction: any ReadTransaction) throws {
        guard need.action != "iam:CreateRole", let role = try role(of: need, in: transaction) else { return }
        need.resource = role.arn
    }

    /// `aws:ResourceTag`, `iam:ResourceTag` and the boundary of a role that is there.
    public static func conditions(
        _ need: PermissionNeed, _ asked: AskedKeys, in transaction: any ReadTransaction
    ) throws -> ConditionValues {
        let ownTag = "iam:resourcetag/"
        guard need.action != "iam:CreateRole",
            [ownTag, TagConditions.resource, boundaryKey].contains(where: asked.contains(below:)),
            let role = try role(of: need, in: transaction)
        else { return [:] }
        let tags = role.properties.tags
        var keys = TagConditions.resource(tags).merging(TagConditions.keys(ownTag, tags)) { own, _ in own }
        keys[boundaryKey] = role.attributes["PermissionsBoundary"]?.string.map { [$0] }
        return keys
    }

    private static func role(of need: PermissionNeed, in transaction: any ReadTransaction) throws -> RoleRow? {
        guard let arn = ARN(need.resource), arn.resource.hasPrefix("role/") else { return nil }
        return try RoleRow.get(RoleRow.folded(arn: need.resource), account: arn.account, in: transaction)
    }
}
