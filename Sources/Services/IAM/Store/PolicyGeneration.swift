import Platform
import Storage

/// What the policies are at: a value that is new after every change, in the transaction of the change. A cache that is
/// filled and asked under it is right in every snapshot, also in one that is older or newer than the cache.
enum PolicyGeneration {
    static func current(in transaction: any ReadTransaction) throws -> String {
        try transaction.first("SELECT value FROM iam_generation WHERE id = 1") { $0.text(0) } ?? ""
    }

    /// Random, not counted: a change that is rolled back leaves no value that another could have again.
    static func renew(in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO iam_generation (id, value) VALUES (1, ?)
            ON CONFLICT (id) DO UPDATE SET value = excluded.value
            """, [.text(Identifier.uuid())])
    }
}

extension Database {
    /// A write of IAM: afterwards decisions are made from what is stored then.
    func change<T: Sendable>(_ body: @escaping @Sendable (any WriteTransaction) throws -> T) async throws -> T {
        try await write { transaction in
            let result = try body(transaction)
            try PolicyGeneration.renew(in: transaction)
            return result
        }
    }
}
