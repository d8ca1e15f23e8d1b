import Platform

@testable import Wire

/// Requests signed by botocore 1.43.11 at 2026-11-23T06:00:00Z with the Region eu-west-1.
struct SignedVector: Sendable {
    var name: String
    var service: String
    var head: RequestHead
    var bodyHash: String

    static let accessKey = "AKIDEXAMPLE0000000000"
    static let secret = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    static let token = "IQoJb3JpZ2luX2VjEPT//////////wEaCXVz+token="
    static let now = Instant(iso8601: "20261123T060000Z") ?? Instant(nanoseconds: 0)

    static let all: [SignedVector] = [
        SignedVector(
            name: "json", service: "logs",
            head: RequestHead(
                method: "POST", path: "/",
                query: "",
                headers: [
                    ("host", "localhost:4566"),
                    ("x-amz-target", "Logs_20140328.DescribeLogGroups"),
                    ("content-type", "application/x-amz-json-1.1"),
                    ("x-amz-date", "20261123T060000Z"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/logs/a"
                            + "ws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signa"
                            + "ture=ff42f636b4889618bc83c30bdb8376c4e22b5cfef26d121892a3fce9d9de980a"
                    ),
                    ("content-length", "12"),
                ]),
            bodyHash: "2bbdfb6c13006d310f0e396f3b6ffa42d26897ee6285204bbe633fa4b32c49d8"),
        SignedVector(
            name: "rest with token", service: "lambda",
            head: RequestHead(
                method: "POST",
                path: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af/invocations",
                query: "Qualifier=%24LATEST&a=b%2Fc",
                headers: [
                    ("host", "127.0.0.1:4566"),
                    ("x-amz-invocation-type", "Event"),
                    ("x-amz-date", "20261123T060000Z"),
                    ("x-amz-security-token", "IQoJb3JpZ2luX2VjEPT//////////wEaCXVz+token="),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/lambda"
                            + "/aws4_request, SignedHeaders=host;x-amz-date;x-amz-invocation-type;x-amz-se"
                            + "curity-token, Signature=bf3b2808ce77fe87a88fcd45aab7ca402317e3f800fb12923a0"
                            + "717a80bfdb603"
                    ),
                    ("content-length", "2"),
                ]),
            bodyHash: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        SignedVector(
            name: "query protocol", service: "sts",
            head: RequestHead(
                method: "POST", path: "/",
                query: "",
                headers: [
                    ("host", "localhost:4566"),
                    ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                    ("x-amz-date", "20261123T060000Z"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/sts/aw"
                            + "s4_request, SignedHeaders=content-type;host;x-amz-date, Signature=8a6962973"
                            + "0aa2758f118d2e2e08b2e47ecd45b41be840a9b113f5ae9fdf5bae6"
                    ),
                    ("content-length", "43"),
                ]),
            bodyHash: "ab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843"),
        SignedVector(
            name: "s3 put, odd key", service: "s3",
            head: RequestHead(
                method: "PUT", path: "/photos/a%20b/%C3%BC%2B%3D%26%28x%29~./../%25.jpg",
                query: "",
                headers: [
                    ("host", "localhost:4566"),
                    ("content-type", "image/jpeg"),
                    ("x-amz-meta-note", "  two   blanks "),
                    ("x-amz-date", "20261123T060000Z"),
                    ("x-amz-content-sha256", "41e5787e9f28562d07b891b1816b492309d646c0f2829743fa4963a9f9cc1d61"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/s3/aws"
                            + "4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;"
                            + "x-amz-meta-note, Signature=b694fb778b1e739ac12124973f53f6ebf7ad810ccbcc883b"
                            + "1ba6a1c53dd95e17"
                    ),
                    ("content-length", "4"),
                ]),
            bodyHash: "41e5787e9f28562d07b891b1816b492309d646c0f2829743fa4963a9f9cc1d61"),
        SignedVector(
            name: "s3 list with token", service: "s3",
            head: RequestHead(
                method: "GET", path: "/",
                query: "list-type=2&prefix=a%2Fb%20c&delimiter=%2F&encoding-type=url&fetch-owner=",
                headers: [
                    ("host", "photos.localhost:4566"),
                    ("x-amz-date", "20261123T060000Z"),
                    ("x-amz-security-token", "IQoJb3JpZ2luX2VjEPT//////////wEaCXVz+token="),
                    ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/s3/aws"
                            + "4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-securit"
                            + "y-token, Signature=ec786931ed5361dc5ac6405c6d3d4522800630b83d95c00d56962a97"
                            + "ce05749e"
                    ),
                ]),
            bodyHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        SignedVector(
            name: "s3 subresource", service: "s3",
            head: RequestHead(
                method: "PUT", path: "/photos",
                query: "notification",
                headers: [
                    ("host", "localhost:4566"),
                    ("x-amz-date", "20261123T060000Z"),
                    ("x-amz-content-sha256", "c1f563b9bdb5fcdc9ef642ba79826762a94492d592ac89676fbc7e570b004c96"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/s3/aws"
                            + "4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=6b"
                            + "42dcb1af677e6eb90dc3f050c1068f4a9248e1322360a2de2891f3a7bfd2d6"
                    ),
                    ("content-length", "28"),
                ]),
            bodyHash: "c1f563b9bdb5fcdc9ef642ba79826762a94492d592ac89676fbc7e570b004c96"),
        SignedVector(
            name: "s3 unsigned trailer", service: "s3",
            head: RequestHead(
                method: "PUT", path: "/photos/k",
                query: "",
                headers: [
                    ("host", "localhost:4566"),
                    ("x-amz-trailer", "x-amz-checksum-crc32"),
                    ("content-encoding", "aws-chunked"),
                    ("x-amz-decoded-content-length", "4"),
                    ("x-amz-date", "20261123T060000Z"),
                    ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
                    (
                        "authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000000000/20261123/eu-west-1/s3/aws"
                            + "4_request, SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-d"
                            + "ate;x-amz-decoded-content-length;x-amz-trailer, Signature=ffcb6f1cfd4996790"
                            + "6b531a5939f0abe4f7648978a42421c769b3f8d57d4fbf8"
                    ),
                    ("content-length", "14"),
                ]),
            bodyHash: "508f13c067904097b5d2e39c2b0ba6e005a8e2bb82772224d94ec449f9b9c468"),
        SignedVector(
            name: "s3 presigned get", service: "s3",
            head: RequestHead(
                method: "GET", path: "/photos/a%20b.jpg",
                query: "response-content-type=image%2Fpng&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credent"
                    + "ial=AKIDEXAMPLE0000000000%2F20261123%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date="
                    + "20261123T060000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token"
                    + "=IQoJb3JpZ2luX2VjEPT%2F%2F%2F%2F%2F%2F%2F%2F%2F%2FwEaCXVz%2Btoken%3D&X-Amz-Signa"
                    + "ture=87a1b6ad53d198457be267f6c375fc103a9b70b14a6ef7a69f4554ac1e9de175",
                headers: [
                    ("host", "localhost:4566")
                ]),
            bodyHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        SignedVector(
            name: "s3 presigned put", service: "s3",
            head: RequestHead(
                method: "PUT", path: "/k",
                query: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE0000000000%2F202611"
                    + "23%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20261123T060000Z&X-Amz-Expires=604"
                    + "800&X-Amz-SignedHeaders=content-type%3Bhost&X-Amz-Signature=59ac0a34dae031d326d8"
                    + "4f6208719cd17569d36d4e4a638546841a076852237e",
                headers: [
                    ("host", "photos.localhost:4566"),
                    ("content-type", "text/plain"),
                    ("content-length", "0"),
                ]),
            bodyHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        SignedVector(
            name: "sts presigned", service: "sts",
            head: RequestHead(
                method: "GET", path: "/",
                query: "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-A"
                    + "mz-Credential=AKIDEXAMPLE0000000000%2F20261123%2Feu-west-1%2Fsts%2Faws4_request&"
                    + "X-Amz-Date=20261123T060000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aw"
                    + "s-id&X-Amz-Signature=d56393d53fae9dc27efe9b6e40e9a9368f7b2511a9c1baadab9645e33e0"
                    + "8e2a1",
                headers: [
                    ("host", "localhost:4566"),
                    ("x-k8s-aws-id", "cluster"),
                ]),
            bodyHash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ]
}
