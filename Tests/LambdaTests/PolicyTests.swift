import Contracts
import Platform
import Policies
import Testing

@testable import Lambda

@Suite struct PolicyTests {
    let function = "arn:aws:lambda:us-east-1:000000000000:function:fn"
    let bucket = Principal.service(
        name: "s3.amazonaws.com", sourceARN: "arn:aws:s3:::photos", sourceAccount: "000000000000")

    private func policy(_ grants: PermissionGrant...) throws -> ResourcePolicy {
        ResourcePolicy(statements: try grants.map { try $0.statement(resource: function) })
    }

    private func grant(
        _ principal: String = "s3.amazonaws.com", action: String = "lambda:InvokeFunction", source: String? = nil,
        account: String? = nil, token: String? = nil
    ) -> PermissionGrant {
        PermissionGrant(
            statementID: "s", action: action, principal: principal, sourceARN: source, sourceAccount: account,
            eventSourceToken: token)
    }

    private func allows(_ policy: ResourcePolicy, _ principal: Principal) -> Bool {
        policy.allows(PolicyRequest(principal: principal, action: "lambda:InvokeFunction", resource: function))
    }

    @Test func statementText() throws {
        let statement = try grant(source: "arn:aws:s3:::photos", account: "000000000000").statement(resource: function)
        let text = String(decoding: JSON.encode(statement), as: UTF8.self)
        #expect(
            text == #"{"Sid":"s","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"#
                + #""Action":"lambda:InvokeFunction","Resource":"\#(function)","#
                + #""Condition":{"StringEquals":{"AWS:SourceAccount":"000000000000"},"#
                + #""ArnLike":{"AWS:SourceArn":"arn:aws:s3:::photos"}}}"#)
    }

    @Test func principals() throws {
        #expect(try grant("*").statement(resource: function)["Principal"] == "*")
        #expect(
            try grant("111122223333").statement(resource: function)["Principal"]
                == ["AWS": "arn:aws:iam::111122223333:root"])
        for wrong in ["invalid.nonaws.com", "nobody", "12345", ".amazonaws.com"] {
            #expect(throws: (any Error).self) { try grant(wrong).statement(resource: function) }
        }
    }

    @Test func sources() throws {
        #expect(allows(try policy(grant()), bucket))
        #expect(allows(try policy(grant(source: "arn:aws:s3:::photos", account: "000000000000")), bucket))
        #expect(allows(try policy(grant(source: "arn:aws:s3:::ph*")), bucket))
        #expect(allows(try policy(grant("*")), bucket))
        #expect(allows(try policy(grant(action: "lambda:*")), bucket))
        #expect(!allows(try policy(grant(source: "arn:aws:s3:::other")), bucket))
        #expect(!allows(try policy(grant(account: "111122223333")), bucket))
        #expect(!allows(try policy(grant("sns.amazonaws.com")), bucket))
        #expect(!allows(try policy(grant(action: "lambda:GetFunction")), bucket))
        #expect(!allows(try policy(grant(token: "skill")), bucket))
        #expect(!allows(ResourcePolicy(), bucket))
        // A `*` that would have to cross from the service into the resource.
        #expect(!allows(try policy(grant(source: "arn:aws:*photos")), bucket))
    }

    @Test func regionalServiceNames() throws {
        let logs = Principal.service(
            name: "logs.amazonaws.com", sourceARN: "arn:aws:logs:us-east-1:000000000000:log-group:g:*",
            sourceAccount: "000000000000")
        #expect(allows(try policy(grant("logs.us-east-1.amazonaws.com")), logs))
        #expect(allows(try policy(grant(logs.arn, source: "arn:aws:logs:*:*:log-group:g:*")), logs))
    }

    @Test func unknownConditionsFailClosed() throws {
        var statement = try grant().statement(resource: function)
        statement["Condition"] = ["IpAddress": ["aws:SourceIp": "10.0.0.0/8"]]
        #expect(!allows(ResourcePolicy(statements: [statement]), bucket))
        statement["Condition"] = ["StringEquals": ["aws:PrincipalOrgID": "o-1234567890"]]
        #expect(!allows(ResourcePolicy(statements: [statement]), bucket))
    }

    @Test func denyWins() throws {
        var denial = try grant().statement(resource: function)
        denial["Effect"] = "Deny"
        let allow = try grant().statement(resource: function)
        #expect(!allows(ResourcePolicy(statements: [allow, denial]), bucket))
    }
}
