public import Contracts
public import Platform

/// What is asked of a policy.
public struct PolicyRequest: Sendable {
    public var principal: Principal
    /// E.g. `sqs:SendMessage`.
    public var action: String
    /// The ARN that is used.
    public var resource: String
    /// The account that owns the resource; of the ARN, unless given. Empty when the ARN names none (S3).
    public var resourceAccount: String
    /// Values of condition keys by their names in lower case.
    let context: [String: [String]]

    /// `context` has condition keys (without regard to case) that the request brings with it, e.g. `aws:SourceIp`.
    /// Those that follow from the principal (aws:SourceArn, aws:SourceAccount, aws:SourceOwner, aws:PrincipalArn,
    /// aws:PrincipalAccount, aws:PrincipalType, aws:PrincipalIsAWSService, aws:PrincipalServiceName) and aws:ResourceAccount are filled in, and
    /// win.
    public init(
        principal: Principal, action: String, resource: String, context: [String: [String]] = [:],
        resourceAccount: String? = nil
    ) {
        self.principal = principal
        self.action = action
        self.resource = resource
        self.resourceAccount = resourceAccount ?? ARN(resource)?.account ?? ""
        var all: [String: [String]] = [:]
        for (key, values) in context { all[key.lowercased()] = values }
        for (key, value) in Self.keys(of: principal) { all[key] = [value] }
        if !self.resourceAccount.isEmpty { all["aws:resourceaccount"] = [self.resourceAccount] }
        self.context = all
    }

    private static func keys(of principal: Principal) -> [(String, String)] {
        var keys: [(String, String)] = []
        if let account = principal.account { keys.append(("aws:principalaccount", account)) }
        var isService = "false"
        switch principal {
        case .account:
            keys.append(("aws:principalarn", principal.arn))
            keys.append(("aws:principaltype", "Account"))
        case .roleSession(let role, _, _):
            // The role's ARN, not the session's (IAM, "Global condition keys").
            keys.append(("aws:principalarn", role))
            keys.append(("aws:principaltype", "AssumedRole"))
        case .service(let name, let source, let account):
            isService = "true"
            keys = [("aws:principalservicename", name)]
            if !source.isEmpty { keys.append(("aws:sourcearn", source)) }
            // SourceOwner is the older name, which default policies of topics still use.
            if !account.isEmpty { keys.append(("aws:sourceaccount", account)) }
            if !account.isEmpty, Self.bringsSourceOwner(name) { keys.append(("aws:sourceowner", account)) }
        case .anonymous: keys.append(("aws:principaltype", "Anonymous"))
        }
        keys.append(("aws:principalisawsservice", isService))
        return keys
    }

    /// Whether a service brings `aws:SourceOwner`, so that a topic's default policy lets it in. S3 and EventBridge do not:
    /// AWS has their users write a policy.
    public static func bringsSourceOwner(_ service: String) -> Bool {
        service != "s3.amazonaws.com" && service != "events.amazonaws.com"
    }
}
