/// Names of AWS Regions.
public enum Region {
    /// Bytes of the longest name that is taken. AWS's longest has 14 (`ap-southeast-1`).
    public static let maximumBytes = 32

    private static let directions = ["north", "south", "east", "west", "central"]

    /// Whether the text can be used as a Region at all: 1 to 32 lower-case letters, digits and dashes, beginning with a
    /// letter. It becomes part of ARNs, keys and environment variables; names that AWS does not have (`local`) are fine.
    public static func isWellFormed(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, (0x61...0x7A).contains(first), bytes.count <= maximumBytes else { return false }
        return bytes.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
    }

    /// Whether the text looks like one of AWS's Regions (`eu-west-1`, `us-gov-east-1`, `eusc-de-east-1`), so that it can
    /// be told from other labels of a host name and from a function's name: words of letters, one of the compass last,
    /// then a number.
    public static func isAWSName(_ text: some StringProtocol) -> Bool {
        guard isWellFormed(text) else { return false }
        let words = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (3...4).contains(words.count), (2...4).contains(words[0].utf8.count), let number = words.last,
            (1...2).contains(number.utf8.count), number.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            words.dropLast().allSatisfy({ word in
                !word.isEmpty && word.utf8.allSatisfy { (0x61...0x7A).contains($0) }
            })
        else { return false }
        return directions.contains { words[words.count - 2].hasPrefix($0) }
    }
}
