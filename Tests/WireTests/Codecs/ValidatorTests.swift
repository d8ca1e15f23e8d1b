import NIOCore
import Platform
import Testing

@testable import Wire

/// Texts as recorded from AWS (lambda-semantics 7.1, 7.8, 7.11).
@Suite struct ValidatorTests {
    private static let region = "(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}"
    private static let function = "{\"FunctionName\":\"f\",\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{}"

    static let cases: [(String, String, String, String)] = [
        (
            "POST", "/2015-03-31/functions", "{\"FunctionName\":\"f\",\"Role\":\"r1\",\"Code\":{}}",
            "Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: "
                + "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"
        ),
        (
            "POST", "/2015-03-31/functions", function + ",\"Architectures\":[\"X86_64\"]}",
            "Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
                + "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
        ),
        (
            "POST", "/2015-03-31/functions", function + ",\"Architectures\":[\"x86_64\",\"arm64\"]}",
            "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than "
                + "or equal to 1"
        ),
        (
            "POST", "/2015-03-31/functions", function + ",\"SnapStart\":{\"ApplyOn\":\"invalidOption\"}}",
            "Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: Member must satisfy enum value "
                + "set: [PublishedVersions, None]"
        ),
        (
            "POST", "/2015-03-31/functions",
            function + ",\"Layers\":[\"arn:aws:lambda:us-east-1:000000000000:layer:l\"]}",
            "Value '[arn:aws:lambda:us-east-1:000000000000:layer:l]' at 'layers' failed to satisfy constraint: Member "
                + "must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length "
                + "greater than or equal to 1, Member must satisfy regular expression pattern: ((arn:(aws[a-zA-Z-]*)?:"
                + "lambda:\(region):\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:"
                + "[a-zA-Z0-9-_]+)), Member must not be null]"
        ),
        (
            "PUT", "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1",
            "{\"ProvisionedConcurrentExecutions\":0}",
            "Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater "
                + "than or equal to 1"
        ),
        (
            "POST", "/2021-10-31/functions/f/url?Qualifier=2", "{\"AuthType\":\"NONE\"}",
            "Value '2' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: "
                + "((?!^\\d+$)^[0-9a-zA-Z-_]+$)"
        ),
        (
            "PUT", "/2024-08-31/functions/f/recursion-config", "{\"RecursiveLoop\":\"InvalidValue\"}",
            "Value 'InvalidValue' at 'recursiveLoop' failed to satisfy constraint: Member must satisfy enum value set: "
                + "[Terminate, Allow]"
        ),
        (
            "POST", "/2015-03-31/functions/f/aliases",
            "{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"$LATEST\":0.5}}}",
            "Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys "
                + "must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length "
                + "greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]"
        ),
        (
            "POST", "/2015-03-31/functions/f/aliases",
            "{\"Name\":\"a\",\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":2.0}}}",
            "Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must "
                + "satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater "
                + "than or equal to 0.0, Member must not be null]"
        ),
        (
            "DELETE", "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f", "",
            "Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
        ),
        (
            "GET", "/2015-03-31/functions?FunctionVersion=invalid", "",
            "Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"
        ),
    ]

    @Test(arguments: cases)
    func textsOfLambda(method: String, uri: String, body: String, text: String) {
        let error = refusal(Schemas.lambda, method, uri, body: body)
        #expect(error?.code == "ValidationException")
        #expect(error?.status == 400)
        #expect(error?.message == "1 validation error detected: " + text)
        #expect(error?.fields.isEmpty == true)
    }

    @Test func severalViolations() {
        let error = refusal(
            Schemas.lambda, "PUT", "/2019-09-25/functions/f/event-invoke-config",
            body: "{\"MaximumRetryAttempts\":3,\"MaximumEventAgeInSeconds\":1,\"DestinationConfig\":{\"OnFailure\":"
                + "{\"Destination\":\"x\"}}}")
        #expect(
            error?.message.hasPrefix("3 validation errors detected: Value '3' at 'maximumRetryAttempts' failed") == true
        )
        #expect(error?.message.contains("; Value 'x' at 'destinationConfig.onFailure.destination' failed") == true)
    }

    @Test func everyServiceItsCode() {
        let logs = refusal(
            Schemas.logs, "POST", "/", headers: [("x-amz-target", "Logs_20140328.GetLogEvents")],
            body: "{\"logStreamName\":\"s\",\"limit\":10001}")
        #expect(logs?.code == "InvalidParameterException")
        #expect(
            logs?.message == "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
                + "Member must have value less than or equal to 10000")
        let sts = refusal(
            Schemas.sts, "POST", "/",
            body: "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fr"
                + "&RoleSessionName=Session1%3A2")
        #expect(sts?.code == "ValidationError")
        #expect(
            sts?.message == "1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy "
                + "constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*")
        let s3 = refusal(Schemas.s3, "POST", "/b?delete", body: "<Delete><Object/></Delete>")
        #expect(s3?.code == "MalformedXML")
    }

    @Test func pathsIntoLists() {
        let error = refusal(
            Schemas.logs, "POST", "/", headers: [("x-amz-target", "Logs_20140328.PutLogEvents")],
            body: "{\"logGroupName\":\"g\",\"logStreamName\":\"s\",\"logEvents\":[{\"timestamp\":1,\"message\":\"m\"},"
                + "{\"message\":\"m\"},{\"timestamp\":1,\"message\":\"\"}]}")
        #expect(
            error?.message.hasPrefix("2 validation errors detected: Value null at 'logEvents.2.member.timestamp'")
                == true)
        #expect(error?.message.contains("Value '' at 'logEvents.3.member.message'") == true)
    }

    @Test func answersStayBounded() throws {
        let tags = (0..<100_000).map { "{\"Key\":\"\($0)!\",\"Value\":\"v\"}" }.joined(separator: ",")
        let keys = (0..<50_000).map { "tagKeys=\($0)" }.joined(separator: "&")
        let logs = refusal(
            Schemas.logs, "POST", "/", headers: [("x-amz-target", "Logs_20140328.PutLogEvents")],
            body: "{\"logGroupName\":\"g\",\"logStreamName\":\"s\",\"logEvents\":[\(tags)]}")
        #expect(logs?.message.utf8.count ?? .max < 100_000)
        #expect(
            refusal(Schemas.lambda, "DELETE", "/2017-03-31/tags/x?\(keys)&tagKeys=")?.message.utf8.count ?? .max
                < 50_000)
    }
}
