import Contracts
import Platform
import Wire

/// CloudTrail's `userIdentity` of a request's caller (CloudTrail user guide, "CloudTrail userIdentity element").
enum CallerIdentity {
    static func value(_ context: OperationContext) -> Value {
        var fields: Fields
        switch context.principal {
        case .account(let account):
            fields = [
                "type": "Root", "principalId": .string(account), "arn": .string(context.principal.arn),
                "accountId": .string(account),
            ]
            fields["accessKeyId"] = accessKey(context).map { .string($0) }
        case .roleSession(let role, _, let account):
            let identity = String(CanonicalUser.eventIdentity(of: context.principal).dropFirst("AWS:".count))
            let name = role.split(separator: "/").last.map(String.init) ?? role
            fields = [
                "type": "AssumedRole", "principalId": .string(identity), "arn": .string(context.principal.arn),
                "accountId": .string(account),
            ]
            fields["accessKeyId"] = accessKey(context).map { .string($0) }
            fields["sessionContext"] = [
                "sessionIssuer": [
                    "type": "Role", "principalId": .string(String(identity.prefix { $0 != ":" })),
                    "arn": .string(role), "accountId": .string(account), "userName": .string(name),
                ],
                "attributes": [
                    "creationDate": .string(context.now.iso8601()), "mfaAuthenticated": "false",
                ],
            ]
        case .service(let name, _, _):
            fields = ["type": "AWSService", "invokedBy": .string(name)]
        case .anonymous:
            fields = ["type": "AWSAccount", "principalId": "", "accountId": "anonymous"]
        }
        return .map(fields)
    }

    /// The access key id that the request was signed with, in its header or its query.
    private static func accessKey(_ context: OperationContext) -> String? {
        let marks = ["Credential=", "X-Amz-Credential=", "AWSAccessKeyId="]
        for text in [context.header("authorization"), context.uri].compactMap({ $0 }) {
            for mark in marks {
                guard let start = text.utf8.firstRange(of: mark.utf8)?.upperBound else { continue }
                let key = text.utf8[start...].prefix { byte in
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                }
                if (1...128).contains(key.count) { return String(decoding: key, as: UTF8.self) }
            }
        }
        return nil
    }
}
