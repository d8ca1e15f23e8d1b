import Platform
import Wire

/// Whether a bucket keeps what is overwritten.
enum Versioning: Int64, Sendable, Hashable {
    case never = 0
    case enabled = 1
    case suspended = 2
}

/// Versions of a key are ordered by rank, the newest has the least. What was stored before its bucket had versions has the
/// greatest of all.
///
/// A version's id has the rank in front, so that a version is found without an index of ids, and random digits behind, so
/// that ids cannot be guessed.
enum VersionID {
    /// The rank of a bucket's objects before it has versions.
    static let oldestRank = Int64.max
    private static let rankDigits = 16
    private static let digits = 32

    static func make(rank: Int64) -> String {
        let text = String(UInt64(bitPattern: rank), radix: 16)
        return String(repeating: "0", count: rankDigits - text.count) + text + Identifier.hex(digits - rankDigits)
    }

    /// The rank in an id; nil when it is none of ours.
    static func rank(of id: String) -> Int64? {
        guard id.utf8.count == digits,
            id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            let rank = UInt64(id.prefix(rankDigits), radix: 16), rank <= UInt64(Int64.max)
        else { return nil }
        return Int64(rank)
    }
}

/// Which version of a key a request means.
enum VersionChoice: Sendable, Hashable {
    case current
    /// The one that was stored while the bucket had no versioning.
    case null
    case id(String, rank: Int64)

    /// Throws InvalidArgument for what cannot be an id.
    init(_ text: String?) throws(AWSError) {
        guard let text else {
            self = .current
            return
        }
        if text == "null" {
            self = .null
        } else if let rank = VersionID.rank(of: text) {
            self = .id(text, rank: rank)
        } else {
            throw S3Error.invalidArgument("Invalid version id specified", name: "versionId", value: text)
        }
    }

    var text: String? {
        switch self {
        case .current: nil
        case .null: "null"
        case .id(let id, _): id
        }
    }
}
