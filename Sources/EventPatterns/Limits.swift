/// Bounds of patterns. The sizes of patterns and events in bytes are limited by the services.
enum Limits {
    /// Combinations of `$or` in one pattern (EventBridge, "Content filtering": more are refused).
    static let combinations = 1_000
    /// Wildcard prefixes of one field that an event can match at the same time. EventBridge does not publish the
    /// number; 10 agrees with the patterns of which it is known that they are taken or refused.
    static let wildcardComplexity = 10
    /// Sets of such prefixes that are looked at before a pattern counts as too complex.
    static let wildcardStates = 2_048
    /// Top-level names in a filter policy (SNS, "Filter policy constraints").
    static let filterPolicyKeys = 5
    /// Combinations of values in a filter policy (same place).
    static let filterPolicyCombinations = 150
    /// Numbers that are compared as numbers lie in ±this (EventBridge, "Numeric matching").
    static let largestNumber: Int64 = 5_000_000_000
    /// 10 to the number of decimals that count (same place: six).
    static let numberScale: Int64 = 1_000_000
    /// How much of a pattern an error text shows, in UTF-16 units (Jackson's DEFAULT_MAX_CONTENT_SNIPPET).
    static let shownSource = 500
    /// From so many exact strings on they are looked up by hash.
    static let comparedStrings = 8
}
