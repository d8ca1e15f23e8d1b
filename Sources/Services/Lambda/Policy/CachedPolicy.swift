import Contracts
import Platform
import Policies
import Synchronization

/// What a caller wants of a function, as its resource policy is asked.
struct PolicyQuestion: Hashable, Sendable {
    var principal: Principal
    var action: String
    /// Of a function URL: `NONE` or `AWS_IAM`.
    var urlAuthType: String?
    var isViaURL = false
    /// What an event source that has no ARN names itself by: an Alexa skill's id.
    var eventSourceToken: String?

    static func invoke(_ principal: Principal) -> PolicyQuestion {
        PolicyQuestion(principal: principal, action: "lambda:InvokeFunction")
    }

    /// The condition keys of Lambda, in lower case.
    var conditions: [String: [String]] {
        var keys: [String: [String]] = [:]
        if let urlAuthType { keys["lambda:functionurlauthtype"] = [urlAuthType] }
        if isViaURL { keys["lambda:invokedviafunctionurl"] = ["true"] }
        if let eventSourceToken { keys["lambda:eventsourcetoken"] = [eventSourceToken] }
        return keys
    }

    func request(resource: String) -> PolicyRequest {
        PolicyRequest(principal: principal, action: action, resource: resource, context: conditions)
    }
}

/// The resource policy of one qualifier, read once, and what it has answered. Dropped with every change of the policy.
final class CachedPolicy: Sendable {
    private let document: PolicyDocument?
    private let resource: String
    private let decisions = Mutex<[PolicyQuestion: PolicyDecision]>([:])

    init(_ policy: ResourcePolicy?, resource: String) {
        self.resource = resource
        if let policy, !policy.statements.isEmpty {
            document = try? PolicyDocument(policy.document)
        } else {
            document = nil
        }
    }

    func decision(_ question: PolicyQuestion) -> PolicyDecision {
        guard let document else { return .notAllowed }
        if let known = decisions.withLock({ $0[question] }) { return known }
        let decision = document.decision(for: question.request(resource: resource))
        decisions.withLock { decisions in
            if decisions.count >= Limits.cachedDecisions { decisions.removeAll() }
            decisions[question] = decision
        }
        return decision
    }
}
