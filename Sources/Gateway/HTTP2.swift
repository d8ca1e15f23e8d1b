import NIOCore
import NIOHTTP1
import NIOHTTP2

/// Looks at the first bytes of a connection (behind TLS, if there is any): HTTP/2 begins with a preface that is no request of
/// HTTP/1 ("prior knowledge", RFC 9113 3.3; behind TLS its client has negotiated `h2`). The decoder of HTTP/1 is added when it is
/// not; `connection` is there from the begin, so that silence has its limit.
final class PrefaceDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let connection: HTTPConnection
    private let decoder: () -> ByteToMessageHandler<HTTPRequestDecoder>
    private let makeStream: (ConnectionInfo, any Channel) throws -> Void
    private let limits: GatewayLimits
    private var held = ByteBuffer()

    /// No method of HTTP/1 begins so.
    private static let preface = Array("PRI ".utf8)

    /// `makeStream` fills the pipeline of a stream; `connection` is the handler of HTTP/1 behind this one.
    init(
        connection: HTTPConnection, decoder: @escaping () -> ByteToMessageHandler<HTTPRequestDecoder>,
        limits: GatewayLimits, makeStream: @escaping (ConnectionInfo, any Channel) throws -> Void
    ) {
        self.connection = connection
        self.decoder = decoder
        self.limits = limits
        self.makeStream = makeStream
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if held.readableBytes > 0 {
            held.writeBuffer(&bytes)
            bytes = held
        }
        let count = min(bytes.readableBytes, Self.preface.count)
        guard bytes.readableBytesView.prefix(count).elementsEqual(Self.preface.prefix(count)) else {
            do {
                try context.pipeline.syncOperations.addHandler(decoder(), position: .after(self))
            } catch {
                return context.close(promise: nil)
            }
            return pass(bytes, context)
        }
        guard count == Self.preface.count else {
            held = bytes
            return
        }
        do {
            try begin(context)
            pass(bytes, context)
        } catch {
            context.close(promise: nil)
        }
    }

    private func pass(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        held = ByteBuffer()
        context.fireChannelRead(NIOAny(bytes))
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    private func begin(_ context: ChannelHandlerContext) throws {
        let info = connection.info
        let pipeline = context.pipeline.syncOperations
        pipeline.removeHandler(connection, promise: nil)
        var life = NIOHTTP2ServerConnectionManagementHandler.Configuration.defaults
        life.maxIdleTime = TimeAmount(limits.keepAliveTimeout)
        life.maxGraceTime = TimeAmount(limits.writeIdleTimeout)
        let manager = NIOHTTP2ServerConnectionManagementHandler(eventLoop: context.eventLoop, configuration: life)
        let isDraining = connection.machine.isDraining
        let make = NIOLoopBound(makeStream, eventLoop: context.eventLoop)
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: context.eventLoop, connectionConfiguration: connectionSettings,
            streamConfiguration: streamSettings, streamDelegate: manager.http2StreamDelegate
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                // Flow control is the back-pressure: what is not read is not granted anew.
                try stream.syncOptions?.setOption(.autoRead, value: false)
                try make.value(info, stream)
            }
        }
        try pipeline.addHandlers(
            [
                DrainBridge(), handler, GoodbyeLimit(grace: TimeAmount(limits.writeIdleTimeout)), manager,
                AbuseEnd(limit: limits.protocolErrors),
            ], position: .after(self))
        // It starts its timers when a connection begins, and this one has begun already.
        if context.channel.isActive { manager.channelActive(context: try pipeline.context(handler: manager)) }
        try context.channel.syncOptions?.setOption(.autoRead, value: true)
        if isDraining { context.pipeline.fireUserInboundEventTriggered(HTTPConnection.Drain()) }
    }

    private var connectionSettings: NIOHTTP2Handler.ConnectionConfiguration {
        var settings = NIOHTTP2Handler.ConnectionConfiguration()
        settings.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.streamsPerConnection),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headerBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: limits.streamHighWater),
        ]
        settings.targetWindowSize = limits.streamHighWater
        settings.maximumBufferedControlFrames = limits.controlFrames
        // Rapid resets, floods of settings, pings and continuations: the library's own bounds, which end the connection.
        return settings
    }

    private var streamSettings: NIOHTTP2Handler.StreamConfiguration {
        var settings = NIOHTTP2Handler.StreamConfiguration()
        settings.targetWindowSize = limits.streamHighWater
        settings.outboundBufferSizeHighWatermark = limits.writeHighWater
        settings.outboundBufferSizeLowWatermark = limits.writeLowWater
        return settings
    }
}

/// Tells the library in its own words that the server drains; ends the connection of a client that sends no more.
private final class DrainBridge: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is HTTPConnection.Drain {
            context.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        } else if let event = event as? ChannelEvent, event == .inputClosed {
            // A client that can grant no windows any more is gone.
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

/// Ends a connection whose client misbehaves: the library says goodbye to it, and leaves closing to us.
private final class AbuseEnd: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private var left: Int

    init(limit: Int) { left = limit }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        left -= 1
        if left <= 0 || Self.isAbuse(error) || !(context.channel.isActive) { context.close(promise: nil) }
    }

    private static func isAbuse(_ error: any Error) -> Bool {
        switch error {
        case is NIOHTTP2Errors.ExcessiveOutboundFrameBuffering,
            is NIOHTTP2Errors.BadClientMagic,
            is NIOHTTP2Errors.UnableToParseFrame,
            is NIOHTTP2Errors.ExcessiveEmptyDataFrames,
            is NIOHTTP2Errors.ExcessiveNumberOfGlitches,
            is NIOHTTP2Errors.ExcessivelyLargeHeaderBlock,
            is NIOHTTP2Errors.ExcessiveRSTFrames,
            is NIOHTTP2Errors.ExcessiveControlFrames,
            is NIOHTTP2Errors.ExcessiveContinuationFrames,
            is NIOHTTP2Errors.ExcessiveStreamErrors:
            true
        default: error is ChannelError || error is IOError
        }
    }
}

/// Ends a connection some time after its goodbye, whether or not the client has taken note: the library waits for that.
private final class GoodbyeLimit: ChannelOutboundHandler {
    typealias OutboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let grace: TimeAmount
    private var timer: Scheduled<Void>?

    init(grace: TimeAmount) { self.grace = grace }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if timer == nil, case .goAway = unwrapOutboundIn(data).payload {
            let channel = context.channel
            timer = context.eventLoop.scheduleTask(in: grace) { channel.close(mode: .all, promise: nil) }
        }
        context.write(data, promise: promise)
    }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }
}
