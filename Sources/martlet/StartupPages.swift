import FoundationEssentials
import Glibc

/// Start-up runs through some twenty megabytes of code that a serving process never needs again. They are
/// file-backed and clean, so giving them back costs nothing but a page fault for each that is needed after all.
enum StartupPages {
    /// From the first moment of serving. Ours.
    static let delay: Duration = .milliseconds(300)

    /// Drops the program's own code from this process's memory; the page cache keeps it. Only what is executable: read-only
    /// data may hold addresses that the loader wrote into this process's own copy.
    static func giveBack() {
        guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"),
            let maps = FileManager.default.contents(atPath: "/proc/self/maps")
        else { return }
        for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") where line.hasSuffix(program) {
            // `start-end perms offset device inode path`
            let fields = line.split(separator: " ", maxSplits: 2)
            let range = fields[0].split(separator: "-")
            guard fields.count == 3, fields[1].hasPrefix("r-x"), range.count == 2,
                let start = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16), end > start
            else { continue }
            madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_DONTNEED)
        }
    }
}
