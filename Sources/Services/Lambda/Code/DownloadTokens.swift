import Crypto
import Platform
import Storage

/// Tokens in the URLs that GetFunction and GetLayerVersion answer: which package, until when, under a key of this
/// process. Nobody can make one, and none outlives a restart.
struct DownloadTokens: Sendable {
    private let key: SymmetricKey

    init(key: SymmetricKey = SymmetricKey(size: .bits256)) { self.key = key }

    func token(for blob: BlobID, now: Instant) -> String {
        let expires = now.seconds + Limits.downloadSeconds
        let text = "\(blob.hex).\(expires)"
        return "\(text).\(signature(of: text))"
    }

    /// The package that a token is for; nil when it is forged, malformed or too old.
    func blob(of token: String, now: Instant) -> BlobID? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let blob = BlobID(hex: String(parts[0])), let expires = Int64(parts[1]) else {
            return nil
        }
        let given = Array(parts[2].utf8)
        let right = Array(signature(of: "\(parts[0]).\(parts[1])").utf8)
        guard given.count == right.count,
            zip(given, right).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0, now.seconds < expires
        else { return nil }
        return blob
    }

    private func signature(of text: String) -> String {
        hexEncoded(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
    }
}
