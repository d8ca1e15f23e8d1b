import Glibc
import Platform
import Schedules
import Synchronization
import Wire

/// Time zones by their names in the IANA database, read from the system's files when they are first asked for.
final class ZoneFiles: Sendable {
    private let directory: String
    private let zones = Mutex<[String: TimeZoneRules]>([:])

    init(directory: String = "/usr/share/zoneinfo") { self.directory = directory }

    /// Throws ValidationException for a name that the system does not know.
    func zone(_ name: String) throws(AWSError) -> TimeZoneRules {
        if name == "UTC" { return .utc }
        if let zone = zones.withLock({ $0[name] }) { return zone }
        guard Self.isName(name), let zone = Self.read("\(directory)/\(name)").flatMap({ TimeZoneRules(tzif: $0) })
        else {
            throw .validation("Invalid Schedule Expression Timezone \(name).")
        }
        zones.withLock { zones in
            if zones.count >= Limits.zones, let other = zones.keys.randomElement() { zones[other] = nil }
            zones[name] = zone
        }
        return zone
    }

    /// `Area/Location` and the like: nothing that leads elsewhere, and none of the directory's other trees.
    private static func isName(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 3, parts[0] != "posix", parts[0] != "right" else { return false }
        return parts.allSatisfy { part in
            guard let first = part.utf8.first, (65...90).contains(first & 0xdf) else { return false }
            return part.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0 & 0xdf) || [0x2b, 0x2d, 0x5f].contains($0)
            }
        }
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: TimeZoneRules.maximumFileBytes)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            }
            guard got >= 0 else { return nil }
            if got == 0 { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }
}
