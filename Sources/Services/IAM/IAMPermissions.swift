public import Contracts
import Platform
public import Policies

extension IAMService {
    /// What an operation needs of a role session's policies. A role is named without its path.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        let (input, account) = (request.input, request.context.scope.account)
        var resource = "*"
        if let role = input["RoleName"]?.string {
            resource = "arn:aws:iam::\(account):role/\(role)"
        } else if let user = input["UserName"]?.string {
            resource = "arn:aws:iam::\(account):user/\(user)"
        } else if let policy = input["PolicyArn"]?.string {
            resource = policy
        } else if let policy = input["PolicyName"]?.string {
            resource = "arn:aws:iam::\(account):policy/\(policy)"
        }
        return [PermissionNeed("iam:\(operation)", resource)]
    }
}
