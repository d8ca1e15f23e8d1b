import Contracts
import Platform
import Storage
import Wire

/// One change of one item, or a check of it, as a request asks for it: of PutItem, UpdateItem, DeleteItem, or a part of
/// TransactWriteItems.
struct ItemRequest: Sendable {
    enum Action: Sendable {
        case put(Item)
        case delete(key: Item)
        /// Without an expression: makes the item if it is not there.
        case update(key: Item, UpdateExpression?)
        case check(key: Item)
    }

    var action: Action
    var condition: ConditionExpression?
    /// `ReturnValuesOnConditionCheckFailure` is ALL_OLD.
    var returnsOnFailure: Bool

    /// What came of it.
    struct Outcome: Sendable {
        var old: Item?
        var new: Item?
        var update: UpdateOutcome?
        var capacity: Capacity
    }

    /// What an action is called in permissions.
    var permission: String {
        switch action {
        case .put: "PutItem"
        case .delete: "DeleteItem"
        case .update: "UpdateItem"
        case .check: "ConditionCheckItem"
        }
    }

    // MARK: Reading requests

    /// `input`: a structure with Key or Item, expressions and their placeholders. Throws ValidationException.
    init(_ kind: Kind, _ input: Value) throws(AWSError) {
        let condition = input["ConditionExpression"]?.string
        let update = kind == .update ? input["UpdateExpression"]?.string : nil
        var placeholders = try Placeholders(input, for: [condition, update])
        switch kind {
        case .put:
            let item = try Item(wire: input["Item"] ?? [:])
            try item.checkSize()
            action = .put(item)
        case .delete: action = .delete(key: try Item(wire: input["Key"] ?? [:]))
        case .check: action = .check(key: try Item(wire: input["Key"] ?? [:]))
        case .update:
            let key = try Item(wire: input["Key"] ?? [:])
            var expression: UpdateExpression?
            if let update { expression = try UpdateExpression.parse(update, &placeholders) }
            action = .update(key: key, expression)
        }
        if let condition {
            self.condition = try ConditionExpression.parse(condition, kind: .condition, &placeholders)
        }
        try placeholders.checkAllUsed()
        returnsOnFailure = input["ReturnValuesOnConditionCheckFailure"]?.string == "ALL_OLD"
    }

    enum Kind: Sendable { case put, delete, update, check }

    init(_ action: Action) {
        self.action = action
        returnsOnFailure = false
    }

    // MARK: What can be said once the table is known

    /// The bytes of the item's key. Throws ValidationException for keys that do not fit the table.
    func key(_ table: Table) throws(AWSError) -> [UInt8] {
        switch action {
        case .put(let item):
            try table.key.check(storing: item)
            try checkIndexes(item, table)
            return try table.key.bytes(item)
        case .update(let key, let expression):
            try table.key.check(key: key)
            for path in expression?.paths ?? [] where table.key.contains(path.attribute) {
                throw .invalidParameterValues(
                    "Cannot update attribute \(path.attribute). This attribute is part of the key")
            }
            return try table.key.bytes(key)
        case .delete(let key), .check(let key):
            try table.key.check(key: key)
            return try table.key.bytes(key)
        }
    }

    private func checkIndexes(_ item: Item, _ table: Table) throws(AWSError) {
        for index in table.definition.indexes { try index.key.check(indexed: item, index: index.name) }
    }

    /// Does it. Throws ConditionalCheckFailedException and ValidationException.
    func perform(
        on table: Table, key: [UInt8], keeper: ItemKeeper, now: Instant, in transaction: any WriteTransaction
    ) throws -> Outcome {
        let old = try ItemStore.get(table.id, key, in: transaction)
        if let condition, !condition.evaluate(old?.item) {
            throw AWSError.conditionFailed(returnsOnFailure ? old?.item : nil)
        }
        var new: Item?
        var update: UpdateOutcome?
        switch action {
        case .put(let item): new = item
        case .delete: new = nil
        case .check:
            var capacity = Capacity(table)
            capacity.units = Capacity.write(old?.item.size ?? 0)
            return Outcome(old: old?.item, new: old?.item, capacity: capacity)
        case .update(let key, let expression):
            let base = old?.item ?? key
            if let expression {
                let outcome = try expression.apply(to: base, exists: old != nil)
                try checkIndexes(outcome.item, table)
                try outcome.item.checkSize(updating: true)
                new = outcome.item
                update = outcome
            } else {
                new = base
            }
        }
        let capacity = try keeper.write(table, key: key, old: old, new: new, now: now, in: transaction)
        return Outcome(old: old?.item, new: new, update: update, capacity: capacity)
    }
}

extension Placeholders {
    /// Of a structure with ExpressionAttributeNames and ExpressionAttributeValues, which are for expressions only. Throws
    /// ValidationException.
    init(_ input: Value, for expressions: [String?]) throws(AWSError) {
        let given = ["ExpressionAttributeNames", "ExpressionAttributeValues"].map { name -> Value? in
            input[name].flatMap { $0.isNull ? nil : $0 }
        }
        if expressions.allSatisfy({ $0 == nil }) {
            if given[0] != nil {
                throw .validation("ExpressionAttributeNames can only be specified when using expressions")
            }
            if given[1] != nil {
                throw .validation("ExpressionAttributeValues can only be specified when using expressions")
            }
        }
        try self.init(names: given[0], values: given[1])
    }
}
