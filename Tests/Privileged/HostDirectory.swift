import Foundation

/// A directory of the host, removed with its last reference.
final class HostDirectory: Sendable {
    let path: String

    /// Open to everybody: what protects it in a cell must be the mount.
    init() throws {
        path = "/tmp/martlet-privileged-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: path)
    }

    func write(_ name: String, _ text: String, mode: Int = 0o644) throws {
        try text.write(toFile: path + "/" + name, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path + "/" + name)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
