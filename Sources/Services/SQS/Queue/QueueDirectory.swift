import Contracts
import Platform
import Storage
import Synchronization
import Wire

/// Queues by name, in memory, so that a send reads no row of it. A mutation forgets the queue while its transaction runs
/// and again after its commit; what a transaction reads is kept only after that has committed, and only if nothing was
/// forgotten since: no uncommitted and no old queue stays.
final class QueueDirectory: Sendable {
    private struct Key: Hashable {
        var scope: AccountRegion
        var name: String
    }
    private struct State {
        var queues: [Key: Queue] = [:]
        var epoch: UInt64 = 0
    }
    private let state = Mutex(State())

    /// Nil when there is none.
    func find(_ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction) throws -> Queue? {
        let key = Key(scope: scope, name: name)
        let (cached, mark) = state.withLock { ($0.queues[key], $0.epoch) }
        if let cached { return cached }
        guard let queue = try QueueTable.get(scope, name, in: transaction) else { return nil }
        // A reader's snapshot may be older than the last forgetting.
        if let transaction = transaction as? any WriteTransaction {
            transaction.afterCommit { [weak self] in self?.store(queue, key, since: mark) }
        }
        return queue
    }

    func find(arn text: String, in transaction: any ReadTransaction) throws -> Queue? {
        guard let arn = ARN(text), arn.service == "sqs" else { return nil }
        return try find(AccountRegion(account: arn.account, region: arn.region), arn.resource, in: transaction)
    }

    /// To be called in the transaction that changes or deletes the queue.
    func forget(_ queue: Queue, in transaction: any WriteTransaction) {
        let key = Key(scope: queue.scope, name: queue.name)
        forget(key)
        transaction.afterCommit { [weak self] in self?.forget(key) }
    }

    private func forget(_ key: Key) {
        state.withLock { state in
            state.queues[key] = nil
            state.epoch += 1
        }
    }

    private func store(_ queue: Queue, _ key: Key, since mark: UInt64) {
        state.withLock { state in
            guard state.epoch == mark else { return }
            if state.queues.count >= Limits.cachedQueues { state.queues = [:] }
            state.queues[key] = queue
        }
    }
}
