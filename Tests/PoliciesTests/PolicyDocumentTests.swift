import Contracts
import Platform
import Testing

@testable import Policies

let account = "111122223333"
let queue = "arn:aws:sqs:us-east-1:111122223333:jobs"
let role = Principal.roleSession(
    roleARN: "arn:aws:iam::111122223333:role/service/worker", sessionName: "s", account: account)
let topic = Principal.service(
    name: "sns.amazonaws.com", sourceARN: "arn:aws:sns:us-east-1:111122223333:news", sourceAccount: account)

func decide(
    _ statements: String, _ principal: Principal, action: String = "sqs:SendMessage", resource: String = queue,
    context: [String: [String]] = [:], kind: PolicyDocument.Kind = .resource, version: String = "2012-10-17"
) throws -> PolicyDecision {
    let document = try PolicyDocument(text: #"{"Version":"\#(version)","Statement":\#(statements)}"#, kind: kind)
    return document.decision(
        for: PolicyRequest(principal: principal, action: action, resource: resource, context: context))
}

/// An Allow of everything to everybody under a condition.
func holds(
    _ condition: String, _ context: [String: [String]] = [:], principal: Principal = topic, effect: String = "Allow"
) throws -> Bool {
    let statement = #"{"Effect":"\#(effect)","Principal":"*","Action":"*","Resource":"*","Condition":\#(condition)}"#
    return try decide(statement, principal, context: context) != .notAllowed
}

@Suite struct StatementTests {
    func statement(
        _ principal: String = #""*""#, action: String = #""sqs:SendMessage""#, resource: String = #""*""#,
        effect: String = "Allow"
    ) -> String {
        #"{"Effect":"\#(effect)","Principal":\#(principal),"Action":\#(action),"Resource":\#(resource)}"#
    }

    @Test func actions() throws {
        for action in [#""sqs:*""#, #""SQS:sendmessage""#, #""sqs:Send*""#, #"["a:b","sqs:SendMessag?"]"#, #""*""#] {
            #expect(try decide(statement(action: action), topic) == .allowed, "\(action)")
        }
        for action in [#""sqs:ReceiveMessage""#, #""sqs""#, #""sqs:Send""#, "[]", #""sns:*""#] {
            #expect(try decide(statement(action: action), topic) == .notAllowed, "\(action)")
        }
    }

    @Test func resources() throws {
        for resource in [
            #""\#(queue)""#, #""arn:aws:sqs:*:*:jobs""#, #"["x","arn:aws:sqs:us-east-1:111122223333:j?bs"]"#,
        ] {
            #expect(try decide(statement(resource: resource), topic) == .allowed, "\(resource)")
        }
        #expect(try decide(statement(resource: #""arn:aws:sqs:*:*:other""#), topic) == .notAllowed)
    }

    @Test func principals() throws {
        let root = "arn:aws:iam::111122223333:root"
        #expect(try decide(statement(#"{"AWS":"*"}"#), topic) == .allowed)
        #expect(try decide(statement(#"{"Service":"sns.amazonaws.com"}"#), topic) == .allowed)
        #expect(
            try decide(statement(#"{"Service":["s3.amazonaws.com","sns.us-east-1.amazonaws.com"]}"#), topic) == .allowed
        )
        #expect(try decide(statement(#"{"Service":"s3.amazonaws.com"}"#), topic) == .notAllowed)
        #expect(try decide(statement(#"{"AWS":"111122223333"}"#), .account(account)) == .allowed)
        #expect(try decide(statement(#"{"AWS":"\#(root)"}"#), .account(account)) == .allowed)
        #expect(try decide(statement(#"{"AWS":"444455556666"}"#), .account(account)) == .notAllowed)
        #expect(try decide(statement(#"{"AWS":"111122223333"}"#), topic) == .notAllowed)
        #expect(try decide(statement(#"{"AWS":"arn:aws:iam::111122223333:role/service/worker"}"#), role) == .allowed)
        #expect(try decide(statement(#"{"AWS":"arn:aws:sts::111122223333:assumed-role/worker/s"}"#), role) == .allowed)
        #expect(try decide(statement(#"{"AWS":"arn:aws:iam::111122223333:role/worker2"}"#), role) == .notAllowed)
        #expect(try decide(statement(#"{"Federated":"x"}"#), .anonymous) == .notAllowed)
        #expect(try decide(statement(), .anonymous) == .allowed)
    }

    /// The owner's account in a resource policy leaves its roles to their identity policies; another account's roles
    /// need both, so there it counts.
    @Test func accountsDelegate() throws {
        let statement = statement(#"{"AWS":"111122223333"}"#)
        #expect(try decide(statement, role) == .notAllowed)
        #expect(try decide(statement, role, resource: "arn:aws:sqs:us-east-1:444455556666:theirs") == .allowed)
        let denial = self.statement(#"{"AWS":"111122223333"}"#, effect: "Deny")
        #expect(try decide(denial, role) == .explicitlyDenied)
    }

    @Test func negations() throws {
        let others =
            #"{"Effect":"Allow","NotPrincipal":{"Service":"sns.amazonaws.com"},"NotAction":"sqs:Delete*","NotResource":"x"}"#
        #expect(try decide(others, topic) == .notAllowed)
        #expect(try decide(others, role) == .allowed)
        #expect(try decide(others, role, action: "sqs:DeleteQueue") == .notAllowed)
        #expect(try decide(others, role, resource: "x") == .notAllowed)
    }

    @Test func denialsWin() throws {
        let both = "[\(statement()),\(statement(effect: "Deny")),\(statement())]"
        #expect(try decide(both, topic) == .explicitlyDenied)
        #expect(try decide("[]", topic) == .notAllowed)
    }

    @Test func identityPolicies() throws {
        let statement = #"{"Effect":"Allow","Action":"sqs:*","Resource":"arn:aws:sqs:*:${aws:PrincipalAccount}:*"}"#
        #expect(try decide(statement, role, kind: .identity) == .allowed)
        #expect(
            try decide(statement, role, resource: "arn:aws:sqs:us-east-1:444455556666:q", kind: .identity)
                == .notAllowed)
    }

    @Test func permits() {
        typealias D = PolicyDecision
        func may(_ principal: Principal, _ identity: D, _ resource: D, owner: String = account) -> Bool {
            D.permits(principal, identity: identity, resource: resource, resourceAccount: owner)
        }
        #expect(may(role, .allowed, .notAllowed))
        #expect(may(role, .notAllowed, .allowed))
        #expect(!may(role, .allowed, .explicitlyDenied))
        #expect(!may(role, .explicitlyDenied, .allowed))
        #expect(!may(role, .allowed, .notAllowed, owner: "444455556666"))
        #expect(may(role, .allowed, .allowed, owner: "444455556666"))
        #expect(may(topic, .notAllowed, .allowed))
        #expect(!may(topic, .allowed, .notAllowed))
        #expect(!may(.anonymous, .allowed, .notAllowed))
    }

    static let wrong: [(String, PolicyDocument.Kind, PolicyError.Kind, String)] = [
        ("[]", .resource, .notAnObject, ""), ("x", .resource, .notAnObject, ""),
        ("{}", .resource, .missing, "Statement"),
        (#"{"Statement":1}"#, .resource, .invalid, "Statement"),
        (#"{"Statement":[],"X":1}"#, .resource, .unexpected, "X"),
        (#"{"Version":"2020-01-01","Statement":[]}"#, .resource, .invalid, "Version"),
        (#"{"Statement":{"Action":"a","Resource":"b","Principal":"*"}}"#, .resource, .missing, "Effect"),
        (
            #"{"Statement":{"Effect":"allow","Action":"a","Resource":"b","Principal":"*"}}"#, .resource, .invalid,
            "Effect"
        ),
        (#"{"Statement":{"Effect":"Allow","Resource":"b","Principal":"*"}}"#, .resource, .missing, "Action"),
        (#"{"Statement":{"Effect":"Allow","Action":"a","Principal":"*"}}"#, .resource, .missing, "Resource"),
        (#"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b"}}"#, .resource, .missing, "Principal"),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Principal":"x"}}"#, .resource, .invalid,
            "Principal"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Principal":{"Who":"x"}}}"#, .resource,
            .invalid,
            "Principal"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":[1],"Resource":"b","Principal":"*"}}"#, .resource, .invalid,
            "Action"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","NotAction":"a","Resource":"b","Principal":"*"}}"#, .resource,
            .unexpected, "NotAction"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Principal":"*"}}"#, .identity, .unexpected,
            "Principal"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Principal":"*"}}"#, .trust, .unexpected,
            "Resource"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Condition":[]}}"#, .identity, .invalid,
            "Condition"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Condition":{"Bool":{"a":null}}}}"#, .identity,
            .invalid, "Condition"
        ),
        (
            #"{"Statement":{"Effect":"Allow","Action":"a","Resource":"b","Unknown":1}}"#, .identity, .unexpected,
            "Unknown"
        ),
    ]

    @Test(arguments: wrong) func syntax(
        _ text: String, _ kind: PolicyDocument.Kind, _ error: PolicyError.Kind, _ element: String
    ) {
        do throws(PolicyError) {
            _ = try PolicyDocument(text: text, kind: kind)
            Issue.record("taken: \(text)")
        } catch {
            #expect(error.element == element, "\(text): \(error)")
        }
        do throws(PolicyError) { _ = try PolicyDocument(text: text, kind: kind) } catch let found {
            #expect(found.kind == error, "\(text): \(found)")
        }
    }
}

@Suite struct ConditionTests {
    static let cases: [(String, [String: [String]], Bool)] = [
        (#"{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#, [:], true),
        (#"{"StringEquals":{"AWS:SourceAccount":["1","111122223333"]}}"#, [:], true),
        (#"{"StringEquals":{"aws:SourceAccount":111122223333}}"#, [:], true),
        (#"{"StringEquals":{"aws:SourceAccount":"1111*"}}"#, [:], false),
        (#"{"StringLike":{"aws:SourceAccount":"1111*"}}"#, [:], true),
        (#"{"StringNotEquals":{"aws:SourceAccount":"1"}}"#, [:], true),
        (#"{"StringNotEquals":{"k":"1"}}"#, [:], true), (#"{"StringNotLike":{"k":"a*"}}"#, ["k": ["abc"]], false),
        (#"{"StringEquals":{"k":"1"}}"#, [:], false), (#"{"StringEqualsIfExists":{"k":"1"}}"#, [:], true),
        (#"{"StringEqualsIfExists":{"k":"1"}}"#, ["k": ["2"]], false),
        (#"{"StringEqualsIgnoreCase":{"K":"aB"}}"#, ["k": ["Ab"]], true),
        (#"{"StringNotEqualsIgnoreCase":{"K":"aB"}}"#, ["k": ["Ab"]], false),
        (#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:news"}}"#, [:], true),
        (#"{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:*:*:news"}}"#, [:], true),
        (#"{"ArnLike":{"aws:SourceArn":"arn:aws:*news"}}"#, [:], false),
        (#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:sns:*:*:news"}}"#, [:], false),
        (#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:${aws:SourceAccount}:*"}}"#, [:], true),
        (#"{"NumericLessThan":{"n":10}}"#, ["n": ["9.5"]], true),
        (#"{"NumericLessThan":{"n":"10"}}"#, ["n": ["10"]], false),
        (#"{"NumericGreaterThanEquals":{"n":10}}"#, ["n": ["10"]], true),
        (#"{"NumericNotEquals":{"n":10}}"#, ["n": ["10.0"]], false),
        (#"{"NumericEquals":{"n":10}}"#, ["n": ["x"]], false),
        (#"{"DateGreaterThan":{"t":"2026-01-01T00:00:00Z"}}"#, ["t": ["2026-11-23T10:00:00Z"]], true),
        (#"{"DateLessThanEquals":{"t":"2026-01-01"}}"#, ["t": ["1767225600"]], true),
        (#"{"DateLessThan":{"t":"never"}}"#, ["t": ["1767225600"]], false),
        (#"{"Bool":{"b":true}}"#, ["b": ["true"]], true), (#"{"Bool":{"b":"False"}}"#, ["b": ["false"]], true),
        (#"{"Bool":{"b":"true"}}"#, ["b": ["false"]], false),
        (#"{"Bool":{"aws:PrincipalIsAWSService":"true"}}"#, [:], true),
        (#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, ["aws:sourceip": ["10.9.8.7"]], true),
        (#"{"IpAddress":{"aws:SourceIp":["::1","10.0.0.1"]}}"#, ["aws:SourceIp": ["0:0::1"]], true),
        (#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, ["aws:SourceIp": ["11.0.0.1"]], true),
        (#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/99"}}"#, ["aws:SourceIp": ["10.0.0.0"]], false),
        (#"{"Null":{"k":"true"}}"#, [:], true), (#"{"Null":{"k":"false"}}"#, [:], false),
        (#"{"Null":{"k":false}}"#, ["k": ["x"]], true),
        (#"{"ForAnyValue:StringEquals":{"k":["a","b"]}}"#, ["k": ["x", "b"]], true),
        (#"{"ForAnyValue:StringEquals":{"k":["a","b"]}}"#, [:], false),
        (#"{"ForAllValues:StringLike":{"k":["a*"]}}"#, ["k": ["a1", "a2"]], true),
        (#"{"ForAllValues:StringLike":{"k":["a*"]}}"#, ["k": ["a1", "b2"]], false),
        (#"{"ForAllValues:StringEquals":{"k":"a"}}"#, [:], true),
        (#"{"ForAnyValue:StringNotEquals":{"k":"a"}}"#, ["k": ["a", "b"]], true),
        (#"{"StringEquals":{"k":"a"},"Bool":{"b":"true"}}"#, ["k": ["a"], "b": ["true"]], true),
        (#"{"StringEquals":{"k":"a","l":"b"}}"#, ["k": ["a"]], false),
        (#"{"StringEquals":{"k":"${m}"}}"#, ["k": ["a*"], "m": ["a*"]], true),
        (#"{"StringLike":{"k":"${m}"}}"#, ["k": ["abc"], "m": ["a*"]], false),
        (#"{"StringLike":{"k":"${*}x*"}}"#, ["k": ["*xyz"]], true),
        (#"{"StringLike":{"k":"${*}x*"}}"#, ["k": ["axyz"]], false),
        (#"{"StringEquals":{"k":"${unknown}"}}"#, ["k": ["${unknown}"]], false),
        (#"{"StringEquals":{"k":"${unknown, 'dflt'}"}}"#, ["k": ["dflt"]], true),
        (#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, [:], false),
    ]

    @Test(arguments: cases) func conditions(_ condition: String, _ context: [String: [String]], _ expected: Bool) throws
    {
        #expect(try holds(condition, context) == expected)
    }

    @Test func whatIsNotKnownFailsClosed() throws {
        let condition = #"{"StringSortOfEquals":{"aws:SourceAccount":"nobody"}}"#
        #expect(try !holds(condition))
        #expect(try holds(condition, effect: "Deny"))
        #expect(
            try PolicyDocument(
                text: #"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":\#(condition)}}"#,
                kind: .identity
            ).hasUnknownOperators)
    }

    @Test func oldVersionsHaveNoVariables() throws {
        let statement = #"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"k":"${m}"}}}"#
        let context = ["k": ["${m}"], "m": ["x"]]
        #expect(try decide(statement, role, context: context, kind: .identity, version: "2008-10-17") == .allowed)
        #expect(try decide(statement, role, context: context, kind: .identity) == .notAllowed)
    }

    @Test func keysOfThePrincipalCannotBeForged() throws {
        let condition = #"{"StringEquals":{"aws:SourceAccount":"1"}}"#
        #expect(try !holds(condition, ["aws:SourceAccount": ["1"]]))
        let principal = #"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/service/worker"}}"#
        #expect(try holds(principal, principal: role))
    }
}

@Suite struct GlobTests {
    @Test(arguments: [
        ("*", "", true), ("a*c", "abbbc", true), ("a?c", "abc", true), ("a?c", "ac", false), ("*b*d", "abcd", true),
        ("*b*d", "abc", false), ("", "a", false), ("**", "x", true), ("a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false),
        ("a?c", "aéc", true), ("*é", "aé", true),
    ])
    func globs(pattern: String, text: String, matches: Bool) {
        #expect(Glob.matches(pattern: pattern, text: text) == matches)
    }

    @Test func services() {
        #expect(ServicePrincipal.canonical("logs.us-east-1.amazonaws.com") == "logs.amazonaws.com")
        #expect(ServicePrincipal.canonical("s3.cn-north-1.amazonaws.com.cn") == "s3.amazonaws.com.cn")
        #expect(ServicePrincipal.canonical("logs.amazonaws.com") == "logs.amazonaws.com")
        #expect(ServicePrincipal.canonical("a.b.c.d") == "a.b.c.d")
        #expect(ServicePrincipal.canonical("") == "")
    }
}
