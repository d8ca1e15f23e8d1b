import Contracts
import Platform
import Policies
import Wire

/// What AddPermission says, before it is a statement of the resource policy.
struct PermissionGrant: Sendable {
    var statementID: String
    var action: String
    var principal: String
    var sourceARN: String?
    var sourceAccount: String?
    var eventSourceToken: String?
    var principalOrganization: String?
    var functionURLAuthType: String?
    var invokedViaFunctionURL: Bool?

    /// The statement with members and conditions as AWS writes them (reference 6, Overview). `resource` is the ARN that
    /// is granted. Throws when the principal is none that AWS knows.
    func statement(resource: String) throws(AWSError) -> Value {
        var statement: Fields = [
            "Sid": .string(statementID),
            "Effect": "Allow",
            "Principal": try principalValue(),
            "Action": .string(action),
            "Resource": .string(resource),
        ]
        if let condition { statement.append("Condition", condition) }
        return .map(statement)
    }

    private func principalValue() throws(AWSError) -> Value {
        if principal == "*" { return "*" }
        if FunctionName.isAccount(principal[...]) { return ["AWS": .string("arn:aws:iam::\(principal):root")] }
        if let arn = ARN(principal), arn.service == "iam" || arn.service == "sts" {
            return ["AWS": .string(principal)]
        }
        let serviceSuffixes = [".amazonaws.com", ".amazon.com", ".amazonaws.com.cn", ".amazonaws.eu"]
        guard serviceSuffixes.contains(where: { principal.hasSuffix($0) && principal.count > $0.count }) else {
            throw .invalidParameter("The provided principal was invalid. Please check the principal and try again.")
        }
        return ["Service": .string(principal)]
    }

    private var condition: Value? {
        var equals = Fields()
        if let sourceAccount { equals.append("AWS:SourceAccount", .string(sourceAccount)) }
        if let functionURLAuthType { equals.append("lambda:FunctionUrlAuthType", .string(functionURLAuthType)) }
        if let principalOrganization { equals.append("aws:PrincipalOrgID", .string(principalOrganization)) }
        if let eventSourceToken { equals.append("lambda:EventSourceToken", .string(eventSourceToken)) }
        var condition = Fields()
        if !equals.isEmpty { condition.append("StringEquals", .map(equals)) }
        if let invokedViaFunctionURL {
            let text = invokedViaFunctionURL ? "true" : "false"
            condition.append("Bool", ["lambda:InvokedViaFunctionUrl": .string(text)])
        }
        if let sourceARN { condition.append("ArnLike", ["AWS:SourceArn": .string(sourceARN)]) }
        return condition.isEmpty ? nil : .map(condition)
    }
}

/// A resource policy: its statements, in the order in which they were added.
struct ResourcePolicy: Sendable, Hashable {
    var statements: [Value]

    init(statements: [Value] = []) { self.statements = statements }

    var document: Value {
        ["Version": "2012-10-17", "Id": "default", "Statement": .list(statements)]
    }

    /// Whether some statement allows the request, and none denies it.
    func allows(_ request: PolicyRequest) -> Bool {
        guard !statements.isEmpty, let policy = try? PolicyDocument(document) else { return false }
        return policy.decision(for: request) == .allowed
    }

    func contains(_ statementID: String) -> Bool { statements.contains { $0["Sid"]?.string == statementID } }

    /// False when there is no such statement.
    mutating func remove(_ statementID: String) -> Bool {
        let before = statements.count
        statements.removeAll { $0["Sid"]?.string == statementID }
        return statements.count < before
    }
}
