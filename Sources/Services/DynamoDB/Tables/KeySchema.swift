import Wire

/// The key attributes of a table or index, and what they make of an item: the bytes by which it is stored and found.
///
/// Bytes of a key: a hash of the partition key, so that scans can be split evenly; the partition key; the sort key, if
/// any; in an index, the table's own key, which makes entries distinct.
struct KeySchema: Sendable {
    var partition: KeyCondition.Key
    var sort: KeyCondition.Key?

    var attributes: [KeyCondition.Key] { [partition] + (sort.map { [$0] } ?? []) }

    func contains(_ name: String) -> Bool { partition.name == name || sort?.name == name }

    /// What all keys of a partition begin with.
    func prefix(_ partition: AttributeValue) throws(AWSError) -> [UInt8] {
        var bytes: [UInt8] = [0, 0, 0, 0]
        bytes.reserveCapacity(64)
        try KeyEncoding.append(partition, to: &bytes)
        let hash = Self.hash(bytes)
        for index in 0..<Self.hashBytes {
            bytes[index] = UInt8(truncatingIfNeeded: hash >> UInt32(24 - 8 * index))
        }
        return bytes
    }

    static let hashBytes = 4

    /// FNV-1a with a final mix (MurmurHash3), over what is behind the place of the hash.
    private static func hash(_ bytes: [UInt8]) -> UInt32 {
        var hash: UInt32 = 2_166_136_261
        for byte in bytes.dropFirst(hashBytes) { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        hash ^= hash >> 16
        hash = hash &* 0x85eb_ca6b
        hash ^= hash >> 13
        hash = hash &* 0xc2b2_ae35
        return hash ^ hash >> 16
    }

    /// The bytes of a table's key from the attributes of an item, which must be there and of their types.
    func bytes(_ item: Item) throws(AWSError) -> [UInt8] {
        guard let value = item[partition.name] else { throw .internalFailure() }
        var bytes = try prefix(value)
        if let sort {
            guard let value = item[sort.name] else { throw .internalFailure() }
            try KeyEncoding.append(value, to: &bytes)
        }
        return bytes
    }

    /// The bytes of an index's entry; nil when the item lacks a key attribute (or has one of another type: then it was
    /// written before the index was made) and so is not in the index.
    func entry(_ item: Item, primary: [UInt8]) -> [UInt8]? {
        for key in attributes {
            guard let value = item[key.name], value.type == key.type, !value.isEmptyKey,
                value.keySize <= (key.name == partition.name ? ValueLimits.partitionKeyBytes : ValueLimits.sortKeyBytes)
            else { return nil }
        }
        guard var bytes = try? bytes(item) else { return nil }
        bytes.append(contentsOf: primary)
        return bytes
    }

    /// The key attributes of an item.
    func key(of item: Item) -> Item {
        Item(attributes.compactMap { key in item[key.name].map { (name: key.name, value: $0) } })
    }

    // MARK: Checks

    /// The key of an item that is to be stored. Throws ValidationException.
    func check(storing item: Item) throws(AWSError) {
        for key in attributes {
            guard let value = item[key.name] else {
                throw .invalidParameterValues("Missing the key \(key.name) in the item")
            }
            guard value.type == key.type else {
                throw .invalidParameterValues(
                    "Type mismatch for key \(key.name) expected: \(key.type.rawValue) actual: \(value.type.rawValue)")
            }
        }
        try checkContent(item)
    }

    /// A key that a request names: exactly the key attributes, of their types. Throws ValidationException.
    func check(key: Item) throws(AWSError) {
        guard key.count == attributes.count else { throw .wrongKey }
        for attribute in attributes {
            guard let value = key[attribute.name], value.type == attribute.type else { throw .wrongKey }
        }
        try checkContent(key)
    }

    private func checkContent(_ item: Item) throws(AWSError) {
        for key in attributes {
            guard let value = item[key.name] else { continue }
            if value.isEmptyKey {
                let kind = value.type == .binary ? "binary" : "string"
                throw .validation(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                        + "an empty \(kind) value. Key: \(key.name)")
            }
        }
        if let value = item[partition.name], value.keySize > ValueLimits.partitionKeyBytes {
            throw .invalidParameterValues(
                "Size of hashkey has exceeded the maximum size limit of\(ValueLimits.partitionKeyBytes) bytes")
        }
        if let sort, let value = item[sort.name], value.keySize > ValueLimits.sortKeyBytes {
            throw .invalidParameterValues(
                "Aggregated size of all range keys has exceeded the size limit of \(ValueLimits.sortKeyBytes) bytes")
        }
    }

    /// The attributes of an item that are this index's key: absent is well, wrong is not. Throws ValidationException.
    func check(indexed item: Item, index: String) throws(AWSError) {
        for key in attributes {
            guard let value = item[key.name] else { continue }
            guard value.type == key.type else {
                throw .invalidParameterValues(
                    "Type mismatch for Index Key \(key.name) Expected: \(key.type.rawValue) Actual: "
                        + "\(value.type.rawValue) IndexName: \(index)")
            }
            if value.isEmptyKey {
                let kind = value.type == .binary ? "binary" : "string"
                throw .validation(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not "
                        + "supported. The AttributeValue for a key attribute cannot contain an empty \(kind) value. "
                        + "IndexName: \(index), IndexKey: \(key.name)")
            }
            let isPartition = key.name == partition.name
            let limit = isPartition ? ValueLimits.partitionKeyBytes : ValueLimits.sortKeyBytes
            if value.keySize > limit {
                throw .invalidParameterValues(
                    isPartition
                        ? "Size of hashkey has exceeded the maximum size limit of\(limit) bytes"
                        : "Aggregated size of all range keys has exceeded the size limit of \(limit) bytes")
            }
        }
    }
}

extension AttributeValue {
    /// No text and no bytes can be a key.
    var isEmptyKey: Bool {
        switch self {
        case .string(let text): text.isEmpty
        case .binary(let bytes): bytes.isEmpty
        default: false
        }
    }

    /// Bytes as they count for the limits of keys.
    var keySize: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .binary(let bytes): bytes.count
        default: 0
        }
    }
}
