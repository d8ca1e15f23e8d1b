import Platform
import Storage
import Wire

/// What DescribeTable and its like say of a table.
enum TableDescription {
    typealias Counts = (items: Int64, bytes: Int64)

    /// `status`: nil for what the table is in. CreateTable answers CREATING, UpdateTable UPDATING and DeleteTable DELETING,
    /// as AWS does, though here the table is ready, changed or gone when the answer is sent.
    static func value(_ table: Table, status: String? = nil, in transaction: any ReadTransaction) throws -> Value {
        let definition = table.definition
        let counts = try TableStore.counts(table.id, in: transaction)
        var fields: Fields = [
            "AttributeDefinitions": .list(
                definition.attributes.map {
                    ["AttributeName": .string($0.name), "AttributeType": .string($0.type.rawValue)]
                }),
            "TableName": .string(table.name), "KeySchema": keySchema(table.key),
            "TableStatus": .string(status ?? (definition.isUpdating ? "UPDATING" : "ACTIVE")),
            "CreationDateTime": .timestamp(table.created), "ProvisionedThroughput": throughput(definition.billing),
            "TableSizeBytes": .int(counts.bytes), "ItemCount": .int(counts.items), "TableArn": .string(table.arn),
            "TableId": .string(table.uuid),
        ]
        if definition.billing.isOnDemand || definition.billing.changed != nil {
            var summary: Fields = ["BillingMode": definition.billing.isOnDemand ? "PAY_PER_REQUEST" : "PROVISIONED"]
            summary["LastUpdateToPayPerRequestDateTime"] = .timestamp(definition.billing.changed ?? table.created)
            fields["BillingModeSummary"] = .map(summary)
        }
        let local = try definition.indexes.filter(\.isLocal).map { try index($0, of: table, status, in: transaction) }
        if !local.isEmpty { fields["LocalSecondaryIndexes"] = .list(local) }
        let global = try definition.indexes.filter { !$0.isLocal }.map {
            try index($0, of: table, status, in: transaction)
        }
        if !global.isEmpty { fields["GlobalSecondaryIndexes"] = .list(global) }
        if let stream = definition.stream {
            fields["StreamSpecification"] = ["StreamEnabled": true, "StreamViewType": .string(stream.view.rawValue)]
        }
        if let label = definition.streamLabel {
            fields["LatestStreamLabel"] = .string(label)
            fields["LatestStreamArn"] = .string(StreamRow.arn(table.scope, table.name, label))
        }
        if let key = definition.encryptionKey {
            fields["SSEDescription"] = [
                "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": .string(keyARN(key, table.scope)),
            ]
        }
        if let tableClass = definition.tableClass { fields["TableClassSummary"] = ["TableClass": .string(tableClass)] }
        fields["DeletionProtectionEnabled"] = .bool(definition.isProtected)
        fields["OnDemandThroughput"] = definition.onDemandThroughput
        if var warm = definition.warmThroughput?.fields {
            warm["Status"] = "ACTIVE"
            fields["WarmThroughput"] = .map(warm)
        }
        return .map(fields)
    }

    private static func keyARN(_ key: String, _ scope: AccountRegion) -> String {
        if key.hasPrefix("arn:") { return key }
        let resource = key.hasPrefix("alias/") ? key : "key/" + key
        return "arn:aws:kms:\(scope.region):\(scope.account):\(resource)"
    }

    static func keySchema(_ key: KeySchema) -> Value {
        .list(
            key.attributes.enumerated().map { position, attribute in
                ["AttributeName": .string(attribute.name), "KeyType": position == 0 ? "HASH" : "RANGE"]
            })
    }

    private static func throughput(_ billing: Billing) -> Value {
        var fields = units(billing.read, billing.write)
        fields["LastIncreaseDateTime"] = billing.increased.map { .timestamp($0) }
        fields["LastDecreaseDateTime"] = billing.decreased.map { .timestamp($0) }
        return .map(fields)
    }

    private static func units(_ read: Int64, _ write: Int64) -> Fields {
        ["NumberOfDecreasesToday": .int(0), "ReadCapacityUnits": .int(read), "WriteCapacityUnits": .int(write)]
    }

    private static func index(
        _ index: SecondaryIndex, of table: Table, _ status: String?, in transaction: any ReadTransaction
    ) throws -> Value {
        let counts = try TableStore.counts(index.id, in: transaction)
        var projection: Fields
        switch index.projection {
        case .all: projection = ["ProjectionType": "ALL"]
        case .keysOnly: projection = ["ProjectionType": "KEYS_ONLY"]
        case .include(let names):
            projection = ["ProjectionType": "INCLUDE", "NonKeyAttributes": .list(names.map { .string($0) })]
        }
        var fields: Fields = [
            "IndexName": .string(index.name), "KeySchema": keySchema(index.key), "Projection": .map(projection),
        ]
        if !index.isLocal {
            fields["IndexStatus"] = .string(status == "CREATING" ? "CREATING" : index.state.rawValue)
            if index.state == .creating { fields["Backfilling"] = true }
            fields["ProvisionedThroughput"] = .map(units(index.read, index.write))
        }
        fields["IndexSizeBytes"] = .int(counts.bytes)
        fields["ItemCount"] = .int(counts.items)
        fields["IndexArn"] = .string(table.arn + "/index/" + index.name)
        return .map(fields)
    }
}
