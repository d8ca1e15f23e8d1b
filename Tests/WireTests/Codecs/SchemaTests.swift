import Platform
import Testing

@testable import Wire

@Suite struct SchemaTests {
    @Test func generatedTextsAreUnderstood() {
        #expect(Schemas.all.count >= 13)
        for schema in Schemas.all {
            // Pairs of surrogates, in patterns of operations that are not there: of Java's regular expressions only.
            #expect(schema.complaints.filter { !$0.contains(": surrogate at ") } == [])
            for operation in schema.operations.values {
                #expect((operation.input == nil) == (operation.input?.kind != .structure), "\(operation.name)")
                _ = operation.output
            }
        }
        #expect(Schemas.lambda.operations.count == 91)
        #expect(Schemas.s3.operations.count == 116)
        #expect(Schemas.logs.protocols == [.json11])
        #expect(Schemas.logs.targetPrefix == "Logs_20140328")
        #expect(Schemas.iam.xmlNamespace == "https://iam.amazonaws.com/doc/2010-05-08/")
    }

    @Test func flagsOfPayloads() throws {
        let invoke = try #require(Schemas.lambda.operations["Invoke"])
        #expect(invoke.hasBlobInput && invoke.hasBlobOutput && !invoke.streamsInput)
        let put = try #require(Schemas.s3.operations["PutObject"])
        #expect(put.streamsInput && !put.hasBlobInput && !put.hasBlobOutput)
        #expect(Schemas.s3.operations["GetObject"]?.hasBlobOutput == true)
        #expect(Schemas.lambda.operations["InvokeWithResponseStream"]?.hasEventOutput == true)
    }

    @Test(
        arguments: [
            ("GET", "/", "ListBuckets"), ("GET", "/b", "ListObjects"), ("GET", "/b/", "ListObjects"),
            ("GET", "/b?list-type=2&prefix=x", "ListObjectsV2"), ("GET", "/b?list-type=1", "ListObjects"),
            ("GET", "/b?location", "GetBucketLocation"), ("GET", "/b?location=", "GetBucketLocation"),
            ("GET", "/b?notification", "GetBucketNotificationConfiguration"),
            ("PUT", "/b?notification", "PutBucketNotificationConfiguration"), ("PUT", "/b", "CreateBucket"),
            ("GET", "/b?uploads", "ListMultipartUploads"), ("GET", "/b?inventory", "ListBucketInventoryConfigurations"),
            ("GET", "/b?inventory&id=1", "GetBucketInventoryConfiguration"), ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/k?x-id=PutObject", "PutObject"), ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"), ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload"), ("DELETE", "/b/k", "DeleteObject"),
            ("DELETE", "/b/k?tagging", "DeleteObjectTagging"), ("GET", "/b/k?uploadId=u", "ListParts"),
            ("HEAD", "/b", "HeadBucket"),
            ("HEAD", "/b/k", "HeadObject"), ("POST", "/b?delete", "DeleteObjects"),
            ("GET", "/b/k/?attributes", "GetObjectAttributes"),
        ] as [(String, String, String)])
    func routesOfS3(method: String, uri: String, operation: String) throws {
        let match = try #require(try Codec.match(request(method, uri), schema: Schemas.s3))
        #expect(match.operation.name == operation)
    }

    @Test func copiesAreToldByTheirHeader() throws {
        let source = [(name: "x-amz-copy-source", value: "/b/k")]
        #expect(
            try Codec.match(request("PUT", "/b/k", headers: source), schema: Schemas.s3)?.operation.name == "CopyObject"
        )
        let part = request("PUT", "/b/k?partNumber=1&uploadId=u", headers: source)
        #expect(try Codec.match(part, schema: Schemas.s3)?.operation.name == "UploadPartCopy")
    }

    @Test(
        arguments: [
            ("/b/k", "k"), ("/b/a/b", "a/b"), ("/b/a/", "a/"), ("/b//x//", "/x//"), ("/b/%2F%20%C3%A9", "/ é"),
            ("/b/a+b", "a+b"),
            ("/b/%", "%"), ("/b/%zz", "%zz"),
        ] as [(String, String)])
    func greedyLabels(path: String, key: String) throws {
        let match = try #require(try Codec.match(request("GET", path), schema: Schemas.s3))
        #expect(match.labels.map(\.value) == ["b", key])
    }

    @Test(
        arguments: [
            ("GET", "/2018-10-31/layers", "ListLayers"),
            ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn"),
            ("POST", "/2015-03-31/functions/", "CreateFunction"), ("GET", "/2015-03-31/functions/f", "GetFunction"),
            ("GET", "/2019-09-30/functions/f/provisioned-concurrency?List=ALL", "ListProvisionedConcurrencyConfigs"),
            (
                "POST",
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
                "Invoke"
            ),
            ("DELETE", "/2017-03-31/tags/arn:aws:lambda:x?tagKeys=a", "UntagResource"),
            ("GET", "/2019-09-25/functions/f/event-invoke-config/list", "ListFunctionEventInvokeConfigs"),
        ] as [(String, String, String)])
    func routesOfLambda(method: String, uri: String, operation: String) throws {
        let match = try #require(try Codec.match(request(method, uri), schema: Schemas.lambda))
        #expect(match.operation.name == operation)
    }

    @Test func unknownOperationsAreNamed() {
        let target = [(name: "x-amz-target", value: "Logs_20140328.Fly")]
        let json = refusal(Schemas.logs, "POST", "/", headers: target, body: "{}")
        #expect(json?.code == "UnknownOperationException")
        #expect(json?.message.contains("Fly") == true)
        let query = refusal(Schemas.iam, "POST", "/", body: "Action=Fly&Version=2010-05-08")
        #expect(query?.code == "InvalidAction")
        #expect(query?.message == "Could not find operation Fly for version 2010-05-08")
        #expect(refusal(Schemas.iam, "POST", "/", body: "x=y")?.code == "MissingAction")
        #expect(refusal(Schemas.lambda, "GET", "/2015-03-31/nothing")?.status == 404)
        #expect(refusal(Schemas.lambda, "PATCH", "/2015-03-31/functions")?.code == "UnknownOperationException")
        #expect(refusal(Schemas.s3, "POST", "/b")?.code == "MethodNotAllowed")
    }

    @Test func pathsMustBeUTF8() {
        #expect(refusal(Schemas.s3, "PUT", "/b/%ff%fe")?.code == "InvalidURI")
        #expect(refusal(Schemas.s3, "GET", "/b?prefix=%80")?.code == "InvalidURI")
        #expect(refusal(Schemas.lambda, "GET", "/2015-03-31/functions/%c3")?.status == 400)
    }

    @Test func malformedTextsAreRefused() {
        #expect(throws: Failure.self) { try ServiceSchema(text: "") }
        #expect(throws: Failure.self) { try ServiceSchema(text: "martlet-schema 1\nservice x\nprotocols morse\n") }
    }

    /// Operations are read when first asked for: a broken line cannot be thrown from there, and is found by the test above.
    @Test func malformedOperationsAreNamed() throws {
        let schema = try ServiceSchema(text: "martlet-schema 1\nservice x\nprotocols query\nop Broken\nshapes\n")
        #expect(schema.operations.isEmpty)
        #expect(schema.complaints == ["malformed operation line: Broken"])
    }
}
