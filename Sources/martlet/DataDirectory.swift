import FoundationEssentials
import Glibc
import Platform

/// The directory that holds everything: `store`, `blobs`, `code`, and the server's secrets.
struct DataDirectory {
    private let root: String

    /// Creates it. Only this user can list it; others may pass through, because the users of cells reach code below it.
    /// Throws `Failure(.configuration)` when that cannot be done.
    init(_ root: String) throws {
        self.root = root
        do {
            try FileManager.default.createDirectory(
                atPath: root, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
        } catch {
            throw Failure(.configuration, "The data directory \(root) cannot be made: \(error)", cause: error)
        }
    }

    func path(_ name: String) -> String { root + "/" + name }

    /// The size of a file in bytes; nil when it is not there.
    static func size(of path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// 32 random bytes, made once. Session tokens depend on it.
    func serverKey() throws -> [UInt8] {
        let path = path("server.key")
        if let bytes = try read(path) {
            guard bytes.count == 32 else {
                throw Failure(
                    .corrupt,
                    "\(path) must hold 32 bytes; it holds \(bytes.count). Restore it, or remove it and restart.")
            }
            return bytes
        }
        var generator = SystemRandomNumberGenerator()
        let key = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        try write(key, to: path)
        return key
    }

    /// The account's long-term credentials for `--auth sigv4`: from MARTLET_ACCESS_KEY_ID and MARTLET_SECRET_ACCESS_KEY, else
    /// made once and kept in `credentials`, which AWS's tools can read as they are.
    func rootCredentials() throws -> (accessKeyID: String, secret: Secret<String>, account: String) {
        let environment = ProcessInfo.processInfo.environment
        if let id = environment["MARTLET_ACCESS_KEY_ID"], let secret = environment["MARTLET_SECRET_ACCESS_KEY"] {
            return (id, Secret(secret), AccountRegion.defaultAccount)
        }
        let path = path("credentials")
        if let bytes = try read(path) {
            var values: [Substring: String] = [:]
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
                let pair = line.split(separator: "=", maxSplits: 1)
                if pair.count == 2 { values[pair[0].trimming()] = String(pair[1].trimming()) }
            }
            guard let id = values["aws_access_key_id"], let secret = values["aws_secret_access_key"] else {
                throw Failure(
                    .corrupt, "\(path) has no aws_access_key_id and aws_secret_access_key. Remove it and restart.")
            }
            return (id, Secret(secret), AccountRegion.defaultAccount)
        }
        let id = "AKIA" + Identifier.base32(16)
        var generator = SystemRandomNumberGenerator()
        let secret = Base64.encode((0..<30).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        try write(
            Array("[default]\naws_access_key_id = \(id)\naws_secret_access_key = \(secret)\n".utf8), to: path)
        return (id, Secret(secret), AccountRegion.defaultAccount)
    }

    private func read(_ path: String) throws -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Failure(.configuration, "\(path) cannot be read by this user.")
        }
        return Array(data)
    }

    /// Writes for this user alone, whole or not at all.
    private func write(_ bytes: [UInt8], to path: String) throws {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(.configuration, "\(temporary) cannot be written: errno \(errno)") }
        defer { close(descriptor) }
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count, fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            throw Failure(.diskFull, "\(path) cannot be written: errno \(errno)")
        }
        let directory = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        close(directory)
    }
}

extension Substring {
    fileprivate func trimming() -> Substring {
        var text = drop { $0 == " " }
        while text.last == " " || text.last == "\r" { text = text.dropLast() }
        return text
    }
}
