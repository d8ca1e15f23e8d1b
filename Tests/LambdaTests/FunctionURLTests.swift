import Contracts
import NIOCore
import NIOEmbedded
import Platform
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct FunctionURLTests {
    // MARK: Reading what functions answer

    @Test func preludesComeInAnyPieces() {
        let head = #"{"statusCode":201,"headers":{"X-A":"1"},"cookies":["c=1"]}"#
        let bytes = Array(head.utf8) + [UInt8](repeating: 0, count: 8) + Array("body\0\0".utf8)
        for size in [1, 2, 7, 8, 9, 64, bytes.count] {
            var prelude = HTTPPrelude()
            var found: URLResponse?
            var body: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                let piece = bytes[start..<min(start + size, bytes.count)]
                guard found == nil else {
                    body += piece
                    continue
                }
                switch prelude.feed(ByteBuffer(bytes: piece)) {
                case .incomplete: break
                case .malformed: Issue.record("malformed")
                case .complete(let response, let rest):
                    found = response
                    body += Array(rest.readableBytesView)
                }
            }
            #expect(found?.status == 201)
            #expect(found?.headers.map(\.name) == ["X-A", "Content-Type", "Set-Cookie"])
            #expect(body == Array("body\0\0".utf8))
        }
    }

    @Test func preludesThatAreNone() {
        func outcome(_ bytes: [UInt8]) -> String {
            var prelude = HTTPPrelude()
            return switch prelude.feed(ByteBuffer(bytes: bytes)) {
            case .incomplete: "incomplete"
            case .malformed: "malformed"
            case .complete: "complete"
            }
        }
        let zeros = [UInt8](repeating: 0, count: 8)
        #expect(outcome(Array("{}".utf8) + zeros) == "complete")
        #expect(outcome(zeros) == "malformed")
        #expect(outcome(Array("[]".utf8) + zeros) == "malformed")
        #expect(outcome(Array(#"{"statusCode":"x"}"#.utf8) + zeros) == "malformed")
        #expect(outcome(Array("{}".utf8) + zeros.dropLast()) == "incomplete")
        #expect(outcome([UInt8](repeating: 32, count: Limits.preludeBytes)) == "incomplete")
        #expect(outcome([UInt8](repeating: 32, count: Limits.preludeBytes + 1)) == "malformed")
        #expect(outcome([UInt8](repeating: 32, count: Limits.preludeBytes) + Array("{}".utf8) + zeros) == "malformed")
    }

    /// Whatever a function answers: a response that can be sent, or none.
    @Test func anyResult() {
        var random = SystemRandomNumberGenerator()
        let seeds = [
            #"{"statusCode":200,"headers":{"a":1,"b":[2],"c":null,"Date":"x"},"cookies":[1,"a"],"body":{"a":[1.5]}}"#,
            #"{"statusCode":-9223372036854775808,"isBase64Encoded":true,"body":"===="}"#, "1e999", "\"\\u0000\"",
            #"{"statusCode":1e300}"#, #"{"statusCode":200.0,"body":null}"#, "{}\0\0\0\0\0\0\0\0x",
        ]
        for seed in seeds {
            for _ in 0..<200 {
                var bytes = Array(seed.utf8)
                for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    if Bool.random(using: &random) {
                        bytes[place] = UInt8.random(in: 0...255, using: &random)
                    } else {
                        bytes.remove(at: place)
                    }
                }
                if let response = URLResponse(result: ByteBuffer(bytes: bytes)) {
                    #expect((200...599).contains(response.status))
                }
            }
        }
    }

    // MARK: Events

    @Test func queries() {
        func pairs(_ query: String) -> [String] {
            URLEvent.queryParameters(query).entries.map { "\($0.name)=\($0.value.string ?? "")" }
        }
        #expect(pairs("a=1&b=2&a=3") == ["a=1,3", "b=2"])
        #expect(pairs("") == [] && pairs("&&") == [])
        #expect(pairs("a+b=%41%zz&x") == ["a b=A%zz", "x="])
        // Ten thousand names take no time that grows with their square.
        let many = (0..<10_000).map { "n\($0)=1" }.joined(separator: "&")
        #expect(pairs(many).count == 10_000)
    }

    @Test func times() {
        #expect(URLEvent.commonLogTime(Instant(milliseconds: 1_583_953_438_390)) == "11/Mar/2020:19:03:58 +0000")
    }

    @Test func addresses() {
        let url = FunctionURL(
            id: "abc", scope: Harness.scope, function: "f", qualifier: "", authType: .none, invokeMode: nil, cors: nil,
            createdAt: Instant(milliseconds: 0), modifiedAt: Instant(milliseconds: 0))
        for (endpoint, text) in [
            ("http://127.0.0.1:4566", "http://abc.lambda-url.us-east-1.localhost:4566/"),
            ("http://localhost:4566", "http://abc.lambda-url.us-east-1.localhost:4566/"),
            ("https://[::1]:4566", "https://abc.lambda-url.us-east-1.localhost:4566/"),
            ("https://[::1]", "https://abc.lambda-url.us-east-1.localhost/"),
            ("https://lambda.us-east-1.amazonaws.com", "https://abc.lambda-url.us-east-1.on.aws/"),
            ("http://martlet.internal", "http://abc.lambda-url.us-east-1.martlet.internal/"),
        ] { #expect(url.url(endpoint: endpoint) == text) }
    }

    // MARK: Permissions

    private func call(
        _ harness: Harness, _ arn: String, _ principal: Principal, payload: String = "{}"
    ) async -> Result<InvocationResult, any Error> {
        await withCheckedContinuation { continuation in
            harness.service.call(
                function: arn, as: principal, by: nil, payload: ByteBuffer(string: payload), traceID: nil
            ) { continuation.resume(returning: $0) }
        }
    }

    private func code(_ result: Result<InvocationResult, any Error>) -> String? {
        if case .failure(let error) = result { (error as? AWSError)?.code } else { nil }
    }

    @Test func callersNeedTheFunctionsPolicy() async throws {
        let harness = try await Harness()
        try await harness.create()
        let source = "arn:aws:execute-api:us-east-1:000000000000:api/*/GET/x"
        let service = Principal.service(
            name: "apigateway.amazonaws.com", sourceARN: source, sourceAccount: "000000000000")
        #expect(code(await call(harness, "nonsense", service)) == "InvalidParameterValueException")
        #expect(code(await call(harness, harness.arn("not"), service)) == "ResourceNotFoundException")
        #expect(code(await call(harness, harness.arn(), service)) == "AccessDeniedException")
        _ = try await harness.call(
            "AddPermission",
            [
                "FunctionName": "fn", "StatementId": "s", "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": "arn:aws:execute-api:us-east-1:000000000000:api/*",
            ])
        // At once, and again from the cache.
        for _ in 0..<3 {
            let result = try await call(harness, harness.arn(), service, payload: "[1]").get()
            #expect(String(buffer: result.payload) == "[1]")
        }
        let other = Principal.service(
            name: "apigateway.amazonaws.com", sourceARN: source.replacing("api/", with: "other/"),
            sourceAccount: "000000000000")
        #expect(code(await call(harness, harness.arn(), other)) == "AccessDeniedException")
        #expect(code(await call(harness, harness.arn(), .anonymous)) == "AccessDeniedException")
        #expect(code(await call(harness, harness.arn(), .account("111122223333"))) == "AccessDeniedException")
        #expect(code(await call(harness, harness.arn(), .account("000000000000"))) == nil)
        // An alias has its own policy.
        _ = try await harness.call("PublishVersion", ["FunctionName": "fn"])
        _ = try await harness.call(
            "CreateAlias", ["FunctionName": "fn", "Name": "live", "FunctionVersion": "1"])
        try await harness.settle()
        #expect(code(await call(harness, harness.arn("fn", "live"), service)) == "AccessDeniedException")
        _ = try await harness.call("RemovePermission", ["FunctionName": "fn", "StatementId": "s"])
        #expect(code(await call(harness, harness.arn(), service)) == "AccessDeniedException")
    }

    /// Warm calls answer before `call` returns: no task, no database.
    @Test func warmCallsReadNothing() async throws {
        let harness = try await Harness()
        try await harness.create()
        let me = Principal.account("000000000000")
        _ = try await call(harness, harness.arn(), me).get()
        let isAnswered = Atomic<Bool>(false)
        harness.service.call(function: harness.arn(), as: me, by: nil, payload: ByteBuffer(string: "{}"), traceID: nil)
        { _ in
            isAnswered.store(true, ordering: .relaxed)
        }
        let wasAnswered = isAnswered.load(ordering: .relaxed)
        #expect(wasAnswered)
    }

    @Test func streamsOfCallers() async throws {
        let harness = try await Harness()
        try await harness.create()
        let response = try await withCheckedThrowingContinuation { continuation in
            harness.service.callStreaming(
                function: harness.arn(), as: .account("000000000000"), by: nil, payload: ByteBuffer(string: "[7]"),
                traceID: nil
            ) { continuation.resume(with: $0) }
        }
        #expect(await response.body.next() == ByteBuffer(string: "[7]"))
        #expect(await response.body.next() == nil)
        #expect(try response.body.ending?.get().functionError == nil)
    }

    // MARK: CORS

    @Test func preflights() throws {
        #expect(URLCORS(Model.Cors()) == nil)
        var model = Model.Cors()
        model.allowOrigins = ["*"]
        model.allowMethods = ["GET", "PUT"]
        model.allowHeaders = ["*"]
        var cors = try #require(URLCORS(model))
        func origin(_ headers: URLCORS.Headers) -> String? { headers.first?.value }
        #expect(origin(cors.preflight(origin: "http://a", method: "GET", requestHeaders: "x, y")) == "*")
        #expect(cors.preflight(origin: "http://a", method: "POST", requestHeaders: nil).isEmpty)
        cors.allowCredentials = true
        #expect(origin(cors.headers(origin: "http://a")) == "http://a")
        #expect(cors.headers(origin: nil).isEmpty)
        cors.allowHeaders = nil
        #expect(cors.preflight(origin: "http://a", method: "GET", requestHeaders: "x").isEmpty)
        #expect(origin(cors.preflight(origin: "http://a", method: "GET", requestHeaders: nil)) == "http://a")
    }
}
