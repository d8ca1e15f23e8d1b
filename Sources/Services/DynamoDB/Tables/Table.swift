import Platform
import Wire

/// A table as it is at one moment. A plain value.
struct Table: Sendable {
    let id: Int64
    let scope: AccountRegion
    let name: String
    /// `TableId`.
    let uuid: String
    let created: Instant
    var definition: TableDefinition

    var arn: String { Self.arn(scope, name) }
    var key: KeySchema { definition.key }

    static func arn(_ scope: AccountRegion, _ name: String) -> String {
        "arn:aws:dynamodb:\(scope.region):\(scope.account):table/\(name)"
    }

    func index(_ name: String) throws(AWSError) -> SecondaryIndex {
        guard let index = definition.indexes.first(where: { $0.name == name }) else { throw .noIndex(name) }
        return index
    }
}

/// What of a table can be chosen, and what is kept with it.
struct TableDefinition: Sendable {
    var key: KeySchema
    /// In the order given: CreateTable's and UpdateTable's AttributeDefinitions.
    var attributes: [KeyCondition.Key]
    var indexes: [SecondaryIndex] = []
    var billing = Billing()
    var stream: TableStream?
    /// Of the latest stream, also when it is off.
    var streamLabel: String?
    var timeToLive: TimeToLive?
    var isProtected = false
    var tableClass: String?
    /// The KMS key of `SSESpecification`, when encryption with one was asked for: stored and shown.
    var encryptionKey: String?
    var policy: TablePolicy?
    /// Grows with every change of the policy.
    var policyRevision: String?
    /// Stored and shown as given.
    var onDemandThroughput: Value?
    var warmThroughput: Value?

    /// Whether something of it is being made in the background.
    var isUpdating: Bool { indexes.contains { $0.state != .active } }

    /// Attributes that may not be changed by an update.
    func isKey(_ name: String) -> Bool { key.contains(name) }
}

struct Billing: Sendable, Hashable {
    var isOnDemand = false
    /// When the table became on-demand.
    var changed: Instant?
    var read: Int64 = 0
    var write: Int64 = 0
    /// When the units were last raised or lowered.
    var increased: Instant?
    var decreased: Instant?
}

struct TableStream: Sendable, Hashable {
    var id: Int64
    var label: String
    var view: View

    enum View: String, Sendable, Hashable {
        case keysOnly = "KEYS_ONLY"
        case newImage = "NEW_IMAGE"
        case oldImage = "OLD_IMAGE"
        case both = "NEW_AND_OLD_IMAGES"

        var hasNew: Bool { self == .newImage || self == .both }
        var hasOld: Bool { self == .oldImage || self == .both }
    }
}

struct TimeToLive: Sendable, Hashable {
    var attribute: String
    /// False while the items of the time before are being looked at.
    var isReady: Bool

    /// When an item's time ends, seconds since 1970; nil when it has none.
    func expiry(of item: Item) -> Int64? {
        guard case .number(let number)? = item[attribute] else { return nil }
        return Int64(number.text.prefix { $0 != "." })
    }
}

struct SecondaryIndex: Sendable {
    enum State: String, Sendable {
        case creating = "CREATING"
        case active = "ACTIVE"
    }
    enum Projection: Sendable {
        case all
        case keysOnly
        case include([String])
    }

    /// Of its entries; never used again.
    var id: Int64
    var name: String
    var isLocal: Bool
    var key: KeySchema
    var projection: Projection
    var state = State.active
    var read: Int64 = 0
    var write: Int64 = 0

    /// What of an item is in the index.
    func project(_ item: Item, table: KeySchema) -> Item {
        let extra: [String]
        switch projection {
        case .all: return item
        case .keysOnly: extra = []
        case .include(let names): extra = names
        }
        return Item(
            sorted: item.entries.filter {
                key.contains($0.name) || table.contains($0.name) || extra.contains($0.name)
            })
    }

    func projects(_ name: String, table: KeySchema) -> Bool {
        switch projection {
        case .all: true
        case .keysOnly: key.contains(name) || table.contains(name)
        case .include(let names): names.contains(name) || key.contains(name) || table.contains(name)
        }
    }
}
