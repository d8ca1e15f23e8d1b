import Contracts
import NIOCore
import Platform
import Testing

@testable import S3
@testable import Wire

/// What S3 is sent in XML, and what functions answer for it: refused with a code, or kept and evaluated; never a trap.
@Suite struct S3Fuzz {
    private static func schema(_ text: String) -> ServiceSchema {
        do { return try ServiceSchema(text: text) } catch { fatalError("\(error)") }
    }
    private static let s3 = schema(S3Schema.text)
    private static let control = schema(S3ControlSchema.text)

    /// The input of a request; nil when it is refused.
    private func input(
        _ schema: ServiceSchema, _ method: String, _ uri: String, _ body: [UInt8],
        _ headers: [(name: String, value: String)] = []
    ) -> Value? {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let head = RequestHead(
            method: method, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : "", headers: headers)
        let buffer = ByteBuffer(bytes: body)
        guard let match = try? Codec.match(head, body: buffer, schema: schema) else { return nil }
        return try? Codec.decode(match, head: head, body: buffer)
    }

    /// Mutates a document that `use` takes as it is. `use` answers whether it was taken.
    private func fuzz(
        _ seed: UInt64, _ schema: ServiceSchema, _ uri: String, _ document: String,
        rounds: Int = 250, _ use: (Value) throws -> Void
    ) throws {
        var random = Mutator(seed: seed)
        let original = Array(document.utf8)
        try use(try #require(input(schema, "PUT", uri, original)))
        var refused = 0
        for _ in 0..<(rounds * Mutator.factor) {
            guard let value = input(schema, "PUT", uri, random.mutated(original)) else {
                refused += 1
                continue
            }
            do { try use(value) } catch {
                let error = error as? AWSError
                #expect((error?.code.isEmpty ?? true) == false, "an error that clients can read")
                #expect((400...599).contains(error?.status ?? 0))
                refused += 1
            }
        }
        #expect(refused > 0, "changes that are never refused test nothing")
    }

    @Test(arguments: Mutator.seeds) func lifecycle(seed: UInt64) throws {
        let document = """
            <LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key>\
            <Value>v</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter><Expiration><Days>3</Days>\
            </Expiration><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1\
            </NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule><Status>Disabled</Status><Prefix/><Expiration>\
            <Date>2026-11-23T00:00:00Z</Date></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7\
            </DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>
            """
        let now = Instant(milliseconds: 1_795_413_600_000)
        try fuzz(seed, Self.s3, "/b?lifecycle", document) { value in
            let input = S3.Model.PutBucketLifecycleConfigurationRequest(value)
            let rules = try LifecycleRules(input.lifecycleConfiguration?.rules)
            let tags = [TagSet.Tag(key: "k", value: "v")]
            _ = rules.expiry(key: Array("p/x".utf8), size: 11, tags: tags, modified: now)
            _ = rules.abortion(key: [], initiated: Instant(nanoseconds: .max))
            _ = rules.removes(
                key: [], size: .max, tags: [], superseded: Instant(nanoseconds: .min), newerNoncurrent: 0, now: now)
            _ = rules.removesMarker(key: Array("p/".utf8), modified: now, now: now)
        }
    }

    @Test(arguments: Mutator.seeds) func crossOrigin(seed: UInt64) throws {
        let document = """
            <CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
            <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
            <MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule></CORSConfiguration>
            """
        try fuzz(seed, Self.s3, "/b?cors", document) { value in
            let rules = try CrossOriginRules(S3.Model.PutBucketCorsRequest(value).corsConfiguration)
            let query = CrossOriginRules.Query(
                origin: "https://a.example.com", method: "PUT", headers: ["X-Amz-Date", ""])
            for isPreflight in [false, true] { _ = rules.headers(for: query, isPreflight: isPreflight) }
        }
    }

    @Test(arguments: Mutator.seeds) func notifications(seed: UInt64) throws {
        let document = """
            <NotificationConfiguration><CloudFunctionConfiguration><Id>a</Id><CloudFunction>arn:aws:lambda:us-east-1:000000000000\
            :function:f</CloudFunction><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>Prefix</Name><Value>p\
            </Value></FilterRule><FilterRule><Name>suffix</Name><Value>.x</Value></FilterRule></S3Key></Filter>\
            </CloudFunctionConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:000000000000:q</Queue>\
            <Event>s3:ObjectRemoved:Delete</Event></QueueConfiguration><EventBridgeConfiguration/></NotificationConfiguration>
            """
        try fuzz(seed, Self.s3, "/b?notification", document) { value in
            let input = S3.Model.PutBucketNotificationConfigurationRequest(value)
            let rules = try NotificationConfiguration(input.notificationConfiguration ?? .init())
            try rules.checkOverlaps()
            let kept = try NotificationConfiguration(packed: rules.packed())
            let key = ObjectKey(stored: Array("p/y.x".utf8))
            #expect(
                kept.matching(event: EventName.put, key: key).count
                    == rules.matching(event: EventName.put, key: key).count)
            _ = JSON.encode(kept.output.value)
        }
    }

