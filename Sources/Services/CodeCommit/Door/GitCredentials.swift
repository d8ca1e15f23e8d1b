import Contracts
import Crypto
import Platform
import Wire

/// What a git client sends as user name and password.
struct BasicCredentials: Sendable {
    var userName: String
    var password: Secret<String>

    /// Of an `Authorization` header; nil when it is none, or malformed.
    init?(header: String?) {
        guard let header, header.utf8.count <= Limits.credentialBytes, header.lowercased().hasPrefix("basic ") else {
            return nil
        }
        let encoded = header.dropFirst(6).filter { $0 != " " }
        guard let bytes = Base64.decode(encoded), let colon = bytes.firstIndex(of: 0x3A),
            let userName = String(validating: bytes[..<colon], as: UTF8.self),
            let password = String(validating: bytes[(colon + 1)...], as: UTF8.self)
        else { return nil }
        self.userName = userName
        self.password = Secret(password)
    }

    /// `AKIA…` or `ASIA…%TOKEN`.
    var accessKey: (id: String, sessionToken: String?) {
        guard let mark = userName.firstIndex(of: "%") else { return (userName, nil) }
        return (String(userName[..<mark]), String(userName[userName.index(after: mark)...]))
    }
}

/// The password that `aws codecommit credential-helper` and git-remote-codecommit derive: the time, `Z`, and a signature
/// (SigV4) over the method `GIT`, the repository's path and the host.
struct SignaturePassword: Sendable, Equatable {
    /// `20261123T160000`, as it is signed.
    var time: String
    var signature: String

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        let digits: (ArraySlice<UInt8>) -> Bool = { $0.allSatisfy { (0x30...0x39).contains($0) } }
        guard bytes.count == 80, digits(bytes[..<8]), bytes[8] == UInt8(ascii: "T"), digits(bytes[9..<15]),
            bytes[15] == UInt8(ascii: "Z")
        else { return nil }
        time = String(decoding: bytes[..<15], as: UTF8.self)
        signature = String(decoding: bytes[16...], as: UTF8.self)
    }

    /// When it was signed.
    var instant: Instant? {
        let t = Array(time)
        func part(_ from: Int, _ count: Int) -> String { String(t[from..<from + count]) }
        return Instant(
            iso8601: "\(part(0, 4))-\(part(4, 2))-\(part(6, 2))T\(part(9, 2)):\(part(11, 2)):\(part(13, 2))Z")
    }

    func isTimely(_ now: Instant) -> Bool {
        guard let instant else { return false }
        return instant >= now - Limits.passwordAge && instant <= now + Limits.passwordAge
    }

    /// Whether it was made with this secret for one of the paths and one of the hosts.
    func isMade(with secret: Secret<String>, paths: [String], hosts: [String], region: String) -> Bool {
        let date = String(time.prefix(8))
        let scope = "\(date)/\(region)/codecommit/aws4_request"
        var key = SymmetricKey(data: Array(("AWS4" + secret.reveal()).utf8))
        for part in [date, region, "codecommit", "aws4_request"] {
            key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
        }
        for path in paths {
            for host in hosts {
                let canonical = "GIT\n\(path)\n\nhost:\(host)\n\nhost\n"
                let text =
                    "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n" + hexEncoded(SHA256.hash(data: Array(canonical.utf8)))
                let code = hexEncoded(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
                if SignaturePassword.isEqual(code, signature) { return true }
            }
        }
        return false
    }

    /// Takes as long for every text of the same length.
    private static func isEqual(_ a: String, _ b: String) -> Bool {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// Who uses git, and in which account.
struct GitCaller: Sendable {
    var principal: Principal
    /// For events: who pushed.
    var arn: String
    var account: String
    /// Of its session.
    var tags: [SessionTag] = []
}
