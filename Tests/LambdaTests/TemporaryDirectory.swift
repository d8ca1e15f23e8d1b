import Glibc
import Platform

@testable import Lambda

/// A directory for one test, removed with it.
final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/martlet-lambda-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw POSIXError(code: errno) }
        path = String(cString: made)
    }

    deinit { Directory.removeTree(path) }

    struct POSIXError: Error { var code: CInt }

    func write(_ bytes: [UInt8], to name: String) throws -> String {
        let target = path + "/" + name
        let descriptor = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw POSIXError(code: errno)
        }
        close(descriptor)
        return target
    }

    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : nil
    }
}
