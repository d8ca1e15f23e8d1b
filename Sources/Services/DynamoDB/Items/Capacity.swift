import Platform
import Wire

/// What a request cost, in capacity units: "Read and write capacity units" and "Consumed capacity" of the developer guide.
struct Capacity: Sendable {
    var table: String
    /// Of the table itself.
    var units = 0.0
    var local: [(name: String, units: Double)] = []
    var global: [(name: String, units: Double)] = []
    /// `ReadCapacityUnits` and `WriteCapacityUnits` are shown with transactions only.
    var kind: Kind?

    enum Kind: Sendable { case read, write }

    init(_ table: Table, kind: Kind? = nil) {
        self.table = table.name
        self.kind = kind
    }

    var total: Double { units + local.reduce(0) { $0 + $1.units } + global.reduce(0) { $0 + $1.units } }

    mutating func add(_ index: SecondaryIndex, _ units: Double) {
        if units == 0 { return }
        func add(_ list: inout [(name: String, units: Double)]) {
            if let place = list.firstIndex(where: { $0.name == index.name }) {
                list[place].units += units
            } else {
                list.append((index.name, units))
            }
        }
        if index.isLocal { add(&local) } else { add(&global) }
    }

    mutating func add(_ other: Capacity) {
        units += other.units
        func add(_ list: inout [(name: String, units: Double)], _ more: [(name: String, units: Double)]) {
            for (name, units) in more {
                if let place = list.firstIndex(where: { $0.name == name }) {
                    list[place].units += units
                } else {
                    list.append((name, units))
                }
            }
        }
        add(&local, other.local)
        add(&global, other.global)
    }

    mutating func double() {
        units *= 2
        for place in local.indices { local[place].units *= 2 }
        for place in global.indices { global[place].units *= 2 }
    }

    /// Half a unit for each 4 KB, begun ones whole, of an eventually consistent read; nothing costs as much as the least.
    static func read(_ bytes: Int, consistent: Bool) -> Double {
        let units = Double(max((bytes + Limits.readUnitBytes - 1) / Limits.readUnitBytes, 1))
        return consistent ? units : units / 2
    }

    /// One unit for each KB, begun ones whole.
    static func write(_ bytes: Int) -> Double {
        Double(max((bytes + Limits.writeUnitBytes - 1) / Limits.writeUnitBytes, 1))
    }

    /// As answers show it; nil when it was not asked for. `mode`: `ReturnConsumedCapacity`.
    func value(_ mode: String?) -> Value? {
        guard let mode, mode != "NONE" else { return nil }
        var fields: Fields = ["TableName": .string(table), "CapacityUnits": .double(total)]
        show(kind, total, in: &fields)
        guard mode == "INDEXES" else { return .map(fields) }
        fields["Table"] = units(units)
        if !local.isEmpty { fields["LocalSecondaryIndexes"] = .map(Fields(local.map { ($0.name, units($0.units)) })) }
        if !global.isEmpty {
            fields["GlobalSecondaryIndexes"] = .map(Fields(global.map { ($0.name, units($0.units)) }))
        }
        return .map(fields)
    }

    private func units(_ units: Double) -> Value {
        var fields: Fields = ["CapacityUnits": .double(units)]
        show(kind, units, in: &fields)
        return .map(fields)
    }

    private func show(_ kind: Kind?, _ units: Double, in fields: inout Fields) {
        switch kind {
        case .read: fields["ReadCapacityUnits"] = .double(units)
        case .write: fields["WriteCapacityUnits"] = .double(units)
        case nil: break
        }
    }
}

/// The costs of a request with several tables, one entry for each.
struct Capacities: Sendable {
    private var all: [Capacity] = []

    mutating func add(_ capacity: Capacity) {
        if let place = all.firstIndex(where: { $0.table == capacity.table }) {
            all[place].add(capacity)
        } else {
            all.append(capacity)
        }
    }

    func value(_ mode: String?) -> Value? {
        guard let mode, mode != "NONE" else { return nil }
        return .list(all.compactMap { $0.value(mode) })
    }
}
