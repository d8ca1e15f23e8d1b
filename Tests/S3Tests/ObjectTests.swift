import Contracts
import Platform
import Storage
import Testing
import Wire

@testable import S3

private let photoFunction = "arn:aws:lambda:us-east-1:000000000000:function:f"

@Suite struct Objects {
    @Test func buckets() async throws {
        let s3 = try Harness()
        #expect(try await s3.call("CreateBucket", ["Bucket": "bucket"])["Location"] == "/bucket")
        try await s3.call("CreateBucket", ["Bucket": "bucket"])  // us-east-1: success again
        #expect(
            await s3.error("CreateBucket", ["Bucket": "bucket"], account: "111122223333")?.code == "BucketAlreadyExists"
        )
        let west: Value = [
            "Bucket": "west", "CreateBucketConfiguration": ["LocationConstraint": "eu-west-1"],
        ]
        try await s3.call("CreateBucket", west)
        #expect(await s3.error("CreateBucket", west)?.code == "BucketAlreadyOwnedByYou")
        #expect(await s3.error("CreateBucket", ["Bucket": "No"])?.code == "InvalidBucketName")
        #expect(try await s3.call("GetBucketLocation", ["Bucket": "west"])["LocationConstraint"] == "eu-west-1")
        #expect(try await s3.call("GetBucketLocation", ["Bucket": "bucket"])["LocationConstraint"] == nil)
        #expect(try await s3.call("HeadBucket", ["Bucket": "west"])["BucketRegion"] == "eu-west-1")
        #expect(await s3.error("HeadBucket", ["Bucket": "west"], account: "111122223333")?.status == 403)
        let page = try await s3.call("ListBuckets", ["MaxBuckets": 1])
        #expect(page["Buckets"]?.list?.compactMap { $0["Name"]?.string } == ["bucket"])
        let rest = try await s3.call("ListBuckets", ["ContinuationToken": page["ContinuationToken"] ?? .null])
        #expect(rest["Buckets"]?.list?.compactMap { $0["Name"]?.string } == ["west"])
        try await s3.put("k", "x")
        #expect(await s3.error("DeleteBucket", ["Bucket": "bucket"])?.code == "BucketNotEmpty")
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "k"])
        try await s3.call("DeleteBucket", ["Bucket": "bucket"])
        #expect(await s3.error("HeadBucket", ["Bucket": "bucket"])?.code == "NoSuchBucket")
    }

    @Test func putAndGet() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        let put = try await s3.put(
            "dir/k ü", "hello", ["Metadata": ["A": "1"], "ContentType": "text/plain", "ContentEncoding": "aws-chunked"])
        #expect(put["ETag"] == "\"5d41402abc4b2a76b9719d911017c592\"")
        #expect(put["ChecksumType"] == "FULL_OBJECT")
        #expect(put["ServerSideEncryption"] == "AES256")
        let get = try await s3.get("dir/k ü", ["ChecksumMode": "ENABLED"])
        #expect(get.text == "hello")
        #expect(get.status == nil)
        #expect(get["ContentType"] == "text/plain")
        #expect(get["ContentEncoding"] == nil)
        #expect(get["Metadata"] == ["a": "1"])
        #expect(get["ContentLength"] == 5)
        #expect(get["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"])
        #expect(get["ChecksumCRC64NVME"]?.string != nil)
        #expect(try await s3.get("dir/k ü")["ChecksumCRC64NVME"] == nil, "only when asked for")
        #expect(await s3.error("GetObject", ["Bucket": "bucket", "Key": "none"])?.code == "NoSuchKey")
        #expect(await s3.error("GetObject", ["Bucket": "none", "Key": "k"])?.code == "NoSuchBucket")
        try await s3.put("empty", "")
        #expect(try await s3.get("empty").bytes.isEmpty)
        #expect(try await s3.get("empty")["ETag"] == "\"d41d8cd98f00b204e9800998ecf8427e\"")
        let long = String(repeating: "k", count: 1025)
        #expect(
            await s3.error("PutObject", ["Bucket": "bucket", "Key": .string(long)], body: [])?.code == "KeyTooLongError"
        )
    }

    /// Other services get an object as a blob: its own where it is one, so that nothing is copied, and still theirs when
    /// the object goes away before they have stored their reference.
    @Test func stagingForOtherServices() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        try await s3.put("code", "hello")
        let (blob, size) = try await s3.stage("code", limit: 5)
        #expect(size == 5)
        #expect(try await s3.blobs.read(blob, offset: 0, length: 10) == Array("hello".utf8))
        #expect(try s3.storedBlobs() == [blob.hex], "shared, not copied")
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "code"])
        try await s3.database.write { [blobs = s3.blobs] in try blobs.retain(blob, size: size, in: $0) }
        #expect(try await s3.blobs.read(blob, offset: 0, length: 10) == Array("hello".utf8))

        try await s3.put("code", "123456")
        await #expect(throws: AWSError.self) { try await s3.stage("code", limit: 5) }
        await #expect(throws: AWSError.self) { try await s3.stage("none", limit: 5) }
    }

    @Test func rangesAndConditions() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        try await s3.put("k", "0123456789")
        let part = try await s3.get("k", ["Range": "bytes=2-4"])
        #expect(part.text == "234" && part.status == 206)
        #expect(part["ContentRange"] == "bytes 2-4/10")
        #expect(try await s3.get("k", ["Range": "bytes=-3"]).text == "789")
        #expect(try await s3.get("k", ["Range": "bytes=0-1,4-5"]).text == "0123456789")
        let error = await s3.error("GetObject", ["Bucket": "bucket", "Key": "k", "Range": "bytes=10-"])
        #expect(error?.status == 416 && error?.fields["ActualObjectSize"] == "10")
        #expect(try await s3.get("k", ["PartNumber": 1]).status == 206)
        #expect(
            await s3.error("GetObject", ["Bucket": "bucket", "Key": "k", "PartNumber": 2])?.code == "InvalidPartNumber")
        let etag = try #require(try await s3.get("k")["ETag"])
        let same = try await s3.get("k", ["IfNoneMatch": etag])
        #expect(same.status == 304 && same.bytes.isEmpty && same["ETag"] == etag)
        #expect(await s3.error("GetObject", ["Bucket": "bucket", "Key": "k", "IfMatch": "x"])?.status == 412)
        #expect(
            await s3.error("PutObject", ["Bucket": "bucket", "Key": "k", "IfNoneMatch": "*"], body: [])?.status == 412)
        try await s3.put("k", "new", ["IfMatch": etag])
        #expect(
            await s3.error("PutObject", ["Bucket": "bucket", "Key": "k", "IfMatch": etag], body: [])?.status == 412)
        #expect(try await s3.get("k").text == "new")
    }

    @Test func bodiesThatDoNotHold() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        let target: Value = ["Bucket": "bucket", "Key": "k"]
        let hello = Array("hello".utf8)
        func put(_ headers: [(name: String, value: String)], trailers: [(name: String, value: String)] = []) async
            -> AWSError?
        {
            await s3.error("PutObject", target, body: hello, headers: headers, trailers: trailers)
        }
        #expect(await s3.error("PutObject", target, body: hello, length: .some(nil))?.code == "MissingContentLength")
        #expect(await s3.error("PutObject", target, body: hello, length: 6)?.code == "IncompleteBody")
        #expect(await s3.error("PutObject", target, body: hello, length: 4)?.code == "IncompleteBody")
        #expect(await s3.error("PutObject", target, body: hello, length: 5 << 30 + 1)?.code == "EntityTooLarge")
        // printf hello | md5sum, crc32 and so on, by Python's hashlib and zlib.
        #expect(await put([("x-amz-checksum-crc32", "NhCmhg==")]) == nil)
        #expect(
            await put([("x-amz-checksum-crc32", "NhCmhw==")])?.message
                == "The CRC32 you specified did not match the calculated checksum.")
        #expect(await put([("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")]) == nil)
        #expect(
            await put([("x-amz-checksum-crc32", "!")])?.message == "Value for x-amz-checksum-crc32 header is invalid.")
        let trailer: [(name: String, value: String)] = [("x-amz-trailer", "x-amz-checksum-crc32")]
        #expect(await put(trailer, trailers: [("x-amz-checksum-crc32", "NhCmhg==")]) == nil)
        #expect(await put(trailer, trailers: [("x-amz-checksum-crc32", "AAAAAA==")])?.code == "BadDigest")
        #expect(await put(trailer)?.code == "MalformedTrailerError")
        var wrong = target
        wrong["ContentMD5"] = "AAAAAAAAAAAAAAAAAAAAAA=="
        #expect(await s3.error("PutObject", wrong, body: hello)?.code == "BadDigest")
        #expect(await put([("x-amz-acl", "private")]) == nil)
        #expect(try await s3.references() == 1, "refused bodies leave no reference")
    }

    @Test func referencesFollowTheRows() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        try await s3.put("a", "same")
        try await s3.put("b", "same")
        #expect(try await s3.referencedBlobs() == 1)
        #expect(try await s3.references() == 2)
        try await s3.put("b", "other")
        #expect(try await s3.referencedBlobs() == 2)
        try await s3.call("CopyObject", ["Bucket": "bucket", "Key": "c", "CopySource": "bucket/a"])
        #expect(try await s3.references() == 3)
        try await s3.put("a", "same")
        #expect(try await s3.references() == 3)
        let deletion: Value = [
            "Bucket": "bucket", "Delete": ["Objects": [["Key": "a"], ["Key": "b"], ["Key": "c"], ["Key": "none"]]],
        ]
        // printf xml | md5sum
        let sum = [(name: "content-md5", value: "D2NdDg84dP/4tYHBMubHpw==")]
        #expect(await s3.error("DeleteObjects", deletion, payload: "other", headers: sum)?.code == "BadDigest")
        let deleted = try await s3.call("DeleteObjects", deletion, payload: "xml", headers: sum)
        #expect(deleted["Deleted"]?.list?.count == 4)
        #expect(try await s3.references() == 0)
        #expect(await s3.error("DeleteObjects", deletion)?.code == "InvalidRequest", "a sum of the body is required")
    }

    @Test func copying() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        try await s3.put("a b", "hello", ["Metadata": ["x": "1"], "ContentType": "text/plain"])
        func copy(_ more: Fields, key: String = "c") async -> AWSError? {
            var input: Value = ["Bucket": "bucket", "Key": .string(key), "CopySource": "/bucket/a%20b"]
            for entry in more.entries { input[entry.name] = entry.value }
            return await s3.error("CopyObject", input)
        }
        #expect(await copy([:]) == nil)
        var read = try await s3.get("c")
        #expect(read.text == "hello" && read["Metadata"] == ["x": "1"] && read["ContentType"] == "text/plain")
        #expect(await copy(["MetadataDirective": "REPLACE", "Metadata": ["y": "2"]]) == nil)
        read = try await s3.get("c")
        #expect(read["Metadata"] == ["y": "2"] && read["ContentType"] == "binary/octet-stream")
        #expect(await copy([:], key: "a b")?.code == "InvalidRequest")
        #expect(await copy(["CopySourceIfMatch": "x"])?.status == 412)
        #expect(await copy(["CopySourceIfNoneMatch": "*"])?.status == 412)
        #expect(await copy(["CopySource": "bucket/none"])?.code == "NoSuchKey")
        #expect(await copy(["CopySource": "nonsense"])?.code == "InvalidArgument")
        #expect(await copy(["ChecksumAlgorithm": "SHA1"]) == nil)
        read = try await s3.get("c", ["ChecksumMode": "ENABLED"])
        #expect(read["ChecksumSHA1"] == "qvTGHdzF6KLavt4PO0gs2a6pQ00=")
    }

    @Test func listing() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        for key in ["a", "d/1", "d/2", "e f", "z"] { try await s3.put(key, "x") }
        let first = try await s3.call("ListObjectsV2", ["Bucket": "bucket", "Delimiter": "/", "MaxKeys": 2])
        #expect(first["Contents"]?.list?.compactMap { $0["Key"]?.string } == ["a"])
        #expect(first["CommonPrefixes"]?.list?.compactMap { $0["Prefix"]?.string } == ["d/"])
        #expect(first["IsTruncated"] == true && first["KeyCount"] == 2)
        let second = try await s3.call(
            "ListObjectsV2",
            [
                "Bucket": "bucket", "Delimiter": "/", "EncodingType": "url",
                "ContinuationToken": first["NextContinuationToken"] ?? .null,
            ])
        #expect(second["Contents"]?.list?.compactMap { $0["Key"]?.string } == ["e+f", "z"])
        #expect(second["IsTruncated"] == false)
        let old = try await s3.call("ListObjects", ["Bucket": "bucket", "MaxKeys": 1, "Delimiter": "/", "Marker": "a"])
        #expect(old["NextMarker"] == "d/")
        #expect(await s3.error("ListObjectsV2", ["Bucket": "bucket", "MaxKeys": -1])?.code == "InvalidArgument")
        #expect(
            await s3.error("ListObjectsV2", ["Bucket": "bucket", "ContinuationToken": ""])?.code == "InvalidArgument")
        #expect(await s3.error("ListObjectsV2", ["Bucket": "bucket", "EncodingType": "x"])?.code == "InvalidArgument")
    }

    @Test func events() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        let configuration: Value = [
            "Bucket": "bucket",
            "NotificationConfiguration": [
                "LambdaFunctionConfigurations": [
                    [
                        "Id": "made", "LambdaFunctionArn": .string(photoFunction), "Events": ["s3:ObjectCreated:*"],
                        "Filter": ["Key": ["FilterRules": [["Name": "prefix", "Value": "in/"]]]],
                    ],
                    ["LambdaFunctionArn": .string(photoFunction), "Events": ["s3:ObjectRemoved:*"]],
                ]
            ],
        ]
        try await s3.call("PutBucketNotificationConfiguration", configuration)
        let shown = try await s3.call("GetBucketNotificationConfiguration", ["Bucket": "bucket"])
        #expect(shown["LambdaFunctionConfigurations"]?.list?.count == 2)
        try await s3.put("in/a", "x")
        try await s3.put("out/a", "x")
        try await s3.put("in/a", "y")
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "in/a"])
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "in/a"])
        let records = try s3.outbox.deliveries.map { try JSON.parse($0.payload)["Records"]?.list?.first ?? .null }
        #expect(
            records.map { $0["eventName"]?.string ?? "" }
                == ["ObjectCreated:Put", "ObjectCreated:Put", "ObjectRemoved:Delete"])
        #expect(records.first?["s3"]?["configurationId"] == "made")
        let sequencers = records.compactMap { $0["s3"]?["object"]?["sequencer"]?.string }
        #expect(sequencers == sequencers.sorted() && Set(sequencers).count == 3, "though the clock stands still")
        #expect(records.last?["s3"]?["object"]?["size"] == nil)
        #expect(
            s3.outbox.deliveries.first?.principal
                == .service(name: "s3.amazonaws.com", sourceARN: "arn:aws:s3:::bucket", sourceAccount: "000000000000"))
        // A refused write tells nobody.
        _ = await s3.error("PutObject", ["Bucket": "bucket", "Key": "in/b", "IfMatch": "x"], body: [])
        #expect(s3.outbox.deliveries.count == 3)

        s3.outbox.refuse(photoFunction, code: "ResourceNotFoundException")
        var error = await s3.error("PutBucketNotificationConfiguration", configuration)
        #expect(error?.message == "Unable to validate the following destination configurations")
        #expect(error?.fields["ArgumentName"] == .string(photoFunction))
        s3.outbox.refuse(photoFunction, code: "AccessDeniedException")
        error = await s3.error("PutBucketNotificationConfiguration", configuration)
        #expect(error?.fields["ArgumentValue"] == .string("Not authorized to invoke function [\(photoFunction)]"))
        var skipping = configuration
        skipping["SkipDestinationValidation"] = true
        #expect(await s3.error("PutBucketNotificationConfiguration", skipping) == nil)
    }
}

