public import Platform

/// An item to be put into a `DueQueue`.
public struct NewDueItem: Sendable {
    /// Groups items for claims by partition (a function, a target); indexed.
    public var partition: String
    public var due: Instant
    public var payload: [UInt8]
    public init(partition: String, due: Instant, payload: [UInt8]) {
        self.partition = partition
        self.due = due
        self.payload = payload
    }
}

/// An item that this process holds until its lease ends.
public struct DueItem: Sendable {
    public var id: Int64
    public var partition: String
    public var payload: [UInt8]
    public var due: Instant
    public var enqueuedAt: Instant
    /// How often it was claimed, this time included.
    public var claims: Int
    /// Fences late answers: an item whose lease ended and that was claimed anew has another token.
    public var token: Int64
}

/// A durable queue ordered by due time: claim with a lease, then complete or reschedule. A holder that dies loses its
/// lease and the item becomes claimable again: at least once, never zero times.
public struct DueQueue: Sendable {
    /// The queue's name; many queues share one table.
    public let name: String
    public init(name: String) { self.name = name }

    public static var migrations: Migrations { Migrations(service: "duequeue", steps: []) }

    @discardableResult
    public func enqueue(_ item: NewDueItem, now: Instant, in transaction: any WriteTransaction) throws -> Int64 { 0 }

    /// Claims up to `limit` items that are due and unleased, earliest first, optionally of one partition.
    public func claim(
        limit: Int, partition: String? = nil, now: Instant, lease: Duration, in transaction: any WriteTransaction
    ) throws -> [DueItem] { [] }

    /// Removes a held item; false when it is no longer held under this token.
    public func complete(_ item: DueItem, in transaction: any WriteTransaction) throws -> Bool { false }

    /// Gives a held item back, due later, with a new payload if given; false as `complete`.
    public func reschedule(
        _ item: DueItem, due: Instant, payload: [UInt8]? = nil, in transaction: any WriteTransaction
    ) throws -> Bool { false }

    /// When the next item becomes claimable (due, or its lease ends); nil when empty.
    public func nextClaimable(in transaction: any ReadTransaction) throws -> Instant? { nil }

    public func count(partition: String? = nil, in transaction: any ReadTransaction) throws -> Int { 0 }

    public func removeAll(partition: String, in transaction: any WriteTransaction) throws {}
}
