import Crypto
public import Platform

/// S3's query-string authentication of signature version 2: `?AWSAccessKeyId=…&Expires=epoch&Signature=base64`. boto3
/// presigns so by default in us-east-1, and version 1 of the AWS CLI always.
///
/// Rules: "Signing and authenticating REST requests (AWS signature version 2)" of the S3 API reference.
public enum SigV2Query {
    enum Limits {
        /// The first second since the epoch that S3 does not take as a date (a signed 32-bit number).
        static let endOfTime = 1 << 31
    }

    /// Reads a version 2 query without checking it; nil when there is none. Only for requests to S3: elsewhere a
    /// `Signature` is the application's own parameter. The names are case-sensitive. Version 2 names no Region: the
    /// scope's is empty.
    /// Throws `AWSError`: AccessDenied when one of the three parameters is missing or Expires is not a number.
    public static func parse(_ head: RequestHead) throws(AWSError) -> SignedRequest? {
        guard !head.query.isEmpty else { return nil }
        let query = QueryString(head.query)
        let (key, signature) = (query.value("AWSAccessKeyId"), query.value("Signature"))
        guard key != nil || signature != nil else { return nil }
        guard let key, let signature, let expires = query.value("Expires"), !key.isEmpty, !signature.isEmpty,
            !expires.isEmpty
        else {
            throw SigningErrors.s3(
                "AccessDenied", 403,
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
        }
        guard let seconds = Int(expires), seconds < Limits.endOfTime else {
            throw SigningErrors.s3("AccessDenied", 403, "Invalid date (should be seconds since epoch): \(expires)")
        }
        return SignedRequest(
            scope: CredentialScope(accessKeyID: key, date: "", region: "", service: "s3"),
            sessionToken: query.first(tokenName) ?? head.header(tokenName), isPresigned: true, signedHeaders: [],
            signature: signature, isVersion2: true,
            expiresAt: Instant(nanoseconds: Int64(max(0, seconds)) * 1_000_000_000))
    }

    private static let tokenName = "x-amz-security-token"

    /// The refusal of version 2 where it is not supported: in the Authorization header, and by other services than S3.
    public static var unsupported: AWSError {
        SigningErrors.s3(
            "InvalidRequest", 400,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
    }

    /// Whether a request to another service than S3 is signed in the query by version 2.
    public static func isPresent(_ head: RequestHead) -> Bool {
        !head.query.isEmpty && QueryString(head.query).value("AWSAccessKeyId") != nil
    }

    /// Checks expiry and signature. `head` has the headers as they were sent, and the path with a virtual host's bucket
    /// moved into it: that is what version 2 signs.
    /// Throws `AWSError`: AccessDenied ("Request has expired") or SignatureDoesNotMatch.
    public static func verify(
        _ head: RequestHead, signed: SignedRequest, secret: Secret<String>, now: Instant
    ) throws(AWSError) {
        let end = signed.expiresAt ?? Instant(nanoseconds: 0)
        guard now <= end else {
            throw SigningErrors.s3(
                "AccessDenied", 403, "Request has expired",
                ["Expires": .string(end.iso8601()), "ServerTime": .string(now.iso8601())])
        }
        let key = SymmetricKey(data: Array(secret.reveal().utf8))
        let texts = stringsToSign(head)
        for text in texts {
            let code = HMAC<Insecure.SHA1>.authenticationCode(for: text, using: key)
            if SigV4.isEqual(Base64.encode(Array(code)), signed.signature) { return }
        }
        let text = texts.first ?? []
        throw SigningErrors.s3(
            "SignatureDoesNotMatch", 403, SigningErrors.s3MismatchText,
            [
                "AWSAccessKeyId": .string(signed.scope.accessKeyID),
                "StringToSign": .string(String(decoding: text, as: UTF8.self)),
                "SignatureProvided": .string(signed.signature),
                "StringToSignBytes": .string(SigningErrors.spacedHex(text)),
            ])
    }

    // MARK: The string to sign

    private static let (newline, slash, equal) = (UInt8(ascii: "\n"), UInt8(ascii: "/"), UInt8(ascii: "="))

    /// What the client may have signed, the likeliest first. They differ in how the same resource is written.
    static func stringsToSign(_ head: RequestHead) -> [[UInt8]] {
        let query = QueryString(head.query)
        var prefix = Array(head.method.utf8)
        for value in [head.header("content-md5"), head.header("content-type"), query.value("Expires")] {
            prefix.append(newline)
            prefix.append(contentsOf: unfolded((value ?? "").utf8))
        }
        prefix.append(newline)
        appendAmzHeaders(head, query, to: &prefix)
        let kept = subresources(head.query, keepsEmpty: true)
        let bare = subresources(head.query, keepsEmpty: false)
        var texts: [[UInt8]] = []
        for path in paths(head.path) {
            for parameters in kept == bare ? [kept] : [kept, bare] { texts.append(prefix + path + parameters) }
        }
        return texts
    }

    /// The path as it was sent, then with its escapes made anew. A bucket alone is signed with a slash after it, which
    /// clients leave out of the URL (botocore), or as it stands.
    private static func paths(_ path: String) -> [[UInt8]] {
        let sent = path.isEmpty ? [slash] : Array(path.utf8)
        var escaped: [UInt8] = []
        SigningURI.encode(PercentEncoding.decode(sent), keepSlash: true, into: &escaped)
        var found: [[UInt8]] = []
        for form in [sent, escaped] {
            let isBucket = form.count > 1 && form.lastIndex(of: slash) == 0
            for path in isBucket ? [form + [slash], form] : [form] where !found.contains(path) { found.append(path) }
        }
        return found
    }

    /// CanonicalizedAmzHeaders. Presigning moves headers into the query, where they count just the same; what is in both
    /// counts once, with the header's value, which is also what S3 acts on.
    private static func appendAmzHeaders(_ head: RequestHead, _ query: QueryString, to out: inout [UInt8]) {
        var values: [String: [UInt8]] = [:]
        func add(_ name: String, _ value: [UInt8]) {
            if let before = values[name] {
                values[name] = before + [UInt8(ascii: ",")] + value
            } else {
                values[name] = value
            }
        }
        for header in head.headers where header.name.hasPrefix("x-amz-") {
            add(header.name, unfolded(header.value.utf8))
        }
        let sent = Set(values.keys)
        for pair in query.pairs {
            let name = String(decoding: pair.name, as: UTF8.self).lowercased()
            // A name with a colon or line break would make one header look like another.
            guard name.hasPrefix("x-amz-"), !sent.contains(name),
                name.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) })
            else { continue }
            add(name, unfolded(pair.value))
        }
        for (name, value) in values.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            out.append(contentsOf: name.utf8)
            out.append(UInt8(ascii: ":"))
            out.append(contentsOf: value)
            out.append(newline)
        }
    }

    /// Without blanks at the ends, and with one blank for a line break and what is around it: no value can reach into
    /// the next line of the string to sign.
    private static func unfolded(_ value: some Sequence<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        for line in Array(value).split(whereSeparator: { $0 == 10 || $0 == 13 }) {
            guard let first = line.firstIndex(where: { !isBlank($0) }),
                let last = line.lastIndex(where: { !isBlank($0) })
            else { continue }
            if !out.isEmpty { out.append(32) }
            out.append(contentsOf: line[first...last])
        }
        return out
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    /// `?acl` or `?partNumber=2&uploadId=…`: the parameters that are part of the resource, by name, values decoded.
    /// Without `keepsEmpty`, `acl=` is written `acl`.
    private static func subresources(_ query: String, keepsEmpty: Bool) -> [UInt8] {
        var found: [(name: String, value: [UInt8]?)] = []
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            let mark = part.firstIndex(of: equal)
            let name = String(decoding: PercentEncoding.decode(part[..<(mark ?? part.endIndex)]), as: UTF8.self)
            guard signedParameters.contains(name) else { continue }
            let value = mark.map { PercentEncoding.decode(part[part.index(after: $0)...]) }
            found.append((name, keepsEmpty || value?.isEmpty == false ? value : nil))
        }
        var out: [UInt8] = []
        for (name, value) in found.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            out.append(UInt8(ascii: out.isEmpty ? "?" : "&"))
            out.append(contentsOf: name.utf8)
            guard let value else { continue }
            out.append(equal)
            out.append(contentsOf: value)
        }
        return out
    }

    /// S3's reference names the oldest of these, AWS's SDKs sign the others too. Newer sub-resources (`encryption`,
    /// `attributes`, …) are not covered by version 2.
    private static let signedParameters: Set<String> = [
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    ]
}