@Suite struct MultipartUploads {
    private let big = Int(Limits.smallestPartBytes)

    private func start(_ s3: Harness, _ more: Fields = [:]) async throws -> Value {
        try await s3.makeBucket()
        var input: Value = ["Bucket": "bucket", "Key": "k"]
        for entry in more.entries { input[entry.name] = entry.value }
        return try await s3.call("CreateMultipartUpload", input)["UploadId"] ?? .null
    }

    private func upload(
        _ s3: Harness, _ id: Value, _ number: Int64, _ body: [UInt8], headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        try await s3.call(
            "UploadPart", ["Bucket": "bucket", "Key": "k", "UploadId": id, "PartNumber": .int(number)], body: body,
            headers: headers)
    }

    private func complete(_ id: Value, _ parts: [(Int64, Answer)], _ more: Fields = [:]) -> Value {
        var input: Value = [
            "Bucket": "bucket", "Key": "k", "UploadId": id,
            "MultipartUpload": [
                "Parts": .list(parts.map { ["PartNumber": .int($0.0), "ETag": $0.1["ETag"] ?? .null] })
            ],
        ]
        for entry in more.entries { input[entry.name] = entry.value }
        return input
    }

    @Test func fromStartToEnd() async throws {
        let s3 = try Harness()
        let id = try await start(s3, ["ContentType": "image/png"])
        let one = [UInt8](repeating: 1, count: big)
        let last: [UInt8] = [2, 3, 4]
        let stale = try await upload(s3, id, 1, [9])
        let a = try await upload(s3, id, 1, one)
        let unused = try await upload(s3, id, 2, [5])
        let c = try await upload(s3, id, 7, last)
        #expect(stale["ETag"] != a["ETag"] && unused["ETag"] != nil)
        #expect(try await s3.references() == 3)
        let listed = try await s3.call("ListParts", ["Bucket": "bucket", "Key": "k", "UploadId": id, "MaxParts": 2])
        #expect(listed["Parts"]?.list?.compactMap { $0["PartNumber"]?.int } == [1, 2])
        #expect(listed["IsTruncated"] == true && listed["NextPartNumberMarker"] == 2)
        #expect(try await s3.call("ListMultipartUploads", ["Bucket": "bucket"])["Uploads"]?.list?.count == 1)

        let done = try await s3.call("CompleteMultipartUpload", complete(id, [(1, a), (7, c)]))
        #expect(done["ETag"]?.string?.hasSuffix("-2\"") == true)
        #expect(try await s3.references() == 2)
        let again = try await s3.call("CompleteMultipartUpload", complete(id, [(1, a), (7, c)]))
        #expect(again["ETag"] == done["ETag"], "repeating a completion is a success")
        #expect(try await s3.get("k").bytes == one + last)
        let staged = try await s3.stage("k", limit: 1 << 30)
        #expect(staged.size == Int64(one.count + last.count))
        #expect(try await s3.blobs.read(staged.blob, offset: 0, length: 1 << 24) == one + last)
        #expect(try await s3.get("k", ["Range": .string("bytes=\(big - 1)-\(big + 1)")]).bytes == [1, 2, 3])
        let part = try await s3.get("k", ["PartNumber": 2])
        #expect(part.bytes == last && part.status == 206 && part["PartsCount"] == 2)

        // The whole's CRC was combined from the parts'; a copy computes it anew from the bytes.
        let whole = try await s3.get("k", ["ChecksumMode": "ENABLED"])
        try await s3.call("CopyObject", ["Bucket": "bucket", "Key": "copy", "CopySource": "bucket/k"])
        let copy = try await s3.get("copy", ["ChecksumMode": "ENABLED"])
        #expect(copy["ChecksumCRC64NVME"] == whole["ChecksumCRC64NVME"])
        #expect(copy["ETag"]?.string?.contains("-") == false)
        #expect(copy.bytes == one + last)
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "k"])
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "copy"])
        #expect(try await s3.references() == 0)
    }

    @Test func compositeChecksums() async throws {
        let s3 = try Harness()
        let id = try await start(s3, ["ChecksumAlgorithm": "SHA1"])
        let part = try await upload(
            s3, id, 1, Array("hello".utf8), headers: [("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=")])
        #expect(part["ChecksumSHA1"] == "qvTGHdzF6KLavt4PO0gs2a6pQ00=")
        await #expect(throws: AWSError.self) { try await upload(s3, id, 2, [1]) }
        #expect(await s3.error("CompleteMultipartUpload", complete(id, [(1, part)]))?.code == "InvalidRequest")
        var input = complete(id, [])
        input["MultipartUpload"] = [
            "Parts": [
                [
                    "PartNumber": 1, "ETag": part["ETag"] ?? .null,
                    "ChecksumSHA1": "qvTGHdzF6KLavt4PO0gs2a6pQ00=",
                ]
            ]
        ]
        let done = try await s3.call("CompleteMultipartUpload", input)
        // base64(sha1(sha1("hello"))) by Python's hashlib.
        #expect(done["ChecksumSHA1"] == "a0+JpU4tJ+zX6NoFtKuP2dHYsRk=-1")
        #expect(done["ChecksumType"] == "COMPOSITE")
    }

    @Test func copiedParts() async throws {
        let s3 = try Harness()
        let id = try await start(s3)
        try await s3.put("source", "0123456789")
        let target: Value = [
            "Bucket": "bucket", "Key": "k", "UploadId": id, "PartNumber": 1, "CopySource": "bucket/source",
        ]
        var ranged = target
        ranged["CopySourceRange"] = "bytes=2-5"
        let copied = try await s3.call("UploadPartCopy", ranged)
        var out = target
        out["CopySourceRange"] = "bytes=2-50"
        #expect(await s3.error("UploadPartCopy", out)?.code == "InvalidArgument")
        var input = complete(id, [])
        input["MultipartUpload"] = [
            "Parts": [["PartNumber": 1, "ETag": copied["CopyPartResult"]?["ETag"] ?? .null]]
        ]
        try await s3.call("CompleteMultipartUpload", input)
        try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "source"])
        #expect(try await s3.get("k").text == "2345")
        #expect(try await s3.referencedBlobs() == 1)
    }

    @Test func aborting() async throws {
        let s3 = try Harness()
        let id = try await start(s3)
        _ = try await upload(s3, id, 1, [1, 2, 3])
        let target: Value = ["Bucket": "bucket", "Key": "k", "UploadId": id]
        try await s3.call("AbortMultipartUpload", target)
        #expect(try await s3.references() == 0)
        #expect(await s3.error("AbortMultipartUpload", target)?.code == "NoSuchUpload")
        #expect(await s3.error("ListParts", target)?.code == "NoSuchUpload")
        let second = try await s3.call("CreateMultipartUpload", ["Bucket": "bucket", "Key": "k"])["UploadId"] ?? .null
        _ = try await upload(s3, second, 1, [1, 2, 3])
        try await s3.call("DeleteBucket", ["Bucket": "bucket"])
        #expect(try await s3.references() == 0, "a bucket takes its unfinished uploads with it")
    }
}

