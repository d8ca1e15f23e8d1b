import Platform
import Storage
import Wire

/// Puts one change of an item into the store: the item, the entries of indexes, the counts, the record of the stream; all
/// in the caller's transaction.
struct ItemKeeper: Sendable {
    let changes: ChangeLog
    let expiry: ExpiryTimer

    /// Makes `new` of `old` (nil: there is none). `byService`: the service deletes it, for its time to live. Answers what
    /// it cost.
    func write(
        _ table: Table, key: [UInt8], old: StoredItem?, new: Item?, byService: Bool = false, now: Instant,
        in transaction: any WriteTransaction
    ) throws -> Capacity {
        var capacity = Capacity(table)
        let oldSize = old?.item.size ?? 0
        let newSize = new?.size ?? 0
        capacity.units = Capacity.write(max(oldSize, newSize))
        if old == nil, new == nil { return capacity }
        // Nothing changes: nothing is written, and streams tell of nothing.
        if let old, let new, old.item == new { return capacity }

        let expires = new.flatMap { new in table.definition.timeToLive.flatMap { $0.expiry(of: new) } }
        let row: Int64
        switch (old, new) {
        case (let old?, let new?):
            try ItemStore.update(old.row, new, expires: expires, in: transaction)
            row = old.row
        case (let old?, nil):
            try ItemStore.delete(old.row, in: transaction)
            row = old.row
        case (nil, let new?):
            row = try ItemStore.insert(table.id, key, new, expires: expires, in: transaction)
        case (nil, nil): return capacity
        }
        try TableStore.count(
            table.id, items: (new == nil ? 0 : 1) - (old == nil ? 0 : 1), bytes: newSize - oldSize, in: transaction)
        for index in table.definition.indexes {
            let units = try write(
                index, of: table, key: key, row: row, old: old?.item, new: new, in: transaction)
            capacity.add(index, units)
        }
        if let expires { expiry.note(expires, in: transaction) }
        try changes.append(table, old: old?.item, new: new, byService: byService, now: now, in: transaction)
        return capacity
    }

    /// The entry of one index; answers what it cost.
    private func write(
        _ index: SecondaryIndex, of table: Table, key: [UInt8], row: Int64, old: Item?, new: Item?,
        in transaction: any WriteTransaction
    ) throws -> Double {
        let oldEntry = old.flatMap { index.key.entry($0, primary: key) }
        let newEntry = new.flatMap { index.key.entry($0, primary: key) }
        if oldEntry == nil, newEntry == nil { return 0 }
        let before = oldEntry == nil ? nil : old.map { index.project($0, table: table.key) }
        let after = newEntry == nil ? nil : new.map { index.project($0, table: table.key) }
        let beforeSize = before?.size ?? 0
        let afterSize = after?.size ?? 0
        if let oldEntry, let newEntry, oldEntry == newEntry {
            if before == after { return 0 }
            // An index that is being made may not have the entry yet.
            if try index.state == .active || ItemStore.hasEntry(index.id, newEntry, in: transaction) {
                try TableStore.count(index.id, items: 0, bytes: afterSize - beforeSize, in: transaction)
            } else {
                try ItemStore.insertEntry(index.id, newEntry, row: row, in: transaction)
                try TableStore.count(index.id, items: 1, bytes: afterSize, in: transaction)
            }
            return Capacity.write(max(beforeSize, afterSize))
        }
        var units = 0.0
        if let oldEntry {
            if try ItemStore.deleteEntry(index.id, oldEntry, in: transaction) {
                try TableStore.count(index.id, items: -1, bytes: -beforeSize, in: transaction)
            }
            units += Capacity.write(beforeSize)
        }
        if let newEntry {
            if try ItemStore.insertEntry(index.id, newEntry, row: row, in: transaction) {
                try TableStore.count(index.id, items: 1, bytes: afterSize, in: transaction)
            }
            units += Capacity.write(afterSize)
        }
        return units
    }
}
