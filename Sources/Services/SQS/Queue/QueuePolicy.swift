import Contracts
import Platform
import Policies
import Wire

/// A queue's resource policy.
struct QueuePolicy: Sendable {
    /// As given: GetQueueAttributes answers it so.
    let text: String
    let document: Value
    let policy: PolicyDocument

    init(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes, let document = try? JSON.parse(text),
            let policy = try? PolicyDocument(document), !QueuePolicy.statements(document).isEmpty,
            !policy.hasUnknownOperators
        else { throw .invalidAttribute("Policy") }
        self.text = text
        self.document = document
        self.policy = policy
    }

    var statements: [Value] { QueuePolicy.statements(document) }

    private static func statements(_ document: Value) -> [Value] {
        let value = document["Statement"] ?? .null
        return value.list ?? (value.fields == nil ? [] : [value])
    }
}
