import Platform
import Wire

/// What CreateTable and UpdateTable may say of keys, indexes and throughput. Texts as AWS's clients have met them.
enum TableRules {
    /// Throws ValidationException.
    static func definition(_ input: Model.CreateTableInput) throws(AWSError) -> TableDefinition {
        let attributes = try self.attributes(input.attributeDefinitions ?? [])
        guard let schema = input.keySchema else {
            throw .validation(
                "1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: Member must not be "
                    + "null")
        }
        let key = try self.key(schema, attributes)
        var definition = TableDefinition(key: key, attributes: attributes)
        definition.billing = try billing(
            input.billingMode, input.provisionedThroughput, current: nil, now: nil)
        for index in input.localSecondaryIndexes ?? [] {
            definition.indexes.append(try localIndex(index, definition))
        }
        for index in input.globalSecondaryIndexes ?? [] {
            definition.indexes.append(
                try globalIndex(
                    name: index.indexName, index.keySchema, index.projection, index.provisionedThroughput, definition))
        }
        if let given = input.localSecondaryIndexes, given.isEmpty {
            throw .invalidParameterValues("List of LocalSecondaryIndexes is empty")
        }
        if let given = input.globalSecondaryIndexes, given.isEmpty {
            throw .invalidParameterValues("List of GlobalSecondaryIndexes is empty")
        }
        try checkIndexes(definition)
        try checkAttributes(definition)
        definition.isProtected = input.deletionProtectionEnabled ?? false
        definition.tableClass = input.tableClass
        definition.encryptionKey = try encryption(input.sseSpecification)
        definition.onDemandThroughput = input.value["OnDemandThroughput"]
        definition.warmThroughput = input.value["WarmThroughput"]
        if let policy = input.resourcePolicy {
            definition.policy = try TablePolicy(policy)
            definition.policyRevision = String(Identifier.uuid().filter { $0 != "-" })
        }
        return definition
    }

    static func attributes(_ given: [Model.AttributeDefinition]) throws(AWSError) -> [KeyCondition.Key] {
        var attributes: [KeyCondition.Key] = []
        for one in given {
            guard let name = one.attributeName, let type = one.attributeType.flatMap(AttributeType.init) else {
                throw .invalidParameterValues("Invalid AttributeDefinition")
            }
            if attributes.contains(where: { $0.name == name }) {
                throw .invalidParameterValues("Cannot have two attributes with the same name")
            }
            attributes.append(KeyCondition.Key(name: name, type: type))
        }
        return attributes
    }

    static func key(
        _ schema: [Model.KeySchemaElement], _ attributes: [KeyCondition.Key], index: String? = nil
    ) throws(AWSError) -> KeySchema {
        guard (1...2).contains(schema.count) else {
            if index != nil, schema.count > 2 {
                throw .notSupported("A key of an index with several partition or sort key attributes")
            }
            throw .validation(
                "1 validation error detected: Value '[\(schema.count) elements]' at 'keySchema' failed to satisfy "
                    + "constraint: Member must have length less than or equal to 2")
        }
        guard schema[0].keyType == "HASH" else {
            throw .validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
        }
        if schema.count == 2 {
            guard schema[1].keyType == "RANGE" else {
                throw .validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
            }
            guard schema[0].attributeName != schema[1].attributeName else {
                throw .validation(
                    "Both the Hash Key and the Range Key element in the KeySchema have the same name")
            }
        }
        let names = schema.map { $0.attributeName ?? "" }
        let keys = names.compactMap { name in attributes.first { $0.name == name } }
        guard keys.count == names.count else {
            let known = attributes.map(\.name).joined(separator: ", ")
            if index != nil {
                throw .invalidParameterValues(
                    "Some index key attributes are not defined in AttributeDefinitions. Keys: "
                        + "[\(names.joined(separator: ", "))], AttributeDefinitions: [\(known)]")
            }
            throw .validation(
                "One or more parameter values were invalid: Some index key attributes are not defined in "
                    + "AttributeDefinitions. Keys: [\(names.joined(separator: ", "))], AttributeDefinitions: [\(known)]"
            )
        }
        return KeySchema(partition: keys[0], sort: keys.count == 2 ? keys[1] : nil)
    }

    /// Every attribute that is defined must be a key somewhere.
    static func checkAttributes(_ definition: TableDefinition) throws(AWSError) {
        var used: [String] = []
        for key in [definition.key] + definition.indexes.map(\.key) {
            for attribute in key.attributes where !used.contains(attribute.name) { used.append(attribute.name) }
        }
        let defined = definition.attributes.map(\.name)
        guard Set(defined) != Set(used) else { return }
        if definition.indexes.isEmpty {
            throw .invalidParameterValues(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in "
                    + "AttributeDefinitions")
        }
        throw .invalidParameterValues(
            "Some AttributeDefinitions are not used. AttributeDefinitions: [\(defined.joined(separator: ", "))], keys "
                + "used: [\(used.joined(separator: ", "))]")
    }

    // MARK: Indexes

