import Contracts
import Platform
import Policies
import Storage
import Testing

@testable import IAM

@Suite struct AuthorizerTests {
    let queue = "arn:aws:sqs:us-east-1:000000000000:jobs"
    let session = Principal.roleSession(
        roleARN: "arn:aws:iam::000000000000:role/Worker", sessionName: "s", account: "000000000000")

    /// A store with a role, and what it decides about sending to a queue.
    private final class Store: Sendable {
        let database: SQLiteDatabase
        let service: IAMService

        init(authentication: Bool = true) throws {
            database = try SQLiteDatabase.temporary(migrations: [IAMService.migrations])
            service = try IAMService(database: database, isAuthenticationOn: authentication)
        }

        deinit { database.close() }

        func decide(_ principal: Principal, _ action: String, _ resource: String) async throws -> PolicyDecision {
            try await database.read { [service] in
                try service.decide(principal, action: action, resource: resource, in: $0)
            }
        }

        func trust(
            _ principal: Principal, in role: String = "arn:aws:iam::000000000000:role/Worker",
            _ conditions: [String: [String]] = [:]
        ) async throws -> TrustDecision {
            try await database.read { [service] in
                try service.trust(
                    in: principal, of: role, action: "sts:AssumeRole", conditions: conditions, in: $0)
            }
        }

        func makeRole(
            path: String = "/", tags: Fields = [:], boundary: String? = nil, trust: String = "{}"
        ) async throws {
            var attributes: Fields = ["Tags": .map(tags)]
            if let boundary { attributes["PermissionsBoundary"] = .string(boundary) }
            let role = RoleRow(
                account: "000000000000", name: "Worker", path: path, trustPolicy: trust, attributes: attributes)
            try await database.change { try role.insert(in: $0) }
        }

        func putInline(_ name: String, _ statement: String) async throws {
            try await database.change { transaction in
                try transaction.execute(
                    "INSERT INTO iam_role_policy (account, role, name, document) VALUES (?, ?, ?, ?)",
                    [
                        "000000000000", "worker", .text(name),
                        .text(#"{"Version":"2012-10-17","Statement":[\#(statement)]}"#),
                    ])
            }
        }

        func attach(_ arn: String) async throws {
            try await database.change { transaction in
                try transaction.execute(
                    "INSERT INTO iam_attachment (account, role, policy, policy_name) VALUES (?, ?, ?, ?)",
                    ["000000000000", "worker", .text(arn), "n"])
            }
        }
    }

    @Test func inlinePoliciesCountAtOnce() async throws {
        let store = try Store()
        try await store.makeRole()
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
        try await store.putInline("a", #"{"Effect":"Allow","Action":"sqs:Send*","Resource":"\#(queue)"}"#)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
        #expect(try await store.decide(session, "sqs:SendMessage", queue + "2") == .notAllowed)
        try await store.putInline("b", #"{"Effect":"Deny","Action":"sqs:SendMessage","Resource":"*"}"#)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .explicitlyDenied)
        try await store.database.change { try $0.execute("DELETE FROM iam_role_policy WHERE name = ?", ["b"]) }
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
    }

    @Test func decisionsInsideOfAWriteSeeIt() async throws {
        let store = try Store()
        try await store.makeRole()
        _ = try await store.decide(session, "sqs:SendMessage", queue)
        let (service, session, queue) = (store.service, session, queue)
        struct Undo: Error {}
        await #expect(throws: Undo.self) {
            try await store.database.write { transaction in
                try transaction.execute(
                    "INSERT INTO iam_role_policy (account, role, name, document) VALUES (?, ?, ?, ?)",
                    [
                        "000000000000", "worker", "x",
                        #"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
                    ])
                try PolicyGeneration.renew(in: transaction)
                #expect(
                    try service.decide(session, action: "sqs:SendMessage", resource: queue, in: transaction) == .allowed
                )
                throw Undo()
            }
        }
        // Rolled back: what was cached meanwhile does not count.
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
    }

