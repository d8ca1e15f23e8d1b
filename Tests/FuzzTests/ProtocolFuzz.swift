import NIOCore
import Platform
import Testing

@testable import CloudWatchLogs
@testable import IAM
@testable import Lambda
@testable import S3
@testable import SQS
@testable import STS
@testable import Wire

/// Each of AWS's protocols, from head and body to a validated input: an answer or a refusal, and never a trap. What is
/// accepted can be encoded again.
@Suite struct ProtocolFuzz {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var schema: ServiceSchema
        var method = "POST"
        var uri = "/"
        var headers: [(name: String, value: String)] = []
        var body: [UInt8]
        var testDescription: String { name }
    }

    static let cases: [Case] = {
        func schema(_ text: String) -> ServiceSchema {
            do { return try ServiceSchema(text: text) } catch { fatalError("\(error)") }
        }
        let logs = schema(CloudWatchLogsSchema.text)
        let cbor = schema(CloudWatchLogsSchema.text.replacing("\nprotocols json11\n", with: "\nprotocols cbor\n"))
        let events = """
            {"logGroupName":"/g","logStreamName":"s","sequenceToken":null,"logEvents":[{"timestamp":1767225600000,"message":"m\\u00e4"}],\
            "entity":{"keyAttributes":{"Type":"Service","Name":"n"}},"unknown":[1.5,true,{}]}
            """
        let code = """
            {"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"AQID"},"Timeout":3,"Layers":["arn:aws:lambda:us-east-1:000000000000:layer:l:1"],\
            "Environment":{"Variables":{"AB":"1"}},"EphemeralStorage":{"Size":512},"Publish":true}
            """
        let message = """
            {"QueueUrl":"http://localhost:4566/000000000000/q","MessageBody":"b","DelaySeconds":1,"MessageAttributes":\
            {"a":{"DataType":"Binary","BinaryValue":"AQID"},"n":{"DataType":"Number","StringValue":"1"}}}
            """
        let form =
            "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&MaxSessionDuration=3600"
            + "&Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=%C3%A4&Tags.member.2.Value="
        let session =
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fr&RoleSessionName=session"
            + "&DurationSeconds=900&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2Fp&TransitiveTagKeys.member.1=k"
        let delete = """
            <?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key><LastModifiedTime>Thu, \
            01 Jan 1970 00:00:00 GMT</LastModifiedTime><Size>1</Size></Object><Quiet>true</Quiet><![CDATA[x]]><!-- c --></Delete>
            """
        return [
            Case(
                name: "restJson1", schema: schema(LambdaSchema.text), uri: "/2015-03-31/functions",
                body: Array(code.utf8)),
            Case(
                name: "awsJson1.1", schema: logs,
                headers: [
                    ("x-amz-target", "Logs_20140328.PutLogEvents"), ("content-type", "application/x-amz-json-1.1"),
                ],
                body: Array(events.utf8)),
            Case(
                name: "awsJson1.0", schema: schema(SQSSchema.text),
                headers: [("x-amz-target", "AmazonSQS.SendMessage"), ("content-type", "application/x-amz-json-1.0")],
                body: Array(message.utf8)),
            Case(name: "query", schema: schema(IAMSchema.text), body: Array(form.utf8)),
            Case(name: "query STS", schema: schema(STSSchema.text), body: Array(session.utf8)),
            Case(name: "restXml", schema: schema(S3Schema.text), uri: "/b?delete", body: Array(delete.utf8)),
            Case(
                name: "restXml head", schema: schema(S3Schema.text), method: "PUT",
                uri: "/b/a%20b/c?partNumber=12&uploadId=x&x-id=UploadPart",
                headers: [
                    ("content-length", "123"), ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
                    ("x-amz-meta-a", "=?UTF-8?B?w6Q=?="),
                    ("x-amz-object-lock-retain-until-date", "2026-11-23T06:00:00.5+01:00"),
                    ("if-modified-since", "Wed, 21 Oct 2026 07:28:00 GMT"),
                ], body: []),
            Case(
                name: "rpc-v2-cbor", schema: cbor, uri: "/service/Logs_20140328/operation/PutLogEvents",
                headers: [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")],
                body: (try? CBOR.encode(JSON.parse(events))) ?? []),
        ]
    }()

    private func head(_ method: String, _ uri: String, _ headers: [(name: String, value: String)]) -> RequestHead {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return RequestHead(
            method: method, path: parts.first.map(String.init) ?? "", query: parts.count > 1 ? String(parts[1]) : "",
            headers: headers)
    }

    private func decode(_ one: Case) throws -> Value {
        let head = head(one.method, one.uri, one.headers)
        let body = ByteBuffer(bytes: one.body)
        let match = try Codec.match(head, body: body, schema: one.schema)
        return try Codec.decode(match, head: head, body: body)
    }

    @Test(arguments: cases) func theOriginalIsAccepted(_ one: Case) throws { _ = try decode(one) }

    @Test(arguments: cases, Mutator.seeds) func mutations(_ one: Case, seed: UInt64) {
        var random = Mutator(seed: seed)
        var refused = 0
        let rounds = 300 * Mutator.factor
        for _ in 0..<rounds {
            var changed = one
            switch random.below(6) {
            case 0: changed.uri = random.mutated(one.uri)
            case 1 where !one.headers.isEmpty:
                let index = random.below(one.headers.count)
                changed.headers[index].value = random.mutated(one.headers[index].value)
            case 2: changed.method = random.pick(["GET", "PUT", "DELETE", "HEAD", "", "post", "\u{0}"])
            default: changed.body = random.mutated(one.body)
            }
            do {
                let value = try decode(changed)
                _ = JSON.encode(value)
                _ = CBOR.encode(value)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0, "changes that are never refused test nothing")
    }

    @Test(arguments: Mutator.seeds) func rawDecoders(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let json = Array(#"{"a":[1,-2.5e3,"x\n\u00e4\ud83d\ude00",null,true],"b":{"":[]},"a":0.1}"#.utf8)
        let cbor = CBOR.encode([
            "a": [1, 2.5, "x", .blob([1]), .null], "b": ["c": .timestamp(Instant(milliseconds: 5))],
        ])
        let frames = [
            EventStreamMessage(headers: [.init("a", .string("b")), .init("c", .int(1))], payload: [1, 2, 3]).encoded(),
            EventStreamMessage(headers: [], payload: []).encoded(),
        ].flatMap { Array($0.readableBytesView) }
        for _ in 0..<(1_000 * Mutator.factor) {
            let text = random.mutated(json)
            // Both readers of JSON say the same.
            let parsed = try? JSON.parse(text)
            #expect((parsed != nil) == ((try? JSON.validate(text)) != nil), "\(text)")
            if let parsed { #expect((try? JSON.parse(JSON.encode(parsed))) != nil, "\(text)") }
            if let value = try? CBOR.parse(random.mutated(cbor)) {
                #expect((try? CBOR.parse(CBOR.encode(value))) != nil)
            }
            var decoder = EventStreamDecoder()
            for piece in random.pieces(random.mutated(frames)) {
                guard (try? decoder.feed(ByteBuffer(bytes: piece))) != nil else { break }
            }
        }
    }
}