    /// Every event of a long list is compared with every one of the other rules: the lists are bounded.
    @Test func longListsOfEventsAreRefused() {
        func configuration(_ event: String, _ count: Int) -> Value {
            [
                "LambdaFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
                "Events": .strings(Array(repeating: event, count: count)),
            ]
        }
        func code(_ count: Int) -> String? {
            let given = S3.Model.NotificationConfiguration([
                "LambdaFunctionConfigurations": [
                    configuration("s3:ObjectCreated:Put", count), configuration("s3:ObjectRemoved:Delete", count),
                ]
            ])
            do {
                try NotificationConfiguration(given).checkOverlaps()
                return nil
            } catch { return (error as? AWSError)?.code }
        }
        #expect(code(1) == nil && code(100_000) == "MalformedXML")
    }

    @Test(arguments: Mutator.seeds) func tagsAndLists(seed: UInt64) throws {
        let tags = """
            <Tagging><TagSet><Tag><Key>team</Key><Value>a b</Value></Tag><Tag><Key>ü</Key><Value/></Tag></TagSet></Tagging>
            """
        try fuzz(seed, Self.s3, "/b/k?tagging", tags) { value in
            let set = try TagSet(S3.Model.PutObjectTaggingRequest(value).tagging, of: .object)
            #expect(set.tags.count <= S3.Limits.objectTags)
            var metadata = ObjectMetadata()
            metadata.tags = set
            #expect(try ObjectMetadata(packed: metadata.packed()).tags == set)
        }
        var random = Mutator(seed: seed)
        for _ in 0..<(400 * Mutator.factor) { _ = try? TagSet(header: random.mutated("a=1&%C3%BC%20b=x%3Dy%2Bz&c")) }
        let owner = CanonicalUser.id(account: "000000000000")
        let list = """
            <AccessControlPolicy><Owner><ID>\(owner)</ID></Owner><AccessControlList><Grant><Grantee \
            xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers\
            </URI></Grantee><Permission>READ</Permission></Grant><Grant><Grantee \
            xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>\(owner)</ID></Grantee>\
            <Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>
            """
        try fuzz(seed, Self.s3, "/b/k?acl", list) { value in
            let policy = try #require(S3.Model.PutObjectAclRequest(value).accessControlPolicy ?? .init())
            let acl = try AccessControl(policy, owner: owner)
            var metadata = ObjectMetadata()
            metadata.acl = acl
            #expect(try ObjectMetadata(packed: metadata.packed()).acl == acl)
            _ = acl.output.map { JSON.encode($0.value) }
        }
        for _ in 0..<(300 * Mutator.factor) {
            _ = try? AccessControl(
                fullControl: random.mutated("id=\"\(owner)\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
                read: random.mutated("emailAddress=a@b.c"), readACP: nil, write: nil, writeACP: nil, owner: owner)
        }
    }

    @Test(arguments: Mutator.seeds) func accessPoints(seed: UInt64) throws {
        let headers = [(name: "x-amz-account-id", value: "000000000000")]
        let plain = """
            <CreateAccessPointRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Bucket>bucket</Bucket>\
            <VpcConfiguration><VpcId>vpc-1</VpcId></VpcConfiguration><PublicAccessBlockConfiguration><BlockPublicAcls>true\
            </BlockPublicAcls></PublicAccessBlockConfiguration></CreateAccessPointRequest>
            """
        let transforming = """
            <CreateAccessPointForObjectLambdaRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/"><Configuration>\
            <SupportingAccessPoint>arn:aws:s3:us-east-1:000000000000:accesspoint/ap</SupportingAccessPoint><AllowedFeatures>\
            <AllowedFeature>GetObject-Range</AllowedFeature></AllowedFeatures><TransformationConfigurations>\
            <TransformationConfiguration><Actions><Action>GetObject</Action></Actions><ContentTransformation><AwsLambda>\
            <FunctionArn>arn:aws:lambda:us-east-1:000000000000:function:f</FunctionArn><FunctionPayload>{}</FunctionPayload>\
            </AwsLambda></ContentTransformation></TransformationConfiguration></TransformationConfigurations></Configuration>\
            </CreateAccessPointForObjectLambdaRequest>
            """
        var random = Mutator(seed: seed)
        for (uri, document) in [
            ("/v20180820/accesspoint/point", plain), ("/v20180820/accesspointforobjectlambda/olap-point", transforming),
        ] {
            #expect(input(Self.control, "PUT", uri, Array(document.utf8), headers) != nil)
            for _ in 0..<(250 * Mutator.factor) {
                let changed = random.mutated(Array(document.utf8))
                guard let value = input(Self.control, "PUT", random.mutated(uri), changed, headers) else { continue }
                let settings = ObjectLambdaSettings(value["Configuration"] ?? [:])
                _ = (settings.supportingAccessPoint, settings.transformation(of: "GetObject"), settings.allows("x"))
            }
        }
        for _ in 0..<(500 * Mutator.factor) {
            _ = AccessPoint.Key(arn: random.mutated("arn:aws:s3-object-lambda:us-east-1:000000000000:accesspoint/olap"))
            let name = random.mutated("olap-000000000000")
            _ = (BucketReference.mayBeAccessPoint(name), BucketReference.hostLabel(name))
        }
    }

    @Test(arguments: Mutator.seeds) func answersOfFunctions(seed: UInt64) throws {
        var random = Mutator(seed: seed)
        let head = Array(
            #"""
            {"statusCode":200,"errorCode":null,"headers":{"Accept-Ranges":"bytes","Content-Length":4,"ETag":"\"e\"","X":"y"},
            "metadata":{"a":"b"}}
            """#.utf8)
        let list = Array(
            #"""
            {"statusCode":200,"listBucketResult":{"name":"b","isTruncated":true,"maxKeys":"1000","keyCount":2,"contents":[{"key":"k",
            "lastModified":"2026-11-23T06:00:00.5Z","eTag":"e","size":5,"checksumAlgorithm":"CRC32","owner":{"id":"i"}}],
            "commonPrefixes":{"prefix":"p/"}}}
            """#.utf8)
        let listing = RequestHead(method: "GET", path: "/b", query: "list-type=2", headers: [])
        let match = try #require(try Codec.match(listing, body: ByteBuffer(), schema: Self.s3))
        for _ in 0..<(500 * Mutator.factor) {
            if let answer = try? JSON.parse(random.mutated(head)), let response = try? HeadAnswer.response(answer) {
                #expect((200...599).contains(response.status ?? 0))
            }
            guard let answer = try? JSON.parse(random.mutated(list)) else { continue }
            for operation in ["ListObjects", "ListObjectsV2"] {
                guard let response = try? ListAnswer.response(answer, operation: operation) else { continue }
                _ = Codec.encode(response.output, for: match, requestID: "r", payloadApart: false)
            }
        }
        #expect((try? HeadAnswer.response(JSON.parse(head))) != nil)
        #expect((try? ListAnswer.response(JSON.parse(list), operation: "ListObjectsV2")) != nil)
    }
}
