import Contracts
import Platform

extension Principal {
    /// The role that an integration or an authorizer names as its credentials, as a session of API Gateway's. Nil for what is no
    /// role, and for one of another account: it would be that account's word for what this one wants.
    init?(integrationRole credentials: String, of account: String) {
        guard let role = ARN(credentials), role.service == "iam", role.resource.hasPrefix("role/"),
            role.account == account
        else { return nil }
        self = .roleSession(roleARN: credentials, sessionName: "BackplaneAssumeRoleSession", account: account)
    }
}
