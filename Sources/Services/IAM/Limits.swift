/// IAM quotas, with unit and source (IAM and STS quotas page).
enum Limits {
    /// Non-blank characters of a role's trust policy.
    static let trustPolicyCharacters = 2_048
    /// Non-blank characters of all inline policies of a role together.
    static let inlinePolicyCharacters = 10_240
    /// Non-blank characters of a managed policy.
    static let managedPolicyCharacters = 6_144
    static let versionsPerPolicy = 5
    static let policiesPerRole = 10
    static let tags = 50
    static let rolesPerAccount = 1_000
    static let policiesPerAccount = 1_500
    /// Items a list answers when MaxItems is not given.
    static let defaultPage = 100
    /// Seconds of a role session when MaxSessionDuration is not given.
    static let defaultSessionSeconds = 3_600
    /// Service-specific credentials of one user for one service.
    static let serviceCredentials = 2
    /// Roles whose policies are kept compiled.
    static let cachedRoles = 1_024
}
