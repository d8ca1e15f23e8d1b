import Crypto
public import Platform
import Synchronization

extension SigV4 {
    /// Checks the signature of the head against the secret, the clock skew (±15 min; S3 RequestTimeTooSkewed) and a
    /// presigned request's expiry. `payloadHash` is the body's actual hash for buffered operations, or nil to take the
    /// header's word (the body is then checked while it streams).
    /// Returns the key for chunk signatures. Throws SignatureDoesNotMatch / InvalidSignatureException and the like:
    /// the form depends on the service (`forS3`).
    public static func verify(
        _ head: RequestHead, signed: SignedRequest, secret: Secret<String>, payloadHash: String?, now: Instant,
        forS3: Bool
    ) throws(AWSError) -> SigningKey {
        let errors = SigningErrors(
            service: signed.scope.service, head: head, isPresigned: signed.isPresigned, forS3: forS3)
        guard let signedAt = signed.signedAt else {
            throw errors.unreadableDate(head.header("x-amz-date") ?? head.header("date") ?? "")
        }
        try checkTime(signed, signedAt, now, errors)
        let time = signedAt.iso8601Basic
        guard signed.scope.date == time.prefix(8) else {
            throw errors.wrongScopeDate(signed.scope.date, signedAt: time)
        }
        try checkSignedHeaders(head, signed, errors)
        let claimed = contentHash(head)
        if let claimed, let payloadHash, isDigest(claimed), claimed.lowercased() != payloadHash.lowercased() {
            throw errors.wrongBody(claimed: claimed, actual: payloadHash)
        }
        let hash = claimed ?? (forS3 && signed.isPresigned ? unsignedPayload : payloadHash ?? emptyHash)
        let key = signingKey(secret: secret, scope: signed.scope)

        // One comparison more where the client's escapes differ from the rules: the resource is the same.
        var first: (canonical: [UInt8], stringToSign: String)?
        for form in [CanonicalRequest.Form.normal, .asSent] {
            let canonical = CanonicalRequest.make(
                head, signedHeaders: signed.signedHeaders, isPresigned: signed.isPresigned, payloadHash: hash,
                forS3: forS3, form: form)
            if let first, first.canonical == canonical { break }
            let text =
                "\(algorithm)\n\(time)\n\(signed.scope.text)\n" + hexEncoded(SHA256.hash(data: canonical))
            if isEqual(signature(of: text, key: key), signed.signature) {
                return SigningKey(bytes: key, scope: signed.scope, seedSignature: signed.signature, signedAt: time)
            }
            if first == nil { first = (canonical, text) }
        }
        throw errors.mismatch(
            signed, canonical: first?.canonical ?? [], stringToSign: first?.stringToSign ?? "")
    }

    private static func checkTime(
        _ signed: SignedRequest, _ signedAt: Instant, _ now: Instant, _ errors: SigningErrors
    ) throws(AWSError) {
        guard signed.isPresigned else {
            let skew = Duration.seconds(Limits.skewSeconds)
            if signedAt < now - skew || signedAt > now + skew { throw errors.skewed(signedAt, now: now) }
            return
        }
        let lifetime = signed.expiresSeconds ?? Limits.skewSeconds
        if signedAt > now + .seconds(Limits.skewSeconds) { throw errors.notYetValid(signedAt, now: now) }
        if signedAt + .seconds(lifetime) < now { throw errors.expired(signedAt, seconds: lifetime, now: now) }
    }

    /// What must not be changed on the way has to be signed: the host always, S3's own headers, the operation's name.
    private static func checkSignedHeaders(
        _ head: RequestHead, _ signed: SignedRequest, _ errors: SigningErrors
    ) throws(AWSError) {
        guard signed.signedHeaders.contains("host") || signed.signedHeaders.contains(":authority") else {
            throw errors.unsignedHeader(errors.style == .s3 ? "host" : "Host' or ':authority")
        }
        let isS3 = errors.style == .s3
        for header in head.headers {
            let isRequired = isS3 ? header.name.hasPrefix("x-amz-") : header.name == "x-amz-target"
            if isRequired, !signed.signedHeaders.contains(header.name) { throw errors.unsignedHeader(header.name) }
        }
    }

    // MARK: Keys

    /// The key of a day, Region and service: four HMACs, so the last ones are kept.
    static func signingKey(secret: Secret<String>, scope: CredentialScope) -> [UInt8] {
        let name = KeyName(secret: secret.reveal(), scope: scope)
        if let key = recentKeys.withLock({ $0[name] }) { return key }
        var key = Array("AWS4\(name.secret)".utf8)
        for part in [scope.date, scope.region, scope.service, terminator] { key = hmac(part, key: key) }
        recentKeys.withLock { keys in
            if keys.count >= Limits.recentKeys { keys.removeAll(keepingCapacity: true) }
            keys[name] = key
        }
        return key
    }

    /// Secrets in memory only, never printed.
    private struct KeyName: Hashable {
        var secret: String
        var scope: CredentialScope
    }
    private static let recentKeys = Mutex<[KeyName: [UInt8]]>([:])

    static func signature(of text: String, key: [UInt8]) -> String { hexEncoded(hmac(text, key: key)) }

    private static func hmac(_ text: String, key: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
    }

    /// Takes the same time wherever the first difference is.
    static func isEqual(_ a: String, _ b: String) -> Bool {
        guard a.utf8.count == b.utf8.count else { return false }
        return zip(a.utf8, b.utf8).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
