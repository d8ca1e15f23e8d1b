import NIOCore
import Platform
import Testing

@testable import Wire

@Suite struct CodecTests {
    private let target = [(name: "x-amz-target", value: "Logs_20140328.PutLogEvents")]

    @Test func restJSONRequest() throws {
        let (match, input) = try decoded(
            Schemas.lambda, "POST", "/2015-03-31/functions",
            body:
                "{\"Role\":\"arn:aws:iam::000000000000:role/r\",\"FunctionName\":\"f\",\"Code\":{\"ZipFile\":\"AQID\"},"
                + "\"Timeout\":3,\"Unknown\":{\"deep\":[1,2]},\"Description\":null,\"Publish\":true,\"Publish\":false,"
                + "\"Environment\":{\"Variables\":{\"AB\":\"1\",\"CD\":\"\"}}}")
        #expect(match.operation.name == "CreateFunction")
        #expect(
            input == [
                "Role": "arn:aws:iam::000000000000:role/r", "FunctionName": "f", "Code": ["ZipFile": .blob([1, 2, 3])],
                "Timeout": 3, "Publish": false, "Environment": ["Variables": ["AB": "1", "CD": ""]],
            ])
    }

    @Test func bindingsOfInvoke() throws {
        let (match, input) = try decoded(
            Schemas.lambda, "POST", "/2015-03-31/functions/f%3Alive/invocations?Qualifier=live",
            headers: [("x-amz-invocation-type", "Event"), ("x-amz-log-type", "Tail")], body: "{\"not\":\"parsed\"")
        #expect(match.operation.hasBlobInput)
        #expect(input == ["FunctionName": "f:live", "InvocationType": "Event", "LogType": "Tail", "Qualifier": "live"])
    }

    @Test func bindingsOfPutObject() throws {
        let (_, input) = try decoded(
            Schemas.s3, "PUT", "/b/a%20b/c?x-id=PutObject",
            headers: [
                ("content-length", "3"), ("x-amz-meta-one", "1"), ("x-amz-meta-two", "2"),
                ("content-type", "text/plain"),
                ("expires", "soon"), ("x-amz-object-lock-retain-until-date", "2026-11-23T06:00:00Z"),
                ("if-none-match", "*"),
            ])
        #expect(input["Bucket"] == "b")
        #expect(input["Key"] == "a b/c")
        #expect(input["ContentLength"] == 3)
        #expect(input["Metadata"] == ["one": "1", "two": "2"])
        #expect(input["Expires"] == "soon")
        #expect(input["IfNoneMatch"] == "*")
        #expect(input["ObjectLockRetainUntilDate"]?.timestamp?.seconds == 1_795_413_600)
    }

    @Test(
        arguments: [
            ("{", "SerializationException"), ("[]", "SerializationException"), ("\"x\"", "SerializationException"),
            ("{\"logEvents\":{}}", "SerializationException"), ("{\"logEvents\":[1]}", "SerializationException"),
            ("{\"logGroupName\":1}", "SerializationException"),
            ("{\"logEvents\":[{\"timestamp\":\"1\"}]}", "SerializationException"),
            ("{\"logEvents\":[{\"timestamp\":1e30}]}", "SerializationException"),
            ("{\"logGroupName\":\"g\"} x", "SerializationException"),
        ] as [(String, String)])
    func typeConfusion(body: String, code: String) {
        #expect(refusal(Schemas.logs, "POST", "/", headers: target, body: body)?.code == code)
    }

    @Test func wordsOfTypeConfusion() {
        func message(_ body: String) -> String? {
            refusal(Schemas.logs, "POST", "/", headers: target, body: body)?.message
        }
        #expect(message("{\"logGroupName\":true}") == "class java.lang.Boolean can not be converted to a String")
        #expect(message("{\"logGroupName\":{}}") == "Start of structure or map found where not expected.")
        #expect(message("{\"logEvents\":\"x\"}") == "Expected list or null")
    }

    @Test func bodyThatIsNotJSON() {
        let error = refusal(Schemas.lambda, "POST", "/2015-03-31/functions", body: "{\"a\" 1}")
        #expect(error?.code == "InvalidRequestContentException")
        #expect(
            error?.message.hasPrefix("Could not parse request body into json: Unexpected character ('1' (code 49)): ")
                == true)
    }

    @Test func emptyBodies() throws {
        let headers = [(name: "x-amz-target", value: "Logs_20140328.DescribeLogGroups")]
        #expect(try decoded(Schemas.logs, "POST", "/", headers: headers).input == [:])
        #expect(try decoded(Schemas.logs, "POST", "/", headers: headers, body: " \n").input == [:])
    }

    @Test func xmlRequest() throws {
        let body = """
            <?xml version="1.0" encoding="UTF-8"?><!-- c --><NotificationConfiguration \
            xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CloudFunctionConfiguration><Id>1</Id><Event>s3:ObjectCreated:*\
            </Event><Event>s3:ObjectRemoved:*</Event><CloudFunction>arn</CloudFunction><Filter><S3Key><FilterRule>\
            <Name>prefix</Name><Value>a&amp;<![CDATA[<b>]]>&#x20AC;</Value></FilterRule></S3Key></Filter>\
            </CloudFunctionConfiguration></NotificationConfiguration>
            """
        let (match, input) = try decoded(Schemas.s3, "PUT", "/b?notification", body: body)
        #expect(match.operation.name == "PutBucketNotificationConfiguration")
        let lambda = input["NotificationConfiguration"]?["LambdaFunctionConfigurations"]?.list?.first
        #expect(lambda?["Events"] == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
        #expect(lambda?["LambdaFunctionArn"] == "arn")
        #expect(lambda?["Filter"]?["Key"]?["FilterRules"] == [["Name": "prefix", "Value": "a&<b>€"]])
    }

    /// A document that does not fit would empty settings, or leave out what somebody has asked for.
    @Test(arguments: [
        "<a/>", "<LifecycleConfiguration/>",
        "<NotificationConfiguration><New>x</New></NotificationConfiguration>",
        """
        <NotificationConfiguration><CloudFunctionConfiguration><LambdaFunctionArn>arn</LambdaFunctionArn>\
        </CloudFunctionConfiguration></NotificationConfiguration>
        """,
    ])
    func xmlThatDoesNotFitItsSchemaIsRefused(text: String) throws {
        let error = #expect(throws: AWSError.self) { try decoded(Schemas.s3, "PUT", "/b?notification", body: text) }
        #expect(error?.code == "MalformedXML")
    }

    @Test(arguments: [
        "", "<", "<a", "<a>", "<a></b>", "<a/><b/>", "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a>&x;</a>",
        "<a b='1' b2=\"</a>",
        "<a>&#0;</a>", "<a>&#xd800;</a>", "<a>\u{1}</a>", "text", "<a><![CDATA[x</a>", "<a b></a>", "<1/>",
        "<a>&#99999999999;</a>",
    ])
    func refusesXML(text: String) {
        #expect(throws: XMLReader.Malformed.self) { try XMLReader.parse(Array(text.utf8)) }
    }

    @Test func xmlIsBounded() {
        let deep = String(repeating: "<a>", count: 100_000)
        #expect(throws: XMLReader.Malformed.self) { try XMLReader.parse(Array(deep.utf8)) }
        let wide = "<a>" + String(repeating: "<b/>", count: 250_000) + "</a>"
        #expect(throws: XMLReader.Malformed.self) { try XMLReader.parse(Array(wide.utf8)) }
    }

    @Test func queryRequest() throws {
        let (match, input) = try decoded(
            Schemas.iam, "POST", "/",
            body:
                "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&MaxSessionDuration=3600"
                + "&Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Value=1+2&Tags.member.2.Value=&Unknown.x=1")
        #expect(match.wireProtocol == .query)
        #expect(
            input == [
                "RoleName": "r", "AssumeRolePolicyDocument": "{}", "MaxSessionDuration": 3600,
                "Tags": [["Key": "a", "Value": "1 2"], ["Key": "b", "Value": ""]],
            ])
        let (_, inQuery) = try decoded(Schemas.sts, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15")
        #expect(inQuery == [:])
    }

    @Test func queryAnswer() throws {
        let operation = try #require(Schemas.sts.operations["GetCallerIdentity"])
        let match = OperationMatch(schema: Schemas.sts, operation: operation, wireProtocol: .query, labels: [])
        let response = Codec.encode(
            ["UserId": "u", "Account": "0<1>&", "Arn": "a"], for: match, requestID: "r", payloadApart: false)
        #expect(
            text(response) == "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                + "<GetCallerIdentityResult><UserId>u</UserId><Account>0&lt;1&gt;&amp;</Account><Arn>a</Arn>"
                + "</GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
                + "</GetCallerIdentityResponse>")
        #expect(response.headers.contains { $0 == ("Content-Type", "text/xml") })
        let error = Codec.encode(
            AWSError("NoSuchEntity", status: 404, "gone"), for: match, schema: Schemas.sts, fallback: .query,
            resource: "",
            requestID: "r")
        #expect(error.status == 404)
        #expect(
            text(error).contains("<Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>gone</Message></Error>"))
    }

    private func s3(_ name: String) throws -> OperationMatch {
        OperationMatch(
            schema: Schemas.s3, operation: try #require(Schemas.s3.operations[name]), wireProtocol: .restXML, labels: []
        )
    }

    @Test func locationIsUnwrapped() throws {
        let response = Codec.encode(
            ["LocationConstraint": "eu-west-1"], for: try s3("GetBucketLocation"), requestID: "r", payloadApart: false)
        #expect(
            text(response).hasSuffix(
                "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">eu-west-1</LocationConstraint>"))
    }

    @Test func listingAnswer() throws {
        let response = Codec.encode(
            [
                "Contents": [
                    ["Key": "k", "Size": 3, "LastModified": .timestamp(Instant(milliseconds: 1_000))], ["Key": "l"],
                ],
                "IsTruncated": false, "CommonPrefixes": [["Prefix": "p/"]],
            ], for: try s3("ListObjectsV2"), requestID: "r", payloadApart: false)
        #expect(
            text(response).hasSuffix(
                "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>"
                    + "<Contents><Key>k</Key><LastModified>1970-01-01T00:00:01.000Z</LastModified><Size>3</Size></Contents>"
                    + "<Contents><Key>l</Key></Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
            ))
    }

    @Test func headersOfAnswers() throws {
        let response = Codec.encode(
            [
                "ETag": "\"e\"", "ContentLength": 3, "LastModified": .timestamp(Instant(milliseconds: 0)),
                "Metadata": ["a": "1\r\nx-evil: 1", "b ad": "2"], "DeleteMarker": true,
            ], for: try s3("GetObject"), requestID: "r", payloadApart: true)
        let headers = Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first }
        #expect(headers["etag"] == "\"e\"")
        #expect(headers["last-modified"] == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(headers["x-amz-meta-a"] == "1  x-evil: 1")
        #expect(headers["x-amz-meta-b ad"] == nil)
        #expect(headers["x-amz-delete-marker"] == "true")
        #expect(response.body == nil)
    }

    @Test func errorsOfS3() throws {
        let error = AWSError(
            "NoSuchKey", status: 404, "The specified key does not exist.", fields: ["Key": "k"])
        let response = Codec.encode(
            error, for: try s3("GetObject"), schema: nil, fallback: .restXML, resource: "/b/k", requestID: "r")
        #expect(
            text(response).contains(
                "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k</Key>"
                    + "<Resource>/b/k</Resource><RequestId>r</RequestId><HostId>"))
        let head = Codec.encode(
            error, for: try s3("HeadObject"), schema: nil, fallback: .restXML, resource: "/b/k", requestID: "r")
        #expect(head.body?.readableBytes == 0)
        #expect(head.status == 404)
    }

    @Test func errorsOfLambda() throws {
        let operation = try #require(Schemas.lambda.operations["Invoke"])
        let match = OperationMatch(schema: Schemas.lambda, operation: operation, wireProtocol: .restJSON, labels: [])
        let throttle = AWSError(
            "TooManyRequestsException", status: 429, "Rate Exceeded.",
            fields: ["retryAfterSeconds": "1", "Type": "User", "Reason": "CallerRateLimitExceeded"])
        let response = Codec.encode(
            throttle, for: match, schema: nil, fallback: .restJSON, resource: "", requestID: "r")
        #expect(
            text(response)
                == "{\"Type\":\"User\",\"Reason\":\"CallerRateLimitExceeded\",\"message\":\"Rate Exceeded.\"}")
        #expect(response.headers.contains { $0 == ("Retry-After", "1") })
        #expect(response.headers.contains { $0 == ("x-amzn-ErrorType", "TooManyRequestsException") })
        let missing = AWSError("ResourceNotFoundException", status: 404, "no", fields: ["Type": "User"])
        let body = text(
            Codec.encode(missing, for: match, schema: nil, fallback: .restJSON, resource: "", requestID: "r"))
        #expect(body == "{\"Type\":\"User\",\"Message\":\"no\"}")
        let validation = AWSError("ValidationException", "bad")
        #expect(
            text(Codec.encode(validation, for: match, schema: nil, fallback: .restJSON, resource: "", requestID: "r"))
                == "{\"message\":\"bad\"}")
    }

    @Test func errorsOfLogs() {
        let response = Codec.encode(
            AWSError("ResourceNotFoundException", "The specified log group does not exist."), for: nil,
            schema: Schemas.logs,
            fallback: .json11, resource: "", requestID: "r")
        #expect(
            text(response)
                == "{\"__type\":\"ResourceNotFoundException\",\"message\":\"The specified log group does not exist.\"}")
        #expect(response.headers.contains { $0 == ("Content-Type", "application/x-amz-json-1.1") })
    }

    @Test func lambdaAnswer() throws {
        let operation = try #require(Schemas.lambda.operations["GetFunctionConfiguration"])
        let match = OperationMatch(schema: Schemas.lambda, operation: operation, wireProtocol: .restJSON, labels: [])
        let response = Codec.encode(
            ["Timeout": 3, "FunctionName": "f", "Role": .null, "NotInTheModel": 1, "Layers": []], for: match,
            requestID: "r",
            payloadApart: false)
        #expect(text(response) == "{\"FunctionName\":\"f\",\"Timeout\":3,\"Layers\":[]}")
        let delete = try #require(Schemas.lambda.operations["DeleteAlias"])
        let empty = Codec.encode(
            [:], for: OperationMatch(schema: Schemas.lambda, operation: delete, wireProtocol: .restJSON, labels: []),
            requestID: "r", payloadApart: false)
        #expect(empty.status == 204)
        #expect(empty.body?.readableBytes == 0)
    }

    @Test func statusOfInvoke() throws {
        let operation = try #require(Schemas.lambda.operations["Invoke"])
        let match = OperationMatch(schema: Schemas.lambda, operation: operation, wireProtocol: .restJSON, labels: [])
        let response = Codec.encode(
            ["StatusCode": 202, "ExecutedVersion": "$LATEST"], for: match, requestID: "r", payloadApart: true)
        #expect(response.status == 202)
        #expect(response.headers.contains { $0 == ("X-Amz-Executed-Version", "$LATEST") })
    }
}
