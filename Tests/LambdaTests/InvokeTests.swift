import Contracts
import NIOCore
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct InvokeTests {
    private func text(_ response: OperationResponse) -> String? {
        guard case .bytes(let buffer) = response.payload else { return nil }
        return String(buffer: buffer)
    }

    @Test func requestResponse() async throws {
        let house = try await Harness()
        try await house.create()
        let context = Base64.encode(Array(#"{"custom":{"a":1}}"#.utf8))
        let response = try await house.call(
            "Invoke", ["FunctionName": "fn", "LogType": "Tail", "ClientContext": .string(context)],
            payload: #"{"a": 1.50}"#, headers: [("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793")])
        #expect(text(response) == #"{"a": 1.50}"#, "untouched")
        #expect(response.status == 200)
        #expect(response.output["ExecutedVersion"] == "$LATEST")
        #expect(response.output["FunctionError"] == nil)
        #expect(response.output["LogResult"]?.string == Base64.encode(Array("log".utf8)))
        let invoked = try #require(house.invoker.state.withLock { $0.invoked.first })
        #expect(invoked.invocation.clientContext == #"{"custom":{"a":1}}"#)
        let traceID = try #require(invoked.invocation.traceID)
        #expect(traceID.hasPrefix("Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:") && traceID.hasSuffix(":0"))
        #expect(response.headers.contains { $0 == ("X-Amzn-Trace-Id", traceID) })
        #expect(invoked.invocation.invokedFunctionARN == house.arn())
        #expect(invoked.function.handler == "index.handler")
        #expect(invoked.function.memoryMB == 128)
        let empty = try await house.call("Invoke", ["FunctionName": "fn:$LATEST"])
        #expect(text(empty) == "{}")
        let last = house.invoker.state.withLock { $0.invoked.last }
        #expect(last?.invocation.invokedFunctionARN == house.arn("fn", "$LATEST"))
        #expect(last?.invocation.traceID?.hasPrefix("Root=1-") == true)
    }

    @Test func event() async throws {
        let house = try await Harness()
        try await house.create()
        let response = try await house.call(
            "Invoke", ["FunctionName": "fn", "InvocationType": "Event"], payload: "[1]")
        #expect(response.status == 202)
        #expect(response.output["ExecutedVersion"] == nil)
        #expect(text(response) == "")
        let event = try #require(house.invoker.state.withLock { $0.enqueued.first })
        #expect(event.payload == Array("[1]".utf8))
        #expect(event.qualifier == "$LATEST")
        #expect(event.acceptedAt == house.time.now())
        let asynchronous = try await house.call("InvokeAsync", ["FunctionName": "fn"], payload: "{}")
        #expect(asynchronous.output["Status"] == 202)
        #expect(house.invoker.state.withLock { $0.enqueued.count } == 2)
        let large = "\"" + String(repeating: "x", count: Limits.invokeAsyncPayloadBytes) + "\""
        #expect(
            await house.error("InvokeAsync", ["FunctionName": "fn"], payload: large)
                == .requestTooLarge(Limits.invokeAsyncPayloadBytes, operation: "InvokeAsync"))
        #expect(
            await house.error("Invoke", ["FunctionName": "no", "InvocationType": "Event"])
                == .functionNotFound(house.arn("no")))
    }

    /// Each invocation gets what the one before it was given, as SDKs inside a function send it on.
    @Test func aLoopIsStoppedUnlessItIsAllowed() async throws {
        let house = try await Harness()
        try await house.create()
        func loop(_ count: Int) async throws -> Int {
            var header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
            for number in 0..<count {
                do {
                    _ = try await house.call("Invoke", ["FunctionName": "fn"], headers: [("x-amzn-trace-id", header)])
                } catch let error as AWSError {
                    #expect(error == .recursiveInvocation)
                    return number
                }
                header = try #require(house.invoker.state.withLock { $0.invoked.last?.invocation.traceID })
            }
            return count
        }
        #expect(try await loop(30) == 16)
        _ = try await house.call("PutFunctionRecursionConfig", ["FunctionName": "fn", "RecursiveLoop": "Allow"])
        #expect(try await loop(30) == 30)
        _ = try await house.call("PutFunctionRecursionConfig", ["FunctionName": "fn", "RecursiveLoop": "Terminate"])
        #expect(try await loop(30) == 16)
    }

    @Test func dryRun() async throws {
        let house = try await Harness()
        try await house.create()
        let response = try await house.call("Invoke", ["FunctionName": "fn", "InvocationType": "DryRun"])
        #expect(response.status == 204)
        #expect(response.output["ExecutedVersion"] == nil)
        #expect(house.invoker.state.withLock { $0.invoked.isEmpty })
    }

    @Test func bodies() async throws {
        let house = try await Harness()
        try await house.create()
        let name: Value = ["FunctionName": "fn"]
        let error = await house.error("Invoke", name, payload: "\u{99}")
        #expect(error?.code == "InvalidRequestContentException")
        let prefix = "Could not parse request body into json: Could not parse payload into json: "
        #expect(error?.message.hasPrefix(prefix) == true)
        #expect(error?.fields["Type"] == "User")
        let large = "\"" + String(repeating: "x", count: Limits.eventPayloadBytes) + "\""
        let tooLarge = await house.error(
            "Invoke", ["FunctionName": "fn", "InvocationType": "Event"], payload: large)
        #expect(tooLarge?.status == 413)
        #expect(tooLarge?.message == "Request must be smaller than 1048576 bytes for the InvokeFunction operation")
        #expect(await house.error("Invoke", name, payload: large) == nil)
        #expect(
            house.service.definition.tooLarge("Invoke", 6_291_456).message
                == "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
        #expect(
            await house.error("Invoke", ["FunctionName": "fn", "ClientContext": "!"])?.code
                == "InvalidRequestContentException")
        let long = String(repeating: "A", count: 3_584)
        #expect(
            await house.error("Invoke", ["FunctionName": "fn", "ClientContext": .string(long)])?.message
                == "Client context must be smaller than 3583 bytes")
    }

    @Test func traceHeaders() {
        let now = Instant(milliseconds: 1_700_000_000_000)
        #expect(TraceHeader.generate(now: now).hasPrefix("Root=1-6553f100-"))
        #expect(TraceHeader.honoured("Root=nonsense", now: now).hasPrefix("Root=1-6553f100-"))
        let full = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:1"
        #expect(TraceHeader.honoured(full, now: now) == full)
    }
}

@Suite struct FunctionCacheTests {
    private let scope = Harness.scope
    private let settings = AsynchronousSettings(maximumRetryAttempts: 1)

    @Test func aLoadThatOverlapsAChangeIsNotKept() {
        let cache = FunctionCache()
        let mark = cache.mark()
        cache.invalidate(scope, "fn")
        cache.store(settings, scope, "fn", "$LATEST", since: mark)
        #expect(cache.settings(scope, "fn", "$LATEST") == nil)
        cache.store(settings, scope, "fn", "$LATEST", since: cache.mark())
        #expect(cache.settings(scope, "fn", "$LATEST") == settings)
        cache.invalidate(scope, "fn")
        #expect(cache.settings(scope, "fn", "$LATEST") == nil)
    }

    @Test func bounded() {
        let cache = FunctionCache()
        for index in 0...Limits.cachedFunctions {
            cache.store(settings, scope, "fn\(index)", "$LATEST", since: cache.mark())
        }
        #expect(cache.settings(scope, "fn0", "$LATEST") == nil)
        #expect(cache.settings(scope, "fn\(Limits.cachedFunctions)", "$LATEST") == settings)
    }
}
