import Glibc

/// Walking and removing directories.
public enum Directory {
    /// Hands over the names in a directory one by one, without `.` and `..`: a large one never sits in memory. Names that
    /// are not UTF-8 come with U+FFFD. Answers 0, or the error number when the directory could not be opened.
    @discardableResult
    public static func forEachName(in path: String, _ body: (String) throws -> Void) rethrows -> CInt {
        guard let stream = opendir(path) else { return errno }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { try body(name) }
        }
        return 0
    }

    /// The names in a directory; none when it cannot be read. For directories that are known to be small.
    public static func names(in path: String) -> [String] {
        var names: [String] = []
        forEachName(in: path) { names.append($0) }
        return names
    }

    /// Removes a file, or a directory with everything in it, as far as it can; links are removed, not followed, and names
    /// need not be UTF-8. Only for trees whose depth is bounded: each level holds a descriptor.
    public static func removeTree(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0 {
            unlink(path)
            return
        }
        removeContents(of: descriptor)
        rmdir(path)
    }

    /// Takes the descriptor over.
    private static func removeContents(of descriptor: CInt) {
        guard let stream = fdopendir(descriptor) else {
            close(descriptor)
            return
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 { return }
                    if unlinkat(descriptor, name, 0) == 0 { return }
                    let child = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                    if child >= 0 { removeContents(of: child) }
                    unlinkat(descriptor, name, AT_REMOVEDIR)
                }
            }
        }
    }
}
