import Platform

extension SigV4 {
    /// Reads the authorization of a request without checking it; nil when there is none of AWS's kind (a Bearer or Basic
    /// header is the application's own, and `SigV2Query` reads S3's older queries). Throws `AWSError` when it is malformed (`IncompleteSignatureException`,
    /// `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`, …).
    public static func parse(_ head: RequestHead) throws(AWSError) -> SignedRequest? {
        let header = head.header("authorization")
        let query = QueryString(head.query)
        let isQuerySigned = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"].contains {
            query.first($0) != nil
        }
        if let header, header.hasPrefix("AWS4-") {
            if isQuerySigned || query.value("Signature") != nil,
                SigningErrors(header: header, head: head).style == .s3
            {
                throw SigningErrors.s3(
                    "InvalidArgument", 400,
                    """
                    Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                    parameter or the Authorization header should be specified
                    """)
            }
            return try parse(header: header, head)
        }
        if isQuerySigned { return try parse(query: query, head) }
        if header?.hasPrefix("AWS ") == true { throw SigV2Query.unsupported }
        return nil
    }

    // MARK: Header

    private static func parse(header: String, _ head: RequestHead) throws(AWSError) -> SignedRequest {
        let errors = SigningErrors(header: header, head: head)
        // By bytes: walking characters would cost more than the cryptography.
        let text = header.utf8
        let space = text.firstIndex(of: UInt8(ascii: " ")) ?? text.endIndex
        guard header[..<space] == algorithm else { throw errors.unsupportedAlgorithm(String(header[..<space])) }
        var (credential, signedHeaders, signature): (Substring?, Substring?, Substring?)
        for part in text[space...].split(separator: UInt8(ascii: ",")) {
            let part = trimmed(part)
            if part.isEmpty { continue }
            guard let equal = part.firstIndex(of: UInt8(ascii: "=")) else {
                throw errors.noEqualSign(Substring(part), header)
            }
            let value = part[part.index(after: equal)...]
            // A part with a space inside comes from a key with one at its end; AWS names the second half.
            if let space = value.firstIndex(of: UInt8(ascii: " ")) {
                throw errors.noEqualSign(Substring(trimmed(value[space...])), header)
            }
            switch Substring(part[..<equal]) {
            case "Credential": credential = Substring(value)
            case "SignedHeaders": signedHeaders = Substring(value)
            case "Signature": signature = Substring(value)
            default: continue
            }
        }
        let date = head.header("x-amz-date") ?? head.header("date")
        guard let credential, let signedHeaders, let signature, let date, !signature.isEmpty else {
            throw errors.missing(
                credential: credential == nil, signature: signature?.isEmpty != false,
                signedHeaders: signedHeaders == nil, date: date == nil, header: header)
        }
        let scope = try parseScope(String(credential), errors)
        return SignedRequest(
            scope: scope, sessionToken: head.header("x-amz-security-token"), isPresigned: false,
            signedHeaders: try parseSignedHeaders(signedHeaders, errors), signature: String(signature),
            signedAt: instant(date), expiresSeconds: nil)
    }

    /// `X-Amz-Date` is ISO 8601 basic; a `Date` header may be that or an HTTP date.
    private static func instant(_ text: String) -> Instant? { basicInstant(text) ?? Instant(httpDate: text) }

    /// `20261123T060000Z` and nothing else.
    private static func basicInstant(_ text: String) -> Instant? {
        text.utf8.count == 16 && text.hasSuffix("Z") ? Instant(iso8601: text) : nil
    }

    private static func parseScope(_ text: String, _ errors: SigningErrors) throws(AWSError) -> CredentialScope {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 5, omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
        guard parts.count == 5 else { throw errors.malformedCredential(text) }
        guard !parts[0].isEmpty, parts[0].utf8.count <= Limits.accessKeyCharacters else {
            throw errors.emptyAccessKey(text)
        }
        guard parts[4] == terminator else { throw errors.wrongTerminator(parts[4]) }
        return CredentialScope(accessKeyID: parts[0], date: parts[1], region: parts[2], service: parts[3])
    }

    private static func parseSignedHeaders(_ text: Substring, _ errors: SigningErrors) throws(AWSError) -> [String] {
        let names = text.utf8.split(separator: UInt8(ascii: ";"), maxSplits: Limits.signedHeaders)
            .map { Substring($0).lowercased() }
        guard !names.isEmpty, names.count <= Limits.signedHeaders else { throw errors.malformedSignedHeaders() }
        return names
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        let head = text.drop { $0 == 32 || $0 == 9 }
        guard let last = head.lastIndex(where: { $0 != 32 && $0 != 9 }) else { return head }
        return head[...last]
    }

    // MARK: Query

    private static func parse(query: QueryString, _ head: RequestHead) throws(AWSError) -> SignedRequest {
        let errors = SigningErrors(query: query, head: head)
        let names = [
            "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders",
        ]
        var values: [String] = []
        for name in names {
            guard let value = query.first(name.lowercased()), !value.isEmpty else {
                throw errors.missingParameter(name)
            }
            values.append(value)
        }
        guard values[0] == algorithm else { throw errors.unsupportedAlgorithm(values[0]) }
        let scope = try parseScope(values[1], errors)
        guard let signedAt = basicInstant(values[3]) else { throw errors.unreadableDate(values[3]) }
        var expires: Int?
        if let text = query.first("x-amz-expires") {
            guard let number = Int(text) else { throw errors.expires("X-Amz-Expires should be a number") }
            guard number >= 0 else { throw errors.expires("X-Amz-Expires must be non-negative") }
            guard number <= Limits.presignedSeconds else {
                throw errors.expires(
                    "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
                        + "than \(Limits.presignedSeconds) seconds")
            }
            expires = number
        } else if errors.style == .s3 {
            throw errors.missingParameter("X-Amz-Expires")
        }
        return SignedRequest(
            scope: scope, sessionToken: query.first("x-amz-security-token") ?? head.header("x-amz-security-token"),
            isPresigned: true, signedHeaders: try parseSignedHeaders(values[4][...], errors), signature: values[2],
            signedAt: signedAt, expiresSeconds: expires)
    }

    // MARK: Body

    /// What the head says of the body. `.unsigned` where it says nothing: a buffered operation's body is then covered by
    /// `verify`'s `payloadHash`. Throws for unknown forms of `x-amz-content-sha256`.
    public static func bodyIntegrity(_ head: RequestHead, signed: SignedRequest?) throws(AWSError) -> BodyIntegrity {
        guard let text = contentHash(head) else {
            guard let signed, !signed.isPresigned, isS3(signed.scope.service) else { return .unsigned }
            throw SigningErrors.s3(
                "InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256")
        }
        switch text {
        case unsignedPayload: return .unsigned
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER": return .unsignedChunks
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": return .signedChunks(trailer: false)
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": return .signedChunks(trailer: true)
        case _ where isDigest(text): return .digest(text.lowercased())
        default:
            throw SigningErrors.s3(
                "InvalidArgument", 400,
                """
                x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.
                """,
                ["ArgumentName": "x-amz-content-sha256", "ArgumentValue": .string(text)])
        }
    }

    /// `x-amz-content-sha256`, which a presigned URL may carry among its parameters.
    static func contentHash(_ head: RequestHead) -> String? {
        head.header("x-amz-content-sha256") ?? QueryString(head.query).first("x-amz-content-sha256")
    }

    static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0) }
    }

    /// Services that sign as S3 does: path not encoded twice, and S3's errors.
    static func isS3(_ service: String) -> Bool {
        ["s3", "s3express", "s3-object-lambda", "s3-outposts"].contains(service)
    }
}
