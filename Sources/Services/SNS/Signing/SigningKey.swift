import Crypto
import CryptoExtras
import Dispatch
import FoundationEssentials
import Platform
import Storage
import Synchronization

/// The hash under a notification's signature: the topic's `SignatureVersion`.
enum SignatureVersion: String, Sendable {
    /// SHA-1.
    case one = "1"
    /// SHA-256.
    case two = "2"
}

/// The key that signs notifications, and its certificate.
struct SigningKey: Sendable {
    /// 32 hexadecimal digits: the certificate's name in its URL.
    var name: String
    /// PEM.
    var certificate: String
    private var key: _RSA.Signing.PrivateKey
    /// PKCS #1 DER.
    private(set) var encoded: [UInt8]

    /// Makes a new key: some 100 ms of a processor.
    init(now: Instant) throws {
        name = Identifier.hex(32)
        key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        encoded = Array(key.derRepresentation)
        let key = key
        let der = try SelfSignedCertificate.make(
            commonName: "sns.amazonaws.com", publicKey: Array(key.publicKey.derRepresentation),
            serial: Array(name.utf8.prefix(16)), now: now
        ) { body in
            try key.signature(for: SHA256.hash(data: body), padding: .insecurePKCS1v1_5).bytes
        }
        certificate = SelfSignedCertificate.pem(der)
    }

    init(name: String, encoded: [UInt8], certificate: String) throws {
        self.name = name
        self.encoded = encoded
        self.certificate = certificate
        key = try _RSA.Signing.PrivateKey(derRepresentation: encoded)
    }

    /// The signature of a text, in base64. Half a millisecond of a processor.
    func sign(_ text: String, _ version: SignatureVersion) throws -> String {
        let bytes = Array(text.utf8)
        let signature =
            switch version {
            case .one: try key.signature(for: Insecure.SHA1.hash(data: bytes), padding: .insecurePKCS1v1_5)
            case .two: try key.signature(for: SHA256.hash(data: bytes), padding: .insecurePKCS1v1_5)
            }
        return Base64.encode(signature.bytes)
    }
}

extension _RSA.Signing.RSASignature {
    fileprivate var bytes: [UInt8] { Array(rawRepresentation) }
}

/// Keeps the key: made once for the store, when it is first needed, away from event loops.
final class KeyKeeper: Sendable {
    private enum State {
        case unknown
        case preparing(Task<SigningKey, any Error>)
        case ready(SigningKey)
    }

    static let path = "/SimpleNotificationService-"

    private let state = Mutex(State.unknown)
    private let database: any Database
    private let time: any TimeSource

    init(database: any Database, time: any TimeSource) {
        self.database = database
        self.time = time
    }

    /// The key, if this process has it already.
    var current: SigningKey? {
        state.withLock { if case .ready(let key) = $0 { key } else { nil } }
    }

    /// The key; reads or makes it the first time.
    func key() async throws -> SigningKey {
        let task: Task<SigningKey, any Error> = state.withLock { state in
            switch state {
            case .ready(let key): return Task { key }
            case .preparing(let task): return task
            case .unknown:
                let task = Task { try await self.prepare() }
                state = .preparing(task)
                return task
            }
        }
        do {
            let key = try await task.value
            state.withLock { $0 = .ready(key) }
            return key
        } catch {
            state.withLock { if case .preparing = $0 { $0 = .unknown } }
            throw error
        }
    }

    /// Begins to make the key, so that it is there when a message needs it.
    func begin() {
        guard current == nil else { return }
        Task { _ = try? await key() }
    }

    /// Reads the key of an earlier process; makes none.
    func load() async throws {
        if let key = try await database.read({ try Self.stored(in: $0) }) { state.withLock { $0 = .ready(key) } }
    }

    private func prepare() async throws -> SigningKey {
        if let key = try await database.read({ try Self.stored(in: $0) }) { return key }
        let now = time.now()
        let fresh = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { continuation.resume(with: Result { try SigningKey(now: now) }) }
        }
        return try await database.write { transaction in
            if let key = try Self.stored(in: transaction) { return key }
            try transaction.execute(
                "INSERT INTO sns_key (number, name, private_key, certificate) VALUES (1, ?, ?, ?)",
                [.text(fresh.name), .blob(fresh.encoded), .text(fresh.certificate)])
            return fresh
        }
    }

    private static func stored(in transaction: any ReadTransaction) throws -> SigningKey? {
        try transaction.first("SELECT name, private_key, certificate FROM sns_key WHERE number = 1") { row in
            try SigningKey(name: row.text(0), encoded: row.blob(1), certificate: row.text(2))
        }
    }
}
