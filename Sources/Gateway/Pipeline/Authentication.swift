import Contracts
import Platform
import Wire

/// Who asks, and on whose behalf.
struct Identity: Sendable {
    var scope: AccountRegion
    var principal: Principal
    var sessionTags: [SessionTag] = []
    /// The secret to check signatures with; nil when they are not checked.
    var secret: Secret<String>?
}

/// Resolves credentials and checks signatures.
struct Authenticator: Sendable {
    let mode: AuthenticationMode
    let credentials: any CredentialIssuer

    /// Reads how a request is signed. With authentication off, what cannot be read is taken as unsigned.
    func signature(of head: RequestHead) throws(AWSError) -> SignedRequest? {
        switch mode {
        case .sigv4: return try SigV4.parse(head)
        case .none:
            // A request without any authorization is the most frequent one without credentials; parse is not needed.
            guard head.header("authorization") != nil || !head.query.isEmpty else { return nil }
            return try? SigV4.parse(head)
        }
    }

    /// Reads a query of signature version 2, which S3 alone takes, so that the service has to be known.
    func version2Signature(of head: RequestHead, isS3: Bool) throws(AWSError) -> SignedRequest? {
        guard mode == .sigv4 else { return isS3 ? try? SigV2Query.parse(head) : nil }
        if isS3 { return try SigV2Query.parse(head) }
        if SigV2Query.isPresent(head) { throw SigV2Query.unsupported }
        return nil
    }

    /// The account, Region and principal of a request. Throws for credentials that are not known, when that matters.
    /// A request out of a cell that brings no session of this server is the function's, whatever account it names.
    func identify(
        _ signed: SignedRequest?, origin: ConnectionInfo.Origin, region hostRegion: String?, style: ErrorStyle,
        now: Instant, mayBeAnonymous: Bool = false
    ) throws(AWSError) -> Identity {
        let signedRegion = signed?.isVersion2 == true ? nil : signed?.scope.region
        let region = signedRegion ?? hostRegion ?? AccountRegion.defaultRegion
        // It becomes part of keys, ARNs and environment variables, whoever signs it.
        guard Region.isWellFormed(region) else { throw style.badRegion(region) }
        guard let signed else {
            if mode == .sigv4 {
                guard mayBeAnonymous else { throw style.missingAuthentication }
                return Identity(
                    scope: AccountRegion(account: AccountRegion.defaultAccount, region: region), principal: .anonymous,
                    secret: nil)
            }
            return anybody(origin, account: AccountRegion.defaultAccount, region: region)
        }
        let key = signed.scope.accessKeyID
        if let known = credentials.lookup(accessKeyID: key, sessionToken: signed.sessionToken, now: now) {
            let account = known.principal.account ?? AccountRegion.defaultAccount
            return Identity(
                scope: AccountRegion(account: account, region: region), principal: known.principal,
                sessionTags: known.tags,
                secret: mode == .sigv4 || origin.isCell(ofOther: known.principal) ? known.secret : nil)
        }
        if mode == .sigv4 { throw style.unknownKey(key) }
        let account = Authenticator.isAccount(key) ? key : AccountRegion.defaultAccount
        return anybody(origin, account: account, region: region)
    }

    /// Who asks, where credentials prove nothing.
    private func anybody(_ origin: ConnectionInfo.Origin, account: String, region: String) -> Identity {
        switch origin {
        case .outside:
            Identity(scope: AccountRegion(account: account, region: region), principal: .account(account), secret: nil)
        case .cell(let cell):
            Identity(
                scope: AccountRegion(account: cell.scope.account, region: region), principal: cell.principal,
                secret: nil)
        }
    }

    private static func isAccount(_ key: String) -> Bool {
        key.utf8.count == 12 && key.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
}

extension ConnectionInfo.Origin {
    /// Whether a function brings somebody else's session. It must prove that it has the secret: a presigned URL that it was
    /// given (S3 Object Lambda) has its maker's session in it, for nothing but what was signed.
    fileprivate func isCell(ofOther principal: Principal) -> Bool {
        if case .cell(let cell) = self { cell.principal != principal } else { false }
    }
}

/// The families of error codes for the same refusals.
enum ErrorStyle: Sendable, Equatable {
    case s3, query, json, rest