@Suite struct Concurrency {
    /// Writers, readers and deleters of one key: every read is one whole object, and no reference is left over.
    @Test func oneKey() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        try await s3.put("k", "start")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for turn in 0..<25 {
                        try await s3.put("k", String(repeating: "\(writer)", count: 1000 + turn))
                        if turn % 5 == writer { try await s3.call("DeleteObject", ["Bucket": "bucket", "Key": "k"]) }
                    }
                }
                group.addTask {
                    for _ in 0..<50 {
                        do {
                            let read = try await s3.get("k")
                            #expect(Int64(read.bytes.count) == read["ContentLength"]?.int)
                            #expect(Set(read.bytes).count == 1 || read.text == "start")
                        } catch let error as AWSError {
                            #expect(error.code == "NoSuchKey")
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<10 {
                        let error = await s3.error(
                            "CopyObject", ["Bucket": "bucket", "Key": .string("c\(writer)"), "CopySource": "bucket/k"])
                        #expect(error == nil || error?.code == "NoSuchKey" || error?.code == "OperationAborted")
                    }
                }
            }
            try await group.waitForAll()
        }
        let rows = try await s3.call("ListObjectsV2", ["Bucket": "bucket"])["KeyCount"]?.int
        #expect(try await s3.references() == rows)
    }

    /// Only one of many "create if absent" succeeds.
    @Test func createOnce() async throws {
        let s3 = try Harness()
        try await s3.makeBucket()
        let created = try await withThrowingTaskGroup(of: Int.self) { group in
            for n in 0..<16 {
                group.addTask {
                    await s3.error(
                        "PutObject", ["Bucket": "bucket", "Key": "k", "IfNoneMatch": "*"], body: [UInt8(n)]) == nil
                        ? 1 : 0
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(created == 1)
        #expect(try await s3.references() == 1)
    }
}
