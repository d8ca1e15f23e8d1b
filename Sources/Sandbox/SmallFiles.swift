internal import Glibc

// Reading and writing the kernel's small files, without Foundation.

/// The text of a small file, at most `limit` bytes of it; nil when it cannot be read.
func readSmallFile(_ path: String, limit: Int = 1 << 20) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.count < limit {
        let count = read(file, &chunk, chunk.count)
        if count < 0, errno == EINTR { continue }
        if count < 0 { return nil }
        if count == 0 { break }
        bytes.append(contentsOf: chunk.prefix(count))
    }
    return String(decoding: bytes.prefix(limit), as: UTF8.self)
}

/// Writes to an existing file of the kernel; answers 0 or the error number.
@discardableResult
func writeSmallFile(_ path: String, _ text: String) -> Int32 {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return errno }
    defer { close(file) }
    var text = text
    let count = text.withUTF8 { write(file, $0.baseAddress, $0.count) }
    return count < 0 ? errno : 0
}

/// What a symbolic link says; nil when there is none.
func linkText(_ path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}
