import Contracts
import Glibc
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import S3

/// Objects of very many parts, and whether all that they held goes with them. `MARTLET_PARTS=10000` takes S3's number.
@Suite struct ManyParts {
    private static let count = getenv("MARTLET_PARTS").flatMap { Int(String(cString: $0)) } ?? 1_300
    private static let length = 16

    private static func content(_ number: Int) -> String {
        let digits = String(number)
        return "part " + String(repeating: "0", count: length - 5 - digits.count) + digits
    }

    private func upload(_ key: String, _ numbers: some Sequence<Int> & Sendable, _ harness: Harness) async throws
        -> (id: String, parts: [Value])
    {
        let bucket: Value = ["Bucket": "bucket", "Key": .string(key)]
        let id = try await harness.call("CreateMultipartUpload", bucket)["UploadId"]?.string ?? ""
        let parts = try await withThrowingTaskGroup(of: (Int, String).self) { group in
            var rest = Array(numbers)[...]
            var etags: [(Int, String)] = []
            func start() {
                guard let number = rest.popFirst() else { return }
                group.addTask {
                    let answer = try await harness.call(
                        "UploadPart",
                        [
                            "Bucket": "bucket", "Key": .string(key), "UploadId": .string(id),
                            "PartNumber": .int(Int64(number)),
                        ], body: Array(Self.content(number).utf8))
                    return (number, answer["ETag"]?.string ?? "")
                }
            }
            for _ in 0..<16 { start() }
            while let done = try await group.next() {
                etags.append(done)
                start()
            }
            return etags.sorted { $0.0 < $1.0 }
        }
        return (id, parts.map { ["PartNumber": .int(Int64($0.0)), "ETag": .string($0.1)] })
    }

    private func complete(_ key: String, _ id: String, _ parts: [Value], _ harness: Harness) async throws {
        try await harness.call(
            "CompleteMultipartUpload",
            [
                "Bucket": "bucket", "Key": .string(key), "UploadId": .string(id),
                "MultipartUpload": ["Parts": .list(parts)],
            ])
    }

    @Test func uploadedReadCopiedAndDeleted() async throws {
        let counter = StatementCounter()
        let harness = try Harness(smallestPart: 1, removalDelay: .zero) { CountedDatabase($0, counter) }
        try await harness.makeBucket()
        let count = Self.count
        let (id, parts) = try await upload("k", 1...count, harness)

        var numbers: [Int] = []
        var marker: Int64 = 0
        while true {
            let page = try await harness.call(
                "ListParts",
                ["Bucket": "bucket", "Key": "k", "UploadId": .string(id), "PartNumberMarker": .int(marker)])
            let some = (page["Parts"]?.list ?? []).compactMap { $0["PartNumber"]?.int.map { Int($0) } }
            #expect(some.count <= 1_000)
            numbers += some
            marker = page["NextPartNumberMarker"]?.int ?? 0
            guard page["IsTruncated"]?.bool == true else { break }
        }
        #expect(numbers == Array(1...count))

        // Every third part is left out.
        counter.reset()
        let used = (1...count).filter { $0 % 3 != 0 }
        try await complete("k", id, parts.filter { (($0["PartNumber"]?.int) ?? 0) % 3 != 0 }, harness)
        #expect(counter.most < 3_000, "\(counter.most) statements in one transaction")
        let head = try await harness.call("HeadObject", ["Bucket": "bucket", "Key": "k"])
        #expect(head["ContentLength"]?.int == Int64(used.count * Self.length))
        try await harness.settle()
        #expect(try await harness.references() == Int64(used.count))

        #expect(try await harness.get("k").text == used.map(Self.content).joined())
        let border = 7 * Self.length
        let range = try await harness.get("k", ["Range": .string("bytes=\(border - 3)-\(border + 18)")])
        let expected = Self.content(used[6]).suffix(3) + Self.content(used[7]) + Self.content(used[8]).prefix(3)
        #expect(range.text == expected)
        let last = try await harness.get("k", ["PartNumber": .int(Int64(used.count))])
        #expect(last.text == Self.content(used[used.count - 1]) && last["PartsCount"]?.int == Int64(used.count))

        // The same bytes in other objects; all of them go in one request.
        let copies = count > 2_000 ? 3 : 9
        for copy in 0..<copies {
            try await harness.call(
                "CopyObject", ["Bucket": "bucket", "Key": .string("copy\(copy)"), "CopySource": "bucket/k"])
        }
        #expect(try await harness.references() == Int64(used.count * (copies + 1)))
        counter.reset()
        let keys = ["k"] + (0..<copies).map { "copy\($0)" }
        let deleted = try await harness.call(
            "DeleteObjects",
            ["Bucket": "bucket", "Delete": ["Objects": .list(keys.map { ["Key": .string($0)] })]],
            headers: [(name: "content-md5", value: Self.md5OfNothing)])
        #expect((deleted["Deleted"]?.list ?? []).compactMap { $0["Key"]?.string } == keys)
        try await harness.settle()
        #expect(counter.most < 3_000, "\(counter.most) statements in one transaction")
        #expect(try await harness.references() == 0)
        #expect(try await harness.removedBlobs())
    }

