import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import Gateway

@Suite struct PipelineTests {
    @Test func restJSONWithBlobPayloads() async throws {
        try await TinyServices.with { client in
            let path = "/2015-03-31/functions/f/invocations"
            let answer = try client.ask("POST", path, body: "{\"a\": 1}")
            #expect(answer.status == 200)
            #expect(answer.text == "{\"a\": 1}")
            #expect(answer.header("x-amz-executed-version") == "$LATEST")
            #expect(answer.header("x-amzn-requestid")?.utf8.count == 36)
            let own = try client.ask("POST", path, headers: ["X-Own-Id: 1"], body: "x")
            #expect(own.headers.filter { $0.name.lowercased() == "x-amzn-requestid" }.map(\.value) == ["mine"])
            let long = try client.ask("POST", path, body: String(repeating: "x", count: 101))
            #expect(long.status == 413)
            #expect(long.text.contains("Request must be smaller than 100 bytes for the Invoke operation"))
        }
    }

    @Test func errorsOfHandlers() async throws {
        try await TinyServices.with { client in
            let missing = try client.ask("GET", "/2015-03-31/functions/missing")
            #expect(missing.status == 404)
            #expect(missing.header("x-amzn-errortype") == "ResourceNotFoundException")
            #expect(missing.text.contains("Function not found: missing"))
            let broken = try client.ask("GET", "/2015-03-31/functions/broken")
            #expect(broken.status == 500)
            #expect(!broken.text.contains("Secretive"))
            // In the model, but not implemented: refused by name.
            let absent = try client.ask("DELETE", "/2015-03-31/functions/f")
            #expect(absent.status == 501)
            #expect(absent.text.contains("DeleteFunction of lambda is not implemented"))
            // Newer than the model: Lambda's error, not a bucket's.
            let newer = try client.ask("GET", "/2031-01-01/functions/f/thing")
            #expect(newer.status >= 400)
            #expect(!newer.text.contains("NoSuchBucket"))
            #expect(newer.header("x-amzn-requestid") != nil)
        }
    }