    @Test func managedPolicies() async throws {
        let store = try Store()
        try await store.makeRole()
        try await store.attach("arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole")
        #expect(try await store.decide(session, "sqs:ReceiveMessage", queue) == .allowed)
        #expect(try await store.decide(session, "logs:PutLogEvents", "arn:aws:logs:a:b:c") == .allowed)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
        // Known by their whole ARNs: what conditions on iam:PolicyARN keep out does not come in by another folder.
        try await store.attach("arn:aws:iam::aws:policy/service-role/AdministratorAccess")
        try await store.attach("arn:aws:iam::aws:policy//AdministratorAccess")
        try await store.attach("arn:aws:iam::aws:policy/AWSLambdaRole")
        #expect(try await store.decide(session, "lambda:InvokeFunction", "*") == .notAllowed)
        try await store.attach("arn:aws:iam::aws:policy/NobodyKnowsIt")
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
        try await store.attach("arn:aws:iam::aws:policy/PowerUserAccess")
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
        #expect(try await store.decide(session, "iam:CreateRole", "*") == .notAllowed)
    }

    @Test func theDefaultVersionCounts() async throws {
        let store = try Store()
        try await store.makeRole()
        let arn = "arn:aws:iam::000000000000:policy/own"
        try await store.database.change { transaction in
            try transaction.execute(
                """
                INSERT INTO iam_policy (account, folded, arn, path, default_version, last_version, attributes)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """, ["000000000000", "own", .text(arn), "/", 1, 2, .blob(Array("{}".utf8))])
            for (version, effect) in [(1, "Allow"), (2, "Deny")] {
                try transaction.execute(
                    "INSERT INTO iam_policy_version (policy, version, document, created) VALUES (?, ?, ?, ?)",
                    [
                        .text(arn), .int(Int64(version)),
                        .text(#"{"Statement":{"Effect":"\#(effect)","Action":"sqs:*","Resource":"*"}}"#), 0,
                    ])
            }
        }
        try await store.attach(arn)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
        try await store.database.change {
            try $0.execute("UPDATE iam_policy SET default_version = 2 WHERE arn = ?", [.text(arn)])
        }
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .explicitlyDenied)
    }

