import Contracts
import Platform

/// What is asked of a resource policy.
struct PolicyRequest: Sendable {
    var principal: Principal
    /// E.g. `lambda:InvokeFunction`.
    var action: String
    /// The ARN that is used: with its qualifier, if there is one.
    var resource: String
    /// Alexa's skill id, when the caller gives one.
    var eventSourceToken: String?

    init(principal: Principal, action: String, resource: String, eventSourceToken: String? = nil) {
        self.principal = principal
        self.action = action
        self.resource = resource
        self.eventSourceToken = eventSourceToken
    }
}

extension ResourcePolicy {
    /// Whether some statement allows the request. A Deny that matches wins. A condition that we do not know is not
    /// fulfilled: fails closed.
    func allows(_ request: PolicyRequest) -> Bool {
        var allowed = false
        for statement in statements where PolicyEvaluation.matches(statement, request) {
            if statement["Effect"]?.string == "Deny" { return false }
            if statement["Effect"]?.string == "Allow" { allowed = true }
        }
        return allowed
    }
}

enum PolicyEvaluation {
    static func matches(_ statement: Value, _ request: PolicyRequest) -> Bool {
        strings(statement["Action"]).contains { Glob.matches(pattern: $0, text: request.action) }
            && strings(statement["Resource"]).contains { Glob.matches(pattern: $0, text: request.resource) }
            && principal(statement["Principal"], fits: request.principal)
            && conditions(statement["Condition"], fit: request)
    }

    /// One string or a list of them.
    private static func strings(_ value: Value?) -> [String] {
        if let text = value?.string { return [text] }
        return value?.list?.compactMap(\.string) ?? []
    }

    private static func principal(_ value: Value?, fits principal: Principal) -> Bool {
        guard let value else { return false }
        if value.string == "*" { return true }
        switch principal {
        case .service(let name, _, _):
            return strings(value["Service"]).contains { canonicalService($0) == canonicalService(name) }
        case .account(let account):
            return strings(value["AWS"]).contains { $0 == "*" || $0 == account || $0 == principal.arn }
        case .roleSession(let role, _, let account):
            let root = "arn:aws:iam::\(account):root"
            return strings(value["AWS"]).contains {
                $0 == "*" || $0 == account || $0 == root || $0 == role || $0 == principal.arn
            }
        case .anonymous:
            return strings(value["AWS"]).contains("*")
        }
    }

    /// `logs.us-east-1.amazonaws.com` and `logs.amazonaws.com` are one principal (reference 6, Overview).
    static func canonicalService(_ name: String) -> String {
        let parts = name.split(separator: ".")
        guard parts.count == 4, parts[2] == "amazonaws", Region.isAWSName(parts[1]) else { return name }
        return "\(parts[0]).amazonaws.\(parts[3])"
    }

    private static func conditions(_ value: Value?, fit request: PolicyRequest) -> Bool {
        guard let operators = value?.fields else { return value == nil }
        return operators.entries.allSatisfy { entry in
            guard let keys = entry.value.fields else { return false }
            return keys.entries.allSatisfy { key in
                guard let actual = context(key.name, request) else { return false }
                return strings(key.value).contains { expected in
                    compare(entry.name, expected: expected, actual: actual)
                }
            }
        }
    }

    /// The request's value of a condition key (their names do not mind case); nil when it has none.
    private static func context(_ key: String, _ request: PolicyRequest) -> String? {
        var source: (arn: String, account: String)?
        if case .service(_, let arn, let account) = request.principal { source = (arn, account) }
        switch key.lowercased() {
        case "aws:sourcearn": return source?.arn
        case "aws:sourceaccount": return source?.account
        case "aws:principalaccount": return request.principal.account
        case "aws:principalarn": return request.principal.arn
        case "lambda:eventsourcetoken": return request.eventSourceToken
        default: return nil
        }
    }

    private static func compare(_ name: String, expected: String, actual: String) -> Bool {
        switch name {
        case "StringEquals": expected == actual
        case "StringEqualsIgnoreCase": expected.lowercased() == actual.lowercased()
        case "StringLike": Glob.matches(pattern: expected, text: actual)
        case "ArnLike", "ArnEquals": Glob.matchesARN(pattern: expected, text: actual)
        default: false
        }
    }
}

/// IAM's wildcards: `*` any run of characters, `?` any one.
enum Glob {
    /// Linear in practice and quadratic at worst: one point of return suffices for `*`.
    static func matches(pattern: String, text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var (p, t) = (0, 0)
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let (starPattern, starText) = star {
                star = (starPattern, starText + 1)
                p = starPattern + 1
                t = starText + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// As `ArnLike`: the six parts of an ARN are matched each for itself, so that `*` does not cross a colon before the
    /// resource.
    static func matchesARN(pattern: String, text: String) -> Bool {
        let patterns = pattern.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        let texts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard patterns.count == texts.count else { return pattern == "*" }
        return zip(patterns, texts).allSatisfy { matches(pattern: String($0), text: String($1)) }
    }
}
