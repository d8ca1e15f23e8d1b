import Contracts
import EventPatterns
import Platform
import Synchronization
import Wire

/// A subscription's filter policy, compiled.
struct SubscriptionFilter: Sendable {
    private let policy: FilterPolicy
    private let matchesBody: Bool

    /// Throws InvalidParameter with AWS's text; `prefix` goes before it.
    init(_ text: String, matchesBody: Bool, prefix: String = "") throws(AWSError) {
        self.matchesBody = matchesBody
        do throws(PatternError) {
            policy = try FilterPolicy(json: text, scope: matchesBody ? .messageBody : .messageAttributes)
        } catch {
            throw .invalidParameter(prefix + error.message)
        }
    }

    /// `body` is the message as JSON, nil when it is none.
    func matches(_ attributes: [MessageAttribute], body: () -> Value?) -> Bool {
        if matchesBody { return body().map { policy.matches(body: $0) } ?? policy.matchesEverything }
        return policy.matches(
            attributes: attributes.map { attribute in
                let value: FilterPolicy.AttributeValue
                switch (attribute.content, attribute.dataType) {
                case (.binary, _): value = .binary
                case (.string(let text), "String.Array"): value = .stringArray(text)
                case (.string(let text), let type) where type == "Number" || type.hasPrefix("Number."):
                    value = .number(text)
                case (.string(let text), _): value = .string(text)
                }
                return (name: attribute.name, value: value)
            })
    }
}

/// Compiled filter policies by their texts, so that a publish compiles none.
final class FilterCache: Sendable {
    private struct Key: Hashable {
        var text: String
        var matchesBody: Bool
    }

    private let known = Mutex<[Key: SubscriptionFilter]>([:])

    /// The filter of a subscription; nil when it has none. One that was stored compiles: it was checked then.
    func filter(of subscription: Subscription) throws -> SubscriptionFilter? {
        guard let text = subscription.filterPolicy else { return nil }
        let key = Key(text: text, matchesBody: subscription.filtersBody)
        if let found = known.withLock({ $0[key] }) { return found }
        let filter = try SubscriptionFilter(text, matchesBody: key.matchesBody)
        known.withLock { known in
            if known.count >= Limits.filterCache { known.removeAll(keepingCapacity: true) }
            known[key] = filter
        }
        return filter
    }
}