    private static func localIndex(
        _ index: Model.LocalSecondaryIndex, _ table: TableDefinition
    ) throws(AWSError) -> SecondaryIndex {
        let name = index.indexName ?? ""
        try TableAddress.check(name)
        let key = try key(index.keySchema ?? [], table.attributes, index: name)
        guard table.key.sort != nil else {
            throw .invalidParameterValues(
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
        }
        guard key.sort != nil else {
            throw .invalidParameterValues("Index KeySchema does not have a range key for index: \(name)")
        }
        guard key.partition.name == table.key.partition.name else {
            throw .invalidParameterValues(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: \(name). index "
                    + "hash key: \(key.partition.name), table hash key: \(table.key.partition.name)")
        }
        return SecondaryIndex(
            id: 0, name: name, isLocal: true, key: key, projection: try projection(index.projection))
    }

    static func globalIndex(
        name: String?, _ schema: [Model.KeySchemaElement]?, _ projection: Model.Projection?,
        _ throughput: Model.ProvisionedThroughput?, _ table: TableDefinition
    ) throws(AWSError) -> SecondaryIndex {
        let name = name ?? ""
        try TableAddress.check(name)
        let key = try key(schema ?? [], table.attributes, index: name)
        var index = SecondaryIndex(
            id: 0, name: name, isLocal: false, key: key, projection: try self.projection(projection))
        if table.billing.isOnDemand {
            guard throughput == nil else {
                throw .invalidParameterValues(
                    "ProvisionedThroughput should not be specified for index: \(name) when BillingMode is "
                        + "PAY_PER_REQUEST")
            }
        } else {
            guard let throughput else {
                throw .invalidParameterValues("ProvisionedThroughput must be specified for index: \(name)")
            }
            (index.read, index.write) = units(throughput)
        }
        return index
    }

    private static func projection(_ given: Model.Projection?) throws(AWSError) -> SecondaryIndex.Projection {
        let names = given?.nonKeyAttributes
        switch given?.projectionType {
        case "ALL":
            guard names == nil else {
                throw .invalidParameterValues("ProjectionType is ALL, but NonKeyAttributes is specified")
            }
            return .all
        case "KEYS_ONLY":
            guard names == nil else {
                throw .invalidParameterValues("ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified")
            }
            return .keysOnly
        case "INCLUDE":
            guard let names else {
                throw .invalidParameterValues("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
            }
            guard Set(names).count == names.count else {
                throw .invalidParameterValues("Duplicate attribute name found in NonKeyAttributes")
            }
            return .include(names)
        default: throw .invalidParameterValues("Unknown ProjectionType: \(given?.projectionType ?? "null")")
        }
    }

    static func checkIndexes(_ definition: TableDefinition) throws(AWSError) {
        var names = Set<String>()
        var projected = 0
        for index in definition.indexes {
            guard names.insert(index.name).inserted else {
                throw .invalidParameterValues("Duplicate index name: \(index.name)")
            }
            if case .include(let attributes) = index.projection { projected += attributes.count }
        }
        guard definition.indexes.filter(\.isLocal).count <= Limits.localIndexes else {
            throw .invalidParameterValues(
                "Number of LocalSecondaryIndexes exceeds per-table limit of \(Limits.localIndexes)")
        }
        guard definition.indexes.filter({ !$0.isLocal }).count <= Limits.globalIndexes else {
            throw .invalidParameterValues(
                "GlobalSecondaryIndex count exceeds the per-table limit of \(Limits.globalIndexes)")
        }
        guard projected <= Limits.projectedAttributes else {
            throw .invalidParameterValues(
                "The total number of projected attributes across all indexes exceeds the limit of "
                    + "\(Limits.projectedAttributes)")
        }
    }

    // MARK: Throughput and encryption

    static func units(_ throughput: Model.ProvisionedThroughput) -> (Int64, Int64) {
        (Int64(throughput.readCapacityUnits ?? 1), Int64(throughput.writeCapacityUnits ?? 1))
    }

    static func billing(
        _ mode: String?, _ throughput: Model.ProvisionedThroughput?, current: Billing?, now: Instant?
    ) throws(AWSError) -> Billing {
        var billing = current ?? Billing()
        let isOnDemand = mode.map { $0 == "PAY_PER_REQUEST" } ?? billing.isOnDemand
        if isOnDemand {
            guard throughput == nil else {
                throw .invalidParameterValues(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
                        + "PAY_PER_REQUEST")
            }
            if !billing.isOnDemand { billing.changed = now }
            billing.isOnDemand = true
            (billing.read, billing.write) = (0, 0)
            return billing
        }
        guard let throughput else {
            if let current, !current.isOnDemand { return current }
            throw .invalidParameterValues(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
        }
        let (read, write) = units(throughput)
        guard max(read, write) <= Limits.tableUnits else {
            throw .limitExceeded("Throughput exceeds the maximum of \(Limits.tableUnits) units of a table")
        }
        if let current, !current.isOnDemand {
            if current.read == read, current.write == write, mode == nil {
                throw .validation(
                    "The provisioned throughput for the table will not change. The requested value equals the current "
                        + "value. Current ReadCapacityUnits provisioned for the table: \(read). Requested "
                        + "ReadCapacityUnits: \(read). Current WriteCapacityUnits provisioned for the table: \(write). "
                        + "Requested WriteCapacityUnits: \(write). Refer to the Amazon DynamoDB Developer Guide for "
                        + "current limits and how to request higher limits.")
            }
            if read > current.read || write > current.write { billing.increased = now }
            if read < current.read || write < current.write { billing.decreased = now }
        }
        billing.isOnDemand = false
        (billing.read, billing.write) = (read, write)
        return billing
    }

    /// The KMS key to show; nil when encryption is DynamoDB's own.
    static func encryption(_ given: Model.SSESpecification?) throws(AWSError) -> String? {
        guard let given, given.enabled == true else { return nil }
        if let type = given.sseType, type != "KMS" {
            throw .validation("One or more parameter values were invalid: Unsupported input SSEType: \(type)")
        }
        return given.kmsMasterKeyId ?? "alias/aws/dynamodb"
    }
}
