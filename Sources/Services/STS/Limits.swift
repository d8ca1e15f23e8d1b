/// STS quotas, with unit and source.
enum Limits {
    /// Seconds a role session may last (STS API reference, AssumeRole.DurationSeconds).
    static let roleSessionSeconds = 900...43_200
    static let defaultRoleSessionSeconds = 3_600
    /// Seconds of GetSessionToken (STS API reference).
    static let sessionTokenSeconds = 900...129_600
    static let defaultSessionTokenSeconds = 43_200
    /// Session tags (STS quotas).
    static let tags = 50
    /// Characters of a session token that is looked at; ours are under 1,000.
    static let tokenCharacters = 4_096
}
