import Contracts
import Platform

/// The shards of a stream as one mapping knows them: which are done, which are read, and which wait for their parents. A value.
struct ShardLineage {
    enum Step: Equatable {
        /// For parents that are not done.
        case waiting
        case open
        case ended
    }

    struct Shard: Equatable {
        var parents: [String]
        var createdAt: Instant
        var step: Step
    }

    /// What a listing changes.
    struct Change: Equatable {
        /// To be read now, in the order of the listing.
        var begins: [String] = []
        /// Not there any more, or another shard of the same name is.
        var gone: [StreamShardKey] = []
    }

    private(set) var shards: [String: Shard] = [:]

    /// Shards of the listing that are not known.
    func unknown(in listing: [StreamShard]) -> [StreamShard] {
        listing.filter { shards[$0.id]?.createdAt != $0.createdAt }
    }

    /// Takes a whole listing. `ended`: those that were unknown and are done, by what is on disk.
    mutating func list(_ listing: [StreamShard], ended: Set<String>) -> Change {
        var change = Change()
        let created = Dictionary(listing.map { ($0.id, $0.createdAt) }, uniquingKeysWith: { first, _ in first })
        for (id, shard) in shards where created[id] != shard.createdAt {
            change.gone.append(StreamShardKey(id: id, createdAt: shard.createdAt))
            shards[id] = nil
        }
        change.gone.sort { $0.id < $1.id }
        for shard in listing where shards[shard.id] == nil {
            shards[shard.id] = Shard(
                parents: shard.parents, createdAt: shard.createdAt, step: ended.contains(shard.id) ? .ended : .waiting)
        }
        for shard in listing where mayBegin(shard.id) {
            shards[shard.id]?.step = .open
            change.begins.append(shard.id)
        }
        return change
    }

    /// All of the shard is done. Answers the shards that may be read now.
    mutating func ended(_ id: String) -> [String] {
        guard shards[id]?.step == .open else { return [] }
        shards[id]?.step = .ended
        let children = shards.filter { $0.value.step == .waiting && $0.value.parents.contains(id) }
        let begins = children.keys.filter(mayBegin).sorted()
        for id in begins { shards[id]?.step = .open }
        return begins
    }

    /// Parents that are not listed are gone, with all that they had.
    private func mayBegin(_ id: String) -> Bool {
        guard let shard = shards[id], shard.step == .waiting else { return false }
        return shard.parents.allSatisfy { shards[$0].map { $0.step == .ended } ?? true }
    }
}

/// A shard of a stream, and not another of the same name, as there is after a stream has been made anew.
struct StreamShardKey: Sendable, Hashable {
    var id: String
    var createdAt: Instant
}