    var missingAuthentication: AWSError {
        switch self {
        case .s3: AWSError("AccessDenied", status: 403, "Access Denied")
        case .query:
            AWSError("MissingAuthenticationToken", status: 403, "Request is missing Authentication Token")
        case .json:
            AWSError("MissingAuthenticationTokenException", status: 400, "Request is missing Authentication Token")
        case .rest:
            AWSError("MissingAuthenticationTokenException", status: 403, "Missing Authentication Token")
        }
    }

    /// A request of this server (an SNS message, say) whose URL leads back to it.
    var ownRequest: AWSError {
        AWSError(
            self == .s3 || self == .query ? "AccessDenied" : "AccessDeniedException", status: 403,
            "Martlet sent this request itself, as a subscription for instance asks it to. Such requests cannot call the "
                + "services of Martlet.")
    }

    func unknownKey(_ key: String) -> AWSError {
        let text = "The security token included in the request is invalid."
        return switch self {
        case .s3:
            AWSError(
                "InvalidAccessKeyId", status: 403,
                "The AWS Access Key Id you provided does not exist in our records.",
                fields: ["AWSAccessKeyId": .string(key)])
        case .query: AWSError("InvalidClientTokenId", status: 403, text)
        case .json: AWSError("UnrecognizedClientException", status: 400, text)
        case .rest: AWSError("UnrecognizedClientException", status: 403, text)
        }
    }

    /// The credential scope names what can be no Region.
    func badRegion(_ region: String) -> AWSError {
        let shown = String(
            region.unicodeScalars.prefix(Region.maximumBytes).filter { (0x20...0x7E).contains($0.value) }.map(
                Character.init))
        let text = "Credential should be scoped to a valid Region, not '\(shown)'."
        return switch self {
        case .s3:
            AWSError(
                "AuthorizationHeaderMalformed", status: 400,
                "The authorization header is malformed; the region '\(shown)' is wrong; expecting "
                    + "'\(AccountRegion.defaultRegion)'", fields: ["Region": .string(AccountRegion.defaultRegion)])
        case .query: AWSError("SignatureDoesNotMatch", status: 403, text)
        case .json: AWSError("InvalidSignatureException", status: 400, text)
        case .rest: AWSError("InvalidSignatureException", status: 403, text)
        }
    }

    /// The credential scope names another service than the one that is called. AWS's text, with the space at its end.
    func badService(expected: String) -> AWSError {
        let text = "Credential should be scoped to correct service: '\(expected)'. "
        return switch self {
        case .s3, .query: AWSError("SignatureDoesNotMatch", status: 403, text)
        case .json: AWSError("InvalidSignatureException", status: 400, text)
        case .rest: AWSError("InvalidSignatureException", status: 403, text)
        }
    }

    /// A request that a web page has sent, to a server that asks for no credentials.
    func webPage(_ text: String) -> AWSError {
        switch self {
        case .s3, .query: AWSError("AccessDenied", status: 403, text)
        case .json, .rest: AWSError("AccessDeniedException", status: 403, text)
        }
    }

    /// Why a body could not be had, in the words of the family.
    func body(_ failure: BodyFailure) -> AWSError {
        switch failure {
        case .cutShort, .abandoned:
            AWSError(
                self == .s3 ? "IncompleteBody" : "RequestAbortedException", status: 400,
                self == .s3
                    ? "You did not provide the number of bytes specified by the Content-Length HTTP header"
                    : "The request body ended early.")
        case .tooSlow:
            AWSError(
                self == .s3 ? "RequestTimeout" : "RequestTimeoutException", status: self == .s3 ? 400 : 408,
                "Your socket connection to the server was not read from or written to within the timeout period. "
                    + "Idle connections will be closed.")
        case .tooLarge:
            AWSError(
                self == .s3 ? "EntityTooLarge" : "RequestEntityTooLargeException", status: self == .s3 ? 400 : 413,
                "Your proposed upload exceeds the maximum allowed size")
        case .malformed:
            AWSError(
                self == .s3 ? "IncompleteBody" : "SerializationException", status: 400,
                "The chunked encoding of the request body could not be read.")
        case .overBudget:
            AWSError(
                self == .s3 ? "SlowDown" : "ServiceUnavailableException", status: 503,
                "Please reduce your request rate.", headers: [(name: "Retry-After", value: "1")])
        }
    }
}
