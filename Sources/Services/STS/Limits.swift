/// STS quotas, with unit and source.
enum Limits {
    /// Seconds a role session may last (STS API reference, AssumeRole.DurationSeconds).
    static let roleSessionSeconds = 900...43_200
    static let defaultRoleSessionSeconds = 3_600
    /// Seconds of GetSessionToken (STS API reference).
    static let sessionTokenSeconds = 900...129_600
    static let defaultSessionTokenSeconds = 43_200
    /// Seconds of a session that another role's session opens (IAM, "Roles terms and concepts": role chaining).
    static let chainedSessionSeconds = 3_600
    /// Session tags (STS quotas).
    static let tags = 50
    /// Bytes of names and values of a session's tags together. AWS packs them and has a limit of its own.
    static let tagBytes = 2_048
    /// Characters of a session token that is looked at; ours are under 1,000 and what the tags take.
    static let tokenCharacters = 8_192
}
