/// Bounds of policies. The size of a document in characters is limited by the services that keep it.
enum Limits {
    /// Statements in one document that are read; AWS has no such quota, its limits of size allow fewer.
    static let statements = 2_048
    /// Values in one condition, and actions, resources and principals in one statement.
    static let values = 4_096
    /// What one `PolicyCache` remembers: policies, and bytes of their texts. A policy in memory is some ten times its text.
    static let cachedPolicies = 4_096
    static let cachedPolicyBytes = 1 << 20
}
