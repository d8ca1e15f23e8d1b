public import Contracts
import Platform
public import Policies

extension CloudWatchLogsService {
    /// What an operation needs of a role session's policies. Groups too are named with an empty stream, as AWS's refusals name
    /// them, so that a policy for `log-group:NAME:*` covers both.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        let (input, scope) = (request.input, request.context.scope)
        let prefix = "arn:aws:logs:\(scope.region):\(scope.account):log-group:"
        var group = input["logGroupName"]?.string ?? ""
        let named = input["logGroupIdentifier"]?.string ?? input["resourceArn"]?.string
        if let named {
            group = named.hasPrefix(prefix) ? String(named.dropFirst(prefix.count)) : named
            if group.hasSuffix(":*") { group.removeLast(2) }
        }
        let stream = input["logStreamName"]?.string ?? ""
        return [PermissionNeed("logs:\(operation)", "\(prefix)\(group):log-stream:\(stream)")]
    }
}
