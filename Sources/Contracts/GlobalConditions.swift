import Platform
import Synchronization

extension OperationContext {
    /// The condition keys that every request brings (IAM, "AWS global condition context keys"), and the tags of its session.
    /// Made when somebody asks, once for a request and what is copied of its context.
    public var globalConditions: ConditionValues { known.value { makeConditions() } }

    private func makeConditions() -> ConditionValues {
        // What does not leave the machine nobody can read on its way: the usual Deny of plain HTTP (CDK's `enforceSSL`)
        // must not shut out who works on this machine; nor anybody, where no credentials are asked for either.
        let isLocal = IPAddress(sourceIP).map { address in Self.loopback.contains { $0.contains(address) } } ?? false
        let isSecure = isLocal || isTransportTrusted || endpoint.hasPrefix("https")
        var keys: ConditionValues = [
            "aws:sourceip": [sourceIP],
            "aws:securetransport": [isSecure ? "true" : "false"],
            "aws:currenttime": [now.iso8601()],
            "aws:epochtime": [String(now.seconds)],
            "aws:requestedregion": [scope.region],
            "aws:viaawsservice": ["false"],
        ]
        // Of a header that is there more than once the first counts, as it does for operations.
        for (name, value) in headers {
            switch name {
            case "user-agent": if keys["aws:useragent"] == nil { keys["aws:useragent"] = [value] }
            case "referer": if keys["aws:referer"] == nil { keys["aws:referer"] = [value] }
            default: break
            }
        }
        for tag in sessionTags { keys["aws:principaltag/" + tag.key.lowercased()] = [tag.value] }
        return keys
    }

    private static let loopback = [
        IPAddressBlock(IPAddress(family: .v4, value: 127 << 24), bits: 8),
        IPAddressBlock(IPAddress(family: .v6, value: 1), bits: 128),
    ]
}

/// Values that are made when they are first asked for.
final class KnownConditions: Sendable {
    private let made = Mutex<ConditionValues?>(nil)

    func value(_ make: () -> ConditionValues) -> ConditionValues {
        made.withLock { made in
            if let made { return made }
            let value = make()
            made = value
            return value
        }
    }
}
