public import Contracts
import Platform
public import Policies
public import Storage

extension CloudWatchLogsService {
    /// What an operation needs of a role session's policies. Groups too are named with an empty stream, as AWS's refusals name
    /// them, so that a policy for `log-group:NAME:*` covers both.
    public static func permissions(_ operation: String, _ request: OperationRequest) -> [PermissionNeed] {
        let (input, scope) = (request.input, request.context.scope)
        let prefix = "arn:aws:logs:\(scope.region):\(scope.account):log-group:"
        func need(_ name: String) -> PermissionNeed {
            // As the operations read it: whatever the partition and service of an ARN.
            var group = name
            if let arn = ARN(name), arn.resource.hasPrefix("log-group:") {
                group = String(arn.resource.dropFirst("log-group:".count))
            }
            if group.hasSuffix(":*") { group.removeLast(2) }
            let stream = input["logStreamName"]?.string ?? ""
            return PermissionNeed("logs:\(operation)", "\(prefix)\(group):log-stream:\(stream)")
        }
        // What is of no group.
        let withoutGroup: Set = [
            "TestMetricFilter", "PutResourcePolicy", "DescribeResourcePolicies", "DeleteResourcePolicy",
        ]
        if withoutGroup.contains(operation) { return [PermissionNeed("logs:\(operation)", "*")] }
        // A live tail is of several groups.
        if let groups = input["logGroupIdentifiers"]?.list, !groups.isEmpty {
            return groups.prefix(Limits.groupsPerTail).map { need($0.string ?? "") }
        }
        let names = ["logGroupIdentifier", "resourceArn", "logGroupName"]
        var needs = [need(names.lazy.compactMap { input[$0]?.string }.first ?? "")]
        if operation == "PutSubscriptionFilter", let role = input["roleArn"]?.string {
            needs.append(.passRole(role, to: "logs.amazonaws.com"))
        }
        return needs
    }

    /// `aws:ResourceTag` of the log group that is asked for.
    public static func conditions(
        _ need: PermissionNeed, _ asked: AskedKeys, in transaction: any ReadTransaction
    ) throws -> ConditionValues {
        try asked.resourceTags {
            guard let arn = ARN(need.resource) else { return nil }
            let parts = arn.resource.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count >= 2, parts[0] == "log-group" else { return nil }
            let scope = AccountRegion(account: arn.account, region: arn.region)
            return try GroupRow.find(String(parts[1]), scope, in: transaction)?.tags
        }
    }
}
