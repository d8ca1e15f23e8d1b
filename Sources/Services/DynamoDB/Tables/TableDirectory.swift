import Platform
import Storage
import Synchronization
import Wire

/// Tables by name, in memory, so that a read or write of an item reads no row of its table. A mutation forgets the table
/// while its transaction runs and again after its commit; what was read is kept only if nothing was forgotten since before
/// the reading transaction began: no uncommitted and no old table stays.
final class TableDirectory: Sendable {
    private struct Key: Hashable {
        var scope: AccountRegion
        var name: String
    }
    private struct State {
        var tables: [Key: Table] = [:]
        var epoch: UInt64 = 0
    }
    private let state = Mutex(State())

    /// Of a moment before a read transaction begins: what that transaction finds may then be kept.
    struct Mark: Sendable {
        fileprivate var epoch: UInt64
    }

    func mark() -> Mark { Mark(epoch: state.withLock { $0.epoch }) }

    /// Nil when there is none. `mark`: taken before a read transaction; writers need none.
    func find(
        _ scope: AccountRegion, _ name: String, since mark: Mark? = nil, in transaction: any ReadTransaction
    ) throws -> Table? {
        let key = Key(scope: scope, name: name)
        let (cached, epoch) = state.withLock { ($0.tables[key], $0.epoch) }
        if let cached { return cached }
        guard let table = try TableStore.get(scope, name, in: transaction) else { return nil }
        if let transaction = transaction as? any WriteTransaction {
            transaction.afterCommit { [weak self] in self?.store(table, key, since: epoch) }
        } else if let mark {
            store(table, key, since: mark.epoch)
        }
        return table
    }

    /// To be called in the transaction that makes, changes or deletes the table.
    func forget(_ table: Table, in transaction: any WriteTransaction) {
        let key = Key(scope: table.scope, name: table.name)
        forget(key)
        transaction.afterCommit { [weak self] in self?.forget(key) }
    }

    private func forget(_ key: Key) {
        state.withLock { state in
            state.tables[key] = nil
            state.epoch += 1
        }
    }

    private func store(_ table: Table, _ key: Key, since epoch: UInt64) {
        state.withLock { state in
            guard state.epoch == epoch else { return }
            if state.tables.count >= Limits.cachedTables { state.tables = [:] }
            state.tables[key] = table
        }
    }
}

/// What requests call `TableName`: a name, or a table's ARN.
struct TableAddress: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    /// Throws ValidationException.
    init(_ text: String?, _ scope: AccountRegion) throws(AWSError) {
        guard let text else {
            throw .validation(
                "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be "
                    + "null")
        }
        if text.hasPrefix("arn:") {
            guard let arn = ARN(text), arn.service == "dynamodb", arn.resource.hasPrefix("table/") else {
                throw .validation("Invalid TableArn: \(text.prefix(256))")
            }
            self.scope = AccountRegion(account: arn.account, region: arn.region)
            name = String(arn.resource.dropFirst("table/".count))
        } else {
            self.scope = scope
            name = text
        }
        try Self.check(name)
    }

    static func check(_ name: String) throws(AWSError) {
        let isPlain = name.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
                || byte == 0x2D || byte == 0x2E
        }
        guard isPlain, Limits.tableNameBytes.contains(name.utf8.count) else {
            throw .validation(
                "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain "
                    + "only the characters a-z, A-Z, 0-9, '_', '-', and '.'")
        }
    }
}
