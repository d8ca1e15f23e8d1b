import Contracts
import Platform
import Policies
import Wire

/// A topic's access policy.
enum TopicPolicy {
    /// What a policy may speak of.
    static let actions: Set<String> = [
        "publish", "subscribe", "receive", "gettopicattributes", "settopicattributes", "addpermission",
        "removepermission", "deletetopic", "listsubscriptionsbytopic", "listtagsforresource", "tagresource",
        "untagresource", "getdataprotectionpolicy", "putdataprotectionpolicy", "*",
    ]

    /// What the policy of a topic that was given none allows.
    static let standardActions = [
        "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
        "ListSubscriptionsByTopic", "Publish",
    ]

    /// The policy of a topic that was given none: services on behalf of its account may.
    static func standard(_ topic: TopicKey) -> String {
        JSON.encodeString([
            "Version": "2008-10-17", "Id": "__default_policy_ID",
            "Statement": [
                [
                    "Effect": "Allow", "Sid": "__default_statement_ID", "Principal": ["AWS": "*"],
                    "Action": .strings(standardActions.map { "SNS:\($0)" }), "Resource": .string(topic.arn),
                    "Condition": ["StringEquals": ["AWS:SourceOwner": .string(topic.scope.account)]],
                ]
            ],
        ])
    }

    /// Checks a policy that somebody sets.
    static func check(_ text: String) throws(AWSError) {
        guard text.utf8.count <= Limits.policyBytes, let value = try? JSON.parse(text),
            let statements = statements(value)
        else { throw .invalidParameter("Policy Error: null") }
        let document: PolicyDocument
        do throws(PolicyError) {
            document = try PolicyDocument(value)
        } catch {
            throw .invalidParameter("Policy Error: \(error.reason)")
        }
        guard !document.hasUnknownOperators else { throw .invalidParameter("Policy Error: Invalid condition operator") }
        for statement in statements {
            for action in strings(statement["Action"] ?? statement["NotAction"]) where !isInScope(action) {
                throw .invalidParameter("Policy statement action out of service scope!")
            }
        }
    }

    static func isInScope(_ action: String) -> Bool {
        if action == "*" { return true }
        let parts = action.lowercased().split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[0] == "sns" else { return false }
        return parts[1].contains("*") || parts[1].contains("?") || actions.contains(String(parts[1]))
    }

    /// The policy with one more statement. Throws when the label is taken or an action is none.
    static func adding(
        _ label: String, accounts: [String], actions: [String], to text: String, topic: TopicKey
    ) throws(AWSError) -> String {
        guard actions.allSatisfy({ Self.actions.contains($0.lowercased()) }) else {
            throw .invalidParameter("Policy statement action out of service scope!")
        }
        var policy = (try? JSON.parse(text)) ?? [:]
        var statements = statements(policy) ?? []
        guard !statements.contains(where: { $0["Sid"]?.string == label }) else {
            throw .invalidParameter("Statement already exists")
        }
        let principals = accounts.map { "arn:aws:iam::\($0):root" }
        statements.append([
            "Sid": .string(label), "Effect": "Allow", "Principal": ["AWS": oneOrMany(principals)],
            "Action": oneOrMany(actions.map { "SNS:\($0)" }), "Resource": .string(topic.arn),
        ])
        policy["Statement"] = .list(statements)
        let encoded = JSON.encodeString(policy)
        guard encoded.utf8.count <= Limits.policyBytes else { throw .invalidParameter("Policy is too large") }
        return encoded
    }

    /// The policy without the statement of this label.
    static func removing(_ label: String, from text: String) -> String {
        guard var policy = try? JSON.parse(text), let statements = statements(policy) else { return text }
        policy["Statement"] = .list(statements.filter { $0["Sid"]?.string != label })
        return JSON.encodeString(policy)
    }

    private static func statements(_ policy: Value) -> [Value]? {
        guard let value = policy["Statement"] else { return nil }
        let all = value.list ?? [value]
        return all.allSatisfy { $0.fields != nil } ? all : nil
    }

    private static func oneOrMany(_ texts: [String]) -> Value {
        texts.count == 1 ? .string(texts[0]) : .strings(texts)
    }

    private static func strings(_ value: Value?) -> [String] {
        if let text = value?.string { return [text] }
        return value?.list?.compactMap(\.string) ?? []
    }
}
