import Contracts
import NIOCore
import NIOEmbedded
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Policies

private func context(
    source: String = "203.0.113.9", tags: [SessionTag] = [], headers: [(name: String, value: String)] = []
) -> OperationContext {
    let loop = NIOAsyncTestingEventLoop()
    var context = OperationContext(
        requestID: "r", service: "sqs", operation: "SendMessage",
        scope: AccountRegion(account: account, region: "eu-west-1"), principal: role,
        now: Instant(milliseconds: 1_795_413_600_000), endpoint: "http://localhost:4566", sourceIP: source,
        headers: headers, uri: "/", eventLoop: loop, closed: loop.makeSucceededVoidFuture())
    context.sessionTags = tags
    return context
}

private func request(_ input: Value) -> OperationRequest {
    OperationRequest(context: context(), input: input, payload: ByteBuffer())
}

@Suite struct CallerTests {
    @Test func whatEveryRequestBrings() {
        let keys = context(
            tags: [SessionTag(key: "Team", value: "a", isTransitive: false)],
            headers: [("user-agent", "one"), ("user-agent", "two"), ("referer", "here")]
        ).conditions
        #expect(keys["aws:sourceip"] == ["203.0.113.9"])
        #expect(keys["aws:securetransport"] == ["false"])
        #expect(keys["aws:epochtime"] == ["1795413600"])
        #expect(keys["aws:useragent"] == ["one"])
        #expect(keys["aws:referer"] == ["here"])
        #expect(keys["aws:requestedregion"] == ["eu-west-1"])
        #expect(keys["aws:principaltag/team"] == ["a"])
        #expect(context(source: "127.0.0.1").conditions["aws:securetransport"] == ["true"])
        #expect(role.conditions == ["aws:securetransport": ["true"]])
    }

    /// They are made once: a context that is changed afterwards, as a copy, has those that were made.
    @Test func theyAreMadeOnce() {
        let first = context()
        let made = first.conditions
        var copy = first
        copy.sourceIP = "127.0.0.1"
        #expect(copy.conditions == made)
    }

    @Test func tagsOfRequests() {
        let keys = request([
            "Tags": [["Key": "Team", "Value": "a"], ["Key": "cost", "Value": "1"]], "TagKeys": ["old"],
        ]).conditions
        #expect(keys["aws:requesttag/team"] == ["a"])
        #expect(keys["aws:tagkeys"] == ["Team", "cost", "old"])
        #expect(request(["tags": ["Team": "a"]]).conditions["aws:requesttag/team"] == ["a"])
    }

    /// Names that differ in case only: no Allow holds, each Deny does.
    @Test(arguments: ["Team", "team"]) func tagsThatDifferInCaseOnly(_ first: String) throws {
        let second = first == "Team" ? "team" : "Team"
        let keys = request([
            "Tags": [["Key": .string(first), "Value": "ok"], ["Key": .string(second), "Value": "bad"]]
        ])
        .conditions
        #expect(keys["aws:requesttag/team"] == ["ok", "bad"])
        for (operation, value) in [("StringEquals", "ok"), ("StringNotEquals", "other"), ("StringLike", "*")] {
            let condition = #"{"\#(operation)":{"aws:RequestTag/team":"\#(value)"}}"#
            #expect(try !holds(condition, keys), "\(operation)")
        }
        for (operation, value) in [("StringEquals", "bad"), ("StringNotEquals", "ok")] {
            let condition = #"{"\#(operation)":{"aws:RequestTag/team":"\#(value)"}}"#
            #expect(try holds(condition, keys, effect: "Deny"), "\(operation)")
        }
        #expect(try holds(#"{"Null":{"aws:RequestTag/team":"false"}}"#, keys))
        // Other keys with several values are as they were.
        let names = #"{"ForAnyValue:StringEquals":{"aws:TagKeys":"\#(first)"}}"#
        #expect(try holds(names, keys))
    }

    @Test func keysThatAreAskedFor() throws {
        let document = try PolicyDocument(
            text: """
                {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*",
                "Resource":"arn:aws:s3:::b/${aws:PrincipalTag/Team}/*",
                "Condition":{"StringEquals":{"AWS:ResourceTag/a":"b"}}}]}
                """)
        #expect(document.keys.contains(below: TagConditions.principal))
        #expect(document.keys.contains(below: TagConditions.resource))
        #expect(!document.keys.contains(below: "aws:requesttag/"))
        var looked = 0
        let tags = document.keys.resourceTags {
            looked += 1
            return ["A": "b"]
        }
        #expect(tags == ["aws:resourcetag/a": ["b"]])
        #expect(
            AskedKeys(["aws:sourceip"]).resourceTags {
                looked += 1
                return [:]
            } == [:])
        #expect(looked == 1)
    }
}

