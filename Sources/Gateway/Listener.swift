import Glibc
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import Platform
import Synchronization

/// Makes listeners and the handlers of their connections.
struct ListenerFactory: Sendable {
    enum Transport: Sendable {
        case plain
        case tls(NIOSSLContext)
        /// Told apart by the first byte.
        case either(NIOSSLContext)
    }

    let group: any EventLoopGroup
    let responder: any HTTPResponder
    let limits: GatewayLimits
    let counters: GatewayCounters
    let registry: ConnectionRegistry
    let time: any TimeSource

    func bootstrap(
        _ transport: Transport, origin: ConnectionInfo.Origin, listener: ConnectionRegistry.Listener
    ) -> ServerBootstrap {
        // Swift 6.3's runtime may crash when two loops make this generic type at the same moment, as they would with the first two
        // connections (seen with kill -9 and busy clients, once in some hundred starts): it is made here, by one thread.
        _ = makeDecoder()
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: limits.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(
                .recvAllocator,
                value: ReadBuffers(
                    first: limits.firstReadBytes, later: limits.laterReadBytes, most: limits.readBytes)
            )
            .childChannelOption(
                .writeBufferWaterMark, value: .init(low: limits.writeLowWater, high: limits.writeHighWater)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try self.configure(channel, transport, origin: origin, listener: listener)
                }
            }
    }

    private func configure(
        _ channel: any Channel, _ transport: Transport, origin: ConnectionInfo.Origin,
        listener: ConnectionRegistry.Listener
    ) throws {
        guard case .accepted(let isDraining) = registry.admit(channel, from: listener) else {
            counters.connectionsRefused.wrappingAdd(1, ordering: .relaxed)
            var text = ByteBuffer()
            text.writeStaticString("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            try channel.pipeline.syncOperations.addHandler(RefusingHandler(text))
            return
        }
        counters.connectionsAccepted.wrappingAdd(1, ordering: .relaxed)
        channel.closeFuture.whenComplete { [registry] _ in registry.remove(channel) }
        let local = channel.localAddress
        if local?.protocol != .unix {
            try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        let pipeline = channel.pipeline.syncOperations
        var isSecure = false
        switch transport {
        case .plain: break
        case .tls(let context):
            try pipeline.addHandler(NIOSSLServerHandler(context: context))
            isSecure = true
        case .either(let context): try pipeline.addHandler(TLSDetector(context))
        }
        let info = ConnectionInfo(
            origin: origin, isSecure: isSecure, sourceIP: ListenerFactory.sourceIP(channel.remoteAddress),
            localAuthority: ListenerFactory.authority(local))
        let connection = HTTPConnection(
            responder: responder, info: info, limits: limits, counters: counters, bodies: listener.bodies, time: time,
            isDraining: isDraining)
        let detector = PrefaceDetector(connection: connection, decoder: makeDecoder, limits: limits) { info, stream in
            try self.configure(stream: stream, info, listener)
        }
        try pipeline.addHandlers([detector, connection])
    }

    private func makeDecoder() -> ByteToMessageHandler<HTTPRequestDecoder> {
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderFieldSize = limits.headerFieldBytes
        decoding.maxHeaderListSize = limits.headerBytes
        decoding.maxHeaderFieldCount = limits.headerFields
        // It is removed when the connection becomes a WebSocket, and nowhere else.
        return ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoding))
    }

    /// One stream of HTTP/2 is to its handlers a connection with one request.
    private func configure(
        stream: any Channel, _ info: ConnectionInfo, _ listener: ConnectionRegistry.Listener
    ) throws {
        let output = HTTP2Output()
        try stream.pipeline.syncOperations.addHandlers([
            HTTP2FramePayloadToHTTP1ServerCodec(), output,
            HTTPConnection(
                responder: responder, info: info, limits: limits, counters: counters, bodies: listener.bodies,
                time: time, isDraining: false, http2: output),
        ])
    }

    /// An IPv4 client of a listener for both families is shown as what it is, for policies and events.
    static func sourceIP(_ address: SocketAddress?) -> String {
        guard let text = address?.ipAddress else { return "127.0.0.1" }
        return text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst("::ffff:".count)) : text
    }

    static func authority(_ address: SocketAddress?) -> String {
        guard let address, let ip = address.ipAddress, let port = address.port else { return "localhost" }
        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }

    /// Throws `Failure(.configuration)` when the files cannot be used.
    static func makeTLS(_ tls: GatewayTLS) throws -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(tls.certificateFile).map {
                NIOSSLCertificateSource.certificate($0)
            }
            let key = try NIOSSLPrivateKey(file: tls.keyFile, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain, privateKey: .privateKey(key))
            configuration.applicationProtocols = ["h2", "http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw Failure(
                .configuration,
                "TLS: the certificate \(tls.certificateFile) and key \(tls.keyFile) could not be used: both must be "
                    + "PEM files and belong together.", cause: error)
        }
    }

    /// Half of the files that the process may open.
    static func connectionsAllowed(_ wanted: Int) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
        return max(min(wanted, Int(clamping: limit.rlim_cur) / 2), 16)
    }
}

/// Answers 503 to a connection over the limit, and closes it.
private final class RefusingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let text: ByteBuffer

    init(_ text: ByteBuffer) { self.text = text }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(text)).whenComplete { _ in bound.value.close(promise: nil) }
    }
}

/// Looks at the first byte of a connection: 22 is a TLS handshake record, and no HTTP method.
private final class TLSDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    private let tls: NIOSSLContext
    private static let handshakeRecord: UInt8 = 22

    init(_ tls: NIOSSLContext) { self.tls = tls }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) == TLSDetector.handshakeRecord {
            do {
                try context.pipeline.syncOperations.addHandler(
                    NIOSSLServerHandler(context: tls), position: .after(self))
                context.fireUserInboundEventTriggered(HTTPConnection.Secured())
            } catch {
                return context.close(promise: nil)
            }
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