    @Test func abortedAndReplaced() async throws {
        let counter = StatementCounter()
        let harness = try Harness(smallestPart: 1, removalDelay: .zero) { CountedDatabase($0, counter) }
        try await harness.makeBucket()
        let (gone, _) = try await upload("k", 1...Self.count, harness)
        counter.reset()
        try await harness.call(
            "AbortMultipartUpload", ["Bucket": "bucket", "Key": "k", "UploadId": .string(gone)])
        #expect(
            await harness.error("ListParts", ["Bucket": "bucket", "Key": "k", "UploadId": .string(gone)])?.code
                == "NoSuchUpload")
        try await harness.settle()
        #expect(try await harness.references() == 0)
        // A second process goes on with what the first one has left: the rows are all that it needs.
        let (id, parts) = try await upload("k", 1...300, harness)
        try await complete("k", id, parts, harness)
        try await harness.put("k", "small")
        await harness.service.workOffOldLeftovers()
        try await harness.settle()
        #expect(try await harness.references() == 1)
        #expect(counter.most < 3_000)
    }

    /// Damage in a row is no reason to keep what is behind it.
    @Test(arguments: [3, Limits.partsReleasedAtOnce + 1]) func unreadablePartsAreInNobodysWay(_ count: Int) async throws
    {
        let harness = try Harness(smallestPart: 1, removalDelay: .zero)
        try await harness.makeBucket()
        let (broken, _) = try await upload("broken", 1...count, harness)
        let (whole, _) = try await upload("whole", 1...Limits.partsReleasedAtOnce + 1, harness)
        try await harness.database.write { transaction in
            try transaction.execute(
                "UPDATE s3_part SET part = ? WHERE upload = ? AND number = 2", [.blob([0xff]), .text(broken)])
            try transaction.execute("INSERT INTO s3_leftover (id, parts) VALUES (1, ?)", [.blob([0xff])])
        }
        for (key, id) in [("broken", broken), ("whole", whole)] {
            try await harness.call(
                "AbortMultipartUpload", ["Bucket": "bucket", "Key": .string(key), "UploadId": .string(id)])
        }
        try await harness.settle()
        #expect(try await harness.database.read { try LeftoverTable.isEmpty(in: $0) })
        let rows = try await harness.database.read { try $0.first("SELECT COUNT(*) FROM s3_part") { $0.int(0) } }
        #expect(rows == 0)
        // That of the broken row: nobody knows that it is of no use.
        #expect(try await harness.references() == 1)
    }

    private static let md5OfNothing = "1B2M2Y8AsgTpgAmY7PhCfg=="

    /// Many writers of few keys, in buckets with and without versions: in the end every reference is one of a row, and every
    /// file is referenced.
    @Test(arguments: [false, true]) func concurrentWritersLeaveNothingBehind(isVersioned: Bool) async throws {
        let harness = try Harness(smallestPart: 1, removalDelay: .zero)
        try await harness.makeBucket()
        if isVersioned {
            try await harness.call(
                "PutBucketVersioning",
                ["Bucket": "bucket", "VersioningConfiguration": ["Status": "Enabled"]])
        }
        let seed = getenv("MARTLET_SEED").flatMap { UInt64(String(cString: $0)) } ?? 7
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    var random = SeededGenerator(seed: seed &* 100 &+ UInt64(writer))
                    for _ in 0..<25 { try await self.change(harness, &random) }
                }
            }
            try await group.waitForAll()
        }
        try await harness.settle()
        let held = try await harness.heldReferences()
        #expect(held > 0)
        #expect(try await harness.references() == held, "seed \(seed)")
        for _ in 0..<500 {
            if try await harness.referencedBlobs() == Int64(harness.storedBlobs().count) { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(try await harness.referencedBlobs() == Int64(harness.storedBlobs().count), "seed \(seed)")
        for key in ["a", "b", "c"] {
            guard let object = try? await harness.get(key) else { continue }
            #expect(object.bytes.count == Int(object["ContentLength"]?.int ?? -1))
        }
    }

    private func change(_ harness: Harness, _ random: inout SeededGenerator) async throws {
        let key = ["a", "b", "c"].randomElement(using: &random) ?? "a"
        let text = ["x", "yy", "zzz"].randomElement(using: &random) ?? "x"
        let named: Value = ["Bucket": "bucket", "Key": .string(key)]
        switch Int.random(in: 0..<6, using: &random) {
        case 0, 1: try await harness.put(key, text)
        case 2: try await harness.call("DeleteObject", named)
        case 3:
            // The source may be gone, or change all the time.
            _ = await harness.error(
                "CopyObject", ["Bucket": "bucket", "Key": .string(key), "CopySource": "bucket/a"])
        default:
            let numbers = 1...Int.random(in: 1...4, using: &random)
            let (id, parts) = try await upload(key, numbers, harness)
            let whole: Value = ["Bucket": "bucket", "Key": .string(key), "UploadId": .string(id)]
            _ = await harness.error(
                "UploadPartCopy",
                [
                    "Bucket": "bucket", "Key": .string(key), "UploadId": .string(id), "PartNumber": 9,
                    "CopySource": "bucket/b",
                ])
            if Bool.random(using: &random) {
                try await harness.call("AbortMultipartUpload", whole)
            } else if Bool.random(using: &random) {
                // Twice at once: one completes it, the other learns so, or that a later writer has come.
                async let other: AWSError? = harness.error(
                    "CompleteMultipartUpload",
                    [
                        "Bucket": "bucket", "Key": .string(key), "UploadId": .string(id),
                        "MultipartUpload": ["Parts": .list(parts)],
                    ])
                async let one: Void = complete(key, id, parts, harness)
                _ = await other
                _ = try? await one
            }
        }
    }
}