/// Answers about one role, and records what it was asked.
private final class OneRole: Authorizer {
    let source = Mutex<String?>(nil)
    let asked: AskedKeys
    init(asked: Set<String> = []) { self.asked = AskedKeys(asked) }

    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision { .allowed }

    func decide(
        _ principal: Principal, action: String, resource: String, conditions: (AskedKeys) throws -> ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> PolicyDecision {
        if asked.isEmpty { return .allowed }
        return try conditions(asked)["aws:resourcetag/locked"] == nil ? .allowed : .explicitlyDenied
    }

    func trust(
        in principal: Principal, of roleARN: String, action: String, conditions: ConditionValues,
        in transaction: any ReadTransaction
    ) throws -> TrustDecision {
        if case .service(_, let source, _) = principal { self.source.withLock { $0 = source } }
        return .allowed
    }

    func role(_ roleARN: String, in transaction: any ReadTransaction) throws -> RoleProperties? {
        RoleProperties(maximumSession: 3_600, tags: [(key: "Team", value: "red"), (key: "Site", value: "north")])
    }
}

@Suite struct AccessCheckTests {
    private func refusal(
        _ caller: some Caller, authorizer: OneRole, policy: String? = nil,
        more: @escaping @Sendable (AskedKeys) -> ConditionValues = { _ in [:] }
    ) async throws -> PolicyRefusal? {
        let database = try SQLiteDatabase.temporary(migrations: [])
        defer { database.close() }
        let document = try policy.map { try PolicyDocument(text: $0) }
        return try await database.read {
            try AccessCheck(authorizer).refusal(
                caller, action: "sqs:SendMessage", resource: queue, account: account, policy: document, more: more,
                in: $0)
        }
    }

    @Test func conditionsAreMadeOnlyForPoliciesThatAsk() async throws {
        let made = Mutex(0)
        let more: @Sendable (AskedKeys) -> ConditionValues = { _ in
            made.withLock { $0 += 1 }
            return ["aws:resourcetag/locked": ["yes"]]
        }
        let plain = #"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#
        #expect(try await refusal(context(), authorizer: OneRole(), policy: plain, more: more) == nil)
        #expect(made.withLock { $0 } == 0)
        let asking = OneRole(asked: ["aws:resourcetag/locked"])
        #expect(try await refusal(context(), authorizer: asking, more: more) == .deniedByIdentity)
        #expect(made.withLock { $0 } == 1)
        let denying = """
            {"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"aws:ResourceTag/Locked":"yes"}}}}
            """
        #expect(try await refusal(context(), authorizer: OneRole(), policy: denying, more: more) == .deniedByResource)
    }

    /// `aws:PrincipalTag`: the role's, and the session's before them.
    @Test func tagsOfTheCaller() async throws {
        func policy(_ key: String, _ value: String) -> String {
            """
            {"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
            "Condition":{"StringEquals":{"aws:PrincipalTag/\(key)":"\(value)"}}}}
            """
        }
        let session = context(tags: [SessionTag(key: "team", value: "blue", isTransitive: true)])
        for (caller, key, value, isDenied) in [
            (context(), "team", "red", true), (context(), "Team", "blue", false), (session, "Team", "red", false),
            (session, "TEAM", "blue", true), (session, "site", "north", true),
        ] {
            let refusal = try await refusal(caller, authorizer: OneRole(), policy: policy(key, value))
            #expect((refusal == .deniedByResource) == isDenied, "\(key) \(value)")
        }
    }

    @Test func rolesAreHandedOnForASource() async throws {
        let database = try SQLiteDatabase.temporary(migrations: [])
        defer { database.close() }
        let authorizer = OneRole()
        try await database.read {
            try PassRole(to: "events.amazonaws.com", authorizer).check(
                "arn:aws:iam::111122223333:role/r", by: role, source: "arn:aws:events:us-east-1:111122223333:rule/x",
                in: $0)
        }
        #expect(authorizer.source.withLock { $0 } == "arn:aws:events:us-east-1:111122223333:rule/x")
    }
}
