import Crypto
public import Platform

extension SigV4 {
    /// The headers that sign a request with a body at hand: `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token`
    /// with a session token, and `authorization`. Every header of `head` is signed, so it must have `host`, names in lower
    /// case, and none that is changed on the way. Not for S3's paths, which are signed without a second encoding.
    public static func sign(
        _ head: RequestHead, body: [UInt8], accessKeyID: String, secret: Secret<String>, sessionToken: String? = nil,
        region: String, service: String, now: Instant
    ) -> [(name: String, value: String)] {
        let time = now.iso8601Basic
        let scope = CredentialScope(
            accessKeyID: accessKeyID, date: String(time.prefix(8)), region: region, service: service)
        let payloadHash = hexEncoded(SHA256.hash(data: body))
        var added = [("x-amz-date", time), ("x-amz-content-sha256", payloadHash)]
        if let sessionToken { added.append(("x-amz-security-token", sessionToken)) }
        var head = head
        head.headers += added.map { (name: $0.0, value: $0.1) }
        let names = Set(head.headers.map(\.name)).sorted()
        let canonical = CanonicalRequest.make(
            head, signedHeaders: names, isPresigned: false, payloadHash: payloadHash, forS3: false, form: .normal)
        let text = "\(algorithm)\n\(time)\n\(scope.text)\n" + hexEncoded(SHA256.hash(data: canonical))
        let signature = signature(of: text, key: signingKey(secret: secret, scope: scope))
        added.append(
            (
                "authorization",
                "\(algorithm) Credential=\(accessKeyID)/\(scope.text), SignedHeaders=\(names.joined(separator: ";")), "
                    + "Signature=\(signature)"
            ))
        return added.map { (name: $0.0, value: $0.1) }
    }
}
