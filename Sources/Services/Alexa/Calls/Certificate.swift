import Crypto
import Platform

/// The pieces of X.509 (RFC 5280) in DER (X.690) that the signing certificates are made of.
enum Certificate {
    private static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length = [UInt8(truncatingIfNeeded: content.count)]
        if content.count >= 0x80 {
            var digits: [UInt8] = []
            var rest = content.count
            while rest > 0 {
                digits.insert(UInt8(truncatingIfNeeded: rest), at: 0)
                rest >>= 8
            }
            length = [0x80 | UInt8(digits.count)] + digits
        }
        return [tag] + length + content
    }

    private static func sequence(_ parts: [UInt8]...) -> [UInt8] { tagged(0x30, parts.flatMap { $0 }) }
    private static let yes: [UInt8] = [0x01, 0x01, 0xFF]

    private static func integer(_ bytes: [UInt8]) -> [UInt8] {
        tagged(0x02, (bytes.first ?? 0) >= 0x80 ? [0] + bytes : bytes)
    }

    /// An object identifier whose first two arcs are `head`, the rest as it is encoded.
    private static func identifier(_ content: [UInt8]) -> [UInt8] { tagged(0x06, content) }

    /// 1.2.840.113549.1.1.11
    private static let sha256WithRSA = sequence(
        identifier([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B]), [0x05, 0x00])

    /// UTCTime until 2049, GeneralizedTime after.
    private static func time(_ instant: Instant) -> [UInt8] {
        let t = CivilTime(instant)
        let rest = "\(pad(t.month))\(pad(t.day))\(pad(t.hour))\(pad(t.minute))\(pad(t.second))Z"
        return t.year < 2050
            ? tagged(0x17, Array((pad(Int(t.year % 100)) + rest).utf8))
            : tagged(0x18, Array((pad(Int(t.year), 4) + rest).utf8))
    }

    /// A name of only a common name (2.5.4.3).
    static func name(_ commonName: String) -> [UInt8] {
        sequence(tagged(0x31, sequence(identifier([0x55, 0x04, 0x03]), tagged(0x0C, Array(commonName.utf8)))))
    }

    /// Extension 2.5.29.`number`.
    private static func extensionField(_ number: UInt8, critical: Bool, _ content: [UInt8]) -> [UInt8] {
        sequence(identifier([0x55, 0x1D, number]), critical ? yes : [], tagged(0x04, content))
    }

    /// SHA-1 of the key's info: names a key, protects nothing.
    private static func keyName(_ publicKey: [UInt8]) -> [UInt8] { Array(Insecure.SHA1.hash(data: publicKey)) }

    /// Of a certificate that vouches for others: basic constraints, key usage (keyCertSign, cRLSign), key identifier.
    static func authorityExtensions(_ publicKey: [UInt8]) -> [[UInt8]] {
        [
            extensionField(0x13, critical: true, sequence(yes)),
            extensionField(0x0F, critical: true, tagged(0x03, [0x01, 0x06])),
            extensionField(0x0E, critical: false, tagged(0x04, keyName(publicKey))),
        ]
    }

    /// Of a certificate that signs requests: no authority, key usage digitalSignature, the host it speaks for.
    static func signingExtensions(host: String, authorityKey: [UInt8]) -> [[UInt8]] {
        [
            extensionField(0x13, critical: true, sequence()),
            extensionField(0x0F, critical: true, tagged(0x03, [0x07, 0x80])),
            extensionField(0x11, critical: false, sequence(tagged(0x82, Array(host.utf8)))),
            extensionField(0x23, critical: false, sequence(tagged(0x80, keyName(authorityKey)))),
        ]
    }

    /// The certificate in DER. `publicKey` is a SubjectPublicKeyInfo; `sign` answers the RSA signature (PKCS #1 v1.5 with
    /// SHA-256) of what it is given.
    static func make(
        subject: [UInt8], issuer: [UInt8], publicKey: [UInt8], serial: [UInt8], now: Instant, extensions: [[UInt8]],
        sign: ([UInt8]) throws -> [UInt8]
    ) rethrows -> [UInt8] {
        let body = sequence(
            tagged(0xA0, integer([2])),  // version 3
            integer(serial), sha256WithRSA, issuer,
            sequence(time(now - .seconds(86_400)), time(now + Limits.certificateLifetime)), subject, publicKey,
            tagged(0xA3, tagged(0x30, extensions.flatMap { $0 })))
        return sequence(body, sha256WithRSA, tagged(0x03, [0] + (try sign(body))))
    }

    static func pem(_ der: [UInt8]) -> String {
        var lines = ["-----BEGIN CERTIFICATE-----"]
        var text = Base64.encode(der)[...]
        while !text.isEmpty {
            lines.append(String(text.prefix(64)))
            text = text.dropFirst(64)
        }
        return (lines + ["-----END CERTIFICATE-----", ""]).joined(separator: "\n")
    }
}
