import Contracts
import Crypto
import Platform
import Policies
import Wire

struct SessionOperations: Sendable {
    let tokens: SessionTokens
    let roles: RoleGate
    /// Whether policies decide what a session may do (`--auth sigv4`).
    let isAuthenticationOn: Bool

    func getCallerIdentity(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let principal = context.principal
        var output = Model.GetCallerIdentityResponse()
        output.account = principal.account ?? context.scope.account
        switch principal {
        case .roleSession(let role, let session, _):
            output.userId = "\(Self.roleID(role)):\(session)"
            output.arn = principal.arn
        case .account, .service, .anonymous:
            output.userId = context.scope.account
            output.arn = "arn:aws:iam::\(context.scope.account):root"
        }
        return OperationResponse(output.value)
    }

    func assumeRole(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.AssumeRoleRequest(request.input)
        let text = input.roleArn ?? ""
        guard let arn = ARN(text) else { throw AWSError("ValidationError", "\(text) is invalid") }
        guard arn.service == "iam", arn.resource.hasPrefix("role/"), arn.account.utf8.count == 12,
            arn.account.utf8.allSatisfy({ (48...57).contains($0) })
        else { throw AWSError("ValidationError", "\(text) is invalid") }
        let tags = try Self.tags(input, inherited: request.context.sessionTags.filter(\.isTransitive))
        if isAuthenticationOn, input.policy != nil || !(input.policyArns ?? []).isEmpty {
            // It would be the whole role that is handed out.
            throw AWSError.notImplemented(
                service: "STS", operation: "AssumeRole with a session policy (Policy, PolicyArns)")
        }
        let properties = try await roles.check(request, input)
        let seconds = try Self.duration(input, of: properties, isChained: request.context.principal.isRoleSession)
        let name = input.roleSessionName ?? ""
        let credentials = tokens.issue(
            roleARN: text, sessionName: name, account: arn.account, tags: tags,
            expiration: request.context.now + .seconds(seconds))
        var user = Model.AssumedRoleUser()
        user.assumedRoleId = "\(Self.roleID(text)):\(name)"
        user.arn = Principal.roleSession(roleARN: text, sessionName: name, account: arn.account).arn
        var output = Model.AssumeRoleResponse()
        output.credentials = Self.shape(credentials)
        output.assumedRoleUser = user
        output.sourceIdentity = input.sourceIdentity
        return OperationResponse(output.value)
    }

    func getSessionToken(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.GetSessionTokenRequest(request.input)
        if case .roleSession = request.context.principal {
            throw AWSError("AccessDenied", status: 403, "Cannot call GetSessionToken with session credentials")
        }
        let seconds = input.durationSeconds ?? Limits.defaultSessionTokenSeconds
        guard Limits.sessionTokenSeconds.contains(seconds) else {
            throw Self.durationError(seconds, Limits.sessionTokenSeconds)
        }
        let credentials = tokens.issue(
            roleARN: "", sessionName: "", account: request.context.scope.account,
            expiration: request.context.now + .seconds(seconds))
        var output = Model.GetSessionTokenResponse()
        output.credentials = Self.shape(credentials)
        return OperationResponse(output.value)
    }

    private static func shape(_ credentials: SessionCredentials) -> Model.Credentials {
        var shape = Model.Credentials()
        shape.accessKeyId = credentials.accessKeyID
        shape.secretAccessKey = credentials.secretAccessKey.reveal()
        shape.sessionToken = credentials.sessionToken.reveal()
        shape.expiration = credentials.expiration
        return shape
    }

    /// Seconds. Texts as AWS sends them. A role that nobody created, which only without authentication may be assumed, sets no
    /// limit.
    private static func duration(
        _ input: Model.AssumeRoleRequest, of role: RoleProperties?, isChained: Bool
    ) throws(AWSError) -> Int {
        let seconds = input.durationSeconds ?? Limits.defaultRoleSessionSeconds
        guard Limits.roleSessionSeconds.contains(seconds) else {
            throw durationError(seconds, Limits.roleSessionSeconds)
        }
        guard !isChained || seconds <= Limits.chainedSessionSeconds else {
            throw AWSError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
        }
        guard seconds <= role?.maximumSession ?? seconds else {
            throw AWSError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        }
        return seconds
    }

    /// The tags of the new session: those that are asked for, and what the caller's own session hands on (`inherited`).
    /// Texts recorded on AWS (lambda-semantics 7.11).
    private static func tags(
        _ input: Model.AssumeRoleRequest, inherited: [SessionTag]
    ) throws(AWSError) -> [SessionTag] {
        let keys = (input.tags ?? []).compactMap(\.key)
        guard keys.count <= Limits.tags else {
            throw AWSError("ValidationError", "Too many session tags: at most \(Limits.tags) are allowed.")
        }
        guard Set(keys.map { $0.lowercased() }).count == keys.count else {
            throw AWSError(
                "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        }
        let known = Set(keys.map { $0.lowercased() })
        for key in input.transitiveTagKeys ?? [] where !known.contains(key.lowercased()) {
            throw AWSError(
                "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
        }
        guard !inherited.contains(where: { known.contains($0.key.lowercased()) }) else {
            throw AWSError(
                "InvalidParameterValue",
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
                    + "from the calling session.")
        }
        let transitive = Set((input.transitiveTagKeys ?? []).map { $0.lowercased() })
        let own = (input.tags ?? []).map { tag in
            let key = tag.key ?? ""
            return SessionTag(key: key, value: tag.value_ ?? "", isTransitive: transitive.contains(key.lowercased()))
        }
        let all = inherited + own
        // Each costs the token more than its text.
        guard all.count <= Limits.tags,
            all.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count }) <= Limits.tagBytes
        else {
            throw AWSError(
                "PackedPolicyTooLarge",
                "The session's tags have more than \(Limits.tagBytes) bytes, which is all that a session token has room for."
            )
        }
        return all
    }

    private static func durationError(_ seconds: Int, _ allowed: ClosedRange<Int>) -> AWSError {
        let bound =
            seconds < allowed.lowerBound
            ? "greater than or equal to \(allowed.lowerBound)" : "less than or equal to \(allowed.upperBound)"
        return AWSError(
            "ValidationError",
            "1 validation error detected: Value '\(seconds)' at 'durationSeconds' failed to satisfy constraint: "
                + "Member must have value \(bound)")
    }

    /// An id of AWS's form that is the same for the same role. (IAM's own id of the role is another: see README.md.)
    static func roleID(_ roleARN: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        return "AROA" + String(SHA256.hash(data: Array(roleARN.utf8)).prefix(17).map { alphabet[Int($0 & 31)] })
    }
}
