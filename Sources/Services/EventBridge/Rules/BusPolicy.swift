import Platform
import Policies
import Wire

/// A bus's resource policy, as text.
enum BusPolicy {
    private static let tooLong = AWSError(
        "PolicyLengthExceededException", "The policy is longer than \(Limits.policyBytes) bytes.")

    /// Checks a whole policy that somebody sets. Throws ValidationException and PolicyLengthExceededException.
    static func check(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes else { throw tooLong }
        do throws(PolicyError) {
            _ = try PolicyDocument(text: text)
        } catch {
            throw .validation("Parameter Policy is not valid. Reason: \(error.description)")
        }
    }

    /// The policy with a statement that lets an account (or `*`) in; one of the same id is replaced.
    static func adding(
        _ id: String, action: String, principal: String, condition: Model.Condition?, to text: String?, bus: BusKey
    ) throws(AWSError) -> String {
        var statement: Fields = [
            "Sid": .string(id), "Effect": "Allow",
            "Principal": principal == "*" ? "*" : ["AWS": .string("arn:aws:iam::\(principal):root")],
            "Action": .string(action), "Resource": .string(bus.arn),
        ]
        if let condition, let type = condition.type, let key = condition.key, let value = condition.value_ {
            statement.append("Condition", .map([type: .map([key: .string(value)])]))
        }
        var statements = statements(of: text).filter { $0["Sid"]?.string != id }
        statements.append(.map(statement))
        let policy = document(statements)
        try check(policy)
        return policy
    }

    /// The policy without a statement; nil when none is left. Throws ResourceNotFoundException.
    static func removing(_ id: String, from text: String?) throws(AWSError) -> String? {
        guard let text else { throw AWSError("ResourceNotFoundException", "EventBus does not have a policy.") }
        let all = statements(of: text)
        let left = all.filter { $0["Sid"]?.string != id }
        guard left.count < all.count else {
            throw AWSError("ResourceNotFoundException", "Statement with the provided id does not exist.")
        }
        return left.isEmpty ? nil : document(left)
    }

    private static func statements(of text: String?) -> [Value] {
        guard let text, let statement = (try? JSON.parse(text))?["Statement"] else { return [] }
        return statement.list ?? [statement]
    }

    private static func document(_ statements: [Value]) -> String {
        JSON.encodeString(["Version": "2012-10-17", "Statement": .list(statements)])
    }
}
