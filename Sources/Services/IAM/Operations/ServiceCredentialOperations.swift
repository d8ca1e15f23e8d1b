public import Contracts
import Crypto
public import Platform
public import Storage
import Wire

/// User names and passwords for one service: CodeCommit's, for git. This server keeps no users, so that the name of one is
/// taken as it is, and whoever has the password acts as the account.
struct ServiceCredentialOperations: Sendable {
    let database: any Database

    static let service = "codecommit.amazonaws.com"

    private struct Credential: Sendable {
        var account: String
        var id: String
        var user: String
        var created: Instant
        var isActive: Bool

        var serviceUserName: String

        static let columns = "account, id, user, service_user, created, active"

        init(_ row: any Row) {
            account = row.text(0)
            id = row.text(1)
            user = row.text(2)
            serviceUserName = row.text(3)
            created = Instant(nanoseconds: row.int(4))
            isActive = row.bool(5)
        }

        init(account: String, user: String, number: Int, created: Instant) {
            self.account = account
            id = "ACCA" + Identifier.base32(17)
            self.user = user
            serviceUserName = "\(user)\(number > 0 ? "+\(number)" : "")-at-\(account)"
            self.created = created
            isActive = true
        }

        var status: String { isActive ? "Active" : "Inactive" }

        func shape(password: String) -> Model.ServiceSpecificCredential {
            var shape = Model.ServiceSpecificCredential()
            shape.createDate = created
            shape.serviceName = ServiceCredentialOperations.service
            shape.serviceUserName = serviceUserName
            shape.servicePassword = password
            shape.serviceSpecificCredentialId = id
            shape.userName = user
            shape.status = status
            return shape
        }

        var metadata: Model.ServiceSpecificCredentialMetadata {
            var shape = Model.ServiceSpecificCredentialMetadata()
            shape.createDate = created
            shape.serviceName = ServiceCredentialOperations.service
            shape.serviceUserName = serviceUserName
            shape.serviceSpecificCredentialId = id
            shape.userName = user
            shape.status = status
            return shape
        }
    }

    /// 32 bytes from the system's generator, so that a plain hash of it is enough.
    private static func newPassword() -> String {
        Base64.encode((0..<32).map { _ in UInt8.random(in: .min ... .max) })
    }

    private static func hash(_ password: String) -> [UInt8] { Array(SHA256.hash(data: Array(password.utf8))) }

    func create(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.CreateServiceSpecificCredentialRequest(request.input)
        try Self.checkService(input.serviceName)
        let (account, user) = (request.context.scope.account, input.userName ?? "")
        let (password, now) = (Self.newPassword(), request.context.now)
        let credential = try await database.write { transaction in
            let names = try transaction.query(
                "SELECT service_user FROM iam_service_credential WHERE account = ? AND user = ?",
                [.text(account), .text(user)], { $0.text(0) })
            guard names.count < Limits.serviceCredentials else {
                throw IAMError.limit(
                    "Cannot exceed quota for ServiceSpecificCredentialsPerUser: \(Limits.serviceCredentials)")
            }
            var credential = Credential(account: account, user: user, number: 0, created: now)
            if names.contains(credential.serviceUserName) {
                credential = Credential(account: account, user: user, number: 1, created: now)
            }
            try transaction.execute(
                """
                INSERT INTO iam_service_credential (account, id, user, service_user, created, active, password)
                VALUES (?, ?, ?, ?, ?, 1, ?)
                """,
                [
                    .text(account), .text(credential.id), .text(user), .text(credential.serviceUserName),
                    .int(now.nanoseconds), .blob(Self.hash(password)),
                ])
            return credential
        }
        var output = Model.CreateServiceSpecificCredentialResponse()
        output.serviceSpecificCredential = credential.shape(password: password)
        return OperationResponse(output.value)
    }

