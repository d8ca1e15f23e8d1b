import Platform

/// First in, first out, with elements known by running numbers. A value.
struct NumberedQueue<Element> {
    private var elements: [Element] = []
    private var head = 0
    /// The number of the first element; that of the next one to come when it is empty.
    private(set) var first = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { head == elements.count }
    /// The number of the element that comes next.
    var end: Int { first + count }
    var last: Element? { isEmpty ? nil : elements[elements.count - 1] }

    /// `number` must be one of `first..<end`.
    subscript(number: Int) -> Element {
        get { elements[head + number - first] }
        set { elements[head + number - first] = newValue }
    }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func removeFirst(_ count: Int) {
        let count = min(count, self.count)
        head += count
        first += count
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.count <= 64)
            head = 0
        } else if head >= 1_024 {
            elements.removeFirst(head)
            head = 0
        }
    }
}

/// What of a shard is done: everything up to a position, and some records behind it, in the shard's order. What a restart
/// begins with.
struct Checkpoint: Sendable, Equatable {
    /// The last record of those that are all done; nil before the first.
    var position: String?
    /// Of the records behind `position`; nil when none is done.
    var ahead: Ahead?
    /// The shard is closed and all of it is done.
    var isEnded = false

    /// One bit for each record from `anchor` on, the lowest first; set when it is done. Good only while the record behind
    /// `position` is the anchor: else records have expired, and some that are done come again.
    struct Ahead: Sendable, Equatable {
        var anchor: String
        var bits: [UInt8]

        func isDone(_ index: Int) -> Bool {
            index >> 3 < bits.count && bits[index >> 3] & (1 << UInt8(index & 7)) != 0
        }

        static func pack(_ flags: [Bool]) -> [UInt8] {
            var bits = [UInt8](repeating: 0, count: (flags.count + 7) / 8)
            for (index, flag) in flags.enumerated() where flag { bits[index >> 3] |= 1 << UInt8(index & 7) }
            while bits.last == 0 { bits.removeLast() }
            return bits
        }
    }
}

/// The records of a shard that were read and do not all lie behind the checkpoint yet, in the shard's order. A value.
struct RecordLedger {
    struct Entry: Sendable, Equatable {
        var sequence: String
        var lane: Int
        var arrivedAt: Instant
        /// As it stands in an event; nil when it is done, or was let go of for the memory that it takes.
        var json: [UInt8]?
        var isDone = false
        /// The stream does not have it any more, and neither have we.
        var isGone = false
    }

    private var entries = NumberedQueue<Entry>()
    /// What an earlier run had done behind the position, until all of it has been met.
    private var restored: Checkpoint.Ahead?
    /// How many records have been read behind the position at which `restored` counts from.
    private var restoredCount = 0
    private(set) var position: String?
    private(set) var heldBytes = 0
    /// How many entries are neither done nor have their bytes.
    private(set) var missing = 0

    init(_ checkpoint: Checkpoint) {
        position = checkpoint.position
        restored = checkpoint.ahead
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    var first: Int { entries.first }
    var end: Int { entries.end }
    /// Behind which the next new records are.
    var readPosition: String? { entries.last?.sequence ?? position }

    subscript(number: Int) -> Entry { entries[number] }

    /// The sequence number before that of the entry.
    func predecessor(of number: Int) -> String? { number > entries.first ? entries[number - 1].sequence : position }

    // MARK: Reading

    /// Takes a record that was read behind all others; answers its number when there is something to be done with it.
    mutating func append(_ record: Entry) -> Int? {
        var record = record
        if let ahead = restored {
            if restoredCount == 0, record.sequence != ahead.anchor {
                restored = nil
            } else {
                if ahead.isDone(restoredCount) { record.isDone = true }
                restoredCount += 1
                if restoredCount >= ahead.bits.count * 8 { restored = nil }
            }
        }
        if record.json == nil { record.isDone = true }
        if record.isDone { record.json = nil }
        heldBytes += record.json?.count ?? 0
        let number = entries.end
        entries.append(record)
        return record.isDone ? nil : number
    }

    /// Takes a record of a second reading, which begins behind `predecessor(of: cursor)`; the entries before it that are not
    /// there any more are gone. Answers whether it was one of the entries: else it is new.
    mutating func refill(_ record: Entry, cursor: inout Int) -> Bool {
        while cursor < entries.end {
            defer { cursor += 1 }
            if entries[cursor].sequence == record.sequence {
                if !entries[cursor].isDone, entries[cursor].json == nil {
                    missing -= 1
                    if let json = record.json {
                        entries[cursor].json = json
                        heldBytes += json.count
                    } else {
                        entries[cursor].isDone = true
                    }
                }
                return true
            }
            lose(cursor)
        }
        return false
    }

    /// The stream does not have this record any more: without its bytes nothing can be done.
    mutating func lose(_ number: Int) {
        guard !entries[number].isDone, !entries[number].isGone, entries[number].json == nil else { return }
        entries[number].isGone = true
        missing -= 1
    }

    /// Lets go of the bytes of all entries but those.
    mutating func release(except kept: Set<Int>) {
        for number in entries.first..<entries.end where !kept.contains(number) {
            guard let json = entries[number].json else { continue }
            entries[number].json = nil
            heldBytes -= json.count
            missing += 1
        }
    }

    // MARK: Concluding

    mutating func finish(_ numbers: some Sequence<Int>) {
        for number in numbers where !entries[number].isDone {
            if let json = entries[number].json {
                heldBytes -= json.count
            } else if !entries[number].isGone {
                missing -= 1
            }
            entries[number].json = nil
            entries[number].isDone = true
        }
    }

    /// Moves the position over what is done; answers whether it moved.
    mutating func advance() -> Bool {
        var count = 0
        while entries.first + count < entries.end, entries[entries.first + count].isDone { count += 1 }
        guard count > 0 else { return false }
        position = entries[entries.first + count - 1].sequence
        entries.removeFirst(count)
        return true
    }

    /// What is done, to be kept. After `advance`.
    var checkpoint: Checkpoint {
        var ahead: Checkpoint.Ahead?
        if !entries.isEmpty {
            var flags = (entries.first..<entries.end).map { entries[$0].isDone }
            if let restored, restoredCount > 0 {
                flags += (restoredCount..<max(restoredCount, restored.bits.count * 8)).map { restored.isDone($0) }
            }
            if flags.contains(true) {
                ahead = Checkpoint.Ahead(anchor: entries[entries.first].sequence, bits: Checkpoint.Ahead.pack(flags))
            }
        } else if restoredCount == 0 {
            ahead = restored
        }
        return Checkpoint(position: position, ahead: ahead)
    }
}
