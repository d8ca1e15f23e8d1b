import Crypto
import Platform

/// Access tokens of Login with Amazon. A token carries its expiry, authenticated with the server's key: checking one reads
/// nothing, and a restart forgets none.
struct AccessTokens: Sendable {
    private static let prefix = "Atza|"
    private let key: SymmetricKey

    /// `serverKey`: at least 32 random bytes, kept with the data.
    init(serverKey: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: serverKey), info: Array("alexa-access-token".utf8),
            outputByteCount: 32)
    }

    func issue(now: Instant) -> String {
        let body = "\((now + Limits.tokenLifetime).milliseconds).\(Identifier.hex(16))"
        return Self.prefix + body + "." + mac(body)
    }

    /// Whether this server has issued the token, and it has not expired.
    func isValid(_ token: String, now: Instant) -> Bool {
        guard token.utf8.count <= 256, token.hasPrefix(Self.prefix) else { return false }
        let parts = token.dropFirst(Self.prefix.count).split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let expiry = Int64(parts[0]), now < Instant(milliseconds: expiry),
            let given = Self.bytes(parts[2])
        else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(
            given, authenticating: Array("\(parts[0]).\(parts[1])".utf8), using: key)
    }

    private func mac(_ body: String) -> String {
        hexEncoded(HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: key))
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        // One text is the token, and no other way to write its digits.
        return hexEncoded(bytes) == String(text) ? bytes : nil
    }
}
