import Contracts
import Crypto
import FoundationEssentials
import Platform

/// Makes and reads session tokens: the session itself, sealed with the server's key. Checking one needs no database, and
/// survives restarts; forging one needs the key.
struct SessionTokens: Sendable {
    struct Session: Equatable {
        var accessKeyID: String
        /// Empty for a session of the account itself (GetSessionToken).
        var roleARN: String
        var sessionName: String
        var account: String
        var tags: [SessionTag] = []
        var expiration: Instant

        var principal: Principal {
            roleARN.isEmpty
                ? .account(account) : .roleSession(roleARN: roleARN, sessionName: sessionName, account: account)
        }
    }

    private let sealing: SymmetricKey
    private let signing: SymmetricKey
    /// Part of what is authenticated, so that tokens of another kind or version are refused.
    private static let label = Array("martlet-session-1".utf8)

    /// `serverKey`: at least 32 random bytes, kept with the data.
    init(serverKey: [UInt8]) {
        let input = SymmetricKey(data: serverKey)
        sealing = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: input, info: Array("session-token".utf8), outputByteCount: 32)
        signing = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: input, info: Array("secret-access-key".utf8), outputByteCount: 32)
    }

    func issue(
        roleARN: String, sessionName: String, account: String, tags: [SessionTag] = [], expiration: Instant
    ) -> SessionCredentials {
        let session = Session(
            accessKeyID: AccessKeyID.temporary(account: account), roleARN: roleARN, sessionName: sessionName,
            account: account, tags: tags, expiration: expiration)
        let token = seal(session)
        return SessionCredentials(
            accessKeyID: session.accessKeyID, secretAccessKey: Secret(secret(of: session.accessKeyID)),
            sessionToken: Secret(token), expiration: expiration)
    }

    /// The session of a token, when it is ours, belongs to this access key and has not expired.
    func open(_ token: String, accessKeyID: String, now: Instant) -> Session? {
        guard token.utf8.count <= Limits.tokenCharacters, let sealed = Data(base64Encoded: token),
            let box = try? AES.GCM.SealedBox(combined: sealed),
            let plain = try? AES.GCM.open(box, using: sealing, authenticating: Self.label),
            let value = try? JSON.parse(Array(plain)),
            let key = value["k"]?.string, let role = value["r"]?.string, let name = value["n"]?.string,
            let account = value["a"]?.string, let expiration = value["e"]?.int
        else { return nil }
        let session = Session(
            accessKeyID: key, roleARN: role, sessionName: name, account: account,
            tags: (value["t"]?.list ?? []).compactMap(SessionTag.init),
            expiration: Instant(milliseconds: expiration))
        return session.accessKeyID == accessKeyID && session.expiration > now ? session : nil
    }

    /// 40 characters that belong to an access key id, as AWS's secrets are long.
    func secret(of accessKeyID: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array(accessKeyID.utf8), using: signing)
        return String(Data(code).base64EncodedString().prefix(40))
    }

    private func seal(_ session: Session) -> String {
        var content: Fields = [
            "k": .string(session.accessKeyID), "r": .string(session.roleARN), "n": .string(session.sessionName),
            "a": .string(session.account), "e": .int(session.expiration.milliseconds),
        ]
        if !session.tags.isEmpty { content["t"] = .list(session.tags.map(\.sealed)) }
        let plain = JSON.encode(.map(content))
        // Sealing with a fresh nonce and a 256-bit key fails for no input of this size.
        guard let box = try? AES.GCM.seal(plain, using: sealing, authenticating: Self.label),
            let combined = box.combined
        else { preconditionFailure("AES-GCM refused a small plaintext") }
        return combined.base64EncodedString()
    }
}

extension SessionTag {
    /// As it is in a token.
    init?(_ sealed: Value) {
        guard let key = sealed["k"]?.string, let value = sealed["v"]?.string else { return nil }
        self.init(key: key, value: value, isTransitive: sealed["t"]?.bool ?? false)
    }

    var sealed: Value {
        isTransitive
            ? ["k": .string(key), "v": .string(value), "t": .bool(true)] : ["k": .string(key), "v": .string(value)]
    }
}

/// Access key ids that carry their account, as AWS's do.
enum AccessKeyID {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

    /// `ASIA`, eight characters of account, eight random ones.
    static func temporary(account: String) -> String {
        let number = UInt64(account) ?? 0
        let encoded = (0..<8).map { alphabet[Int((number >> UInt64(35 - 5 * $0)) & 31)] }
        return "ASIA" + String(encoded) + Identifier.base32(8)
    }

    /// The account of a key made by `temporary`; nil for any other text.
    static func account(of key: String) -> String? {
        guard key.count == 20, key.hasPrefix("ASIA") else { return nil }
        var number: UInt64 = 0
        for character in key.dropFirst(4).prefix(8) {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            number = number << 5 | UInt64(digit)
        }
        return number <= 999_999_999_999 ? pad(Int(number), 12) : nil
    }
}
