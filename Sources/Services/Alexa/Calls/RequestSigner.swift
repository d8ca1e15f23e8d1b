import Crypto
import CryptoExtras
import Dispatch
import FoundationEssentials
import Platform
import Storage
import Synchronization

/// Signs requests to skills that are web services, as Alexa does ("Host a Custom Skill as a Web Service"), with a certificate for
/// `echo-api.amazon.com` that an authority of this server's own vouches for.
struct RequestSigner: Sendable {
    /// The file's name in `SignatureCertChainUrl`.
    let name: String
    /// PEM: the authority's certificate, to be trusted by whoever checks.
    let root: String
    /// PEM: the signing certificate, then the authority's.
    let chain: String
    private let key: _RSA.Signing.PrivateKey

    /// PKCS #1 DER.
    var encoded: [UInt8] { Array(key.derRepresentation) }

    /// Verifiers want this host and path, and no other.
    var chainURL: String { "https://s3.amazonaws.com/echo.api/\(name).pem" }

    /// Makes keys and certificates anew: some 200 ms of a processor. The authority's key is forgotten at once: it never signs
    /// another certificate.
    init(now: Instant) throws {
        let authority = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let serial = Identifier.hex(16)
        name = "martlet-\(serial)"
        let issuer = Certificate.name("Martlet Alexa Signing Authority \(serial)")
        func sign(_ body: [UInt8]) throws -> [UInt8] {
            Array(
                try authority.signature(for: SHA256.hash(data: body), padding: .insecurePKCS1v1_5).rawRepresentation)
        }
        let authorityKey = Array(authority.publicKey.derRepresentation)
        let own = try Certificate.make(
            subject: issuer, issuer: issuer, publicKey: authorityKey, serial: Array(serial.utf8.prefix(8)) + [1],
            now: now,
            extensions: Certificate.authorityExtensions(authorityKey), sign: sign)
        let leaf = try Certificate.make(
            subject: Certificate.name("echo-api.amazon.com"), issuer: issuer,
            publicKey: Array(key.publicKey.derRepresentation), serial: Array(serial.utf8.prefix(8)) + [2], now: now,
            extensions: Certificate.signingExtensions(host: "echo-api.amazon.com", authorityKey: authorityKey),
            sign: sign)
        root = Certificate.pem(own)
        chain = Certificate.pem(leaf) + root
    }

    init(name: String, encoded: [UInt8], root: String, chain: String) throws {
        (self.name, self.root, self.chain) = (name, root, chain)
        key = try _RSA.Signing.PrivateKey(derRepresentation: encoded)
    }

    /// `Signature-256` is RSA with SHA-256; `Signature` the older one with SHA-1, which Alexa still sends.
    func headers(for body: [UInt8]) throws -> [(name: String, value: String)] {
        let sha256 = try key.signature(for: SHA256.hash(data: body), padding: .insecurePKCS1v1_5)
        let sha1 = try key.signature(for: Insecure.SHA1.hash(data: body), padding: .insecurePKCS1v1_5)
        return [
            (name: "SignatureCertChainUrl", value: chainURL),
            (name: "Signature", value: Base64.encode(Array(sha1.rawRepresentation))),
            (name: "Signature-256", value: Base64.encode(Array(sha256.rawRepresentation))),
        ]
    }
}

/// Keeps the signer: made once for the store, when it is first needed, away from event loops.
final class SignerKeeper: Sendable {
    private enum State {
        case unknown
        case preparing(Task<RequestSigner, any Error>)
        case ready(RequestSigner)
    }

    private let state = Mutex(State.unknown)
    private let database: any Database
    private let time: any TimeSource

    init(database: any Database, time: any TimeSource) {
        self.database = database
        self.time = time
    }

    /// The signer; reads or makes it the first time.
    func signer() async throws -> RequestSigner {
        let task: Task<RequestSigner, any Error> = state.withLock { state in
            switch state {
            case .ready(let signer): return Task { signer }
            case .preparing(let task): return task
            case .unknown:
                let task = Task { try await self.prepare() }
                state = .preparing(task)
                return task
            }
        }
        do {
            let signer = try await task.value
            state.withLock { $0 = .ready(signer) }
            return signer
        } catch {
            state.withLock { if case .preparing = $0 { $0 = .unknown } }
            throw error
        }
    }

    /// Makes it, if need be, before the first request needs it.
    func begin() { Task { _ = try? await signer() } }

    private func prepare() async throws -> RequestSigner {
        if let signer = try await database.read({ try Self.stored(in: $0) }) { return signer }
        let now = time.now()
        let fresh: RequestSigner = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(with: Result { try RequestSigner(now: now) })
            }
        }
        return try await database.write { transaction in
            if let signer = try Self.stored(in: transaction) { return signer }
            try transaction.execute(
                "INSERT INTO alexa_key (number, private_key, root, chain, name) VALUES (1, ?, ?, ?, ?)",
                [.blob(fresh.encoded), .text(fresh.root), .text(fresh.chain), .text(fresh.name)])
            return fresh
        }
    }

    private static func stored(in transaction: any ReadTransaction) throws -> RequestSigner? {
        try transaction.first("SELECT private_key, root, chain, name FROM alexa_key WHERE number = 1") { row in
            try RequestSigner(name: row.text(3), encoded: row.blob(0), root: row.text(1), chain: row.text(2))
        }
    }
}