    private static func checkService(_ name: String?) throws(AWSError) {
        guard let name, name != service else { return }
        throw AWSError(
            "NotSupportedService", status: 404,
            "The service name \(name) is not supported for service-specific credentials.")
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ListServiceSpecificCredentialsRequest(request.input)
        try Self.checkService(input.serviceName)
        let page = try Page(marker: input.marker, maxItems: input.maxItems)
        let account = request.context.scope.account
        let rows = try await database.read { transaction in
            guard let user = input.userName else {
                return try transaction.query(
                    """
                    SELECT \(Credential.columns) FROM iam_service_credential
                    WHERE account = ? AND id > ? ORDER BY id LIMIT ?
                    """, [.text(account), .text(page.after), .int(Int64(page.limit + 1))], Credential.init)
            }
            return try transaction.query(
                """
                SELECT \(Credential.columns) FROM iam_service_credential
                WHERE account = ? AND user = ? AND id > ? ORDER BY id LIMIT ?
                """, [.text(account), .text(user), .text(page.after), .int(Int64(page.limit + 1))], Credential.init)
        }
        let (credentials, marker) = page.cut(rows, key: \.id)
        var output = Model.ListServiceSpecificCredentialsResponse()
        output.serviceSpecificCredentials = credentials.map(\.metadata)
        output.isTruncated = marker != nil
        output.marker = marker
        return OperationResponse(output.value)
    }

    func update(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.UpdateServiceSpecificCredentialRequest(request.input)
        guard input.status == "Active" || input.status == "Inactive" else {
            throw IAMError.invalid("Status must be Active or Inactive.")
        }
        let isActive = input.status == "Active"
        try await change(input.serviceSpecificCredentialId, input.userName, request) { credential, transaction in
            try transaction.execute(
                "UPDATE iam_service_credential SET active = ? WHERE account = ? AND id = ?",
                [.bool(isActive), .text(credential.account), .text(credential.id)])
        }
        return OperationResponse()
    }

    func reset(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.ResetServiceSpecificCredentialRequest(request.input)
        let password = Self.newPassword()
        let credential = try await change(input.serviceSpecificCredentialId, input.userName, request) {
            credential, transaction in
            try transaction.execute(
                "UPDATE iam_service_credential SET password = ? WHERE account = ? AND id = ?",
                [.blob(Self.hash(password)), .text(credential.account), .text(credential.id)])
        }
        var output = Model.ResetServiceSpecificCredentialResponse()
        output.serviceSpecificCredential = credential.shape(password: password)
        return OperationResponse(output.value)
    }

    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.DeleteServiceSpecificCredentialRequest(request.input)
        try await change(input.serviceSpecificCredentialId, input.userName, request) { credential, transaction in
            try transaction.execute(
                "DELETE FROM iam_service_credential WHERE account = ? AND id = ?",
                [.text(credential.account), .text(credential.id)])
        }
        return OperationResponse()
    }

    @discardableResult
    private func change(
        _ id: String?, _ user: String?, _ request: OperationRequest,
        _ body: @escaping @Sendable (Credential, any WriteTransaction) throws -> Void
    ) async throws -> Credential {
        let (id, account) = (id ?? "", request.context.scope.account)
        return try await database.write { transaction in
            let found = try transaction.first(
                "SELECT \(Credential.columns) FROM iam_service_credential WHERE account = ? AND id = ?",
                [.text(account), .text(id)], Credential.init)
            guard let found, user == nil || user == found.user else {
                throw IAMError.noSuchEntity("No such credential \(id) exists")
            }
            try body(found, transaction)
            return found
        }
    }

    /// The user of a name and password that IAM gave out; nil when they are not right or not active.
    static func user(
        named name: String, password: Secret<String>, in transaction: any ReadTransaction
    ) throws -> ServiceUser? {
        let rows = try transaction.query(
            "SELECT account, user, password FROM iam_service_credential WHERE service_user = ? AND active = 1",
            [.text(name)], { (account: $0.text(0), user: $0.text(1), hash: $0.blob(2)) })
        let given = hash(password.reveal())
        for row in rows where row.hash.count == given.count {
            guard zip(row.hash, given).reduce(UInt8(0), { $0 | ($1.0 ^ $1.1) }) == 0 else { continue }
            return ServiceUser(
                principal: .account(row.account), arn: "arn:aws:iam::\(row.account):user/\(row.user)")
        }
        return nil
    }
}

extension IAMService: ServicePasswords {
    public func user(
        named userName: String, password: Secret<String>, service: String, in transaction: any ReadTransaction
    ) throws -> ServiceUser? {
        guard service == ServiceCredentialOperations.service else { return nil }
        return try ServiceCredentialOperations.user(named: userName, password: password, in: transaction)
    }
}
