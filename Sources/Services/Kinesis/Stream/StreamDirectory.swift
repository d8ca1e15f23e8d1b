import Contracts
import Platform
import Storage
import Synchronization

/// Streams with their shards, in memory, so that a put or a read reads no row of them. A mutation forgets the stream while its
/// transaction runs and again after its commit; what a transaction reads is kept only after that has committed, and only
/// if nothing was forgotten since: no uncommitted and no old stream stays. What a reader misses is read again by the writer
/// in the background, because a reader's snapshot may be older than the last forgetting.
final class StreamDirectory: Sendable {
    private struct Key: Hashable {
        var scope: AccountRegion
        var name: String
    }
    private struct State {
        var streams: [Key: Stream] = [:]
        var keys: [Int64: Key] = [:]
        var warming: Set<Key> = []
        var shards = 0
        var epoch: UInt64 = 0
    }
    private let state = Mutex(State())
    private let database: any Database

    init(database: any Database) { self.database = database }

    /// What is known without asking the store: for work that is done again when it was wrong.
    func cached(_ scope: AccountRegion, _ name: String) -> Stream? {
        state.withLock { $0.streams[Key(scope: scope, name: name)] }
    }

    /// Nil when there is none.
    func find(_ scope: AccountRegion, _ name: String, in transaction: any ReadTransaction) throws -> Stream? {
        let key = Key(scope: scope, name: name)
        let (cached, mark) = state.withLock { ($0.streams[key], $0.epoch) }
        if let cached { return cached }
        guard let stream = try StreamTable.get(scope, name, in: transaction) else { return nil }
        keep(stream, key, since: mark, in: transaction)
        return stream
    }

    func find(id: Int64, in transaction: any ReadTransaction) throws -> Stream? {
        let (cached, mark) = state.withLock { state in
            (state.keys[id].flatMap { state.streams[$0] }, state.epoch)
        }
        if let cached, cached.id == id { return cached }
        guard let stream = try StreamTable.get(id, in: transaction) else { return nil }
        keep(stream, Key(scope: stream.scope, name: stream.name), since: mark, in: transaction)
        return stream
    }

    private func keep(_ stream: Stream, _ key: Key, since mark: UInt64, in transaction: any ReadTransaction) {
        if let transaction = transaction as? any WriteTransaction {
            transaction.afterCommit { [weak self] in self?.store(stream, key, since: mark) }
        } else {
            warm(key)
        }
    }

    private func warm(_ key: Key) {
        guard state.withLock({ $0.warming.count < 64 && $0.warming.insert(key).inserted }) else { return }
        database.write { [self] transaction in
            _ = try find(key.scope, key.name, in: transaction)
        } completion: { [self] _ in
            state.withLock { _ = $0.warming.remove(key) }
        }
    }

    /// To be called in the transaction that changes or deletes the stream.
    func forget(_ stream: Stream, in transaction: any WriteTransaction) {
        let key = Key(scope: stream.scope, name: stream.name)
        forget(key)
        transaction.afterCommit { [weak self] in self?.forget(key) }
    }

    private func forget(_ key: Key) {
        state.withLock { state in
            if let old = state.streams.removeValue(forKey: key) {
                state.shards -= old.shards.shards.count
                state.keys[old.id] = nil
            }
            state.epoch += 1
        }
    }

    private func store(_ stream: Stream, _ key: Key, since mark: UInt64) {
        state.withLock { state in
            guard state.epoch == mark, state.streams[key] == nil else { return }
            let count = stream.shards.shards.count
            if state.streams.count >= Limits.cachedStreams || state.shards + count > Limits.cachedShards {
                state.streams = [:]
                state.keys = [:]
                state.shards = 0
            }
            state.streams[key] = stream
            state.keys[stream.id] = key
            state.shards += count
        }
    }
}
