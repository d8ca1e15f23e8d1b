public import Contracts
import Platform
public import Policies

extension CloudWatchLogsService {
    /// What an operation needs of a role session's policies. Groups too are named with an empty stream, as AWS's refusals name
    /// them, so that a policy for `log-group:NAME:*` covers both.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        let (input, scope) = (request.input, request.context.scope)
        let prefix = "arn:aws:logs:\(scope.region):\(scope.account):log-group:"
        func need(_ named: String) -> PermissionNeed {
            var group = named.hasPrefix(prefix) ? String(named.dropFirst(prefix.count)) : named
            if group.hasSuffix(":*") { group.removeLast(2) }
            let stream = input["logStreamName"]?.string ?? ""
            return PermissionNeed("logs:\(operation)", "\(prefix)\(group):log-stream:\(stream)")
        }
        switch operation {
        // What is of no group.
        case "TestMetricFilter", "PutResourcePolicy", "DescribeResourcePolicies", "DeleteResourcePolicy":
            return [PermissionNeed("logs:\(operation)", "*")]
        case "StartLiveTail":
            return (input["logGroupIdentifiers"]?.list ?? []).prefix(Limits.groupsPerTail).compactMap(\.string).map(
                need)
        default:
            let named = input["logGroupIdentifier"]?.string ?? input["resourceArn"]?.string
            var needs = [need(named ?? input["logGroupName"]?.string ?? "")]
            // Whoever lets a service act as a role must be allowed to pass it on.
            if let role = input["roleArn"]?.string { needs.append(PermissionNeed("iam:PassRole", role)) }
            return needs
        }
    }
}
