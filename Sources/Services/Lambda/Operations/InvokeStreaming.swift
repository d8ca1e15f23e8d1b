import Contracts
import NIOCore
import Platform
import Wire

extension LambdaService {
    /// The function's bytes as it makes them, in event-stream frames; how it ended in the last one.
    func invokeStreaming(_ request: OperationRequest, _ done: @escaping OperationCompletion) {
        let invocation: InvokeRequest
        do {
            var input = Model.InvocationRequest(request.input)
            // The model has its own enumeration for it; Event is not in it.
            if input.invocationType == "Event" { input.invocationType = nil }
            invocation = try InvokeRequest(input, payload: request.payload, context: request.context)
        } catch {
            return done(.failure(error))
        }
        find(invocation.target, for: request.context) { [self] found in
            switch found {
            case .success(let entry): stream(invocation, entry, request.context, done)
            case .failure(let error): done(.failure(error))
            }
        }
    }

    private func stream(
        _ request: InvokeRequest, _ entry: FunctionCache.Entry, _ context: OperationContext,
        _ done: @escaping OperationCompletion
    ) {
        do {
            if request.kind == .dryRun {
                return done(.success(OperationResponse(["StatusCode": 204], status: 204)))
            }
            let (function, traceID) = try begin(entry, traceID: request.traceID)
            let invocation = Invocation(
                requestID: context.requestID, payload: request.payload, invokedFunctionARN: request.target.arn,
                clientContext: request.clientContext, traceID: traceID, wantsLogTail: request.wantsLogTail)
            try connections().invoker.invokeStreaming(function, invocation) { result in
                done(
                    result.map { response in
                        OperationResponse(
                            ["StatusCode": 200, "ExecutedVersion": .string(response.executedVersion)],
                            payload: .stream(length: nil) { try await ResponseFrames.write(response.body, to: $0) },
                            status: 200,
                            // The codec names the type of an event stream.
                            headers: [("X-Amzn-Trace-Id", traceID)])
                    })
            }
        } catch {
            done(.failure(error))
        }
    }
}

/// The frames of InvokeWithResponseStream (lambda-semantics 2.4).
enum ResponseFrames {
    static func write(_ body: ResponseReader, to writer: any BodyWriter) async throws {
        while let piece = await body.next() { try await writer.write(chunk(piece)) }
        try await writer.write(complete(body.ending))
    }

    static func chunk(_ piece: ByteBuffer) -> ByteBuffer {
        message("PayloadChunk", "application/octet-stream", Array(piece.readableBytesView))
    }

    /// Empty when all is well.
    static func complete(_ ending: Result<InvocationResult, any Error>?) -> ByteBuffer {
        var fields = Fields()
        switch ending {
        case .success(let result):
            if result.functionError != nil {
                fields.append("ErrorCode", .string(errorCode(result)))
                fields.append("ErrorDetails", .string(String(buffer: result.payload)))
            }
            if let tail = result.logTail { fields.append("LogResult", .string(Base64.encode(tail))) }
        case .failure(let error):
            fields.append("ErrorCode", .string((error as? AWSError)?.code ?? "ServiceException"))
            fields.append("ErrorDetails", .string((error as? AWSError)?.message ?? "The environment was lost."))
        case nil: break
        }
        return message("InvokeComplete", "application/json", JSON.encode(.map(fields)))
    }

    /// Of what the platform says, its type; what the function itself reports is `Unhandled`.
    private static func errorCode(_ result: InvocationResult) -> String {
        let type = (try? JSON.parse(result.payload.readableBytesView))?["errorType"]?.string ?? ""
        let isPlatforms = ["Sandbox.", "Runtime.", "Function.", "Extension."].contains { type.hasPrefix($0) }
        return isPlatforms ? type : result.functionError ?? ""
    }

    private static func message(_ event: String, _ type: String, _ payload: [UInt8]) -> ByteBuffer {
        EventStreamMessage(
            headers: [
                EventStreamMessage.Header(":message-type", .string("event")),
                EventStreamMessage.Header(":event-type", .string(event)),
                EventStreamMessage.Header(":content-type", .string(type)),
            ], payload: payload
        ).encoded()
    }
}
