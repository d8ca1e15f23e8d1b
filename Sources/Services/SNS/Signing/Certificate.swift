import Platform

/// The few pieces of DER (X.690) that a self-signed certificate is made of.
enum DER {
    static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag] + length(content.count) + content }
    static func sequence(_ parts: [UInt8]...) -> [UInt8] { tagged(0x30, parts.flatMap { $0 }) }
    static func set(_ content: [UInt8]) -> [UInt8] { tagged(0x31, content) }
    static func text(_ text: String) -> [UInt8] { tagged(0x0C, Array(text.utf8)) }
    static let null: [UInt8] = [0x05, 0x00]

    /// A whole number of 0 or more from its big-endian bytes.
    static func integer(_ bytes: [UInt8]) -> [UInt8] {
        var digits = Array(bytes.drop { $0 == 0 })
        if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
        return tagged(0x02, digits)
    }

    /// Bits in whole bytes.
    static func bits(_ bytes: [UInt8]) -> [UInt8] { tagged(0x03, [0] + bytes) }

    static func objectIdentifier(_ arcs: [UInt64]) -> [UInt8] {
        guard arcs.count >= 2 else { return tagged(0x06, []) }
        var content: [UInt8] = []
        for arc in [arcs[0] * 40 + arcs[1]] + arcs[2...] {
            var groups = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                groups.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            content += groups.reversed()
        }
        return tagged(0x06, content)
    }

    /// UTCTime until 2049, GeneralizedTime after (RFC 5280, 4.1.2.5).
    static func time(_ instant: Instant) -> [UInt8] {
        let t = CivilTime(instant)
        let rest = "\(pad(t.month))\(pad(t.day))\(pad(t.hour))\(pad(t.minute))\(pad(t.second))Z"
        if t.year < 2050 { return tagged(0x17, Array((pad(Int(t.year % 100)) + rest).utf8)) }
        return tagged(0x18, Array((pad(Int(t.year), 4) + rest).utf8))
    }

    private static func length(_ count: Int) -> [UInt8] {
        if count < 0x80 { return [UInt8(count)] }
        var bytes: [UInt8] = []
        var rest = count
        while rest > 0 {
            bytes.insert(UInt8(rest & 0xFF), at: 0)
            rest >>= 8
        }
        return [0x80 | UInt8(bytes.count)] + bytes
    }
}

/// An X.509 certificate (RFC 5280) that a key gives itself.
enum SelfSignedCertificate {
    /// How long it holds.
    static let lifetime = Duration.seconds(20 * 365 * 86_400)
    private static let sha256WithRSA = DER.sequence(
        DER.objectIdentifier([1, 2, 840, 113_549, 1, 1, 11]), DER.null)

    /// The certificate in DER. `publicKey` is a SubjectPublicKeyInfo; `sign` answers the RSA signature (PKCS #1 v1.5 with
    /// SHA-256) of what it is given.
    static func make(
        commonName: String, publicKey: [UInt8], serial: [UInt8], now: Instant, sign: ([UInt8]) throws -> [UInt8]
    ) rethrows -> [UInt8] {
        let name = DER.sequence(
            DER.set(DER.sequence(DER.objectIdentifier([2, 5, 4, 10]), DER.text("Martlet"))),
            DER.set(DER.sequence(DER.objectIdentifier([2, 5, 4, 3]), DER.text(commonName))))
        let body = DER.sequence(
            DER.tagged(0xA0, DER.integer([2])),  // version 3
            DER.integer(serial), sha256WithRSA, name,
            DER.sequence(DER.time(now - .seconds(86_400)), DER.time(now + lifetime)), name, publicKey)
        return DER.sequence(body, sha256WithRSA, DER.bits(try sign(body)))
    }

    static func pem(_ der: [UInt8]) -> String {
        var lines = ["-----BEGIN CERTIFICATE-----"]
        var text = Base64.encode(der)[...]
        while !text.isEmpty {
            lines.append(String(text.prefix(64)))
            text = text.dropFirst(64)
        }
        lines.append("-----END CERTIFICATE-----\n")
        return lines.joined(separator: "\n")
    }
}
