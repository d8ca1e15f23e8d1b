import Platform
import Storage

/// Writes what happened to items into their tables' streams, and wakes those who wait for it.
final class ChangeLog: Sendable {
    private let observers = Observers<String?>()

    /// Appends the record of a change, in the change's transaction. Nothing when the table has no stream.
    func append(
        _ table: Table, old: Item?, new: Item?, byService: Bool, now: Instant, in transaction: any WriteTransaction
    ) throws {
        guard let stream = table.definition.stream, let item = new ?? old else { return }
        let keys = table.key.key(of: item)
        let kept = (old: stream.view.hasOld ? old : nil, new: stream.view.hasNew ? new : nil)
        let record = ChangeRecord(
            event: old == nil ? .insert : new == nil ? .remove : .modify, byService: byService,
            size: keys.size + (kept.old?.size ?? 0) + (kept.new?.size ?? 0), keys: keys, old: kept.old, new: kept.new)
        let (shard, isNew) = try StreamStore.openShard(stream.id, now: now, in: transaction)
        try StreamStore.append(record, shard: shard.row, now: now, in: transaction)
        let arn = StreamRow.arn(table.scope, table.name, stream.label)
        if isNew { announce(arn, shard: nil, in: transaction) }
        announce(arn, shard: shard.name, in: transaction)
    }

    /// Calls `wake` on the store's writer thread after commits that appended to a shard or (nil) changed the shards.
    func observe(_ arn: String, _ wake: @escaping @Sendable (String?) -> Void) -> @Sendable () -> Void {
        observers.observe(arn, wake)
    }

    func announce(_ arn: String, shard: String?, in transaction: any WriteTransaction) {
        observers.announce(arn, [shard], in: transaction)
    }
}

/// One change of an item, as a stream keeps it.
struct ChangeRecord: Sendable {
    enum Event: Int64, Sendable {
        case insert = 0
        case modify = 1
        case remove = 2

        var name: String {
            switch self {
            case .insert: "INSERT"
            case .modify: "MODIFY"
            case .remove: "REMOVE"
            }
        }
    }

    var event: Event
    var byService: Bool
    /// `SizeBytes`.
    var size: Int
    var keys: Item
    var old: Item?
    var new: Item?
}
