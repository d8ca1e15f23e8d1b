import Synchronization

/// Policies by their texts, so that one that is asked again is not read again: a delivery asks a resource policy each time, and
/// reading one costs many times as much as asking it. Bounded in number and in bytes of text; when it is full it begins anew.
public final class PolicyCache: Sendable {
    private struct State {
        var documents: [String: PolicyDocument?] = [:]
        var bytes = 0
        var reads = 0
    }

    private let state = Mutex(State())
    private let entries: Int
    private let bytes: Int

    /// The bounds are those of the room, unless given.
    public init(entries: Int? = nil, bytes: Int? = nil) {
        self.entries = entries ?? Limits.cachedPolicies
        self.bytes = bytes ?? Limits.cachedPolicyBytes
    }

    /// The policy of this text; nil when `read` throws, which is remembered too. `read` must go by the text alone.
    public func document(_ text: String, _ read: (String) throws -> PolicyDocument) -> PolicyDocument? {
        if let known = state.withLock({ $0.documents[text] }) { return known }
        let document = try? read(text)
        let size = text.utf8.count
        state.withLock { state in
            state.reads += 1
            guard size <= bytes else { return }
            if state.documents.count >= entries || state.bytes + size > bytes {
                state.documents = [:]
                state.bytes = 0
            }
            if state.documents.updateValue(document, forKey: text) == nil { state.bytes += size }
        }
        return document
    }

    /// A resource policy in JSON.
    public func document(_ text: String) -> PolicyDocument? { document(text) { try PolicyDocument(text: $0) } }

    /// How many texts were read, not remembered.
    public var reads: Int { state.withLock { $0.reads } }

    /// How many are remembered.
    public var count: Int { state.withLock { $0.documents.count } }
}
