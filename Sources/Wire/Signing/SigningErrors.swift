import Platform

/// The errors of signatures. S3 has its own codes and texts; services with the query protocol leave out `Exception`.
struct SigningErrors {
    enum Style {
        case s3
        /// awsQuery: `IncompleteSignature`, `SignatureDoesNotMatch`.
        case query
        /// JSON and CBOR: `IncompleteSignatureException`, `InvalidSignatureException`.
        case json
    }

    /// Where the service's name stands; looked at only when there is an error.
    private enum Source {
        case header(String)
        case query(QueryString)
        case service(String)
    }

    private let source: Source
    private let head: RequestHead
    private let isPresigned: Bool
    private let forS3: Bool

    /// For a request whose scope is not read yet: the service is looked for in the header's text.
    init(header: String, head: RequestHead) {
        (source, self.head, isPresigned, forS3) = (.header(header), head, false, false)
    }

    init(query: QueryString, head: RequestHead) {
        (source, self.head, isPresigned, forS3) = (.query(query), head, true, false)
    }

    init(service: String, head: RequestHead, isPresigned: Bool, forS3: Bool = false) {
        (source, self.head, self.isPresigned, self.forS3) = (.service(service), head, isPresigned, forS3)
    }

    private var isTargeted: Bool { head.header("x-amz-target") != nil || head.header("smithy-protocol") != nil }

    /// awsJson services answer 400, REST services 403.
    private var status: Int { isTargeted ? 400 : 403 }

    var style: Style {
        let service: String? =
            switch source {
            case .header(let text): Self.service(in: text)
            case .query(let query): query.first("x-amz-credential").flatMap(Self.service(in:))
            case .service(let name): name
            }
        if forS3 || service.map(SigV4.isS3) ?? (!isTargeted && head.header("x-amz-content-sha256") != nil) {
            return .s3
        }
        return !isTargeted && Self.queryServices.contains(service ?? "") ? .query : .json
    }

    /// What stands after the third slash.
    private static func service(in text: String) -> String? {
        text.split(separator: "/", maxSplits: 4).dropFirst(3).first.map { String($0.prefix { !", ;".contains($0) }) }
    }

    private static let queryServices: Set<String> = [
        "sts", "iam", "sqs", "sns", "cloudformation", "monitoring", "ec2", "autoscaling", "elasticloadbalancing", "rds",
        "elasticache", "ses", "sdb", "redshift", "elasticbeanstalk",
    ]

    static func s3(_ code: String, _ status: Int, _ message: String, _ fields: Fields = [:]) -> AWSError {
        AWSError(code, status: status, message, fields: fields)
    }

    // MARK: Malformed

    /// `AuthorizationHeaderMalformed` and its presigned sister, or `IncompleteSignature[Exception]`.
    private func malformed(header: String, query: String, other: String) -> AWSError {
        switch style {
        case .s3 where isPresigned: Self.s3("AuthorizationQueryParametersError", 400, query)
        case .s3:
            Self.s3("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; \(header)")
        case .query: AWSError("IncompleteSignature", status: 400, other)
        case .json: AWSError("IncompleteSignatureException", status: status, other)
        }
    }

    func unsupportedAlgorithm(_ name: String) -> AWSError {
        switch style {
        case .s3 where !isPresigned: Self.s3("InvalidArgument", 400, "Unsupported Authorization Type")
        default:
            malformed(
                header: "", query: "X-Amz-Algorithm only supports \"\(SigV4.algorithm)\"",
                other: "Unsupported AWS 'algorithm': '\(name)'.")
        }
    }

    func noEqualSign(_ part: Substring, _ header: String) -> AWSError {
        malformed(
            header: Self.threeComponents, query: "",
            other: "'\(part)' not a valid key=value pair (missing equal-sign) in Authorization header: '\(header)'.")
    }

    private static let threeComponents =
        "the authorization header requires three components: Credential, SignedHeaders, and Signature."

