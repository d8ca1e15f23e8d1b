import Contracts
import NIOCore
import Platform
import Wire

// Users' own HTTP: function URLs, APIs.
extension Pipeline {
    func routeHost(_ call: Call, _ label: String) {
        guard let door = doors.first(where: { $0.label == label }) else {
            let error = AWSError(
                "NotImplementedException", status: 404, "No service of Martlet serves \(label) hosts yet.")
            return fail(call, error)
        }
        if door.streamsBody { return stream(call, label, door) }
        call.exchange.collectBody(limit: door.bodyLimit) { result in
            switch result {
            case .failure(.tooLarge): answer(call, door.tooLarge)
            case .failure(let failure): fail(call, ErrorStyle.rest.body(failure))
            case .success(let body):
                let request = doorRequest(call, label, body)
                if let handshake = WebSocketHandshake(call.exchange.request) {
                    door.upgrade(request) { upgrade(call, handshake, $0) }
                } else {
                    door.respond(to: request) { answer(call, $0) }
                }
            }
        }
    }

    private func upgrade(_ call: Call, _ handshake: WebSocketHandshake, _ answered: WebSocketAnswer) {
        switch answered {
        case .refuse(let response): answer(call, response)
        case .accept(var acceptance):
            acceptance.headers = headers(call, acceptance.headers)
            unresolved.record(
                status: 101, microseconds: (time.uptimeNanoseconds() &- call.exchange.startedUptime) / 1000)
            call.exchange.upgrade(handshake, acceptance)
        }
    }

    /// The door reads the body itself. Nothing is said of who signed: the hash of the body would be needed first.
    private func stream(_ call: Call, _ label: String, _ door: any HTTPDoor) {
        var request = doorRequest(call, label, nil)
        request.stream = DecodedBodyReader(
            call.exchange.streamBody(), decoder: BodyDecoder(.unsigned, key: nil, head: call.originalHead),
            contentLength: call.exchange.request.announcedLength, style: .rest)
        door.respond(to: request) { answer(call, $0) }
    }

    private func doorRequest(_ given: Call, _ label: String, _ body: ByteBuffer?) -> DoorRequest {
        var call = given
        var failure: AWSError?
        call.identity = body.map { caller(of: call, $0, &failure) } ?? nobody(call)
        let region = call.identity?.scope.region ?? AccountRegion.defaultRegion
        var request = DoorRequest(
            context: call.context(service: label, operation: ""), head: call.head,
            labels: call.host.labels.count == 2 ? call.host.labels + [region] : call.host.labels,
            body: body ?? ByteBuffer())
        if call.identity?.principal != .anonymous { request.accessKeyID = call.signed?.scope.accessKeyID }
        request.signatureFailure = failure
        if case .cell(let cell) = call.exchange.info.origin { request.cell = cell }
        request.isSecure = call.exchange.info.isSecure
        request.httpVersion = call.exchange.request.version
        return request
    }

    private func nobody(_ call: Call) -> Identity {
        Identity(
            scope: AccountRegion(
                account: AccountRegion.defaultAccount, region: call.host.region ?? AccountRegion.defaultRegion),
            principal: .anonymous, secret: nil)
    }

    /// Who calls: whoever signed the request, as far as this server checks that, else nobody.
    private func caller(of call: Call, _ body: ByteBuffer, _ failure: inout AWSError?) -> Identity {
        let nobody = nobody(call)
        // A URL that this server was told to call is anybody's choice, and so is a signature in it.
        guard let signed = call.signed, !isOwn(call.originalHead) else { return nobody }
        do throws(AWSError) {
            let identity = try authenticator.identify(
                signed, origin: call.exchange.info.origin, region: call.host.region, style: .rest,
                now: call.exchange.receivedAt)
            if authenticator.mode == .sigv4, let name = call.host.signingName, signed.scope.service != name {
                throw ErrorStyle.rest.badService(expected: name)
            }
            if let secret = identity.secret {
                let declared = call.originalHead.header("x-amz-content-sha256")
                var hash: String?
                if declared == nil || declared?.utf8.count == 64 {
                    var sum = Checksum(.sha256)
                    body.withUnsafeReadableBytes { sum.update($0) }
                    hash = hexEncoded(sum.finalize())
                }
                _ = try SigV4.verify(
                    call.originalHead, signed: signed, secret: secret, payloadHash: hash,
                    now: call.exchange.receivedAt, forS3: false)
            }
            return identity
        } catch {
            failure = error
            return nobody
        }
    }

    private func answer(_ call: Call, _ response: DoorResponse) {
        let payload: HTTPAnswer.Body =
            switch response.payload {
            case .none: .none
            case .bytes(let bytes): .bytes(bytes)
            case .files(let parts, let release): .files(parts, release: release)
            case .stream(let length, let produce): .stream(length: length) { try await produce($0) }
            }
        respond(call, HTTPAnswer(status: response.status, headers: headers(call, response.headers), body: payload))
    }
}
