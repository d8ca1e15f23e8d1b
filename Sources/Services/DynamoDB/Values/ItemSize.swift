import Wire

extension AttributeMap {
    /// Bytes as DynamoDB counts them for its limit of 400 KB and for capacity units.
    var size: Int { 0 }

    /// Throws "Item size has exceeded the maximum allowed size".
    func checkSize() throws(AWSError) {}
}

extension AttributeValue {
    /// Bytes as DynamoDB counts them, without the attribute's name.
    var size: Int { 0 }
}
