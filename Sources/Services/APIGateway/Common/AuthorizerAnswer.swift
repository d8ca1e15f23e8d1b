import Contracts
import NIOCore
import Platform
import Policies

/// What a Lambda authorizer said (developer guide, "Lambda authorizer response").
struct AuthorizerAnswer: Sendable {
    enum Verdict: Sendable {
        /// `isAuthorized` of a simple answer.
        case simple(Bool)
        /// An IAM policy, which is asked for each route anew.
        case policy(PolicyDocument)
    }

    var verdict: Verdict
    var context: Fields?
    var principalID: String?
    /// REST: the key of a usage plan.
    var usageIdentifierKey: String?
    /// The policy as it was answered, in JSON.
    var policyText: String?

    /// Nil for what is neither a simple answer (where those are enabled) nor a policy.
    init?(_ value: Value, allowsSimple: Bool) {
        guard let fields = value.fields else { return nil }
        if let context = fields["context"], !context.isNull {
            guard let known = context.fields else { return nil }
            self.context = known
        }
        if allowsSimple {
            guard let isAuthorized = fields["isAuthorized"]?.bool else { return nil }
            verdict = .simple(isAuthorized)
            return
        }
        guard let document = fields["policyDocument"], let policy = Self.policy(document) else { return nil }
        verdict = .policy(policy)
        policyText = JSON.encodeString(document)
        principalID = fields["principalId"]?.string
        usageIdentifierKey = fields["usageIdentifierKey"]?.string
    }

    /// Whether the caller may use the route of this ARN.
    func allows(_ arn: String) -> Bool { decision(arn) == .allowed }

    func decision(_ arn: String) -> PolicyDecision {
        switch verdict {
        case .simple(let isAuthorized): isAuthorized ? .allowed : .notAllowed
        case .policy(let policy):
            policy.decision(for: PolicyRequest(principal: .anonymous, action: "execute-api:Invoke", resource: arn))
        }
    }

    /// Authorizers write documents as loosely as API Gateway reads them: names in whatever case their libraries have.
    private static func policy(_ value: Value) -> PolicyDocument? {
        guard let fields = value.fields else { return nil }
        var document = Fields()
        for entry in fields.entries {
            switch entry.name.lowercased() {
            case "version": document["Version"] = entry.value
            case "statement":
                let statements = entry.value.list ?? [entry.value]
                document["Statement"] = .list(statements.map(statement))
            default: break
            }
        }
        return try? PolicyDocument(.map(document), kind: .identity)
    }

    private static func statement(_ value: Value) -> Value {
        guard let fields = value.fields else { return value }
        let names = [
            "effect": "Effect", "action": "Action", "notaction": "NotAction", "resource": "Resource",
            "notresource": "NotResource", "condition": "Condition", "sid": "Sid",
        ]
        var statement = Fields()
        for entry in fields.entries {
            if let name = names[entry.name.lowercased()] { statement[name] = entry.value }
        }
        return .map(statement)
    }
}

extension InvocationResult {
    /// Whether an authorizer of a REST or WebSocket API refused its caller by failing with exactly this text: 401 (developer
    /// guide, "Use API Gateway Lambda authorizers" and "Control access to WebSocket APIs with Lambda REQUEST authorizers").
    var raisesUnauthorized: Bool {
        guard functionError != nil, payload.readableBytes <= Limits.authorizerAnswer else { return false }
        return (try? JSON.parse(payload.readableBytesView))?["errorMessage"]?.string == "Unauthorized"
    }
}
