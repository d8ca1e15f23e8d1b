import Contracts
import Platform
import Wire

/// A caller's request as the function is told of it: without what authorises it.
struct UserRequest: Sendable {
    private static let secretParameters: Set<String> = [
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
        "x-amz-security-token", "awsaccesskeyid", "signature", "expires", "x-amz-content-sha256",
    ]
    private static let secretHeaders: Set<String> = [
        "authorization", "x-amz-security-token", "x-amz-date", "date", "connection",
    ]

    /// Percent-encoded, with the slash in front.
    private let path: Substring
    /// `name=value`, percent-encoded, without what authorises.
    private let parameters: [Substring]
    private let context: OperationContext

    init(_ context: OperationContext) {
        self.context = context
        let parts = context.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = parts.first ?? "/"
        parameters = (parts.count > 1 ? parts[1].split(separator: "&") : []).filter { item in
            !Self.secretParameters.contains(Self.name(item))
        }
    }

    private static func name(_ parameter: Substring) -> String {
        let name = parameter.utf8.prefix { $0 != UInt8(ascii: "=") }
        return String(decoding: PercentEncoding.decode(name), as: UTF8.self).lowercased()
    }

    func hasParameter(_ name: String) -> Bool { parameters.contains { Self.name($0) == name } }

    /// For `inputS3Url`: the function adds Range and part number itself, when it wants them.
    var queryForObject: String {
        parameters.filter { !["range", "partnumber", "x-id"].contains(Self.name($0)) }.joined(separator: "&")
    }

    /// `userRequest`: the decoded URL, and the headers. Their case is not kept on the way here; the usual one is restored.
    var value: Value {
        var url = context.endpoint + path
        if !parameters.isEmpty { url += "?" + parameters.joined(separator: "&") }
        let decoded = PercentEncoding.decode(url.utf8.prefix(ControlLimits.userRequestBytes))
        var headers: Fields = [:]
        for (name, value) in context.headers where !Self.secretHeaders.contains(name) {
            let name = Self.usual(name)
            let text = String(decoding: value.utf8.prefix(ControlLimits.userRequestBytes), as: UTF8.self)
            if let earlier = headers[name]?.string {
                headers[name] = .string(earlier + "," + text)
            } else {
                headers.append(name, .string(text))
            }
        }
        return ["url": .string(String(decoding: decoded, as: UTF8.self)), "headers": .map(headers)]
    }

    /// `x-amz-content-sha256` → `X-Amz-Content-SHA256`, `range` → `Range`.
    private static func usual(_ name: String) -> String {
        name.split(separator: "-", omittingEmptySubsequences: false).map { part -> String in
            switch part {
            case "sha256": "SHA256"
            case "md5": "MD5"
            case "sdk": "SDK"
            case "te": "TE"
            default: part.prefix(1).uppercased() + part.dropFirst()
            }
        }.joined(separator: "-")
    }
}
