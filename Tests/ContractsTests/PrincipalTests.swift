import Testing

@testable import Contracts

@Suite struct PrincipalTests {
    @Test func arnsAreThoseThatSTSShows() {
        #expect(Principal.account("123456789012").arn == "arn:aws:iam::123456789012:root")
        let session = Principal.roleSession(
            roleARN: "arn:aws:iam::123456789012:role/path/worker", sessionName: "hello", account: "123456789012")
        #expect(session.arn == "arn:aws:sts::123456789012:assumed-role/worker/hello")
        #expect(session.account == "123456789012")
    }

    @Test func aServiceBelongsToTheAccountItActsFor() {
        let s3 = Principal.service(
            name: "s3.amazonaws.com", sourceARN: "arn:aws:s3:::photos", sourceAccount: "123456789012")
        #expect(s3.account == "123456789012")
        #expect(s3.arn == "s3.amazonaws.com")
        #expect(Principal.anonymous.account == nil)
    }
}
