import Contracts
import Platform
import Storage
import Wire

/// Dashboards: stored and given back. They belong to the account, whatever the Region.
struct DashboardOperations: Sendable {
    let database: any Database
    let access: Access

    func put(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.PutDashboardInput(request.input)
        let (name, body) = (input.dashboardName ?? "", input.dashboardBody ?? "")
        guard !name.isEmpty, name.utf8.count <= 255, name.utf8.allSatisfy(Self.isNameByte) else {
            // The text as recorded, with its blank at the end.
            throw AWSError.invalidValue(
                "The value for field DashboardName contains invalid characters. It can only contain alphanumerics, "
                    + "dash (-) and underscore (_). ")
        }
        guard body.utf8.count <= Limits.dashboardBytes else {
            throw AWSError("InvalidParameterInput", "The field DashboardBody is too large.")
        }
        guard (try? JSON.parse(body))?.fields != nil else {
            throw AWSError("InvalidParameterInput", "The field DashboardBody must be a valid JSON object")
        }
        let arn = Self.arn(name, context)
        try await database.write { [access] transaction in
            try access.check(request, "PutDashboard", arn, in: transaction)
            try transaction.execute(
                """
                INSERT INTO cloudwatch_dashboard (account, name, modified, body) VALUES (?, ?, ?, ?)
                ON CONFLICT (account, name) DO UPDATE SET modified = excluded.modified, body = excluded.body
                """,
                [.text(context.scope.account), .text(name), .int(context.now.nanoseconds), .text(body)])
        }
        var output = Model.PutDashboardOutput()
        output.dashboardValidationMessages = []
        return OperationResponse(output.value)
    }

    func get(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let name = Model.GetDashboardInput(request.input).dashboardName ?? ""
        let arn = Self.arn(name, context)
        let body = try await database.read { [access] transaction in
            try access.check(request, "GetDashboard", arn, in: transaction)
            return try transaction.first(
                "SELECT body FROM cloudwatch_dashboard WHERE account = ? AND name = ?",
                [.text(context.scope.account), .text(name)]
            ) { $0.text(0) }
        }
        guard let body else { throw Self.notFound(name) }
        var output = Model.GetDashboardOutput()
        output.dashboardArn = arn
        output.dashboardBody = body
        output.dashboardName = name
        return OperationResponse(output.value)
    }

    func list(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let input = Model.ListDashboardsInput(request.input)
        let prefix = input.dashboardNamePrefix ?? ""
        var after = ""
        if let token = input.nextToken {
            guard let name = PageToken.decodeText(token) else {
                throw AWSError.invalidValue("The parameter NextToken is invalid.")
            }
            after = name
        }
        let rows = try await database.read { [access, after] transaction in
            try access.check(request, "ListDashboards", "*", in: transaction)
            return try transaction.query(
                """
                SELECT name, modified, LENGTH(body) FROM cloudwatch_dashboard
                WHERE account = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?
                """,
                [
                    .text(context.scope.account), .text(after), .int(Int64(prefix.unicodeScalars.count)),
                    .text(prefix), .int(Int64(Limits.dashboardPage + 1)),
                ]
            ) { (name: $0.text(0), modified: $0.int(1), size: $0.int(2)) }
        }
        var output = Model.ListDashboardsOutput()
        output.dashboardEntries = rows.prefix(Limits.dashboardPage).map { row in
            var entry = Model.DashboardEntry()
            entry.dashboardName = row.name
            entry.dashboardArn = Self.arn(row.name, context)
            entry.lastModified = Instant(nanoseconds: row.modified)
            entry.size = Int(row.size)
            return entry
        }
        if rows.count > Limits.dashboardPage {
            output.nextToken = PageToken.encode(rows[Limits.dashboardPage - 1].name)
        }
        return OperationResponse(output.value)
    }

    /// All or none, as documented.
    func delete(_ request: OperationRequest) async throws -> OperationResponse {
        let context = request.context
        let names = Model.DeleteDashboardsInput(request.input).dashboardNames ?? []
        try await database.write { [access] transaction in
            for name in names {
                try access.check(request, "DeleteDashboards", Self.arn(name, context), in: transaction)
                let removed = try transaction.execute(
                    "DELETE FROM cloudwatch_dashboard WHERE account = ? AND name = ?",
                    [.text(context.scope.account), .text(name)])
                if removed == 0 { throw Self.notFound(name) }
            }
        }
        return OperationResponse()
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 95
    }

    private static func arn(_ name: String, _ context: OperationContext) -> String {
        ARN(service: "cloudwatch", region: "", account: context.scope.account, resource: "dashboard/\(name)")
            .description
    }

    private static func notFound(_ name: String) -> AWSError {
        AWSError("ResourceNotFound", status: 404, "Dashboard \(name) does not exist")
    }
}