    func missing(credential: Bool, signature: Bool, signedHeaders: Bool, date: Bool, header: String) -> AWSError {
        if style == .s3, !credential, !signature, !signedHeaders {
            return Self.s3("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header")
        }
        var text = ""
        if credential { text += "Authorization header requires 'Credential' parameter. " }
        if signature { text += "Authorization header requires 'Signature' parameter. " }
        if signedHeaders { text += "Authorization header requires 'SignedHeaders' parameter. " }
        if date {
            text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        }
        return malformed(header: Self.threeComponents, query: "", other: text + "Authorization=\(header)")
    }

    func missingParameter(_ name: String) -> AWSError {
        malformed(
            header: "",
            query: "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                + "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
            other: "AWS query-string parameters must include '\(name)'. Re-examine the query-string parameters.")
    }

    func malformedCredential(_ text: String) -> AWSError {
        let expectation =
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
        return malformed(
            header: expectation, query: "Error parsing the X-Amz-Credential parameter; \(expectation)",
            other: "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                + "got '\(text)'.")
    }

    func emptyAccessKey(_ text: String) -> AWSError {
        let demand = "a non-empty Access Key (AKID) must be provided in the credential."
        return malformed(
            header: demand, query: "Error parsing the X-Amz-Credential parameter; \(demand)",
            other: "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                + "got '\(text)'.")
    }

    func wrongTerminator(_ text: String) -> AWSError {
        let finding = "incorrect terminal \"\(text)\". This endpoint uses \"\(SigV4.terminator)\"."
        return malformed(
            header: finding, query: "Error parsing the X-Amz-Credential parameter; \(finding)",
            other: "Credential should be scoped with a valid terminator: '\(SigV4.terminator)', not '\(text)'.")
    }

    func malformedSignedHeaders() -> AWSError {
        malformed(
            header: "missing SignedHeaders.", query: "X-Amz-SignedHeaders must name the signed headers.",
            other: "Authorization header requires 'SignedHeaders' parameter.")
    }

    func unreadableDate(_ text: String) -> AWSError {
        if style == .s3, !isPresigned {
            return Self.s3("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header")
        }
        return malformed(
            header: "", query: "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            other: "Date must be in ISO-8601 'basic format'. Got '\(text)'. See http://en.wikipedia.org/wiki/ISO_8601")
    }

    func expires(_ text: String) -> AWSError { malformed(header: "", query: text, other: text) }

    // MARK: Refused

    /// `InvalidSignatureException`, or `SignatureDoesNotMatch` in the query protocol.
    private func invalid(_ text: String) -> AWSError {
        style == .query
            ? AWSError("SignatureDoesNotMatch", status: 403, text)
            : AWSError("InvalidSignatureException", status: status, text)
    }

    func wrongScopeDate(_ date: String, signedAt: String) -> AWSError {
        if style == .s3 {
            let finding =
                "Invalid credential date \"\(date)\". This date is not the same as X-Amz-Date: "
                + "\"\(signedAt.prefix(8))\"."
            return malformed(header: finding, query: finding, other: "")
        }
        return invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '\(date)' != "
                + "'\(signedAt.prefix(8))', from '\(signedAt)'.")
    }

    func unsignedHeader(_ name: String) -> AWSError {
        style == .s3
            ? Self.s3(
                "AccessDenied", 403, "There were headers present in the request which were not signed",
                ["HeadersNotSigned": .string(name)])
            : invalid("'\(name)' must be a 'SignedHeader' in the AWS Authorization.")
    }

    func skewed(_ signedAt: Instant, now: Instant) -> AWSError {
        if style == .s3 {
            return Self.s3(
                "RequestTimeTooSkewed", 403,
                "The difference between the request time and the current time is too large.",
                [
                    "RequestTime": .string(signedAt.iso8601Basic), "ServerTime": .string(now.iso8601()),
                    "MaxAllowedSkewMilliseconds": .string("\(SigV4.Limits.skewSeconds * 1000)"),
                ])
        }
        let isLate = signedAt < now
        let bound = isLate ? now - .seconds(SigV4.Limits.skewSeconds) : now + .seconds(SigV4.Limits.skewSeconds)
        return invalid(
            isLate
                ? "Signature expired: \(signedAt.iso8601Basic) is now earlier than \(bound.iso8601Basic) "
                    + "(\(now.iso8601Basic) - \(SigV4.Limits.skewSeconds / 60) min.)"
                : "Signature not yet current: \(signedAt.iso8601Basic) is still later than \(bound.iso8601Basic) "
                    + "(\(now.iso8601Basic) + \(SigV4.Limits.skewSeconds / 60) min.)")
    }

    func expired(_ signedAt: Instant, seconds: Int, now: Instant) -> AWSError {
        let end = signedAt + .seconds(seconds)
        if style == .s3 {
            return Self.s3(
                "AccessDenied", 403, "Request has expired",
                [
                    "X-Amz-Expires": .string("\(seconds)"), "Expires": .string(end.iso8601()),
                    "ServerTime": .string(now.iso8601()),
                ])
        }
        return invalid("Signature expired: \(end.iso8601Basic) is now earlier than \(now.iso8601Basic)")
    }

    func notYetValid(_ signedAt: Instant, now: Instant) -> AWSError {
        style == .s3
            ? Self.s3(
                "AccessDenied", 403, "Request is not valid yet",
                ["X-Amz-Date": .string(signedAt.iso8601Basic), "ServerTime": .string(now.iso8601())])
            : skewed(signedAt, now: now)
    }

    static let s3MismatchText =
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        + "method."

    func mismatch(_ signed: SignedRequest, canonical: [UInt8], stringToSign: String) -> AWSError {
        let canonicalText = String(decoding: canonical, as: UTF8.self)
        if style == .s3 {
            return Self.s3(
                "SignatureDoesNotMatch", 403,
                Self.s3MismatchText,
                [
                    "AWSAccessKeyId": .string(signed.scope.accessKeyID), "StringToSign": .string(stringToSign),
                    "SignatureProvided": .string(signed.signature),
                    "StringToSignBytes": .string(Self.spacedHex(Array(stringToSign.utf8))),
                    "CanonicalRequest": .string(canonicalText),
                    "CanonicalRequestBytes": .string(Self.spacedHex(canonical)),
                ])
        }
        return invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
                + "Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for "
                + "this request should have been\n'\(canonicalText)'\n\nThe String-to-Sign should have been\n"
                + "'\(stringToSign)'\n")
    }

    func wrongBody(claimed: String, actual: String) -> AWSError {
        style == .s3
            ? Self.s3(
                "XAmzContentSHA256Mismatch", 400,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                ["ClientComputedContentSHA256": .string(claimed), "S3ComputedContentSHA256": .string(actual)])
            : invalid(
                "The value of x-amz-content-sha256 '\(claimed)' does not match the body, which hashes to '\(actual)'.")
    }

    static func spacedHex(_ bytes: [UInt8]) -> String {
        let hex = hexEncoded(bytes).utf8
        var text: [UInt8] = []
        for (index, digit) in hex.enumerated() {
            if index > 0, index % 2 == 0 { text.append(UInt8(ascii: " ")) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension SigV4 {
    /// A request without any signature where one is needed: S3 says AccessDenied, the others
    /// `MissingAuthenticationToken[Exception]`.
    public static func missingAuthentication(_ head: RequestHead, service: String) -> AWSError {
        switch SigningErrors(service: service, head: head, isPresigned: false).style {
        case .s3: AWSError("AccessDenied", status: 403, "Access Denied")
        case .query:
            AWSError(
                "MissingAuthenticationToken", status: 403,
                "Request must contain either a valid (registered) AWS access key ID or X.509 certificate.")
        case .json: AWSError("MissingAuthenticationTokenException", status: 403, "Missing Authentication Token")
        }
    }

    /// The body of a `.digest` request is not what the head says; for bodies that are hashed while they stream.
    public static func bodyMismatch(claimed: String, actual: String, forS3: Bool) -> AWSError {
        let head = RequestHead(method: "", path: "", query: "", headers: [])
        return SigningErrors(service: "", head: head, isPresigned: false, forS3: forS3)
            .wrongBody(claimed: claimed, actual: actual)
    }
}
