import Contracts
import Platform
import Wire

/// A queue's resource policy.
struct QueuePolicy: Sendable {
    /// As given: GetQueueAttributes answers it so.
    let text: String
    let document: Value

    init(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes, let document = try? JSON.parse(text),
            let statements = document["Statement"],
            !QueuePolicy.statements(statements).isEmpty,
            QueuePolicy.statements(statements).allSatisfy({ ["Allow", "Deny"].contains($0["Effect"]?.string) })
        else { throw .invalidAttribute("Policy") }
        self.text = text
        self.document = document
    }

    var statements: [Value] { QueuePolicy.statements(document["Statement"] ?? .null) }

    private static func statements(_ value: Value) -> [Value] {
        value.list ?? (value.fields == nil ? [] : [value])
    }

    /// What the policy says of an action by this principal on the queue. A Deny wins; a condition that is not known is not
    /// fulfilled for an Allow, and fulfilled for a Deny.
    func decision(_ principal: Principal, action: String, resource: String) -> PolicyDecision {
        var decision = PolicyDecision.notAllowed
        for statement in statements {
            let denies = statement["Effect"]?.string == "Deny"
            let request = PolicyMatch(principal: principal, action: action, resource: resource, unknown: denies)
            guard request.fits(statement) else { continue }
            if denies { return .explicitlyDenied }
            decision = .allowed
        }
        return decision
    }
}

/// One request against one statement.
private struct PolicyMatch {
    var principal: Principal
    var action: String
    var resource: String
    /// What a condition counts as that is not known.
    var unknown: Bool

    func fits(_ statement: Value) -> Bool {
        guard fits(statement["Principal"]) else { return false }
        // Actions do not mind case; SQS's policies write `SQS:SendMessage`, and its own statements a list.
        guard list(statement["Action"]).contains(where: { like($0.lowercased(), action.lowercased()) }) else {
            return false
        }
        guard list(statement["Resource"]).contains(where: { like($0, resource) }) else { return false }
        guard let conditions = statement["Condition"] else { return true }
        return (conditions.fields?.entries ?? []).allSatisfy { holds($0.name, $0.value) }
    }

    private func list(_ value: Value?) -> [String] {
        value?.string.map { [$0] } ?? value?.list?.compactMap(\.string) ?? []
    }

    private func fits(_ value: Value?) -> Bool {
        guard let value else { return false }
        if value.string == "*" { return true }
        let accounts = list(value["AWS"])
        if accounts.contains("*") { return true }
        switch principal {
        case .service(let name, _, _): return list(value["Service"]).contains(name)
        case .account(let account): return accounts.contains { $0 == account || $0 == principal.arn }
        case .roleSession(let role, _, let account):
            let root = "arn:aws:iam::\(account):root"
            return accounts.contains { $0 == account || $0 == root || $0 == role || $0 == principal.arn }
        case .anonymous: return false
        }
    }

    private func holds(_ name: String, _ keys: Value) -> Bool {
        (keys.fields?.entries ?? []).allSatisfy { key in
            guard let actual = context(key.name) else { return unknown }
            let expected = list(key.value)
            switch name {
            case "StringEquals": return expected.contains(actual)
            case "StringLike", "ArnLike", "ArnEquals": return expected.contains { like($0, actual) }
            case "StringEqualsIgnoreCase":
                return expected.contains { $0.lowercased() == actual.lowercased() }
            default: return unknown
            }
        }
    }

    private func context(_ key: String) -> String? {
        var source: (arn: String, account: String)?
        if case .service(_, let arn, let account) = principal { source = (arn, account) }
        switch key.lowercased() {
        case "aws:sourcearn": return source?.arn
        case "aws:sourceaccount", "aws:sourceowner": return source?.account
        case "aws:principalaccount": return principal.account
        case "aws:principalarn": return principal.arn
        default: return nil
        }
    }

    /// `*` any run of characters, `?` any one; one point of return suffices for `*`.
    private func like(_ pattern: String, _ text: String) -> Bool {
        let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
        var (p, t) = (0, 0)
        var back: (p: Int, t: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                back = (p + 1, t)
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let point = back {
                back = (point.p, point.t + 1)
                (p, t) = (point.p, point.t + 1)
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
