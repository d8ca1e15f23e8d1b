import Platform
import Testing
import Wire

@testable import DynamoDB

@Suite struct KeyRangeTests {
    static let schema = KeySchema(
        partition: KeyCondition.Key(name: "p", type: .string), sort: KeyCondition.Key(name: "s", type: .binary))

    private static func bytes(_ random: inout Seeded) -> [UInt8] {
        (0..<Int.random(in: 1..<4, using: &random)).map { _ in
            [0, 1, 0x41, 0xFE, 0xFF].randomElement(using: &random) ?? 0
        }
    }

    /// Each condition's range has exactly the keys whose values satisfy it.
    @Test func rangesAreTheirConditions() throws {
        var random = Seeded(5)
        for _ in 0..<20_000 {
            let partition = ["", "a", "a\0", "ab"].randomElement(using: &random) ?? ""
            let other = ["", "a", "a\0", "ab"].randomElement(using: &random) ?? ""
            let (sort, low, high) = (Self.bytes(&random), Self.bytes(&random), Self.bytes(&random))
            let key = try Self.schema.bytes(["p": .string(other), "s": .binary(sort)])
            let less: ([UInt8], [UInt8]) -> Bool = ByteOrder.less
            let conditions: [(KeyCondition.Sort?, Bool)] = [
                (nil, true),
                (.equal(.binary(low)), sort == low),
                (.less(.binary(low)), less(sort, low)),
                (.lessOrEqual(.binary(low)), !less(low, sort)),
                (.greater(.binary(low)), less(low, sort)),
                (.greaterOrEqual(.binary(low)), !less(sort, low)),
                (.between(.binary(low), .binary(high)), !less(sort, low) && !less(high, sort)),
                (.beginsWith(.binary(low)), sort.starts(with: low)),
            ]
            for (condition, holds) in conditions {
                let range = try KeyRange(
                    KeyCondition(partition: .string(partition), sort: condition), Self.schema)
                #expect(range.contains(key) == (holds && partition == other))
                // With a table's key behind it, as in an index.
                #expect(range.contains(key + [0, 7, 0xFF]) == (holds && partition == other))
            }
        }
    }

    @Test(arguments: [1, 2, 3, 7, 1_000_000])
    func segmentsCoverEverythingOnce(total: Int) throws {
        var random = Seeded(UInt64(total))
        for _ in 0..<200 {
            let key = try Self.schema.bytes(["p": .string("\(random.next())"), "s": .binary([1])])
            let hash = key.prefix(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let guess = Int((hash * UInt64(total)) >> 32)
            let around = max(guess - 1, 0)...min(guess + 1, total - 1)
            #expect(around.filter { KeyRange(segment: $0, of: total).contains(key) }.count == 1)
        }
        #expect(KeyRange(segment: total - 1, of: total).contains([0xFF, 0xFF, 0xFF, 0xFF, 1]))
        #expect(KeyRange(segment: 0, of: total).contains([0, 0, 0, 0, 1]))
    }

    @Test func readingGoesOnBehindAKey() throws {
        var range = KeyRange(prefix: [1])
        range.start(after: [1, 5], forward: true)
        #expect(!range.contains([1, 5]) && range.contains([1, 5, 0]) && range.contains([1, 6]))
        range = KeyRange(prefix: [1])
        range.start(after: [1, 5], forward: false)
        #expect(!range.contains([1, 5]) && !range.contains([1, 5, 0]) && range.contains([1, 4]))
    }
}
