import Contracts
import NIOCore
import Platform
import Wire

/// WriteGetObjectResponse: the function's half of an exchange.
extension ObjectLambda {
    /// API reference, `x-amz-fwd-status`.
    private static let statuses: Set<Int> = [200, 206, 304, 400, 401, 403, 404, 405, 409, 411, 412, 416, 500, 503]
    /// Members that are not GetObject's.
    private static let ownMembers: Set<String> = [
        "RequestRoute", "RequestToken", "StatusCode", "ErrorCode", "ErrorMessage", "Body", "ContentLength",
    ]

    /// Answers when the caller has the whole response. Throws ValidationError.
    func write(_ request: OperationRequest) async throws -> OperationResponse {
        let input = Model.WriteGetObjectResponseRequest(request.input)
        guard input.requestRoute == Self.route,
            let exchange = exchanges.take(input.requestToken ?? "", account: request.context.principal.account)
        else {
            throw ObjectLambdaError.validation(
                "The request token is not valid: it was used already, has expired, or belongs to another account.")
        }
        do {
            try Self.check(input)
        } catch {
            exchange.end(ObjectLambdaError.invalidResponse(error.message))
            throw error
        }
        let status = input.statusCode ?? 200
        let length = request.stream?.contentLength
        var first: ByteBuffer?
        if length != 0, status != 304 {
            do {
                first = try await Self.next(request.stream)
            } catch {
                exchange.end(ObjectLambdaError.callerLeft)
                throw error
            }
        }
        if let code = input.errorCode {
            guard first == nil else {
                let error = ObjectLambdaError.validation("An error code cannot be used together with a body.")
                exchange.end(ObjectLambdaError.invalidResponse(error.message))
                throw error
            }
            exchange.end(AWSError(code, status: status, input.errorMessage ?? ""))
            return OperationResponse()
        }
        var output = Fields()
        for entry in request.input.fields?.entries ?? [] where !Self.ownMembers.contains(entry.name) {
            output.append(entry.name, entry.value)
        }
        let head = TransformedHead(
            status: status, output: .map(output), length: first == nil ? 0 : length, hasBody: first != nil)
        guard exchange.answer(head) else {
            throw ObjectLambdaError.validation("The original request is not waiting for a response any more.")
        }
        try await Self.pass(first, of: request.stream, to: exchange)
        return OperationResponse()
    }

    private static func check(_ input: Model.WriteGetObjectResponseRequest) throws(AWSError) {
        let status = input.statusCode ?? 200
        guard statuses.contains(status) else {
            throw ObjectLambdaError.validation("The status code \(status) is not supported.")
        }
        guard let code = input.errorCode else {
            guard input.errorMessage == nil else {
                throw ObjectLambdaError.validation("An error message needs an error code.")
            }
            return
        }
        guard status >= 400 else {
            throw ObjectLambdaError.validation("An error code cannot be used with the status code \(status).")
        }
        let isPlain = code.utf8.allSatisfy { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }
        guard isPlain, code.utf8.count >= 2, code.utf8.count <= ControlLimits.errorTextBytes,
            code.utf8.first.map({ (0x41...0x5A).contains($0) }) == true
        else { throw ObjectLambdaError.validation("The error code must match ^[A-Z][a-zA-Z]+$.") }
        guard (input.errorMessage?.utf8.count ?? 0) <= ControlLimits.errorTextBytes else {
            throw ObjectLambdaError.validation("The error message is too long.")
        }
    }

    /// The next piece with bytes in it; nil at the end.
    private static func next(_ stream: (any BodyReader)?) async throws -> ByteBuffer? {
        while let piece = try await stream?.next() {
            if piece.readableBytes > 0 { return piece }
        }
        return nil
    }

    /// Passes the body on piece by piece. When it breaks off, so does the caller's response.
    private static func pass(_ first: ByteBuffer?, of stream: (any BodyReader)?, to exchange: Exchange) async throws {
        guard var piece = first else { return }
        do {
            while true {
                try await exchange.write(piece)
                guard let next = try await next(stream) else { break }
                piece = next
            }
            try await exchange.write(nil)
        } catch {
            exchange.end(error)
            throw error
        }
    }
}
