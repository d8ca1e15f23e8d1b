import Contracts
import NIOCore
import Platform
import Storage
import Wire

/// TestInvokeMethod and TestInvokeAuthorizer: one request to what is being edited, with an account of how it went.
struct TestInvokeOperations: Sendable {
    let editor: RESTEditor
    let door: RESTDoor

    private static let stageName = "test-invoke-stage"

    private struct Draft: Sendable {
        var api: CompiledREST
        var stage: RESTStage
        var resource: Value
        var authorizer: Value?
    }

    /// What is being edited, as a stage of its own.
    private func draft(_ request: OperationRequest, resource: String?, authorizer: String?) async throws -> Draft {
        try editor.checkVariables(request)
        var document: Value = ["stageName": .string(Self.stageName)]
        document["variables"] = request.input["stageVariables"]
        let asked = document
        return try await editor.read(request) { api, transaction in
            let deployment = try RESTCatalog.deployment("", api: api.id, in: transaction)
            let stage = RESTCompiler.compile(
                stage: asked, deployment, deployment.library, keys: [:], api: api.id, scope: api.scope)
            let compiled = CompiledREST(
                id: api.id, scope: api.scope, isDisabled: false, stages: [Self.stageName: stage])
            var draft = Draft(api: compiled, stage: stage, resource: [:])
            if let resource { draft.resource = try ResourceOperations.require(resource, api: api.id, in: transaction) }
            if let authorizer {
                guard let known = deployment.authorizers[authorizer] else { throw RESTError.noAuthorizer }
                draft.authorizer = known
            }
            return draft
        }
    }

    private func call(
        _ request: OperationRequest, _ draft: Draft, _ transcript: Transcript, method: String, path: String,
        query: String,
        _ reply: @escaping @Sendable (RESTReply) -> Void
    ) -> RESTCall {
        let (input, context) = (request.input, request.context)
        var headers: [(name: String, value: String)] = []
        let several = input["multiValueHeaders"]?.fields?.entries ?? []
        for entry in several {
            for value in entry.value.list ?? [] { headers.append((lowercased(entry.name), value.string ?? "")) }
        }
        for entry in input["headers"]?.fields?.entries ?? []
        where !several.contains(where: { lowercased($0.name) == lowercased(entry.name) }) {
            headers.append((lowercased(entry.name), entry.value.string ?? ""))
        }
        let body = ByteBuffer(string: input["body"]?.string ?? "")
        let type = headers.first { $0.name == "content-type" }?.value
        let proxied = ProxyRequest(
            method: method, path: path, rawPath: path, segments: [], rawQuery: query,
            query: ProxyRequest.query(of: query), headers: headers, body: body,
            isBodyText: !draft.stage.settings.isBinary(type), domainName: "testPrefix.testDomainName",
            domainPrefix: "testPrefix", sourceIP: "test-invoke-source-ip", userAgent: "martlet",
            requestID: Identifier.uuid(), traceID: TraceHeader.generate(now: context.now), receivedAt: context.now,
            context: context, httpVersion: "HTTP/1.1", forwarded: nil, hops: 0)
        let event = EventContext(
            accountID: draft.api.scope.account, apiID: draft.api.id, stage: Self.stageName, routeKey: "", resource: "",
            pathParameters: [], stageVariables: draft.stage.variables, identity: .none)
        return RESTCall(
            api: draft.api, stage: draft.stage, record: RequestRecord(request: proxied, event: event),
            extendedID: RequestID.make(), path: path, transcript: transcript, reply: reply)
    }

    func method(_ request: OperationRequest) async throws -> OperationResponse {
        let input = request.input
        let name = input["httpMethod"]?.string ?? ""
        let draft = try await draft(request, resource: input["resourceId"]?.string ?? "", authorizer: nil)
        guard draft.resource["resourceMethods"]?[name] != nil || draft.resource["resourceMethods"]?["ANY"] != nil else {
            throw RESTError.noMethod
        }
        let pattern = draft.resource["path"]?.string ?? "/"
        let given = input["pathWithQueryString"]?.string ?? ""
        let parts = (given.isEmpty ? pattern : given).split(separator: "?", maxSplits: 1).map(String.init)
        let path = parts.first.map { $0.hasPrefix("/") ? $0 : "/" + $0 } ?? "/"
        let query = parts.count > 1 ? parts[1] : ""
        let method = name == "ANY" ? "GET" : name
        // The resource is the one asked for, whatever the path is; its parameters are taken where the path fits.
        guard let found = Self.find(draft.stage, method: method, pattern: pattern) else { throw RESTError.noMethod }
        let start = door.time.uptimeNanoseconds()
        let transcript = Transcript(now: request.context.now)
        let (replies, replied) = AsyncStream.makeStream(of: RESTReply.self)
        var call = call(request, draft, transcript, method: method, path: path, query: query) { reply in
            replied.yield(reply)
            replied.finish()
        }
        call.method = found.endpoint
        call.record.event.resource = found.endpoint.resourcePath
        call.record.event.pathParameters = Self.parameters(path, pattern)
        begin(call)
        door.proceed(call, Self.tested(found.endpoint))
        guard let reply = await replies.first(where: { _ in true }) else { throw AWSError.internalFailure() }
        let answer = await whole(reply, since: start, transcript)
        transcript.add("Method completed with status: \(answer.status)")
        return OperationResponse(
            Self.shape(
                answer, log: transcript.text(requestID: call.request.requestID),
                latency: (door.time.uptimeNanoseconds() &- start) / 1_000_000))
    }