    @Test func contextWithoutCredentials() async throws {
        try await TinyServices.with { client in
            let answer = try client.ask("GET", "/2015-03-31/functions/f")
            #expect(
                answer.text.contains("000000000000 us-east-1 http://localhost:4566 arn:aws:iam::000000000000:root"))
            let hosted = try client.ask("GET", "/2015-03-31/functions/f", host: "lambda.eu-west-1.amazonaws.com")
            #expect(hosted.text.contains("000000000000 eu-west-1 http://lambda.eu-west-1.amazonaws.com"))
            let hostile = try client.ask("GET", "/2015-03-31/functions/f", host: "a\"b<c>")
            #expect(hostile.text.contains(" http://127.0.0.1:"))
        }
    }

    @Test func jsonByTarget() async throws {
        try await TinyServices.with { client in
            let headers = ["X-Amz-Target: Logs_20140328.CreateLogGroup", "Content-Type: application/x-amz-json-1.1"]
            let made = try client.ask("POST", "/", headers: headers, body: "{\"logGroupName\":\"g\"}")
            #expect(made.status == 200)
            let empty = try client.ask("POST", "/", headers: headers, body: "{}")
            #expect(empty.status == 400)
            #expect(empty.text.contains("InvalidParameterException"))
            let unknown = try client.ask(
                "POST", "/", headers: ["X-Amz-Target: DynamoDB_20120810.PutItem", headers[1]], body: "{}")
            #expect(unknown.status == 501)
            #expect(unknown.text.contains("DynamoDB_20120810"))
        }
    }

    @Test func queryByFormAndByURL() async throws {
        try await TinyServices.with { client in
            let form = ["Content-Type: application/x-www-form-urlencoded"]
            let action = "Action=GetCallerIdentity&Version=2011-06-15"
            for answer in [
                try client.ask("POST", "/", headers: form, body: action), try client.ask("GET", "/?" + action),
            ] {
                #expect(answer.status == 200)
                #expect(answer.text.contains("<Account>000000000000</Account>"))
                let id = answer.header("x-amzn-requestid") ?? "none"
                #expect(answer.text.contains("<RequestId>\(id)</RequestId>"))
            }
            let unknown = try client.ask("POST", "/", headers: form, body: "Action=Nothing&Version=2011-06-15")
            #expect(unknown.status == 400)
            #expect(unknown.text.contains("Nothing"))
            let nobody = try client.ask("POST", "/", headers: form, body: "Action=PutMetricData&Version=2010-08-01")
            #expect(nobody.status == 501)
        }
    }

    @Test func s3ByPathAndByHost() async throws {
        try await TinyServices.with { client in
            let body = String(repeating: "z", count: 300_000)
            let byPath = try client.ask("PUT", "/photos/a/b%20c", body: body)
            #expect(byPath.status == 200)
            #expect(byPath.header("etag") == "photos|a/b c|300000")
            for host in [
                "photos.localhost:4566", "photos.s3.us-west-2.amazonaws.com", "photos.s3.localhost.localstack.cloud",
            ] {
                #expect(try client.ask("PUT", "/a", host: host, body: "12").header("etag") == "photos|a|2")
            }
            let got = try client.ask("GET", "/photos/x")
            #expect(got.text == "hello")
            #expect(got.header("server") == "AmazonS3")
            #expect(got.header("x-amz-id-2")?.isEmpty == false)
            #expect(got.header("x-amzn-requestid") == nil)
            #expect(try client.ask("HEAD", "/photos/x").header("content-length") == "5")
        }
    }

    @Test func s3Errors() async throws {
        try await TinyServices.with { client in
            let missing = try client.ask("GET", "/photos/missing")
            #expect(missing.status == 404)
            let id = missing.header("x-amz-request-id") ?? "none"
            #expect(missing.text.contains("<Code>NoSuchKey</Code>"))
            #expect(missing.text.contains("<RequestId>\(id)</RequestId>"))
            #expect(missing.text.contains("<HostId>\(missing.header("x-amz-id-2") ?? "none")</HostId>"))
            #expect(try client.ask("HEAD", "/photos/missing").status == 404)
            #expect(try client.ask("PUT", "/photos").status == 501)
            #expect(try client.ask("GET", "/photos/x").status == 200)
        }
    }

    @Test func countsRequests() async throws {
        try await TinyServices.with { client in
            _ = try client.ask("GET", "/photos/x")
            _ = try client.ask("GET", "/photos/missing")
            let text = try client.ask("GET", "/_martlet/metrics").text
            #expect(text.contains("martlet_requests_total{service=\"s3\",operation=\"GetObject\",status=\"200\"} 1\n"))
            #expect(text.contains("martlet_requests_total{service=\"s3\",operation=\"GetObject\",status=\"404\"} 1\n"))
            #expect(
                text.contains("martlet_request_duration_seconds_count{service=\"s3\",operation=\"GetObject\"} 2\n"))
        }
    }

    @Test func itsOwnRequestsReachNoService() async throws {
        struct WhoAsks: HTTPDoor {
            let label = "lambda-url"
            let bodyLimit = 10
            func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
                let text = "\(request.context.principal.arn) \(request.context.scope.region)"
                completion(DoorResponse(status: 201, headers: [], payload: .bytes(ByteBuffer(string: text))))
            }
        }
        let mark = OutboundMark()
        let own = ["X-Martlet-Outbound: \(mark.reveal())"]
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=123456789012/20261123/us-east-1/lambda/aws4_request"
        try await TinyServices.with(doors: [WhoAsks()], mark: mark) { client in
            for (path, host) in [
                ("/2015-03-31/functions/f/invocations", "localhost"), ("/photos/x", "localhost"),
                ("/?Action=GetCallerIdentity&Version=2011-06-15", "sts.localhost"), ("/", "localhost"),
                ("/x", "photos.localhost"), ("/x", "nothing.us-east-1.amazonaws.com"),
            ] {
                for headers in [own, own + ["Content-Type: application/x-www-form-urlencoded"], own + [signed]] {
                    let answer = try client.ask("POST", path, host: host, headers: headers, body: "x")
                    #expect(answer.status == 403, "\(host)\(path)")
                    #expect(answer.text.contains("AccessDenied") || answer.header("x-amzn-errortype") != nil)
                    #expect(answer.text.contains("Martlet sent this request itself"))
                }
            }
            // Another process's value is nobody's.
            let other = ["X-Martlet-Outbound: \(OutboundMark().reveal())"]
            let invoked = try client.ask("POST", "/2015-03-31/functions/f/invocations", headers: other, body: "x")
            #expect(invoked.status == 200)
            #expect(try client.ask("GET", "/_martlet/health", headers: own).status == 200)
            // Users' hosts are reached, by nobody in particular.
            let host = "abc.lambda-url.eu-west-1.localhost"
            #expect(try client.ask("POST", "/x", host: host, headers: own, body: "hi").text == "anonymous eu-west-1")
            #expect(try client.ask("POST", "/x", host: host, body: "hi").text == "anonymous eu-west-1")
            let whole = [
                signed + ", SignedHeaders=host, Signature=" + String(repeating: "0", count: 64),
                "X-Amz-Date: 20261123T000000Z",
            ]
            let answer = try client.ask("POST", "/x", host: host, headers: whole, body: "hi")
            #expect(answer.text == "arn:aws:iam::123456789012:root us-east-1")
        }
    }

    @Test func usersHostsAreRouted() async throws {
        struct Echo: HTTPDoor {
            let label = "lambda-url"
            let bodyLimit = 10
            func respond(to request: DoorRequest, _ completion: @escaping @Sendable (DoorResponse) -> Void) {
                let text = "\(request.labels[0]) \(request.head.path) \(String(buffer: request.body))"
                completion(DoorResponse(status: 201, headers: [], payload: .bytes(ByteBuffer(string: text))))
            }
        }
        try await TinyServices.with(doors: [Echo()]) { client in
            let host = "abc.lambda-url.us-east-1.localhost"
            let answer = try client.ask("POST", "/x", host: host, body: "hi")
            #expect(answer.status == 201)
            #expect(answer.text == "abc /x hi")
            #expect(try client.ask("POST", "/x", host: host, body: "hello, world").status == 413)
            #expect(
                try client.ask("POST", "/y", host: "abc.lambda-url.eu-west-1.on.aws", body: "hi").text == "abc /y hi")
            #expect(try client.ask("POST", "/_aws/lambda-url/abc/a%2Fb/", body: "hi").text == "abc /a%2Fb/ hi")
            #expect(try client.ask("POST", "/_aws/lambda-url/ABC", body: "hi").text == "abc / hi")
            #expect(try client.ask("POST", "/_aws/lambda-url//x", body: "hi").status != 201)
            #expect(try client.ask("POST", "/_aws/lambda-url/a.b/x", body: "hi").status != 201)
            let none = try client.ask("GET", "/x", host: "abc.execute-api.us-east-1.localhost")
            #expect(none.status == 404)
            #expect(none.text.contains("execute-api"))
        }
    }
}
