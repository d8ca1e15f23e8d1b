import Contracts
import Crypto
import Platform
import Wire

struct SessionOperations: Sendable {
    let tokens: SessionTokens
    let roles: RoleGate

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
        try Self.checkTags(input)
        try await roles.check(request, input)
        let seconds = input.durationSeconds ?? Limits.defaultRoleSessionSeconds
        guard Limits.roleSessionSeconds.contains(seconds) else {
            throw Self.durationError(seconds, Limits.roleSessionSeconds)
        }
        let name = input.roleSessionName ?? ""
        let credentials = tokens.issue(
            roleARN: text, sessionName: name, account: arn.account,
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

    /// Texts recorded on AWS (lambda-semantics 7.11).
    private static func checkTags(_ input: Model.AssumeRoleRequest) throws {
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
