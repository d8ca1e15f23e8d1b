import Platform
import Storage
import Testing

@Suite struct DueQueueTests {
    let database: SQLiteDatabase
    let queue = DueQueue(name: "async")
    let start = Instant(milliseconds: 1_795_413_600_000)

    init() throws { database = try SQLiteDatabase.temporary(migrations: []) }

    private func enqueue(_ payload: String, partition: String = "p", due: Instant) async throws {
        try await database.write { [queue, start] transaction in
            let item = NewDueItem(partition: partition, due: due, payload: Array(payload.utf8))
            try queue.enqueue(item, now: start, in: transaction)
        }
    }

    private func claim(_ limit: Int = 10, partition: String? = nil, at now: Instant) async throws -> [DueItem] {
        try await database.write { [queue] transaction in
            try queue.claim(limit: limit, partition: partition, now: now, lease: .seconds(30), in: transaction)
        }
    }

    private func complete(_ item: DueItem) async throws -> Bool {
        try await database.write { [queue] transaction in try queue.complete(item, in: transaction) }
    }

    private func reschedule(_ item: DueItem, _ due: Instant, _ payload: [UInt8]? = nil) async throws -> Bool {
        try await database.write { [queue] transaction in
            try queue.reschedule(item, due: due, payload: payload, in: transaction)
        }
    }

    private func count(of other: DueQueue? = nil, partition: String? = nil) async throws -> Int {
        try await database.read { [queue] transaction in
            try (other ?? queue).count(partition: partition, in: transaction)
        }
    }

    private func nextClaimable() async throws -> Instant? {
        try await database.read { [queue] transaction in try queue.nextClaimable(in: transaction) }
    }

    private func text(_ items: [DueItem]) -> [String] { items.map { String(decoding: $0.payload, as: UTF8.self) } }

    @Test func whatIsSetAsideIsKeptAndInNobodysWay() async throws {
        let large = String(repeating: "x", count: 5_000)
        for payload in ["bad", large, "good"] { try await enqueue(payload, due: start) }
        let items = try await claim(at: start)
        func setAside(_ item: DueItem) async throws -> Bool {
            try await database.write { [queue] in try queue.setAside(item, in: $0) }
        }
        for item in items.prefix(2) { #expect(try await setAside(item)) }
        // Not twice, and not what somebody else holds by now.
        #expect(try await !setAside(items[0]))
        #expect(try await reschedule(items[2], start))
        #expect(try await !setAside(items[2]))
        #expect(text(try await claim(at: start)) == ["good"])
        #expect(try await self.count() == 1)
        // A start gives back what was held, and this is not.
        try await database.write { [queue] in try queue.releaseLeases(in: $0) }
        #expect(text(try await claim(at: start)) == ["good"])
        let count = try await database.read { [queue] in try queue.countAside(in: $0) }
        #expect(count == 2)
        let aside = try await database.write { [queue, start] in
            try DueQueue(name: queue.asideName).claim(limit: 9, now: start + .seconds(99), lease: .seconds(1), in: $0)
        }
        #expect(text(aside) == ["bad", large])
    }

    @Test func claimsWhatIsDueEarliestFirst() async throws {
        try await enqueue("c", due: start + .seconds(3))
        try await enqueue("a", due: start + .seconds(1))
        try await enqueue("b", due: start + .seconds(2))
        try await enqueue("b2", due: start + .seconds(2))
        #expect(try await claim(at: start).isEmpty)
        let items = try await claim(at: start + .seconds(2))
        #expect(text(items) == ["a", "b", "b2"])
        #expect(items[0].due == start + .seconds(1) && items[0].enqueuedAt == start)
        #expect(items.map(\.claims) == [1, 1, 1])
        #expect(text(try await claim(at: start + .seconds(3))) == ["c"])
        #expect(try await claim(0, at: start + .seconds(300)).isEmpty)
        #expect(try await claim(-5, at: start + .seconds(300)).isEmpty)
    }

    @Test func leaseEndsAndTheOldHolderIsFenced() async throws {
        try await enqueue("x", due: start)
        let first = try #require(try await claim(at: start).first)
        #expect(try await claim(at: start + .seconds(29)).isEmpty)
        let second = try #require(try await claim(at: start + .seconds(30)).first)
        #expect(second.id == first.id && second.token != first.token && second.claims == 2)
        let answers = try await database.write { [queue, start] transaction in
            [
                try queue.complete(first, in: transaction),
                try queue.reschedule(first, due: start, in: transaction),
            ]
        }
        #expect(answers == [false, false])
        #expect(try await complete(second))
        #expect(try await complete(second) == false)
        #expect(try await count() == 0)
    }

    @Test func rescheduledItemIsNoLongerHeld() async throws {
        try await enqueue("x", due: start)
        let item = try #require(try await claim(at: start).first)
        let later = start + .seconds(60)
        #expect(try await reschedule(item, later))
        #expect(try await complete(item) == false)
        #expect(try await nextClaimable() == later)
        let again = try #require(try await claim(at: later).first)
        #expect(again.claims == 2 && again.due == later && text([again]) == ["x"])
    }

    @Test(arguments: [0, 10, 1024, 1025, 300_000]) func payloadsOfEverySize(_ size: Int) async throws {
        let bytes = [UInt8](repeating: 5, count: size)
        try await database.write { [queue, start] transaction in
            try queue.enqueue(NewDueItem(partition: "p", due: start, payload: bytes), now: start, in: transaction)
        }
        let first = try #require(try await claim(at: start).first)
        #expect(first.payload == bytes)
        let other = [UInt8](repeating: 6, count: 1_500 - min(size, 1_490))
        #expect(try await reschedule(first, start, other))
        let second = try #require(try await claim(at: start).first)
        #expect(second.payload == other)
        #expect(try await complete(second))
        let left = try await database.read { try $0.first("SELECT COUNT(*) FROM duequeue_payloads") { $0.int(0) } }
        #expect(left == 0)
    }

    @Test func partitionsAndQueuesAreApart() async throws {
        try await enqueue("a", partition: "f", due: start)
        try await enqueue(String(repeating: "b", count: 5000), partition: "g", due: start)
        let other = DueQueue(name: "other")
        try await database.write { [start] transaction in
            let item = NewDueItem(partition: "f", due: start, payload: [])
            try other.enqueue(item, now: start, in: transaction)
        }
        #expect(text(try await claim(partition: "f", at: start)) == ["a"])
        #expect(try await count(partition: "g") == 1)
        #expect(try await count() == 2)
        #expect(try await count(of: other) == 1)
    }

    @Test func idsAreNeverUsedAgain() async throws {
        try await enqueue("x", due: start)
        let old = try #require(try await claim(at: start).first)
        #expect(try await complete(old))
        try await enqueue("y", due: start)
        let new = try #require(try await claim(at: start).first)
        #expect(new.id > old.id)
        #expect(try await complete(old) == false)
    }
}