extension Harness {
    /// Waits until nothing is left to let go of.
    func settle() async throws {
        for _ in 0..<1_000 {
            if try await database.read({ try LeftoverTable.isEmpty(in: $0) }) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func removedBlobs() async throws -> Bool {
        for _ in 0..<1_000 {
            if try storedBlobs().isEmpty { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// The references that rows hold.
    func heldReferences() async throws -> Int64 {
        try await database.read { transaction in
            func sum(_ sql: String) throws -> Int {
                try transaction.query(sql, []) { try StoredPart.unpack($0.blob(0)).filter { $0.blob != nil }.count }
                    .reduce(0, +)
            }
            return Int64(
                try sum("SELECT parts FROM s3_object") + sum("SELECT parts FROM s3_version WHERE marker = 0")
                    + sum("SELECT part FROM s3_part"))
        }
    }
}

/// The largest number of statements that one transaction ran.
final class StatementCounter: Sendable {
    private let largest = Mutex(0)
    var most: Int { largest.withLock { $0 } }
    func reset() { largest.withLock { $0 = 0 } }
    func saw(_ count: Int) { largest.withLock { $0 = max($0, count) } }
}

final class CountedDatabase: Database {
    private let database: any Database
    private let counter: StatementCounter

    init(_ database: any Database, _ counter: StatementCounter) {
        self.database = database
        self.counter = counter
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteTransaction) throws -> T) async throws -> T {
        try await database.write { [counter] in try CountedDatabase.run(body, $0, counter) }
    }

    func write<T: Sendable>(
        _ body: @escaping @Sendable (any WriteTransaction) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        database.write({ [counter] in try CountedDatabase.run(body, $0, counter) }, completion: completion)
    }

    private static func run<T>(
        _ body: (any WriteTransaction) throws -> T, _ transaction: any WriteTransaction, _ counter: StatementCounter
    ) throws -> T {
        let counted = CountedTransaction(transaction)
        defer { counter.saw(counted.statements) }
        return try body(counted)
    }

    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> T) async throws -> T {
        try await database.read(body)
    }
}

private final class CountedTransaction: WriteTransaction {
    private let transaction: any WriteTransaction
    private(set) var statements = 0

    init(_ transaction: any WriteTransaction) { self.transaction = transaction }

    func query<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> [T] {
        statements += 1
        return try transaction.query(sql, parameters, map)
    }

    func first<T>(_ sql: String, _ parameters: [SQLValue], _ map: (any Row) throws -> T) throws -> T? {
        statements += 1
        return try transaction.first(sql, parameters, map)
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        statements += 1
        return try transaction.execute(sql, parameters)
    }

    var lastInsertedRowID: Int64 { transaction.lastInsertedRowID }
    func afterCommit(_ body: @escaping @Sendable () -> Void) { transaction.afterCommit(body) }
    func savepoint<T>(_ body: () throws -> T) throws -> T { try transaction.savepoint(body) }
    var savepointCount: Int { transaction.savepointCount }
}
