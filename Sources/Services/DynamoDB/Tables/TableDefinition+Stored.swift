import Platform
import Wire

// How the store keeps a definition: a JSON document in one column, read when the table is first used.

extension TableDefinition {
    var stored: [UInt8] { JSON.encode(value) }

    /// Throws `Failure(.corrupt)`.
    init(stored bytes: [UInt8]) throws {
        guard let value = try? JSON.parse(bytes), let definition = Self.read(value) else {
            throw Failure(.corrupt, "A table's definition in the store cannot be read.")
        }
        self = definition
    }

    private var value: Value {
        var fields = Fields()
        fields["attributes"] = .list(attributes.map { [.string($0.name), .string($0.type.rawValue)] })
        fields["key"] = Self.names(key)
        fields["indexes"] = .list(indexes.map(Self.value))
        fields["onDemand"] = .bool(billing.isOnDemand)
        fields["units"] = [.int(billing.read), .int(billing.write)]
        fields["billingChanged"] = Self.time(billing.changed)
        fields["increased"] = Self.time(billing.increased)
        fields["decreased"] = Self.time(billing.decreased)
        if let stream { fields["stream"] = [.int(stream.id), .string(stream.label), .string(stream.view.rawValue)] }
        fields["streamLabel"] = streamLabel.map { .string($0) }
        if let timeToLive { fields["ttl"] = [.string(timeToLive.attribute), .bool(timeToLive.isReady)] }
        fields["protected"] = .bool(isProtected)
        fields["class"] = tableClass.map { .string($0) }
        fields["encryptionKey"] = encryptionKey.map { .string($0) }
        fields["policy"] = policy.map { .string($0.text) }
        fields["policyRevision"] = policyRevision.map { .string($0) }
        fields["onDemandThroughput"] = onDemandThroughput
        fields["warmThroughput"] = warmThroughput
        return .map(fields)
    }

    private static func time(_ instant: Instant?) -> Value? { instant.map { .int($0.nanoseconds) } }

    private static func names(_ key: KeySchema) -> Value { .list(key.attributes.map { .string($0.name) }) }

    private static func value(_ index: SecondaryIndex) -> Value {
        var fields: Fields = [
            "id": .int(index.id), "name": .string(index.name), "local": .bool(index.isLocal), "key": names(index.key),
            "state": .string(index.state.rawValue), "units": [.int(index.read), .int(index.write)],
        ]
        switch index.projection {
        case .all: fields["projection"] = "ALL"
        case .keysOnly: fields["projection"] = "KEYS_ONLY"
        case .include(let names): fields["projection"] = .list(names.map { .string($0) })
        }
        return .map(fields)
    }

    // MARK: Reading

    private static func read(_ value: Value) -> TableDefinition? {
        let attributes = (value["attributes"]?.list ?? []).compactMap { pair -> KeyCondition.Key? in
            guard let pair = pair.list, pair.count == 2, let name = pair[0].string,
                let type = pair[1].string.flatMap(AttributeType.init)
            else { return nil }
            return KeyCondition.Key(name: name, type: type)
        }
        guard let key = schema(value["key"], attributes) else { return nil }
        var definition = TableDefinition(key: key, attributes: attributes)
        for item in value["indexes"]?.list ?? [] {
            guard let index = index(item, attributes) else { return nil }
            definition.indexes.append(index)
        }
        let (read, write) = units(value["units"])
        definition.billing = Billing(
            isOnDemand: value["onDemand"]?.bool ?? false, changed: time(value["billingChanged"]), read: read,
            write: write, increased: time(value["increased"]), decreased: time(value["decreased"]))
        if let parts = value["stream"]?.list, parts.count == 3, let id = parts[0].int, let label = parts[1].string,
            let view = parts[2].string.flatMap(TableStream.View.init)
        {
            definition.stream = TableStream(id: id, label: label, view: view)
        }
        definition.streamLabel = value["streamLabel"]?.string
        if let parts = value["ttl"]?.list, parts.count == 2, let name = parts[0].string {
            definition.timeToLive = TimeToLive(attribute: name, isReady: parts[1].bool ?? false)
        }
        definition.isProtected = value["protected"]?.bool ?? false
        definition.tableClass = value["class"]?.string
        definition.encryptionKey = value["encryptionKey"]?.string
        definition.policy = value["policy"]?.string.flatMap { try? TablePolicy($0) }
        definition.policyRevision = value["policyRevision"]?.string
        definition.onDemandThroughput = value["onDemandThroughput"]
        definition.warmThroughput = value["warmThroughput"]
        return definition
    }

    private static func time(_ value: Value?) -> Instant? { value?.int.map { Instant(nanoseconds: $0) } }

    private static func units(_ value: Value?) -> (Int64, Int64) {
        guard let pair = value?.list, pair.count == 2 else { return (0, 0) }
        return (pair[0].int ?? 0, pair[1].int ?? 0)
    }

    private static func schema(_ value: Value?, _ attributes: [KeyCondition.Key]) -> KeySchema? {
        let names = (value?.list ?? []).compactMap(\.string)
        let keys = names.compactMap { name in attributes.first { $0.name == name } }
        guard (1...2).contains(keys.count), keys.count == names.count else { return nil }
        return KeySchema(partition: keys[0], sort: keys.count == 2 ? keys[1] : nil)
    }

    private static func index(_ value: Value, _ attributes: [KeyCondition.Key]) -> SecondaryIndex? {
        guard let id = value["id"]?.int, let name = value["name"]?.string, let key = schema(value["key"], attributes)
        else { return nil }
        let projection: SecondaryIndex.Projection
        switch value["projection"] {
        case .list(let names)?: projection = .include(names.compactMap(\.string))
        case .string("KEYS_ONLY")?: projection = .keysOnly
        default: projection = .all
        }
        let (read, write) = units(value["units"])
        return SecondaryIndex(
            id: id, name: name, isLocal: value["local"]?.bool ?? false, key: key, projection: projection,
            state: value["state"]?.string.flatMap(SecondaryIndex.State.init) ?? .active, read: read, write: write)
    }
}
