import Contracts
import Platform
import Policies
import Wire

/// A table's resource policy.
struct TablePolicy: Sendable {
    /// As given.
    let text: String
    let policy: PolicyDocument

    /// Throws ValidationException.
    init(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes else {
            throw .validation("Resource policy exceeds the maximum size of \(Limits.policyBytes) bytes")
        }
        guard let document = try? JSON.parse(text), let policy = try? PolicyDocument(document) else {
            throw .validation("Resource policy is not a valid policy document")
        }
        self.text = text
        self.policy = policy
    }
}