    /// Tests need no key, and wait for no stream longer than they take.
    private static func tested(_ method: RESTMethod) -> RESTMethod {
        var method = method
        method.needsKey = false
        if let timeout = method.integration?.timeout, method.integration?.transferMode == "STREAMED" {
            method.integration?.timeout = min(timeout, RESTLimits.testedStreamTime)
        }
        return method
    }

    /// The answer with what streams, until that ends, is too long or takes too long.
    private func whole(_ reply: RESTReply, since start: UInt64, _ transcript: Transcript) async -> ProxyAnswer {
        let (head, payload): (ProxyAnswer, ResponsePayload)
        switch reply {
        case .whole(let answer): return answer
        case .stream(let answer, let body): (head, payload) = (answer, body)
        }
        guard case .stream(_, let produce) = payload else { return head }
        let (collector, once) = (StreamCollector(limit: RESTLimits.testedStream), Once())
        let left = RESTLimits.testedStreamTime - .milliseconds(door.milliseconds(since: start))
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let deadline = door.deadlines.add(after: max(left, .zero)) {
                if once.take() { done.resume() }
            }
            Task {
                do {
                    try await produce(collector)
                } catch {
                    transcript.add("The response was not streamed to its end: \(error)")
                }
                guard once.take() else { return }
                door.deadlines.cancel(deadline)
                done.resume()
            }
        }
        var answer = head
        answer.body = collector.take()
        return answer
    }

    private func begin(_ call: RESTCall) {
        guard let transcript = call.transcript else { return }
        transcript.add("Starting execution for request: \(call.request.requestID)")
        transcript.add("HTTP Method: \(call.request.method), Resource Path: \(call.path)")
        transcript.add("Method request path: \(Transcript.map(call.record.event.pathParameters))")
        transcript.add("Method request query string: \(Transcript.map(call.request.query))")
        transcript.add("Method request headers: \(Transcript.map(call.request.headers))")
        transcript.add("Method request body before transformations: \(String(buffer: call.request.body))")
    }

    private static func find(_ stage: RESTStage, method: String, pattern: String) -> RouteTree<RESTMethod>.Match? {
        // A path that only this resource fits: its parameters stand for themselves.
        stage.tree.match(method: method, segments: RESTDoor.segments(pattern))
    }

    private static func parameters(_ path: String, _ pattern: String) -> [(name: String, value: String)] {
        guard let parsed = RouteTree<RESTMethod>.Pattern(pattern) else { return [] }
        var tree = RouteTree<RESTMethod>()
        tree.insert(method: "ANY", pattern: parsed, RESTMethod(resourceID: "", resourcePath: pattern, name: "ANY"))
        return tree.match(method: "GET", segments: RESTDoor.segments(path))?.parameters ?? []
    }

    private static func shape(_ answer: ProxyAnswer, log: String, latency: UInt64) -> Value {
        var output: Value = ["status": .int(Int64(answer.status))]
        output["body"] = .string(String(buffer: answer.body))
        // AWS's answers of itself have no content type here (recorded).
        let headers = answer.problem == nil ? answer.headers : answer.headers.filter { $0.name != "Content-Type" }
        output["headers"] = .map(Fields(ProxyEvents.last(headers).map { ($0.name, .string($0.value)) }))
        output["multiValueHeaders"] = .map(Fields(ProxyEvents.all(headers).map { ($0.name, .strings($0.values)) }))
        output["log"] = .string(log)
        output["latency"] = .int(Int64(clamping: latency))
        return output
    }

    func authorizer(_ request: OperationRequest) async throws -> OperationResponse {
        let id = request.input["authorizerId"]?.string ?? ""
        let draft = try await draft(request, resource: nil, authorizer: id)
        guard let document = draft.authorizer, let compiled = RESTCompiler.authorizer(document, draft.stage.variables)
        else { throw RESTError.bad("The authorizer names no function") }
        let parts = (request.input["pathWithQueryString"]?.string ?? "/").split(separator: "?", maxSplits: 1)
            .map(String.init)
        let transcript = Transcript(now: request.context.now)
        let call = call(
            request, draft, transcript, method: "GET",
            path: parts.first.map { $0.hasPrefix("/") ? $0 : "/" + $0 } ?? "/",
            query: parts.count > 1 ? parts[1] : ""
        ) { _ in }
        transcript.add("Starting authorizer: \(id) for request: \(call.request.requestID)")
        let start = door.time.uptimeNanoseconds()
        let result = await withCheckedContinuation { continuation in
            door.ask(compiled, call) { continuation.resume(returning: $0) }
        }
        var output: Value = [:]
        switch result {
        case .success(let (answer, _)):
            output["clientStatus"] = .int(answer.decision(call.methodARN) == .allowed ? 0 : 403)
            if let principal = answer.principalID { output["principalId"] = .string(principal) }
            if let policy = answer.policyText { output["policy"] = .string(policy) }
            if let context = answer.context, !context.isEmpty {
                output["authorization"] = .map(
                    Fields(context.entries.map { ($0.name, .strings([CallerIdentity.text($0.value)])) }))
            }
            transcript.add("Authorizer result: \(answer.policyText ?? "")")
        case .failure(let failure):
            output["clientStatus"] = .int(Int64(failure.status))
            transcript.add(failure.detail ?? failure.message ?? "")
        }
        output["latency"] = .int(Int64(clamping: (door.time.uptimeNanoseconds() &- start) / 1_000_000))
        output["log"] = .string(transcript.text(requestID: call.request.requestID))
        return OperationResponse(output)
    }
}