    @Test func boundaries() async throws {
        let store = try Store()
        try await store.makeRole(boundary: "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess")
        try await store.putInline("a", #"{"Effect":"Allow","Action":"*","Resource":"*"}"#)
        #expect(try await store.decide(session, "sqs:GetQueueUrl", queue) == .allowed)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
    }

    @Test func withoutAuthenticationOnlyDenialsCount() async throws {
        let store = try Store(authentication: false)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
        try await store.makeRole()
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .allowed)
        try await store.putInline("a", #"{"Effect":"Deny","Action":"sqs:*","Resource":"*"}"#)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .explicitlyDenied)
    }

    /// A trust policy with this principal, and a condition.
    private static func trusting(_ principal: String, _ condition: String = "{}") -> String {
        #"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":\#(principal),"Condition":\#(condition)}}"#
    }

    @Test func rolesTrustWhomTheyName() async throws {
        let lambda = Principal.service(name: "lambda.amazonaws.com", sourceARN: "", sourceAccount: "000000000000")
        let other = Principal.roleSession(
            roleARN: "arn:aws:iam::000000000000:role/other", sessionName: "s", account: "000000000000")
        let stranger = Principal.roleSession(
            roleARN: "arn:aws:iam::111122223333:role/x", sessionName: "s", account: "111122223333")
        let cases: [(String, [(Principal, TrustDecision)])] = [
            (
                Self.trusting(#"{"Service":"lambda.amazonaws.com"}"#),
                [(lambda, .allowed), (other, .refused), (.account("000000000000"), .refused), (.anonymous, .refused)]
            ),
            (
                Self.trusting(#"{"AWS":"arn:aws:iam::000000000000:root"}"#),
                [(other, .delegated), (stranger, .refused), (lambda, .refused)]
            ),
            // A role that is named needs no policy of its own, unless it is another account's.
            (
                Self.trusting(#"{"AWS":"arn:aws:iam::000000000000:role/other"}"#),
                [(other, .allowed), (session, .refused)]
            ),
            (Self.trusting(#"{"AWS":"arn:aws:iam::111122223333:role/x"}"#), [(stranger, .delegated)]),
        ]
        for (document, expected) in cases {
            let store = try Store()
            try await store.makeRole(trust: document)
            for (principal, decision) in expected {
                #expect(try await store.trust(principal) == decision, "\(document) \(principal)")
            }
            #expect(try await store.trust(lambda, in: "arn:aws:iam::000000000000:role/nobody") == .noRole)
            #expect(try await store.trust(lambda, in: "arn:aws:iam::000000000000:role/path/Worker") == .noRole)
        }
    }

    @Test func trustHasConditions() async throws {
        let store = try Store()
        let condition = #"{"StringEquals":{"sts:ExternalId":"secret"}}"#
        try await store.makeRole(trust: Self.trusting(#"{"AWS":"111122223333"}"#, condition))
        let stranger = Principal.account("111122223333")
        #expect(try await store.trust(stranger) == .refused)
        #expect(try await store.trust(stranger, ["sts:externalid": ["wrong"]]) == .refused)
        #expect(try await store.trust(stranger, ["sts:externalid": ["secret"]]) != .refused)
    }

    /// As AWS's guides write the trust of services' roles against the confused deputy.
    @Test func trustAsksForTheSource() async throws {
        let store = try Store()
        let group = "arn:aws:scheduler:us-east-1:000000000000:schedule-group/mine"
        let condition =
            #"{"StringEquals":{"aws:SourceAccount":"000000000000"},"ArnLike":{"aws:SourceArn":"\#(group)"}}"#
        try await store.makeRole(trust: Self.trusting(#"{"Service":"scheduler.amazonaws.com"}"#, condition))
        func isAssumable(_ source: String, account: String = "000000000000") async throws -> Bool {
            try await store.database.read { [service = store.service] in
                try service.isAssumable(
                    "arn:aws:iam::000000000000:role/Worker", by: "scheduler.amazonaws.com", account: account,
                    source: source, in: $0)
            }
        }
        #expect(try await isAssumable(group))
        #expect(try await !isAssumable(group + "s"))
        #expect(try await !isAssumable(""))
        #expect(try await !isAssumable(group, account: "111122223333"))
    }

    @Test func tagsOfRolesAndSessionsAreThePrincipals() async throws {
        let store = try Store()
        try await store.makeRole(tags: ["Team": "red"])
        try await store.putInline(
            "a",
            #"{"Effect":"Allow","Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${aws:PrincipalTag/team}-*"}"#)
        func decide(_ queue: String, session tag: String? = nil) async throws -> PolicyDecision {
            let keys = tag.map { ["aws:principaltag/team": [$0]] } ?? [:]
            return try await store.database.read { [service = store.service, session] in
                try service.decide(
                    session, action: "sqs:SendMessage", resource: "arn:aws:sqs:us-east-1:000000000000:\(queue)",
                    conditions: { _ in keys }, in: $0)
            }
        }
        #expect(try await decide("red-1") == .allowed)
        #expect(try await decide("blue-1") == .notAllowed)
        #expect(try await decide("blue-1", session: "blue") == .allowed)
        #expect(try await decide("red-1", session: "blue") == .notAllowed)
    }

    @Test func conditionsAreMadeOnlyWhenAPolicyAsks() async throws {
        let store = try Store()
        try await store.makeRole()
        try await store.putInline("a", #"{"Effect":"Allow","Action":"sqs:*","Resource":"*"}"#)
        let decision = try await store.database.read { [service = store.service, session, queue] in
            try service.decide(
                session, action: "sqs:SendMessage", resource: queue,
                conditions: { _ in
                    Issue.record("asked")
                    return [:]
                }, in: $0)
        }
        #expect(decision == .allowed)
    }

    @Test func rolesAreNamedWithTheirPathsInPolicies() async throws {
        let store = try Store()
        try await store.makeRole(path: "/protected/", tags: ["a": "b"], boundary: "arn:aws:iam::aws:policy/X")
        var need = PermissionNeed("iam:PutRolePolicy", "arn:aws:iam::000000000000:role/worker")
        var made = PermissionNeed("iam:CreateRole", "arn:aws:iam::000000000000:role/app/worker")
        let keys = try await store.database.read { [need, made] transaction in
            var (old, new) = (need, made)
            try IAMService.complete(&old, in: transaction)
            try IAMService.complete(&new, in: transaction)
            let asked = AskedKeys(["iam:resourcetag/a"])
            return (old, new, try IAMService.conditions(old, asked, in: transaction))
        }
        (need, made) = (keys.0, keys.1)
        #expect(need.resource == "arn:aws:iam::000000000000:role/protected/Worker")
        #expect(made.resource == "arn:aws:iam::000000000000:role/app/worker")
        #expect(
            keys.2 == [
                "iam:resourcetag/a": ["b"], "aws:resourcetag/a": ["b"],
                "iam:permissionsboundary": ["arn:aws:iam::aws:policy/X"],
            ])
    }

    @Test func withoutAuthenticationEveryRoleOfTheAccountIsTrusting() async throws {
        let store = try Store(authentication: false)
        #expect(try await store.trust(session, in: "arn:aws:iam::000000000000:role/nobody") == .allowed)
        #expect(try await store.trust(session, in: "arn:aws:iam::111122223333:role/x") == .refused)
        #expect(try await store.trust(.account("000000000000"), in: "arn:aws:iam::111122223333:role/x") == .allowed)
    }

    @Test func conditionsCount() async throws {
        let store = try Store()
        try await store.makeRole()
        try await store.putInline(
            "a",
            #"{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"home/*"}}}"#
        )
        func decide(_ prefix: String?) async throws -> PolicyDecision {
            let conditions = prefix.map { ["s3:prefix": [$0]] } ?? [:]
            return try await store.database.read { [service = store.service, session] in
                try service.decide(
                    session, action: "s3:ListBucket", resource: "arn:aws:s3:::b", conditions: { _ in conditions },
                    in: $0)
            }
        }
        #expect(try await decide("home/me") == .allowed)
        #expect(try await decide("secret") == .notAllowed)
        #expect(try await decide(nil) == .notAllowed)
        func asks(_ key: String) async throws -> Bool {
            let asked = try await store.database.read { [service = store.service, session] transaction in
                var asked = AskedKeys([])
                _ = try service.decide(
                    session, action: "s3:GetObject", resource: "arn:aws:s3:::b/k",
                    conditions: {
                        asked = $0
                        return [:]
                    }, in: transaction)
                return asked
            }
            return asked.contains(below: key)
        }
        #expect(try await asks("s3:prefix"))
        #expect(try await !asks("s3:existingobjecttag/"))
        try await store.putInline(
            "b",
            #"{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Null":{"S3:ExistingObjectTag/a":"true"}}}"#)
        #expect(try await asks("s3:existingobjecttag/"))
    }

    @Test func otherPrincipals() async throws {
        let store = try Store()
        #expect(try await store.decide(.account("000000000000"), "sqs:SendMessage", queue) == .allowed)
        #expect(try await store.decide(.anonymous, "sqs:SendMessage", queue) == .notAllowed)
        let service = Principal.service(name: "s3.amazonaws.com", sourceARN: "", sourceAccount: "")
        #expect(try await store.decide(service, "sqs:SendMessage", queue) == .notAllowed)
        #expect(try await store.decide(session, "sqs:SendMessage", queue) == .notAllowed)
    }

    @Test func everyBuiltInPolicyIsReadable() {
        #expect(ManagedPolicies.names.count >= 40)
        #expect(ManagedPolicies.document("arn:aws:iam::aws:policy/AdministratorAccess") != nil)
        #expect(ManagedPolicies.document("arn:aws:iam::000000000000:policy/AdministratorAccess") == nil)
    }
}
