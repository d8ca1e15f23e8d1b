import Dispatch
import Platform
import Storage
import Synchronization
import Testing

/// What every engine must do. An engine's test suite runs each case with its own factory.
struct EngineConformance: Sendable, CustomTestStringConvertible {
    typealias Factory = @Sendable ([Migrations]) throws -> any Database

    let name: String
    let run: @Sendable (any Database) async throws -> Void
    var testDescription: String { name }

    static let migrations = Migrations(
        service: "engine",
        steps: [
            "CREATE TABLE engine_rows (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, value BLOB)",
            """
            CREATE TABLE engine_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE engine_values (id INTEGER PRIMARY KEY, i INTEGER, d REAL, t TEXT, b BLOB);
            """,
        ])

    struct Refused: Error, Equatable { var number: Int }

    static func insert(_ name: String, in transaction: any WriteTransaction) throws {
        try transaction.execute("INSERT INTO engine_rows (name) VALUES (?)", [.text(name)])
    }

    static func names(_ database: any Database) async throws -> [String] {
        try await database.read { try $0.query("SELECT name FROM engine_rows ORDER BY id", []) { $0.text(0) } }
    }

    static func aSavepointUndoesItsPartAlone(_ database: any Database) async throws {
        let called = Mutex<[String]>([])
        let note: @Sendable (String) -> (@Sendable () -> Void) = { name in { called.withLock { $0.append(name) } } }
        let count = try await database.write { transaction in
            try insert("before", in: transaction)
            try transaction.savepoint {
                try insert("kept", in: transaction)
                transaction.afterCommit(note("kept"))
                try? transaction.savepoint {
                    try insert("inner", in: transaction)
                    transaction.afterCommit(note("inner"))
                    throw Refused(number: 1)
                }
            }
            #expect(throws: Refused(number: 2)) {
                try transaction.savepoint {
                    try insert("undone", in: transaction)
                    try transaction.savepoint { try insert("undone too", in: transaction) }
                    transaction.afterCommit(note("undone"))
                    throw Refused(number: 2)
                }
            }
            try insert("after", in: transaction)
            return transaction.savepointCount
        }
        #expect(count == 4)
        #expect(try await names(database) == ["before", "kept", "after"])
        #expect(called.withLock { $0 } == ["kept"])
    }

    static let cases: [EngineConformance] = [
        EngineConformance(
            name: "an acknowledged write is seen by every later read", run: anAcknowledgedWriteIsSeenByEveryLaterRead),
        EngineConformance(
            name: "a throwing closure undoes its own changes alone", run: aThrowingClosureUndoesItsOwnChangesAlone),
        EngineConformance(
            name: "a failing statement fails its closure, not its neighbours",
            run: aFailingStatementFailsItsClosureNotItsNeighbours),
        EngineConformance(
            name: "writes of one caller commit in its order", run: writesOfOneCallerCommitInItsOrder),
        EngineConformance(
            name: "concurrent increments are all kept", run: concurrentIncrementsAreAllKept),
        EngineConformance(
            name: "afterCommit runs after the commit, before the answer, and not after a rollback",
            run: aftercommitRunsAfterTheCommitBeforeTheAnswerAndN),
        EngineConformance(name: "a savepoint undoes its part alone", run: aSavepointUndoesItsPartAlone),
        EngineConformance(
            name: "a read sees one snapshot, whatever is committed meanwhile",
            run: aReadSeesOneSnapshotWhateverIsCommittedMeanwhile),
        EngineConformance(
            name: "a transaction is of no use after its closure", run: aTransactionIsOfNoUseAfterItsClosure),
        EngineConformance(
            name: "a closure cannot end the transaction that it shares",
            run: aClosureCannotEndTheTransactionThatItShares),
        EngineConformance(
            name: "the last row id is that of this transaction's insert",
            run: theLastRowIdIsThatOfThisTransactionsInsert),
        EngineConformance(
            name: "the same query may run inside its own map", run: theSameQueryMayRunInsideItsOwnMap),
        EngineConformance(
            name: "an error of map passes through, and the statement works again",
            run: anErrorOfMapPassesThroughAndTheStatementWorksAga),
        EngineConformance(
            name: "values come back as they were bound", run: valuesComeBackAsTheyWereBound),
        EngineConformance(
            name: "null, another type and a column out of range read as empty",
            run: nullAnotherTypeAndAColumnOutOfRangeReadAsEmpty),
        EngineConformance(
            name: "a wrong number of parameters is an error", run: aWrongNumberOfParametersIsAnError),
    ]
}

