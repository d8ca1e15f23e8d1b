/// Quotas of values and items. Source: "Quotas in Amazon DynamoDB", unless said otherwise.
enum ValueLimits {
    /// Significant digits of a number.
    static let digits = 38
    /// Powers of ten of a number's first digit: 1E-130 to 9.9…E+125.
    static let exponents = -130...125
    /// Levels of lists and maps below an attribute.
    static let nestingLevels = 32
    /// Bytes of an item, names included.
    static let itemBytes = 400 * 1024
    /// Bytes of a partition key's value.
    static let partitionKeyBytes = 2_048
    /// Bytes of a sort key's value.
    static let sortKeyBytes = 1_024
    /// Bytes of an attribute's name.
    static let nameBytes = 65_535
}
