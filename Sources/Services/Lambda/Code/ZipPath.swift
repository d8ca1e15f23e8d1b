/// A path inside a zip, checked: relative, without `..`, within the limits. Bytes, because file names are.
struct ZipPath: Hashable {
    var components: [[UInt8]]

    /// Nil when the path could leave the directory it is unpacked in, or is too long. A path of nothing but `.` and `/`
    /// has no components.
    init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count <= Limits.zipPathBytes, bytes.first != UInt8(ascii: "/"), !bytes.contains(0) else {
            return nil
        }
        components = []
        for part in bytes.split(separator: UInt8(ascii: "/")) where !part.elementsEqual([UInt8(ascii: ".")]) {
            if part.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")]) || part.count > Limits.zipNameBytes {
                return nil
            }
            components.append(Array(part))
        }
        if components.count > Limits.zipDepth { return nil }
    }

    /// Whether a symbolic link here may point to `target`: it must stay inside the package, or name a place that only
    /// means something inside a cell.
    func mayLink(to target: [UInt8]) -> Bool {
        guard !target.isEmpty, target.count <= Limits.zipPathBytes, !target.contains(0) else { return false }
        let places = ["/var/task/", "/opt/", "/tmp/", "/var/runtime/", "/mnt/"]
        let parts = target.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual([UInt8(ascii: ".")]) }
        if target.first == UInt8(ascii: "/") {
            return places.contains { target.starts(with: $0.utf8) } && !parts.contains(where: isUp)
        }
        // `..` only in front: behind a name it could step out through another link.
        let climbs = parts.prefix { isUp($0) }.count
        if parts.dropFirst(climbs).contains(where: isUp) || climbs > components.count - 1 { return false }
        return true
    }

    private func isUp(_ part: ArraySlice<UInt8>) -> Bool {
        part.elementsEqual([UInt8(ascii: "."), UInt8(ascii: ".")])
    }
}
