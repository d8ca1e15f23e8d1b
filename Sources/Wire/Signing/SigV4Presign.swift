import Crypto
public import Platform

extension SigV4 {
    /// The query that presigns a URL of S3: `query` (which may be empty, percent-encoded) with the parameters of the
    /// signature behind it. Only the host is signed, so that whoever has the URL may add headers of their own.
    ///
    /// - Parameters:
    ///   - path: percent-encoded, as it will be sent.
    ///   - host: with the port, as it will stand in the Host header.
    ///   - seconds: how long the URL is good, at most seven days.
    public static func presign(
        method: String, path: String, query: String, host: String, accessKeyID: String, secret: Secret<String>,
        sessionToken: Secret<String>?, region: String, seconds: Int, now: Instant
    ) -> String {
        let time = now.iso8601Basic
        let scope = CredentialScope(
            accessKeyID: accessKeyID, date: String(time.prefix(8)), region: region, service: "s3")
        var parameters = [
            ("X-Amz-Algorithm", algorithm), ("X-Amz-Credential", "\(accessKeyID)/\(scope.text)"), ("X-Amz-Date", time),
            ("X-Amz-Expires", String(seconds)),
        ]
        if let sessionToken { parameters.append(("X-Amz-Security-Token", sessionToken.reveal())) }
        parameters.append(("X-Amz-SignedHeaders", "host"))
        var text = Array(query.utf8)
        for (name, value) in parameters {
            if !text.isEmpty { text.append(UInt8(ascii: "&")) }
            text += Array("\(name)=".utf8)
            SigningURI.encode(value.utf8, into: &text)
        }
        let signedQuery = String(decoding: text, as: UTF8.self)
        let head = RequestHead(
            method: method, path: path, query: signedQuery, headers: [(name: "host", value: host)])
        let canonical = CanonicalRequest.make(
            head, signedHeaders: ["host"], isPresigned: true, payloadHash: unsignedPayload, forS3: true, form: .normal)
        let toSign = "\(algorithm)\n\(time)\n\(scope.text)\n" + hexEncoded(SHA256.hash(data: canonical))
        let signature = signature(of: toSign, key: signingKey(secret: secret, scope: scope))
        return "\(signedQuery)&X-Amz-Signature=\(signature)"
    }
}