extension EngineConformance {
    static func anAcknowledgedWriteIsSeenByEveryLaterRead(_ database: any Database) async throws {
        for number in 0..<50 {
            try await database.write { try insert("\(number)", in: $0) }
            let count = try await database.read {
                try $0.first("SELECT COUNT(*) FROM engine_rows") { $0.int(0) }
            }
            #expect(count == Int64(number) + 1)
        }
    }

    static func aThrowingClosureUndoesItsOwnChangesAlone(_ database: any Database) async throws {
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask {
                    do {
                        try await database.write { transaction in
                            try insert("\(number)", in: transaction)
                            if number % 3 == 0 { throw Refused(number: number) }
                        }
                        #expect(number % 3 != 0)
                    } catch {
                        #expect(error as? Refused == Refused(number: number))
                    }
                }
            }
        }
        let kept = try await Set(names(database).compactMap { Int($0) })
        #expect(kept == Set((0..<300).filter { $0 % 3 != 0 }))
    }

    static func aFailingStatementFailsItsClosureNotItsNeighbours(_ database: any Database) async throws {
        try await database.write {
            try $0.execute("INSERT INTO engine_counters (name, value) VALUES ('a', 0)", [])
        }
        let failures = Counter()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask {
                    do {
                        try await database.write { transaction in
                            try insert("\(number)", in: transaction)
                            if number % 2 == 0 {
                                try transaction.execute(
                                    "INSERT INTO engine_counters (name, value) VALUES ('a', 1)", [])
                            }
                        }
                    } catch {
                        #expect((error as? Failure)?.code == .storage)
                        failures.increment()
                    }
                }
            }
        }
        #expect(failures.value == 50)
        #expect(try await names(database).count == 50)
    }

    static func writesOfOneCallerCommitInItsOrder(_ database: any Database) async throws {
        let answered = Mutex<[Int]>([])
        await withCheckedContinuation { continuation in
            for number in 0..<2000 {
                database.write {
                    try insert("\(number)", in: $0)
                } completion: { result in
                    if case .failure(let error) = result { Issue.record(error) }
                    answered.withLock { $0.append(number) }
                    if number == 1999 { continuation.resume() }
                }
            }
        }
        #expect(answered.withLock { $0 } == Array(0..<2000))
        #expect(try await names(database) == (0..<2000).map { "\($0)" })
    }

    static func concurrentIncrementsAreAllKept(_ database: any Database) async throws {
        try await database.write {
            try $0.execute("INSERT INTO engine_counters (name, value) VALUES ('n', 0)", [])
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<1500 {
                group.addTask {
                    try await database.write { transaction in
                        let value = try transaction.first(
                            "SELECT value FROM engine_counters WHERE name = ?", ["n"]
                        ) { $0.int(0) }
                        let changed = try transaction.execute(
                            "UPDATE engine_counters SET value = ? WHERE name = ?",
                            [.int((value ?? 0) + 1), "n"])
                        #expect(changed == 1)
                    }
                }
            }
            try await group.waitForAll()
        }
        let value = try await database.read {
            try $0.first("SELECT value FROM engine_counters") { $0.int(0) }
        }
        #expect(value == 1500)
    }

    static func aftercommitRunsAfterTheCommitBeforeTheAnswerAndN(_ database: any Database) async throws {
        let events = Mutex<[String]>([])
        try await database.write { transaction in
            try insert("kept", in: transaction)
            transaction.afterCommit { events.withLock { $0.append("committed") } }
            events.withLock { $0.append("closure") }
        }
        events.withLock { $0.append("answered") }
        await #expect(throws: Refused.self) {
            try await database.write { transaction in
                transaction.afterCommit { events.withLock { $0.append("wrong") } }
                throw Refused(number: 0)
            }
        }
        #expect(events.withLock { $0 } == ["closure", "committed", "answered"])
    }

    static func aReadSeesOneSnapshotWhateverIsCommittedMeanwhile(_ database: any Database) async throws {
        let isReading = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let counts = Task {
            try await database.read { transaction in
                let before = try transaction.first("SELECT COUNT(*) FROM engine_rows") { $0.int(0) }
                isReading.signal()
                goOn.wait()
                return [before, try transaction.first("SELECT COUNT(*) FROM engine_rows") { $0.int(0) }]
            }
        }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                isReading.wait()
                continuation.resume()
            }
        }
        try await database.write { try insert("later", in: $0) }
        goOn.signal()
        #expect(try await counts.value == [0, 0])
        #expect(try await names(database) == ["later"])
    }

    static func aTransactionIsOfNoUseAfterItsClosure(_ database: any Database) async throws {
        struct Leak: @unchecked Sendable { var transaction: (any WriteTransaction)? }
        let leak = Mutex(Leak())
        try await database.write { transaction in
            let copy = Leak(transaction: transaction)
            leak.withLock { $0 = copy }
        }
        let leaked = leak.withLock { $0 }
        #expect(throws: Failure.self) { try leaked.transaction?.execute("DELETE FROM engine_rows", []) }
    }

    static func aClosureCannotEndTheTransactionThatItShares(_ database: any Database) async throws {
        await #expect(throws: (any Error).self) {
            try await database.write { transaction in
                try insert("a", in: transaction)
                try transaction.execute("ROLLBACK", [])
                try insert("b", in: transaction)
            }
        }
        #expect(try await names(database) == [])
        try await database.write { try insert("c", in: $0) }
        #expect(try await names(database) == ["c"])
    }

    static func theLastRowIdIsThatOfThisTransactionsInsert(_ database: any Database) async throws {
        let ids = try await database.write { transaction in
            try insert("a", in: transaction)
            let first = transaction.lastInsertedRowID
            try insert("b", in: transaction)
            return [first, transaction.lastInsertedRowID]
        }
        #expect(ids == [1, 2])
    }

    static func theSameQueryMayRunInsideItsOwnMap(_ database: any Database) async throws {
        try await database.write { transaction in
            for name in ["a", "b", "c"] { try insert(name, in: transaction) }
        }
        let pairs = try await database.read { transaction in
            try transaction.query("SELECT name FROM engine_rows ORDER BY id", []) { outer in
                let outer = outer.text(0)
                return try transaction.query("SELECT name FROM engine_rows ORDER BY id", []) { outer + $0.text(0) }
            }
        }
        #expect(pairs == [["aa", "ab", "ac"], ["ba", "bb", "bc"], ["ca", "cb", "cc"]])
    }

    static func anErrorOfMapPassesThroughAndTheStatementWorksAga(_ database: any Database) async throws {
        try await database.write { try insert("a", in: $0) }
        await #expect(throws: Refused(number: 7)) {
            try await database.read { transaction in
                _ = try transaction.query("SELECT name FROM engine_rows", []) { _ in throw Refused(number: 7) }
            }
        }
        #expect(try await names(database) == ["a"])
    }

    static func valuesComeBackAsTheyWereBound(_ database: any Database) async throws {
        let texts = ["", "plain", "Grüße 🚀", "nul\u{0}inside", String(repeating: "x", count: 100_000)]
        let blobs: [[UInt8]] = [[], [0], Array(0...255), [UInt8](repeating: 7, count: 1 << 20)]
        let ints: [Int64] = [0, -1, .min, .max]
        let doubles = [0.0, -1.5, .greatestFiniteMagnitude, 0.1]
        for index in 0..<5 {
            let (t, b) = (texts[index], blobs[index % 4])
            let (i, d) = (ints[index % 4], doubles[index % 4])
            try await database.write { transaction in
                try transaction.execute(
                    "INSERT INTO engine_values (id, i, d, t, b) VALUES (?, ?, ?, ?, ?)",
                    [.int(Int64(index)), .int(i), .double(d), .text(t), .blob(b)])
            }
            let row = try await database.read { transaction in
                try transaction.first("SELECT i, d, t, b FROM engine_values WHERE id = ?", [.int(Int64(index))]) {
                    ($0.int(0), $0.double(1), $0.text(2), $0.blob(3))
                }
            }
            #expect(row?.0 == i && row?.1 == d && row?.2 == t && row?.3 == b)
        }
    }

    static func nullAnotherTypeAndAColumnOutOfRangeReadAsEmpty(_ database: any Database) async throws {
        try await database.write { transaction in
            try transaction.execute("INSERT INTO engine_values (id, t) VALUES (1, 'text')", [])
        }
        try await database.read { transaction in
            let rows = try transaction.query("SELECT i, t FROM engine_values", []) { row -> Bool in
                #expect(row.isNull(0))
                #expect(row.int(0) == 0)
                #expect(row.text(0).isEmpty)
                #expect(row.blob(0).isEmpty)
                #expect(row.optionalInt(0) == nil)
                #expect(row.optionalText(1) == "text")
                #expect(row.int(1) == 0)
                #expect(row.blob(1).isEmpty)
                #expect(row.double(1) == 0)
                #expect(row.int(99) == 0)
                #expect(row.isNull(-1))
                #expect(row.text(Int.max).isEmpty)
                return true
            }
            #expect(rows.count == 1)
        }
    }

    static func aWrongNumberOfParametersIsAnError(_ database: any Database) async throws {
        await #expect(throws: Failure.self) {
            try await database.write { try $0.execute("INSERT INTO engine_rows (name) VALUES (?)", []) }
        }
        await #expect(throws: Failure.self) {
            try await database.read { _ = try $0.query("SELECT ?", ["a", "b"]) { $0.text(0) } }
        }
    }
}

final class Counter: Sendable {
    private let count = Atomic(0)
    func increment() { count.add(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
